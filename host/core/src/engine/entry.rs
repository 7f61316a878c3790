//! How a node comes in: the phases of its life, and the join. What it waits for first is in [`super::history`].

use super::{Engine, Notice, Op, Refusal};
use crate::id::SessionId;
use crate::join::{Answer, Held, Join, Next, Outcome, Request};
use crate::store::{Revision, StoreError};
use crate::time::Instant;
use crate::values::{Key, Value};

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

    pub(super) fn start_join(&mut self, now: Instant) {
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
            Some(Value::Meta(meta))
                if Some(meta.history) == known && read.unsure_before == self.heard && now >= self.grace_until =>
            {
                self.hold(*held, now);
            }
            _ => self.turn_entry(now),
        }
    }

    /// Forgets what was mirrored before this session.
    pub(super) fn clear_view(&mut self) {
        self.view = crate::view::View::default();
        self.view.revision = Revision(0);
    }
}
