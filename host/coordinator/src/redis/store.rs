//! The store: every operation is one call of the script, and the handle remembers what it has seen.

use super::connection::NoReply;
use super::persistent_connection::PersistentConnection;
use super::reply::Refusal;
use super::script::{self, Answer, Failure, Keys, Known, Operation, Run};
use crate::broker::BrokerError;
use crate::clock;
use crate::contract::{PutRequest, Store};
use crate::limits;
use async_trait::async_trait;
use bytes::Bytes;
use redis::Value;
use shardwright_core::store::{Expected, Listing, Reading, Revision, StoreError, StoreTime, Written};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The longest to wait for replicas.
const CONFIRMED: Duration = Duration::from_secs(2);

/// The store of one namespace, as one handle knows it.
pub(super) struct NamespaceStore {
    pub(super) keys: Keys,
    pub(super) main: PersistentConnection,
    /// `WAIT` makes everything behind it wait, and counts only what its own connection wrote.
    pub(super) replicated: Option<Replicated>,
    pub(super) memory: Mutex<Memory>,
    pub(super) timeout: Duration,
}

/// Where writes go that replicas must confirm.
pub(super) struct Replicated {
    pub(super) line: PersistentConnection,
    pub(super) replicas: u32,
}

/// What a handle remembers.
pub(super) struct Memory {
    known: Known,
    /// Set for good when the store turns out to be another one.
    lost: Option<String>,
}

impl Memory {
    pub(super) fn knowing(known: Known) -> Self {
        Self { known, lost: None }
    }
}

/// What the script did.
struct ScriptResult {
    held: bool,
    revision: Revision,
    now: StoreTime,
    unsure_before: StoreTime,
    more: Value,
}

impl NamespaceStore {
    // Each change under this lock is one assignment: a poisoned one guards a sound state.
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known, unless the history was lost.
    fn known(&self) -> Result<Known, StoreError<Bytes>> {
        let memory = self.memory();
        match &memory.lost {
            Some(why) => Err(StoreError::HistoryLost(why.clone())),
            None => Ok(memory.known.clone()),
        }
    }

    fn lose(&self, why: String) -> StoreError<Bytes> {
        StoreError::HistoryLost(self.memory().lost.get_or_insert(why).clone())
    }

    /// Remembers what an answer of `run` said, which is given to the caller now. False, and nothing is remembered, if
    /// the handle has heard of another run since the call began in `begun`: the answer is older than that.
    #[must_use]
    fn learn(&self, begun: &str, run: &str, revision: Revision, now: StoreTime) -> bool {
        let known = &mut self.memory().known;
        if known.run != run {
            if known.run != begun {
                return false;
            }
            run.clone_into(&mut known.run);
        }
        known.seen = known.seen.max(revision.0);
        (known.time, known.at) = (now.0, clock::boottime());
        true
    }

    /// The run to go on with, if nothing that this handle knows was lost before it.
    fn judge(&self, runs: &[Run]) -> Result<String, StoreError<Bytes>> {
        let known = self.memory().known.clone();
        match next_run(&known, runs) {
            Ok(run) => Ok(run.to_owned()),
            Err(why) => Err(self.lose(why)),
        }
    }

    /// Carries out `operation`: until there is an answer, as long as nothing can have been done.
    async fn call(&self, operation: Operation<'_>) -> Result<ScriptResult, StoreError<Bytes>> {
        let deadline = Instant::now() + self.timeout;
        let (line, replicas) = match &self.replicated {
            // The replicas have most of the time, but not so much that those who wait give up first and block the line;
            // the rest is for the way back.
            Some(to) if operation.writes() => {
                let patience = (self.timeout * 3 / 4).min(CONFIRMED);
                let patience = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX).max(1);
                (&to.line, Some((to.replicas, patience)))
            }
            _ => (&self.main, None),
        };
        // The run that this call has heard of. It is the handle's only when the caller hears of it too.
        let mut heard: Option<String> = None;
        loop {
            let mut known = self.known()?;
            let begun = known.run.clone();
            if let Some(run) = &heard {
                // Its clock is another one.
                known.run.clone_from(run);
                known.time = 0;
            }
            let wire = line.wire(deadline).await.map_err(down)?;
            match script::run(&wire, &self.keys, &operation, &known, replicas, deadline).await {
                Ok((
                    Answer::Done {
                        held,
                        revision,
                        now,
                        unsure_before,
                        more,
                    },
                    confirmed,
                )) => {
                    if let Some((wanted, _)) = replicas
                        && confirmed.as_ref().map_or(true, |confirmed| *confirmed < wanted)
                    {
                        let why = match confirmed {
                            Ok(confirmed) => format!(
                                "{confirmed} of {wanted} replicas confirmed revision {} in time",
                                revision.0
                            ),
                            Err(why) => format!("whether replicas have revision {} cannot be asked: {why}", revision.0),
                        };
                        // A conflict may be one with a write of this very caller that no replica has: told of it, he
                        // would count on that.
                        return Err(if held {
                            StoreError::Indeterminate(why)
                        } else {
                            StoreError::Unavailable(why)
                        });
                    }
                    if !self.learn(&begun, &known.run, revision, now) {
                        let why = "another server took over before the answer came";
                        match (operation.writes(), held) {
                            (true, true) => return Err(StoreError::Indeterminate(why.into())),
                            (true, false) => return Err(StoreError::Unavailable(why.into())),
                            (false, _) => continue,
                        }
                    }
                    return Ok(ScriptResult {
                        held,
                        revision,
                        now,
                        unsure_before,
                        more,
                    });
                }
                Ok((Answer::Run(runs), _)) => {
                    let run = self.judge(&runs)?;
                    if operation.writes() {
                        let known = &mut self.memory().known;
                        (known.run, known.time) = (run, 0);
                        let why = "another server serves the data, or it was started anew, since this node last heard \
                                   of it; nothing was written";
                        return Err(StoreError::Unavailable(why.into()));
                    }
                    heard = Some(run);
                }
                Ok((Answer::Unheard, _)) => {
                    let why = "what the store had may have been lost in part since the writer last looked; nothing \
                               was written";
                    return Err(StoreError::Unavailable(why.into()));
                }
                Ok((Answer::Lost(why), _)) => return Err(self.lose(why)),
                Err(Failure::Silence(NoReply::NoAnswer(why))) if operation.writes() => {
                    return Err(StoreError::Indeterminate(why));
                }
                Err(Failure::Silence(silence)) if Instant::now() >= deadline => {
                    return Err(StoreError::Unavailable(silence.why()));
                }
                Err(Failure::Silence(_)) => {}
                Err(Failure::Refusal(Refusal::Elsewhere(why, _))) => wire.give_up(&why),
                Err(Failure::Refusal(Refusal::Denied(why))) => return Err(StoreError::Denied(why)),
                Err(Failure::Refusal(Refusal::Other(why))) if operation.writes() => {
                    return Err(StoreError::Indeterminate(why));
                }
                Err(Failure::Refusal(refusal)) => return Err(StoreError::Unavailable(refusal.why())),
            }
        }
    }

    async fn write(&self, operation: Operation<'_>) -> Result<Written, StoreError<Bytes>> {
        let done = self.call(operation).await?;
        if done.held {
            let ScriptResult { revision, now, .. } = done;
            return Ok(Written { revision, now });
        }
        Err(StoreError::Conflict(
            script::entry(done.more).map_err(StoreError::Invalid)?,
        ))
    }

    /// Removes all that is stored.
    pub(super) async fn erase(&self) -> Result<(), StoreError<Bytes>> {
        self.call(Operation::Erase).await.map(drop)
    }
}

