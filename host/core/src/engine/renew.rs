//! The session: renewed in time, or this node stops by itself.

use super::{Command, Engine, Notice, Op};
use crate::id::NodeId;
use crate::join::{Answer, Held, Origin, Outcome, Request};
use crate::rules::Rule;
use crate::store::{Entry, Expected, Revision, StoreError, StoreTime};
use crate::time::Instant;
use crate::values::{Key, Session, Value};

/// The session that this node holds.
#[derive(Clone, Debug)]
pub(super) struct Mine {
    pub id: NodeId,
    /// As last written.
    pub session: Session,
    pub revision: Revision,
    /// The backend's time of the last renewal known to have succeeded.
    pub renewed: StoreTime,
    /// This node acts until here and no longer.
    pub deadline: Instant,
    /// The deadline has passed without renewal.
    pub late: bool,
    next: Instant,
    /// A failed renewal is not repeated before, not even for a release that is due.
    not_before: Instant,
    writing: bool,
    /// When `meta` was asked for that showed, after the deadline had passed, that the store is still the same.
    pub proof: Option<Instant>,
    /// When the earliest renewal was sent whose outcome is unknown.
    unresolved: Option<Instant>,
}

impl Engine {
    pub(super) fn hold(&mut self, held: Held, now: Instant) {
        let Held {
            id,
            session,
            revision,
            sent,
            origin,
        } = held;
        self.duty.begin(id, session.session, self.base());
        self.clear_view();
        self.notice(Notice::Joined {
            id,
            session: session.session,
        });
        self.remember_mine(id);
        let next = sent.plus(self.jitter(self.set.timing.renew));
        let renewed = session.began;
        let deadline = sent.plus(self.set.timing.holder());
        self.mine = Some(Mine {
            id,
            session,
            revision,
            renewed,
            deadline,
            late: false,
            next,
            not_before: now,
            writing: false,
            proof: None,
            unresolved: None,
        });
        self.phase = super::entry::Phase::Held;
        self.joined_once = true;
        self.begin_sync(now);
        self.begin_info();
        self.info.inherited |= origin == Origin::Inherited;
        if let Origin::Renamed(from) = origin {
            self.notice(Notice::Renamed { id, from });
        }
        self.out.push(Command::Hint);
        self.check_deadline(now);
    }

    /// Stops acting when the deadline has passed.
    pub(super) fn check_deadline(&mut self, now: Instant) {
        if let Some(mine) = self.mine.as_mut().filter(|m| !m.late && now >= m.deadline) {
            mine.late = true;
            let deadline = mine.deadline;
            self.notice(Notice::Fenced { deadline });
            self.gate();
        }
    }

    /// Lets this node act if its deadline has not passed and its settings are the prevailing ones, and stops it
    /// otherwise.
    pub(super) fn gate(&mut self) {
        let may = self.deadline().is_some();
        let changes = if may { self.duty.resume() } else { self.duty.fence() };
        self.perform(changes);
    }

    pub(super) fn tell_deadline(&mut self) {
        let deadline = self.deadline();
        if deadline != self.told_deadline {
            self.told_deadline = deadline;
            self.out.push(Command::Deadline(deadline));
        }
    }

    pub(super) fn turn_renewal(&mut self, now: Instant) {
        let applied = self.duty.applied();
        let Some(mine) = &self.mine else { return };
        let owes = self.duty.owes_release(mine.session.applied);
        if mine.writing || now < mine.not_before || !(owes || now >= mine.next) {
            return;
        }
        let (id, revision, unproven) = (mine.id, mine.revision, mine.late && mine.proof.is_none());
        let session = Session {
            applied,
            ..mine.session.clone()
        };
        if let Some(mine) = &mut self.mine {
            mine.writing = true;
        }
        if unproven {
            return self.send(Op::Prove, Request::Get(Key::Meta), now);
        }
        let request = Request::Put {
            key: Key::Session(id),
            value: Value::Session(session),
            expected: Expected::Revision(revision),
        };
        self.send(Op::Renew { applied }, request, now);
    }

    pub(super) fn is_renewing(&self) -> bool {
        self.mine.as_ref().is_some_and(|m| m.writing)
    }

