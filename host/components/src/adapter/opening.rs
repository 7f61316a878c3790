//! How a lane is opened: when the supervisor lets it be, in the history that is known, with what the last one learnt.

use super::coordinator::UNSAID;
use super::fault::LaneFault;
use super::history_guard::HistoryViolation;
use super::lane::Lane;
use super::pool::{ActiveComponent, LanePool, Pool, lock};
use super::refusal::Refusal;
use super::status::Counters;
use super::supervisor::Supervisor;
use super::world::exports::shardwright::coordinator::lifecycle::{Context, Opened, Purpose};
use crate::state::AdapterState;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// The longest memo, in bytes.
const MEMO: usize = 4096;

impl Pool {
    /// Opens a lane, as soon as the supervisor lets it be.
    pub(super) async fn open(
        &self,
        present: &ActiveComponent,
        from: &LanePool,
        deadline: Instant,
    ) -> Result<Lane, Refusal> {
        loop {
            self.belief.begin().map_err(Refusal::Lost)?;
            let (waited, state) = {
                let mut supervisor = lock(&self.supervisor);
                (supervisor.may_open(self.began.elapsed()), supervisor.state())
            };
            let Err(wait) = waited else { break };
            let until = self.began + wait.until;
            if state != AdapterState::Restarting || until >= deadline {
                return Err(Refusal::Later(wait.why));
            }
            sleep_until(until).await;
        }
        match self.open_known(present, from, deadline).await {
            Ok(lane) => {
                lock(&self.backoff).reset();
                self.tell(Supervisor::opened);
                Counters::add(&self.counters.lanes_opened);
                Ok(lane)
            }
            Err(Refusal::Lost(why)) => {
                self.lost(why.clone());
                Err(Refusal::Lost(why))
            }
            Err(Refusal::Fault(fault)) if fault.is_counted() => {
                self.failed(&fault);
                Err(Refusal::Fault(fault))
            }
            Err(refusal) => {
                let wait = lock(&self.backoff).next_wait();
                let why = self.shared.mask.line(&refusal.why());
                self.tell(|supervisor, now| supervisor.unopened(now, &why, wait));
                Err(refusal)
            }
        }
    }

    /// A lane of the present component, which belongs to the history that is known.
    async fn open_known(&self, present: &ActiveComponent, from: &LanePool, deadline: Instant) -> Result<Lane, Refusal> {
        let (lane, opened, uncertainty) = self.try_open(present, from, deadline).await?;
        self.belief.opened(&opened.history).map_err(|doubt| match doubt {
            HistoryViolation::Lost(why) => Refusal::Lost(why),
            HistoryViolation::Fault(fault) => Refusal::Fault(fault),
        })?;
        *lock(&from.memo) = opened.memo;
        self.uncertainty.fetch_max(uncertainty, Ordering::Relaxed);
        *lock(&self.location) = self.shared.mask.line(&opened.location);
        Ok(lane)
    }

    /// A lane of the store of another component than the present one, as a trial: whatever comes of it, the present one
    /// goes on as before. Returns by how much its times may be wrong.
    pub(super) async fn open_beside(&self, other: &ActiveComponent, deadline: Instant) -> Result<Duration, Refusal> {
        let (lane, opened, uncertainty) = self.try_open(other, &self.store, deadline).await?;
        drop(lane);
        match self.belief.history() {
            Some(known) if known != opened.history => {
                let why = format!(
                    "it finds the history {}, and the present one has {known}",
                    self.shared.mask.line(&opened.history)
                );
                Err(Refusal::Invalid(why))
            }
            _ => Ok(Duration::from_millis(uncertainty).max(UNSAID)),
        }
    }

    /// A lane, what it found, and by how many milliseconds its times may be wrong, if it says that.
    async fn try_open(
        &self,
        present: &ActiveComponent,
        from: &LanePool,
        deadline: Instant,
    ) -> Result<(Lane, Opened, u64), Refusal> {
        let mask = &self.shared.mask;
        let started = Lane::start(present.component.pre(), self.shared.clone(), deadline).await;
        let mut lane = started.map_err(Refusal::Fault)?;
        let context = Context {
            purpose: from.purpose,
            namespace: self.namespace.as_str().to_owned(),
            config: self.shared.options.config.expose().to_owned(),
            history: self.belief.history(),
            memo: lock(&from.memo).clone(),
        };
        let opened = lane.open(&context, deadline).await;
        self.note_refused(&lane);
        let opened = opened
            .map_err(Refusal::Fault)?
            .map_err(|error| Refusal::of(error, |why| mask.line(why)))?;
        if opened.memo.len() > MEMO {
            return Err(Refusal::Fault(LaneFault::Lied(format!(
                "a memo has more than {MEMO} bytes"
            ))));
        }
        let uncertainty = match from.purpose {
            Purpose::Store => lane.uncertainty(deadline).await.map_err(Refusal::Fault)?,
            _ => None,
        };
        Ok((lane, opened, uncertainty.unwrap_or(0).into()))
    }
}