/// The run that follows those which `known` knows.
fn next_run<'a>(known: &Known, runs: &'a [Run]) -> Result<&'a str, String> {
    let Some(at) = runs.iter().rposition(|run| run.id == known.run) else {
        return Err(
            "what this node knows comes from a server, or a life of one, of which the data knows nothing".into(),
        );
    };
    if let Some(run) = runs[at + 1..].iter().find(|run| run.base < known.seen) {
        return Err(format!(
            "this node knows revision {}, and the server that took over begins after revision {}",
            known.seen, run.base
        ));
    }
    runs.last().map(|run| run.id.as_str()).ok_or_else(|| "no run".into())
}

/// What it means for a call that there is no connection.
fn down(error: BrokerError) -> StoreError<Bytes> {
    match error {
        BrokerError::Denied { .. } => StoreError::Denied(error.to_string()),
        _ => StoreError::Unavailable(error.to_string()),
    }
}

#[async_trait]
impl Store for NamespaceStore {
    async fn get(&self, key: &str) -> Result<Reading<Bytes>, StoreError<Bytes>> {
        limits::check_key(key)?;
        let ScriptResult {
            now,
            unsure_before,
            more,
            ..
        } = self.call(Operation::Get(key)).await?;
        let entry = script::entry(more).map_err(StoreError::Invalid)?;
        Ok(Reading {
            entry,
            now,
            unsure_before,
        })
    }

    async fn list(&self, prefix: &str, since: Revision) -> Result<Listing<Bytes>, StoreError<Bytes>> {
        limits::check_prefix(prefix)?;
        let ScriptResult {
            revision,
            now,
            unsure_before,
            more,
            ..
        } = self.call(Operation::List(prefix, since)).await?;
        let mut entries = script::listing(more).map_err(StoreError::Invalid)?;
        entries.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        Ok(Listing {
            entries,
            revision,
            now,
            unsure_before,
        })
    }

    async fn put_with(&self, request: PutRequest<'_>) -> Result<Written, StoreError<Bytes>> {
        let PutRequest {
            key,
            value,
            expected,
            heard,
        } = request;
        limits::check_key(key)?;
        limits::check_stored(value.len())?;
        self.write(Operation::Put(key, &value, expected, heard)).await
    }

    async fn delete(&self, key: &str, expected: Expected) -> Result<Written, StoreError<Bytes>> {
        limits::check_key(key)?;
        self.write(Operation::Delete(key, expected)).await
    }
}

#[cfg(test)]
mod test {
    use super::*;

    fn known(run: &str, seen: u64) -> Known {
        Known {
            run: run.into(),
            seen,
            ..Known::default()
        }
    }

    #[test]
    fn a_handle_goes_on_only_if_no_later_run_lacks_what_it_knows() {
        let run = |id: &str, base| Run { id: id.into(), base };
        let runs = [run("a", 0), run("b", 10), run("c", 1_000_000_012)];
        assert_eq!(next_run(&known("a", 10), &runs), Ok("c"));
        assert_eq!(next_run(&known("b", 1_000_000_012), &runs), Ok("c"));
        assert!(next_run(&known("a", 11), &runs).is_err_and(|why| why.contains("knows revision 11")));
        assert!(next_run(&known("b", 1_000_000_013), &runs).is_err());
        assert!(next_run(&known("z", 0), &runs).is_err());
    }
}