    pub(super) fn renewal_due(&self) -> Option<Instant> {
        let mine = self.mine.as_ref()?;
        let next = (!mine.writing).then_some(mine.next);
        let deadline = (!mine.late).then_some(mine.deadline);
        next.into_iter().chain(deadline).min()
    }

    /// After its deadline a node may meet a store that was lost and refilled, where the revision that it expects
    /// belongs to somebody else's session. Before, it cannot: nobody has a session in a new history before the
    /// holders of the old one are late.
    pub(super) fn proved(&mut self, outcome: Outcome, sent: Instant, now: Instant) {
        let retry = now.plus(self.retry());
        let known = self.history.map(|(history, _)| history);
        let Some(mine) = &mut self.mine else { return };
        mine.writing = false;
        (mine.next, mine.not_before) = (retry, retry);
        let Ok(Answer::Reading(read)) = outcome else { return };
        let grace = self.grace_until;
        match read.entry.map(|e| e.value) {
            // What ended this session may have been lost, and whoever took over not have heard of it.
            Some(Value::Meta(meta)) if Some(meta.history) == known && now < grace => {
                (mine.next, mine.not_before) = (grace, grace);
            }
            Some(Value::Meta(meta)) if Some(meta.history) == known => {
                mine.proof = Some(sent);
                mine.next = now;
            }
            _ => self.lose_history("the store was replaced".to_owned(), now),
        }
    }

    pub(super) fn renewed(&mut self, outcome: Outcome, applied: Revision, sent: Instant, now: Instant) {
        let counted = if self.set.rules.keep(Rule::DeadlineFromSending) {
            sent
        } else {
            now
        };
        let next = counted.plus(self.jitter(self.set.timing.renew));
        let retry = now.plus(self.retry());
        let holder = self.set.timing.holder();
        let awaited = self
            .mine
            .as_ref()
            .is_some_and(|m| self.duty.owes_release(m.session.applied));
        let Some(mine) = &mut self.mine else { return };
        mine.writing = false;
        let proof = mine.proof.take();
        let counted = proof.map_or(counted, |proof| proof.min(counted));
        match outcome {
            Ok(Answer::Written(written)) => {
                mine.session.applied = applied;
                mine.revision = written.revision;
                mine.renewed = written.now;
                mine.unresolved = None;
                mine.next = next;
                self.extend(counted.plus(holder), now);
                // Nobody waits for a renewal, but a leader does for a release.
                if awaited {
                    self.out.push(Command::Hint);
                    // The leader that waits may be this very node.
                    self.look();
                }
            }
            // My own entry went back in time: the store was restored to what it had been.
            Err(StoreError::Conflict(Some(entry))) if entry.revision < mine.revision => {
                let (found, known) = (entry.revision.0, mine.revision.0);
                self.regressed = true;
                self.lose_history(
                    format!("this node's session has revision {found}, after {known}: the store went back"),
                    now,
                );
            }
            Err(StoreError::Conflict(Some(Entry {
                revision,
                written,
                value: Value::Session(session),
            }))) if session.session == mine.session.session && session.ended.is_none() => {
                // An earlier renewal of unknown outcome came through. Which of them is unknown: the earliest counts.
                let since = mine.unresolved.take();
                mine.revision = revision;
                mine.renewed = written;
                mine.session = session;
                mine.next = now;
                if let Some(since) = since {
                    self.extend(since.plus(holder), now);
                }
            }
            Err(StoreError::Conflict(_)) => self.lose_session(),
            Err(StoreError::Indeterminate(_)) => {
                // The same compare-and-set again is also its read-back: it succeeds, or shows what came first.
                mine.unresolved.get_or_insert(proof.unwrap_or(sent));
                mine.next = retry;
                mine.not_before = retry;
            }
            _ => {
                mine.next = retry;
                mine.not_before = retry;
            }
        }
    }

    fn extend(&mut self, deadline: Instant, now: Instant) {
        let Some(mine) = &mut self.mine else { return };
        mine.deadline = mine.deadline.max(deadline);
        let deadline = mine.deadline;
        if now < deadline && std::mem::take(&mut mine.late) {
            self.notice(Notice::Resumed { deadline });
        }
        self.gate();
    }
}
