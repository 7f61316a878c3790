//! How a node comes in: the store's history, the grace period, the join.

use super::{Engine, Notice, Op, Refusal};
use crate::id::{HistoryId, SessionId};
use crate::join::{Answer, Held, Join, Next, Outcome, Request};
use crate::rules::Rule;
use crate::store::{Expected, Reading, Revision, StoreError, StoreTime};
use crate::time::Instant;
use crate::values::{Key, Meta, Value, token_base};

/// Where a node is in its life.
#[derive(Clone, Debug)]
pub(super) enum Phase {
    /// Not started.
    New,
    /// Waiting for work of a former session to stop; then from the beginning.
    Stopping,
    /// To read `meta` at this time.
    Before(Instant),
    /// Reading or writing `meta`.
    Meta,
    /// Waiting, because the history is young or was lost.
    Grace(Instant),
    /// Joining; waiting until the instant, if there is one.
    Joining(Box<Join>, Option<Instant>),
    /// Joined, and reading `meta` once more: a store that was replaced during the join must not pass for the one
    /// before.
    Sealing(Box<Held>),
    /// The id is held.
    Held,
    /// Stopping all work before it goes.
    Leaving,
    /// Ending its session.
    Bye,
    /// Out.
    Gone,
}

impl Engine {
    pub(super) fn begin(&mut self) {
        if matches!(self.phase, Phase::New) {
            self.phase = Phase::Before(Instant(0));
        }
    }

    pub(super) fn turn_entry(&mut self, now: Instant) {
        // A renewal under way could make the session outlive its end.
        // Who sees the end before the successor is named would have to look once more.
        let over = self.duty.is_idle() && !self.is_renewing() && !self.is_resigning();
        match &mut self.phase {
            Phase::Stopping if self.duty.is_idle() => {
                self.phase = Phase::Before(now);
                self.turn_entry(now);
            }
            // After a grace period too: the store may have been lost again meanwhile.
            Phase::Before(at) | Phase::Grace(at) if *at <= now => {
                self.phase = Phase::Meta;
                self.send(Op::ReadMeta, Request::Get(Key::Meta), now);
            }
            Phase::Joining(join, wake) if wake.is_some_and(|at| at <= now) => {
                *wake = None;
                let next = join.wake();
                self.follow(next, now);
            }
            Phase::Leaving if over => self.say_bye(now),
            _ => {}
        }
    }

