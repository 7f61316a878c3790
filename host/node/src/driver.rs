//! The one task that owns the engine: it takes events in, and has the engine's commands performed.

use crate::bus::Bus;
use crate::clock;
use crate::echo::Echo;
use crate::event::NodeEvent;
use crate::health::Pulse;
use crate::policies::Policies;
use crate::shared::{Ended, Phase, Shared};
use crate::state_dir::{self, StateDir};
use crate::store::StoreCalls;
use crate::table::Grant;
use crate::tell;
use shardwright_core::duty::StopId;
use shardwright_core::engine::{Command, Engine, Event, Notice};
use shardwright_core::id::Token;
use shardwright_core::store::StoreError;
use shardwright_core::time::Instant;
use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tracing::Instrument;

/// What the embedder does before shards are given up: see [`Builder::on_losing`](crate::Builder::on_losing).
pub(crate) type LosingHook = Arc<dyn Fn(String, Vec<u32>) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// What the driver works with.
pub(crate) struct Parts {
    pub(crate) shared: Arc<Shared>,
    pub(crate) store: Arc<StoreCalls>,
    pub(crate) policies: Arc<Policies>,
    pub(crate) bus: Arc<Bus>,
    pub(crate) pulse: Arc<Pulse>,
    pub(crate) losing: Option<LosingHook>,
    pub(crate) stop_timeout: Duration,
    /// Locked for as long as the driver lives.
    pub(crate) state: Arc<StateDir>,
    /// The cluster's name.
    pub(crate) cluster: String,
}

pub(crate) struct Driver {
    engine: Engine,
    parts: Parts,
    roles: Vec<String>,
    inbox: mpsc::UnboundedReceiver<Event>,
    wake: Option<Instant>,
    /// Work under way, each with the event that stands for it if it panics.
    work: JoinSet<Event>,
    fallback: HashMap<Id, Event>,
    hints: Arc<Notify>,
    /// The listener and the sender of hints, and the echo.
    background: JoinSet<()>,
    echo: AbortHandle,
}

/// However the driver ends, by panic or by being dropped: the node acts no more, and everybody is told.
struct Closing(Arc<Shared>, Arc<Bus>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.fence.close();
        self.1.end();
        let ended = self.0.phase.send_if_modified(|phase| {
            let open = !matches!(phase, Phase::Ended(_));
            if open {
                *phase = Phase::Ended(Ended::Dropped);
            }
            open
        });
        if ended {
            self.0.emit(NodeEvent::Ended {
                reason: Some("its driver was dropped".into()),
            });
        }
    }
}

impl Driver {
    /// Events for `engine` come from `inbox`; `outbox` is its other end, for hints from other nodes.
    pub(crate) fn new(engine: Engine, parts: Parts, inbox: mpsc::UnboundedReceiver<Event>, outbox: mpsc::UnboundedSender<Event>) -> Self {
        let roles = parts.shared.tables.iter().map(|table| table.spec.name.clone()).collect();
        let hints = Arc::new(Notify::new());
        let mut background = JoinSet::new();
        let (bus, due) = (parts.bus.clone(), hints.clone());
        background.spawn(async move {
            loop {
                due.notified().await;
                bus.hint().await;
            }
        });
        let shared = parts.shared.clone();
        let listening = parts.bus.clone().listen(move |loss| {
            if let Some(reason) = loss {
                shared.emit(NodeEvent::Resync { reason });
            }
            // The driver has ended if this fails.
            let _ = outbox.send(Event::Look);
        });
        background.spawn(listening.in_current_span());
        background.spawn(state_dir::watch(parts.state.clone(), parts.shared.clone()).in_current_span());
        let echo = Echo::new(parts.bus.clone(), parts.pulse.clone());
        let echo = background.spawn(echo.run().in_current_span());
        Self {
            engine,
            parts,
            roles,
            inbox,
            wake: None,
            work: JoinSet::new(),
            fallback: HashMap::new(),
            hints,
            background,
            echo,
        }
    }

    /// Drives the node until it has left.
    pub(crate) async fn run(mut self) {
        let _closing = Closing(self.parts.shared.clone(), self.parts.bus.clone());
        let mut event = Event::Start;
        while self.feed(event) {
            event = self.next().await;
        }
        self.background.shutdown().await;
    }

    async fn next(&mut self) -> Event {
        loop {
            tokio::select! {
                Some(event) = self.inbox.recv() => return event,
                Some(done) = self.work.join_next_with_id() => {
                    if let Some(event) = self.ended(done) {
                        return event;
                    }
                }
                () = clock::sleep_until(self.wake) => {
                    self.wake = None;
                    return Event::Wake;
                }
            }
        }
    }

    /// The event of work that has ended.
    fn ended(&mut self, done: Result<(Id, Event), JoinError>) -> Option<Event> {
        match done {
            Ok((id, event)) => {
                self.fallback.remove(&id);
                Some(event)
            }
            Err(error) => {
                tracing::error!(%error, "a task of the runtime failed");
                self.fallback.remove(&error.id())
            }
        }
    }

    fn spawn(&mut self, fallback: Event, work: impl Future<Output = Event> + Send + 'static) {
        let handle = self.work.spawn(work.in_current_span());
        self.fallback.insert(handle.id(), fallback);
    }

