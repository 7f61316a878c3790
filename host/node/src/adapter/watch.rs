//! Tells what becomes of a node's adapter: as events, and in the report.

use super::report::{EVERY, Loss, Report, ReportFile, millis, now};
use super::slot::AdapterSlot;
use crate::crew::failure;
use crate::event::NodeEvent;
use crate::life::Life;
use crate::shared::Shared;
use crate::state_dir::StateDir;
use shardwright_components::adapter::{AdapterState, AdapterStatus};
use std::future::pending;
use std::sync::Arc;
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval};

/// Whose adapter it is.
pub(crate) struct Who {
    pub(crate) cluster: String,
    pub(crate) hostname: String,
}

/// The task that watches. Ends with this handle.
pub(crate) struct Watch {
    end: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Watch {
    /// Watches what is in `slot` from now on. The state directory stays locked for as long as it does.
    pub(crate) fn new(slot: AdapterSlot, shared: Arc<Shared>, dir: Arc<StateDir>, who: Who, life: &Life) -> Self {
        let (end, ended) = oneshot::channel();
        let outer = shared.clone();
        let watcher = Watcher {
            slot,
            shared,
            file: Arc::new(ReportFile::new(dir)),
            who,
            told: AdapterState::Running,
            failing: false,
        };
        Self {
            end: Some(end),
            task: tokio::spawn(watched(life.follow(watcher.run(ended)), outer)),
        }
    }

    /// Ends it and removes the report. Then nothing of it holds the state directory.
    pub(crate) async fn end(mut self) {
        drop(self.end.take());
        // A panic of it leaves nothing behind either.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Does `work`; if that panics, the node ends.
async fn watched(work: impl Future<Output = ()> + Send + 'static, shared: Arc<Shared>) {
    let mut task = JoinSet::new();
    task.spawn(work);
    if let Some(Err(error)) = task.join_next().await {
        shared.fail(format!("the task that watches the adapter {}", failure(error)));
    }
}

struct Watcher {
    slot: AdapterSlot,
    shared: Arc<Shared>,
    file: Arc<ReportFile>,
    who: Who,
    told: AdapterState,
    /// The last report could not be written.
    failing: bool,
}

impl Watcher {
    async fn run(mut self, mut ended: oneshot::Receiver<()>) {
        let mut newest = self.slot.newest();
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let mut states = None;
            let present = newest.borrow_and_update().upgrade();
            if let Some(present) = present {
                // First, so that what changes after the look is another reason to look.
                states = Some(present.states());
                let status = present.status();
                drop(present);
                self.tell(&status);
                self.write(status).await;
            }
            tokio::select! {
                _ = &mut ended => return,
                // The sender is in the slot.
                _ = newest.changed() => {}
                () = changed(states) => {}
                _ = ticks.tick() => {}
            }
        }
    }

    fn tell(&mut self, status: &AdapterStatus) {
        if std::mem::replace(&mut self.told, status.state) != status.state {
            self.shared.emit(NodeEvent::AdapterState {
                name: status.name.clone(),
                version: status.version.clone(),
                state: status.state,
                reason: status.why().map(str::to_owned),
            });
        }
    }

    /// Writes the report. That it cannot be written is told once, and harms nothing.
    async fn write(&mut self, status: AdapterStatus) {
        let Ok(adapter) = serde_json::to_value(status) else {
            return;
        };
        let report = Report {
            written: now(),
            pid: std::process::id(),
            cluster: self.who.cluster.clone(),
            hostname: self.who.hostname.clone(),
            node: self.shared.node().map(|node| node.get()),
            history_lost: self.shared.loss().map(|(at, reason)| Loss { at: millis(at), reason }),
            adapter,
        };
        let file = self.file.clone();
        let written = tokio::task::spawn_blocking(move || file.write(&report)).await;
        match written.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
            Ok(()) => self.failing = false,
            Err(error) => {
                if !std::mem::replace(&mut self.failing, true) {
                    let path = self.file.path().display();
                    tracing::warn!(
                        %error, %path,
                        "the adapter's status cannot be written; `shardwright coordinator status` will not see it"
                    );
                }
            }
        }
    }
}

/// Waits until the adapter enters another state; for ever if there is none any more.
async fn changed(states: Option<watch::Receiver<AdapterState>>) {
    if let Some(mut states) = states
        && states.changed().await.is_ok()
    {
        return;
    }
    pending::<()>().await;
}
