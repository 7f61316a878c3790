//! Which history the store has, what of it may be lost, and how long nobody new acts because of that.
//!
//! Whoever acts by what was lost has stopped one validity later. How long ago it was lost the backend tells, and its
//! clock may just have been set: who starts has nothing to compare it with. So the age of a loss is believed if this
//! node has watched it for long enough on its own clock, or has watched the backend's clock for so long; by first
//! answers alone only if somebody has joined since, for he has waited.

use super::entry::Phase;
use super::op::{loss_of, time_of};
use super::{Engine, Notice, Op, Refusal};
use crate::id::HistoryId;
use crate::join::{Answer, Outcome, Request};
use crate::rules::Rule;
use crate::store::{Expected, Reading, Revision, StoreError, StoreTime};
use crate::time::Instant;
use crate::values::{Key, Meta, Session, Value, token_base};

/// Whether somebody has joined since the last loss of the store, in whole or in part: he has waited, so nobody acts any
/// more by what was lost.
#[derive(Clone, Copy)]
enum Joined {
    Unasked,
    Yes,
    No,
}

impl Engine {
    pub(super) fn meta_read(&mut self, outcome: Outcome, now: Instant) {
        match outcome {
            Ok(Answer::Reading(read)) => self.meta(read, Joined::Unasked, now),
            // A store that was lost is no such thing: the next reading finds what took its place.
            Err(StoreError::Denied(why) | StoreError::Invalid(why)) if !self.joined_once => {
                self.finish(Err(Refusal::Denied(why)));
            }
            _ => self.meta_later(now),
        }
    }

    /// `read` is what `meta` was when this node began to look for whoever has joined.
    pub(super) fn joined_seen(&mut self, mut read: Reading<Value>, outcome: Outcome, now: Instant) {
        match outcome {
            Ok(Answer::Listing(list)) => {
                read.unsure_before = read.unsure_before.max(list.unsure_before);
                let founded = read.entry.as_ref().map_or(Revision(0), |meta| meta.revision);
                let late = read.unsure_before.plus(self.set.timing.validity);
                // Only who holds an id, and has found this very `meta` then, says that he has applied so much: no join
                // that had not noticed the loss, nor a holder of the former history. No clock is asked for that. After
                // a partial loss holders go on: only who began after it has waited.
                let proves = |session: &Session| {
                    session.applied >= founded && (read.unsure_before == StoreTime(0) || session.began >= late)
                };
                let mut values = list.entries.iter().map(|(_, entry)| &entry.value);
                let joined = if values.any(|value| matches!(value, Value::Session(session) if proves(session))) {
                    Joined::Yes
                } else {
                    Joined::No
                };
                self.meta(read, joined, now);
            }
            Err(StoreError::Denied(why)) if !self.joined_once => self.finish(Err(Refusal::Denied(why))),
            // What cannot be read proves nothing.
            Err(StoreError::Invalid(_)) => self.meta(read, Joined::No, now),
            _ => self.meta_later(now),
        }
    }

    /// Whether `meta`, read with this outcome, says that this node cannot start.
    pub(super) fn is_refusal(&self, outcome: &Outcome) -> bool {
        let final_one = matches!(outcome, Err(StoreError::Denied(_) | StoreError::Invalid(_)));
        final_one && !self.joined_once
    }

    pub(super) fn meta_written(&mut self, outcome: &Outcome, now: Instant) {
        match outcome {
            Ok(_) | Err(StoreError::Conflict(_)) => {
                self.phase = Phase::Before(now);
                self.turn_entry(now);
            }
            Err(_) => self.meta_later(now),
        }
    }

    pub(super) fn meta_later(&mut self, now: Instant) {
        let wait = self.retry();
        self.phase = Phase::Before(now.plus(wait));
    }

    fn meta(&mut self, read: Reading<Value>, joined: Joined, now: Instant) {
        let found = read.entry.clone().and_then(|e| match e.value {
            Value::Meta(meta) => Some((meta, e.revision, e.written)),
            _ => None,
        });
        let Some((meta, revision, written)) = found else {
            return self.found_history(read.now, Expected::Absent, now);
        };
        if meta.coordinator != self.set.info.coordinator {
            let ours = self.set.info.coordinator.clone();
            return self.finish(Err(Refusal::Coordinator {
                theirs: meta.coordinator,
                ours,
            }));
        }
        let Some(age) = self.age_of_history(&read, written, meta.history, joined, now) else {
            return;
        };
        if self.is_forgetful(meta.history, read.unsure_before) {
            return self.found_history(read.now, Expected::Revision(revision), now);
        }
        let taker = self.set.timing.taker();
        match self.history {
            Some((known, _)) if known != meta.history => {
                if !self.regressed {
                    let reason = format!("the store has the history {}, and {known} was known", meta.history);
                    self.notice(Notice::HistoryLost { known, reason });
                }
                self.mourn(now);
            }
            // The store went back in time: whatever it issues now it has issued before. A new history makes new tokens.
            Some(_) if self.regressed => return self.found_history(read.now, Expected::Revision(revision), now),
            _ => {}
        }
        // Whoever made this history did not know how high the tokens of the lost one were. While it is young, nobody
        // acts in it.
        if self.is_new(meta.history) && age < taker && meta.base < self.token_above_all() {
            return self.found_history(read.now, Expected::Revision(revision), now);
        }
        self.memory.young_until = if read.now.since(written) < taker {
            written.plus(taker)
        } else {
            StoreTime(0)
        };
        self.memory.founded = revision;
        self.regressed = false;
        self.highest = revision;
        // As this reading says, and nothing that was heard before: everybody counts tokens from the same base.
        self.heard = read.unsure_before;
        self.history = Some((meta.history, meta.base_after(self.heard)));
        // Holders of a history that was lost may still act: nobody new does before they must have stopped.
        let mut until = self.grace_until;
        if !self.set.fresh_is_safe && age < taker {
            until = until.max(now.plus(taker - age));
        }
        if until <= now || !self.set.rules.keep(Rule::Grace) {
            return self.start_join(now);
        }
        if std::mem::replace(&mut self.told_grace, until) != until {
            self.notice(Notice::Grace { wait: until.since(now) });
            self.reserve(until.since(now), now);
        }
        // Whoever has just joined proves it at its first renewal.
        let look = match joined {
            Joined::No => until.min(now.plus(self.set.timing.renew)),
            Joined::Unasked | Joined::Yes => until,
        };
        self.phase = Phase::Grace(look);
    }

