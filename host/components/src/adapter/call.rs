//! One call of the store: on which lane it is made, whether it is made again, and what is believed of its answer.

use super::coordinator::AdapterCoordinator;
use super::fault::LaneFault;
use super::history_guard::{HistoryViolation, KnownAtCall};
use super::pool::LaneGuard;
use super::refusal::Refusal;
use super::status::Counters;
use super::translate;
use super::world::exports::shardwright::coordinator::store as wit;
use bytes::Bytes;
use shardwright_core::store::{Expected, Listing, Reading, Revision, StoreError, Written};
use tokio::time::Instant;

/// One call of the store.
#[derive(Clone, Copy)]
pub(super) enum Call<'a> {
    Get(&'a str),
    List(&'a str, Revision),
    Put(&'a str, &'a [u8], Expected),
    Delete(&'a str, Expected),
}

pub(super) enum Answer {
    Reading(Reading<Bytes>),
    Listing(Listing<Bytes>),
    Written(Written),
}

impl AdapterCoordinator {
    /// Makes the call, on another lane once more where that can do no harm.
    pub(super) async fn call(&self, call: Call<'_>) -> Result<Answer, StoreError<Bytes>> {
        let deadline = self.pool.deadline();
        let mut again = true;
        loop {
            let before = self.pool.belief.begin().map_err(StoreError::HistoryLost)?;
            let held = self.pool.enter(&self.pool.store, call.bytes(), deadline).await;
            let held = held.map_err(Refusal::store)?;
            let (stale, sent) = (held.stale, held.lane.sent());
            match self.perform(call, held, before, deadline).await {
                // The connection of a lane that was idle may have been gone before. Nothing was done by what was not
                // sent, or only reads: another lane may try. That a write was *unavailable* is not enough: should the
                // adapter be wrong, it would be made twice.
                Err(StoreError::Unavailable(_))
                    if stale && again && (call.expected().is_none() || !sent.anything()) =>
                {
                    again = false;
                    self.pool.store.clear_stale();
                }
                outcome => return outcome,
            }
        }
    }

    async fn perform(
        &self,
        call: Call<'_>,
        mut held: LaneGuard<'_>,
        before: KnownAtCall,
        deadline: Instant,
    ) -> Result<Answer, StoreError<Bytes>> {
        let belief = &self.pool.belief;
        let lane = &mut held.lane;
        let outcome = match call {
            Call::Get(key) => lane
                .get(key, deadline)
                .await
                .map(|answer| answer.map(|reading| belief.reading(before, reading).map(Answer::Reading))),
            Call::List(prefix, since) => lane.list(prefix, since.0, deadline).await.map(|answer| {
                answer.map(|listing| belief.listing(before, prefix, since.0, listing).map(Answer::Listing))
            }),
            Call::Put(key, value, expected) => lane
                .put(key, value, translate::expected(expected), deadline)
                .await
                .map(|answer| answer.map(|written| belief.written(before, call.key(), written).map(Answer::Written))),
            Call::Delete(key, expected) => lane
                .delete(key, translate::expected(expected), deadline)
                .await
                .map(|answer| answer.map(|written| belief.written(before, call.key(), written).map(Answer::Written))),
        };
        let error = match outcome {
            Ok(Ok(Ok(answer))) => {
                held.give_back();
                self.pool.answered();
                Counters::add(&self.pool.counters.calls);
                return Ok(answer);
            }
            Ok(Err(error)) => error,
            Ok(Ok(Err(HistoryViolation::Fault(fault)))) | Err(fault) => return Err(Self::faulted(call, held, &fault)),
            Ok(Ok(Err(HistoryViolation::Lost(why)))) => {
                drop(held);
                self.pool.lost(why.clone());
                return Err(StoreError::HistoryLost(why));
            }
        };
        match (error, call.expected()) {
            (wit::StoreError::Conflict(found), Some(expected)) => match belief.conflict(call.key(), expected, found) {
                Ok(found) => {
                    held.give_back();
                    self.pool.answered();
                    Counters::add(&self.pool.counters.calls);
                    Err(StoreError::Conflict(found))
                }
                Err(HistoryViolation::Lost(why)) => {
                    drop(held);
                    self.pool.lost(why.clone());
                    Err(StoreError::HistoryLost(why))
                }
                Err(HistoryViolation::Fault(fault)) => Err(Self::faulted(call, held, &fault)),
            },
            (wit::StoreError::Conflict(_), None) => {
                let fault = LaneFault::Lied("a read was answered with a conflict".into());
                Err(Self::faulted(call, held, &fault))
            }
            (error, expected) => {
                let error = translate::store_error(error, &self.pool.shared.mask);
                match &error {
                    StoreError::HistoryLost(why) => {
                        drop(held);
                        self.pool.lost(why.clone());
                    }
                    // Its connection may be gone: the next call has another lane.
                    StoreError::Unavailable(_) | StoreError::Indeterminate(_) => drop(held),
                    _ => held.give_back(),
                }
                Err(match error {
                    // That cannot be said of a read.
                    StoreError::Indeterminate(why) if expected.is_none() => StoreError::Unavailable(why),
                    error => error,
                })
            }
        }
    }

    /// What a call comes to whose lane has ended: a write may have happened.
    fn faulted(call: Call<'_>, held: LaneGuard<'_>, fault: &LaneFault) -> StoreError<Bytes> {
        let told = held.fail(fault);
        match call.expected() {
            Some(_) => StoreError::Indeterminate(told),
            None => StoreError::Unavailable(told),
        }
    }
}

impl Call<'_> {
    const fn bytes(&self) -> usize {
        match self {
            Self::Put(_, value, _) => value.len(),
            _ => 0,
        }
    }

    /// The key of a write.
    const fn key(&self) -> &str {
        match self {
            Self::Get(key) | Self::List(key, _) | Self::Put(key, ..) | Self::Delete(key, _) => key,
        }
    }

    /// What a write expects; nothing of a read.
    const fn expected(&self) -> Option<Expected> {
        match self {
            Self::Put(.., expected) | Self::Delete(_, expected) => Some(*expected),
            Self::Get(_) | Self::List(..) => None,
        }
    }
}
