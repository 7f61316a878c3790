//! How a session ends: in good order, lost, or with the store's history.

use super::entry::Phase;
use super::settings::SettingsState;
use super::{Command, Engine, Notice, Op, Refusal};
use crate::join::{Outcome, Request};
use crate::store::{Expected, StoreError};
use crate::time::Instant;
use crate::values::{Key, Leader, Session, Value};

impl Engine {
    pub(super) fn leave(&mut self, now: Instant) {
        match self.phase {
            Phase::Gone | Phase::Leaving | Phase::Bye => {}
            // The session is over already, its work not yet.
            Phase::Stopping => self.phase = Phase::Leaving,
            Phase::Held => {
                let changes = self.duty.end();
                self.perform(changes);
                self.phase = Phase::Leaving;
                self.give_up_leading(now);
            }
            _ => self.left(),
        }
    }

    pub(super) fn left(&mut self) {
        self.mine = None;
        self.out.push(Command::Hint);
        self.finish(Ok(()));
    }

    pub(super) fn finish(&mut self, result: Result<(), Refusal>) {
        self.phase = Phase::Gone;
        self.ops.clear();
        self.out.push(Command::Left(result));
    }

    /// The session is over: stop everything, then join again.
    pub(super) fn lose_session(&mut self) {
        if self.part_with_session() {
            self.notice(Notice::SessionLost);
            self.drop_everything();
        }
    }

    /// The store is not the one it was, as `reason` says.
    pub(super) fn lose_history(&mut self, reason: String, now: Instant) {
        if !self.part_with_session() {
            return;
        }
        if let Some((known, _)) = self.history.filter(|_| self.regressed) {
            self.notice(Notice::HistoryLost { known, reason });
        }
        self.mourn(now);
        self.drop_everything();
    }

    /// Takes down what only a holder knows, whatever ended its session: that the store was lost shows later where a
    /// renewal met it first.
    fn part_with_session(&mut self) -> bool {
        let Some(mine) = self.mine.take() else { return false };
        self.memory.held = Some((mine.id, mine.revision));
        self.note_tokens();
        true
    }

    fn drop_everything(&mut self) {
        let changes = self.duty.end();
        self.perform(changes);
        self.ops.clear();
        self.resign();
        self.probes.clear();
        self.differs = false;
        self.settings = SettingsState::default();
        if !matches!(self.phase, Phase::Gone) {
            self.phase = match self.phase {
                Phase::Leaving | Phase::Bye => Phase::Leaving,
                _ => Phase::Stopping,
            };
        }
    }

    /// Who leaves need not be waited for: another leads while the work here ends. It is named, or the others would have
    /// to agree first.
    fn give_up_leading(&mut self, now: Instant) {
        if let Some(entry) = self.view.leader.clone().filter(|_| self.lead.leading) {
            let next = self.view.live().find(|id| Some(*id) != self.id() && self.is_mate(*id));
            let session = next
                .and_then(|id| self.view.sessions.get(&id))
                .map(|seen| seen.entry.value.session);
            let value = Value::Leader(Leader {
                node: next.filter(|_| session.is_some()),
                session: session.unwrap_or(entry.value.session),
                settings: entry.value.settings,
            });
            let request = Request::Put {
                key: Key::Leader,
                value,
                expected: Expected::Revision(entry.revision),
            };
            self.send(Op::Resign, request, now);
        }
        self.resign();
    }

    pub(super) fn is_resigning(&self) -> bool {
        self.ops.values().any(|pending| matches!(pending.op, Op::Resign))
    }

    pub(super) fn say_bye(&mut self, now: Instant) {
        let Some(mine) = &self.mine else { return self.left() };
        let (id, revision, renewed) = (mine.id, mine.revision, mine.renewed);
        let value = Value::Session(Session {
            ended: Some(renewed),
            applied: self.duty.applied(),
            ..mine.session.clone()
        });
        self.phase = Phase::Bye;
        self.send(
            Op::Bye,
            Request::Put {
                key: Key::Session(id),
                value,
                expected: Expected::Revision(revision),
            },
            now,
        );
    }

    pub(super) fn bye_answered(&mut self, outcome: Outcome, now: Instant) {
        if let (Err(StoreError::Conflict(Some(entry))), Some(mine)) = (outcome, &mut self.mine) {
            // A renewal that was under way came first.
            if let Value::Session(session) = entry.value
                && session.session == mine.session.session
                && session.ended.is_none()
            {
                mine.revision = entry.revision;
                mine.renewed = entry.written;
                return self.say_bye(now);
            }
        }
        self.left();
    }
}