    /// Gives `event` and all that follows from it at once to the engine. False when the node has left.
    fn feed(&mut self, event: Event) -> bool {
        if matches!(event, Event::Leave) {
            // Who leaves is not ill.
            self.echo.abort();
        }
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for command in self.engine.handle(event, clock::now()) {
                if let Command::Left(outcome) = command {
                    let (ended, reason) = match outcome {
                        Ok(()) => (Ended::Asked, None),
                        Err(refusal) => (Ended::Refused(refusal.clone()), Some(refusal.to_string())),
                    };
                    self.parts.shared.phase.send_replace(Phase::Ended(ended));
                    self.parts.shared.emit(NodeEvent::Ended { reason });
                    return false;
                }
                self.perform(command, &mut events);
            }
        }
        true
    }

    fn perform(&mut self, command: Command, events: &mut VecDeque<Event>) {
        match command {
            Command::Store { op, request, heard } => {
                let store = self.parts.store.clone();
                let panicked = Err(StoreError::Indeterminate("the backend panicked".into()));
                let done = async move {
                    Event::Stored {
                        op,
                        outcome: store.perform(request, heard).await,
                    }
                };
                self.spawn(Event::Stored { op, outcome: panicked }, done);
            }
            Command::Hint => self.hints.notify_one(),
            Command::Ask { request, role, snapshot } => {
                let policies = self.parts.policies.clone();
                let failed = |reason: String| Event::Answered {
                    request,
                    answer: Err(reason),
                };
                let done = async move {
                    let asked = tokio::task::spawn_blocking(move || policies.assign(role, *snapshot)).await;
                    let answer = asked.unwrap_or_else(|error| Err(format!("the call of the policy failed: {error}")));
                    Event::Answered { request, answer }
                };
                self.spawn(failed("the call of the policy failed".into()), done);
            }
            Command::Gain { role, shards } => self.gain(role, &shards),
            Command::Stop { stop, role, shards } => self.stop(stop, role, shards, events),
            Command::Deadline(deadline) => {
                if let Some(deadline) = deadline {
                    self.parts.pulse.renewed(deadline);
                }
                self.parts.shared.fence.set(deadline);
            }
            Command::Plan { role, part, plan, .. } => {
                if let Some(table) = self.parts.shared.tables.get(role) {
                    table.learn(part, plan);
                }
            }
            Command::Remember(memory) => self.parts.state.remember(&self.parts.cluster, memory),
            Command::Registry(records) => self.parts.shared.set_registry(records),
            Command::Notice(notice) => self.notice(notice),
            Command::Wake(instant) => self.wake = Some(instant),
            Command::Left(_) => {}
        }
    }

    fn notice(&self, notice: Notice) {
        let shared = &self.parts.shared;
        if let Notice::Joined { id, .. } = notice {
            if shared.node() != Some(id) {
                // Recorded once: a span keeps every value that it was ever given.
                tracing::Span::current().record("node", id.get());
            }
            shared.set_node(id);
            self.parts.bus.begin(id, self.parts.store.session_written());
            shared.emit(tell::event(notice, &self.roles));
            shared.phase.send_replace(Phase::Member);
        } else {
            shared.emit(tell::event(notice, &self.roles));
        }
    }

    fn gain(&self, role: usize, shards: &[(u32, Token)]) {
        let shared = &self.parts.shared;
        let Some(table) = shared.tables.get(role) else { return };
        table.grant(shards);
        shared.holding.send_modify(|holding| *holding += shards.len());
        let event = NodeEvent::Gained {
            role: table.spec.name.clone(),
            shards: shards.iter().map(|(shard, _)| *shard).collect(),
        };
        shared.emit(event);
    }

    /// Nothing new can begin on these shards from here on; what runs is told, and waited for.
    fn stop(&mut self, stop: StopId, role: usize, shards: Vec<u32>, events: &mut VecDeque<Event>) {
        let shared = self.parts.shared.clone();
        let Some(table) = shared.tables.get(role) else {
            events.push_back(Event::Stopped(stop));
            return;
        };
        let grants = table.revoke(&shards);
        let name = table.spec.name.clone();
        shared.emit(NodeEvent::Losing {
            role: name.clone(),
            shards: shards.clone(),
        });
        if grants.is_empty() && self.parts.losing.is_none() {
            stopped(&shared, name, shards, false);
            events.push_back(Event::Stopped(stop));
            return;
        }
        let (losing, limit) = (self.parts.losing.clone(), self.parts.stop_timeout);
        self.spawn(Event::Stopped(stop), async move {
            let ending = wind_down(losing, name.clone(), shards.clone(), grants);
            let overdue = tokio::time::timeout(limit, ending).await.is_err();
            stopped(&shared, name, shards, overdue);
            Event::Stopped(stop)
        });
    }
}

fn stopped(shared: &Shared, role: String, shards: Vec<u32>, overdue: bool) {
    if overdue {
        shared.overdue.fetch_add(1, Ordering::Relaxed);
    }
    shared.holding.send_modify(|holding| *holding -= shards.len());
    shared.emit(NodeEvent::Lost { role, shards, overdue });
}

/// The embedder's own end of the work, then that of the claims.
async fn wind_down(losing: Option<LosingHook>, role: String, shards: Vec<u32>, grants: Vec<Grant>) {
    if let Some(losing) = losing {
        // A task of its own, ended with this one: a hook that panics must not keep the claims from being waited for.
        let mut hook = JoinSet::new();
        hook.spawn(async move { losing(role, shards).await }.in_current_span());
        if let Some(Err(error)) = hook.join_next().await {
            tracing::error!(%error, "the losing hook failed");
        }
    }
    for grant in grants {
        grant.closed().await;
    }
}