    /// For how long nobody new can have acted by what the store has lost, its former history or the lost end of this
    /// one; `None` if this node has to look first who has joined since.
    fn age_of_history(
        &mut self,
        read: &Reading<Value>,
        written: StoreTime,
        history: HistoryId,
        joined: Joined,
        now: Instant,
    ) -> Option<u64> {
        let taker = self.set.timing.taker();
        let since = written.max(read.unsure_before);
        let known = self.meta_seen.filter(|seen| (seen.0, seen.1) == (history, since));
        let (_, _, seen) = *self.meta_seen.insert(known.unwrap_or((history, since, now)));
        // As the backend dates it, or as it was watched from here: the backend's clock may have gone back.
        let certain = self.clock.age(since, read.now, now).max(now.since(seen));
        // Or it was set forward just before, which the first answers do not show.
        let told = self.clock.age_at_first(since, read.now, now, self.set.timing.margin);
        let keeps = |rule| self.set.rules.keep(rule);
        let asks = !self.set.fresh_is_safe && keeps(Rule::Grace) && keeps(Rule::ProvenAge);
        match joined {
            Joined::Unasked if asks && certain < taker && taker <= told => {
                let request = Request::List {
                    prefix: "sessions/",
                    since: Revision(0),
                };
                self.send(Op::Joined(Box::new(read.clone())), request, now);
                None
            }
            Joined::No => Some(certain),
            Joined::Unasked | Joined::Yes => Some(certain.max(told)),
        }
    }

    fn found_history(&mut self, store_now: StoreTime, expected: Expected, now: Instant) {
        let history = HistoryId(self.random());
        let known = self.token_above_all();
        let value = Value::Meta(Meta::create(history, store_now, known, &self.set.info.coordinator));
        self.send(
            Op::WriteMeta,
            Request::Put {
                key: Key::Meta,
                value,
                expected,
            },
            now,
        );
    }

    /// Whoever knows what the store no longer has hears of it at his next operation, or stops at his deadline: until
    /// then nothing is granted, nobody joins, and no session that is late goes on.
    ///
    /// How long ago that was is the backend's word only; for who starts, `meta` is what decides.
    pub(super) fn hear(&mut self, outcome: &Outcome, now: Instant) {
        let (Some(unsure), Some(backend)) = (loss_of(outcome), time_of(outcome)) else {
            return;
        };
        if unsure <= self.heard {
            return;
        }
        self.heard = unsure;
        if let Some((_, base)) = &mut self.history {
            *base = (*base).max(token_base(unsure));
        }
        if self.mine.is_some() {
            self.tell_memory();
            let changes = self.duty.rebase(self.base());
            self.perform(changes);
        }
        // It was given by the store as it was before.
        if let Some(mine) = &mut self.mine {
            mine.proof = None;
        }
        let ago = self.clock.age_at_first(unsure, backend, now, self.set.timing.margin);
        let wait = self.set.timing.taker().saturating_sub(ago);
        if wait > 0 && self.set.rules.keep(Rule::PartialLoss) {
            self.grace_until = self.grace_until.max(now.plus(wait));
            self.notice(Notice::Grace { wait });
            self.reserve(wait, now);
        }
    }

    /// What in this answer shows that the store went back, or is another one: when it was asked for, `floor` was the
    /// highest revision known, and `heard` the last partial loss.
    pub(super) fn sign_of_loss(&self, outcome: &Outcome, floor: Revision, heard: StoreTime) -> Option<String> {
        // Once another store is accepted, answers that were on their way count by what it says.
        let forgets = |told| told < heard.min(self.heard) && self.set.rules.keep(Rule::ForgottenLoss);
        match outcome {
            Ok(Answer::Written(w)) if w.revision <= floor => Some(format!(
                "a write was given revision {}, after {} was seen",
                w.revision.0, floor.0
            )),
            Err(StoreError::HistoryLost(why)) => Some(why.clone()),
            _ if loss_of(outcome).is_some_and(forgets) => {
                Some("the store has forgotten a partial loss of which it had told: it went back".to_owned())
            }
            _ => None,
        }
    }

    /// After a loss of history nothing is granted for one validity.
    pub(super) fn mourn(&mut self, now: Instant) {
        self.grace_until = now.plus(self.set.timing.taker());
    }

    /// The revision base of the present history.
    pub(super) fn base(&self) -> u64 {
        self.history.map_or(0, |(_, base)| base)
    }
}
