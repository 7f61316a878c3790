//! Ending the sessions of nodes that show no life.
//!
//! Anyone may, on proof: the backend says that the entry is old enough, or the same revision was seen for long enough
//! on the local clock. Nothing is older than the last look that did not show it, whatever clock has dated it: it may
//! have been set back and put right since. A fresh look comes right before, and the write is a compare-and-set over
//! what was looked at.

use super::lead::TURN;
use super::{Command, Engine, Op};
use crate::id::NodeId;
use crate::join::{Answer, Outcome, Request};
use crate::store::{Entry, Expected, Revision, StoreError};
use crate::time::Instant;
use crate::values::{Key, Session, Value};
use crate::view::SeenSession;

impl Engine {
    /// When it may be possible to end the session of `seen`.
    fn expiry(&self, seen: &SeenSession, now: Instant) -> Instant {
        let watched = self.overdue(seen.since);
        if !self.clock.is_trusted(now) {
            return watched;
        }
        watched.min(self.overdue(self.clock.local(seen.entry.written).max(seen.after)))
    }

    /// When a session last renewed at `renewed` has shown no life for long enough: what this node could not see does
    /// not count, or the first node back after an outage would end the sessions of all that are just coming back.
    fn overdue(&self, renewed: Instant) -> Instant {
        renewed.plus(self.set.timing.taker() + self.sight.blind_since(renewed))
    }

    /// How long to leave the end of `target` to others: the leader is first, then one after another by id.
    fn patience(&self, target: NodeId) -> u64 {
        let Some(me) = self.id().filter(|_| !self.lead.leading) else {
            return 0;
        };
        let ahead = self.view.live().filter(|id| *id < me && *id != target).count().min(5) as u64;
        let led = self.view.leader().is_some_and(|l| l != target);
        TURN * (ahead + u64::from(led))
    }

    fn candidates(&self, now: Instant) -> Vec<(NodeId, Instant)> {
        let me = self.id();
        let live = self
            .view
            .sessions
            .iter()
            .filter(|(id, s)| Some(**id) != me && s.entry.value.ended.is_none());
        live.map(|(id, seen)| {
            let first = self.expiry(seen, now).plus(self.patience(*id));
            (*id, self.probes.get(id).map_or(first, |again| first.max(*again)))
        })
        .collect()
    }

    pub(super) fn peers_due(&self, now: Instant) -> Option<Instant> {
        if self.mine.as_ref().is_none_or(|m| m.late) {
            return None;
        }
        self.candidates(now).into_iter().map(|(_, at)| at).min()
    }

    pub(super) fn turn_peers(&mut self, now: Instant) {
        if self.mine.as_ref().is_none_or(|m| m.late) {
            return;
        }
        for (node, at) in self.candidates(now) {
            let Some(seen) = self
                .view
                .sessions
                .get(&node)
                .filter(|_| at <= now)
                .map(|s| s.entry.revision)
            else {
                continue;
            };
            let wait = self.retry();
            self.probes.insert(node, now.plus(wait));
            self.send(Op::Probe { node, seen }, Request::Get(Key::Session(node)), now);
        }
    }

    pub(super) fn probed(&mut self, node: NodeId, seen: Revision, outcome: Outcome, sent: Instant, now: Instant) {
        let Ok(Answer::Reading(read)) = outcome else { return };
        let Some(Entry {
            revision,
            written,
            value: Value::Session(session),
        }) = read.entry
        else {
            return self.look_at_everything(); // it was forgotten
        };
        if revision != seen {
            self.probes.remove(&node);
            let entry = Entry {
                revision,
                written,
                value: Value::Session(session),
            };
            self.view.put(&Key::Session(node).to_string(), entry, now);
            return;
        }
        let taker = self.set.timing.taker();
        let known = self.view.sessions.get(&node).filter(|s| s.entry.revision == revision);
        let watched = known.is_some_and(|s| sent >= self.overdue(s.since));
        let unseen = self.sight.blind_since(self.clock.local(written));
        let longest = now.since(known.map_or(now, |s| s.after));
        let aged = self.clock.age(written, read.now, now).min(longest) >= taker + unseen;
        if !(watched || aged) || session.ended.is_some() {
            return;
        }
        let ended = Session {
            ended: Some(written),
            ..session
        };
        let request = Request::Put {
            key: Key::Session(node),
            value: Value::Session(ended.clone()),
            expected: Expected::Revision(revision),
        };
        self.send(
            Op::End {
                node,
                ended: Box::new(ended),
            },
            request,
            now,
        );
    }

    pub(super) fn ended(&mut self, node: NodeId, ended: Session, outcome: Outcome, now: Instant) {
        let entry = match outcome {
            Ok(Answer::Written(w)) => {
                self.notice(super::Notice::PeerLeft(node, Some(super::Ending::Expired)));
                self.out.push(Command::Hint);
                Entry {
                    revision: w.revision,
                    written: w.now,
                    value: Value::Session(ended),
                }
            }
            Err(StoreError::Conflict(Some(entry))) => entry,
            _ => return,
        };
        self.probes.remove(&node);
        self.view.put(&Key::Session(node).to_string(), entry, now);
        self.registry_due = Some(now);
        self.lead.dirty = true;
    }
}