    pub(super) fn entry_due(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Before(at) | Phase::Grace(at) => Some(*at),
            Phase::Joining(_, wake) => *wake,
            _ => None,
        }
    }

    pub(super) fn meta_read(&mut self, outcome: Outcome, now: Instant) {
        match outcome {
            Ok(Answer::Reading(read)) => self.meta(read, now),
            // A store that was lost is no such thing: the next reading finds what took its place.
            Err(StoreError::Denied(why) | StoreError::Invalid(why)) if !self.joined_once => {
                self.finish(Err(Refusal::Denied(why)));
            }
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

    fn meta_later(&mut self, now: Instant) {
        let wait = self.retry();
        self.phase = Phase::Before(now.plus(wait));
    }

    fn meta(&mut self, read: Reading<Value>, now: Instant) {
        let found = read.entry.and_then(|e| match e.value {
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
        let mut fresh = None;
        match self.history {
            Some((known, _)) if known != meta.history => {
                if !self.regressed {
                    let reason = format!("the store has the history {}, and {known} was known", meta.history);
                    self.notice(Notice::HistoryLost { known, reason });
                }
                self.mourn(now);
                // Losses of the new store are counted by its own clock.
                fresh = Some(read.unsure_before);
            }
            // The store went back in time: whatever it issues now it has issued before. A new history makes new tokens.
            Some(_) if self.regressed => return self.found_history(read.now, Expected::Revision(revision), now),
            _ => {}
        }
        // Whoever made this history did not know how high the tokens of the lost one were. While it is young, nobody
        // acts in it.
        let young = read.now.since(written) < self.set.timing.taker();
        if self.is_new(meta.history) && young && meta.base < self.token_above_all() {
            return self.found_history(read.now, Expected::Revision(revision), now);
        }
        self.memory.young_until = if young {
            written.plus(self.set.timing.taker())
        } else {
            StoreTime(0)
        };
        self.regressed = false;
        self.highest = revision;
        self.history = Some((meta.history, meta.base_after(self.heard)));
        self.heard = fresh.unwrap_or(self.heard);
        // Holders of a history that was lost may still act: nobody new does before they must have stopped.
        let (_, seen) = *self.meta_seen.insert(
            self.meta_seen
                .filter(|s| s.0 == meta.history)
                .unwrap_or((meta.history, now)),
        );
        // As the backend dates it, or as it was watched from here: the backend's clock may have gone back.
        let told = self.clock.age_at_first(written, read.now, now, self.set.timing.margin);
        let age = told.max(now.since(seen));
        let mut until = self.grace_until;
        if !self.set.fresh_is_safe && age < self.set.timing.taker() {
            until = until.max(now.plus(self.set.timing.taker() - age));
        }
        if until > now && self.set.rules.keep(Rule::Grace) {
            self.notice(Notice::Grace { wait: until.since(now) });
            self.phase = Phase::Grace(until);
            self.reserve(until.since(now), now);
        } else {
            self.start_join(now);
        }
    }

    fn found_history(&mut self, store_now: crate::store::StoreTime, expected: Expected, now: Instant) {
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
    /// If the backend's clock has just `jumped`, it does not tell how long ago that was.
    pub(super) fn hear(&mut self, outcome: &Outcome, jumped: bool, now: Instant) {
        let (unsure, backend) = match outcome {
            Ok(Answer::Reading(read)) => (read.unsure_before, read.now),
            Ok(Answer::Listing(list)) => (list.unsure_before, list.now),
            _ => return,
        };
        if unsure <= self.heard {
            return;
        }
        self.heard = unsure;
        if let Some((_, base)) = &mut self.history {
            *base = (*base).max(token_base(unsure));
        }
        if self.mine.is_some() {
            let changes = self.duty.rebase(self.base());
            self.perform(changes);
        }
        // It was given by the store as it was before.
        if let Some(mine) = &mut self.mine {
            mine.proof = None;
        }
        let ago = if jumped { 0 } else { backend.since(unsure) };
        let wait = self.set.timing.taker().saturating_sub(ago);
        if wait > 0 && self.set.rules.keep(Rule::PartialLoss) {
            self.grace_until = self.grace_until.max(now.plus(wait));
            self.notice(Notice::Grace { wait });
            self.reserve(wait, now);
        }
    }

    /// After a loss of history nothing is granted for one validity.
    pub(super) fn mourn(&mut self, now: Instant) {
        self.grace_until = now.plus(self.set.timing.taker());
    }

    fn start_join(&mut self, now: Instant) {
        let session = SessionId::new(self.set.identity.process, self.random() as u64);
        let (join, next) = Join::start(
            self.set.identity.clone(),
            self.set.timing.clone(),
            session,
            self.set.rules,
        );
        self.phase = Phase::Joining(Box::new(join), None);
        self.follow(next, now);
    }

    pub(super) fn join_answered(&mut self, outcome: Outcome, now: Instant) {
        if matches!(outcome, Err(StoreError::HistoryLost(_))) && matches!(self.phase, Phase::Joining(..)) {
            // This join cannot go on: only reading `meta` opens what is there now.
            return self.meta_later(now);
        }
        if let Phase::Joining(join, _) = &mut self.phase {
            let backend = super::time_of(&outcome).unwrap_or_default();
            join.trust(self.clock.believes(backend, now) && self.sight.is_clear(now, self.set.timing.taker()));
            let next = join.answer(outcome, now);
            self.follow(next, now);
        }
    }

    /// An id is claimed only in the history in which the join began.
    pub(super) fn claimed(&mut self, claim: Request, outcome: Outcome, now: Instant) {
        if !matches!(self.phase, Phase::Joining(..)) {
            return;
        }
        let known = self.history.map(|(history, _)| history);
        match outcome {
            Ok(Answer::Reading(read)) => match read.entry.map(|e| e.value) {
                Some(Value::Meta(meta)) if Some(meta.history) == known => self.send(Op::Join, claim, now),
                _ => self.meta_later(now),
            },
            Ok(_) => self.meta_later(now),
            Err(error) => self.join_answered(Err(error), now),
        }
    }

    fn follow(&mut self, next: Next, now: Instant) {
        match next {
            // What was lost meanwhile is not to be dealt anew by a join that has not noticed yet.
            Next::Do(request @ Request::Put { key: Key::Id(_), .. }) => {
                self.send(
                    Op::Claim {
                        claim: Box::new(request),
                    },
                    Request::Get(Key::Meta),
                    now,
                );
            }
            Next::Do(request) => self.send(Op::Join, request, now),
            Next::Wait(ms) => {
                let at = now.plus(self.jitter(ms.max(2)).max(1));
                if let Phase::Joining(join, wake) = &mut self.phase {
                    *wake = Some(at);
                    // Once, though it looks again and again.
                    if let Some((awaited, wait)) =
                        join.awaited(now).filter(|(awaited, _)| self.awaited != Some(*awaited))
                    {
                        self.awaited = Some(awaited);
                        self.notice(Notice::Waiting { awaited, wait });
                    }
                }
            }
            Next::Held(held) => {
                self.awaited = None;
                self.phase = Phase::Sealing(Box::new(held));
                self.send(Op::Seal, Request::Get(Key::Meta), now);
            }
            Next::Refused(error) if self.joined_once => {
                self.notice(Notice::Refused(Refusal::Join(error)));
                let wait = self.jitter(self.set.timing.stale_after);
                self.phase = Phase::Before(now.plus(wait));
            }
            Next::Refused(error) => self.finish(Err(Refusal::Join(error))),
        }
    }

    /// The writes of a join stand or fall together, so they all went to the store that `meta` describes now. If a part
    /// of it may have been lost meanwhile, it is joined again after the grace period.
    pub(super) fn sealed(&mut self, outcome: Outcome, now: Instant) {
        let Phase::Sealing(held) = std::mem::replace(&mut self.phase, Phase::Before(now)) else {
            return;
        };
        let Ok(Answer::Reading(read)) = outcome else {
            return self.meta_later(now);
        };
        let known = self.history.map(|(history, _)| history);
        match read.entry.map(|e| e.value) {
            Some(Value::Meta(meta)) if Some(meta.history) == known && now >= self.grace_until => self.hold(*held, now),
            _ => self.turn_entry(now),
        }
    }

    /// The revision base of the present history.
    pub(super) fn base(&self) -> u64 {
        self.history.map_or(0, |(_, base)| base)
    }

    /// Forgets what was mirrored before this session.
    pub(super) fn clear_view(&mut self) {
        self.view = crate::view::View::default();
        self.view.revision = Revision(0);
    }
}
