//! To whom each id belongs, remembered outside the store. While a lost store's grace period lasts, nobody joins:
//! whoever is there writes down again what he remembers, so that no id goes to another host because the store has
//! forgotten whose it is.

use super::entry::Phase;
use super::{Command, Engine, Op};
use crate::id::{HistoryId, NodeId};
use crate::join::{Answer, Former, Outcome, Request};
use crate::memory::{Memory, Remembered};
use crate::rules::Rule;
use crate::store::{Entry, Expected, Revision, StoreError, StoreTime};
use crate::time::Instant;
use crate::values::{IdOwner, Key, Value};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

/// What is remembered is told anew when the last use of an id is later than told by this many milliseconds.
const STALE: u64 = 3_600_000;

/// The steps of a reservation.
#[derive(Clone, Debug)]
pub(super) enum ReserveOp {
    /// Looking for what is missing.
    List,
    /// Writing one of them.
    Write(NodeId),
}

/// What is remembered, and the reservation under way.
#[derive(Clone, Debug, Default)]
pub(super) struct MemoryState {
    known: Memory,
    told: Memory,
    /// The id that this node held when the store was lost, and the revision of its last renewal. Whoever claims it in
    /// the new one had not heard of that yet.
    pub held: Option<(NodeId, Revision)>,
    /// The revision of `meta`.
    pub founded: Revision,
    /// Until when nobody can rightly have claimed an id in the present history, by the store's clock: as long as it
    /// was young when it was read.
    pub young_until: StoreTime,
    /// When to look for what the store has forgotten.
    due: Option<Instant>,
    missing: VecDeque<Remembered>,
    busy: bool,
}

impl MemoryState {
    pub(super) fn new(known: Memory) -> Self {
        let token = if known.token == 0 {
            0
        } else {
            known.token.saturating_add(Memory::SINCE)
        };
        Self {
            told: known.clone(),
            known: Memory { token, ..known },
            ..Self::default()
        }
    }
}

impl Engine {
    /// This node holds `id`.
    pub(super) fn remember_mine(&mut self, id: NodeId) {
        let former = Former {
            id,
            hostname: self.set.identity.hostname.clone(),
        };
        self.memory.held = None;
        self.set.identity.former = Some(former.clone());
        self.memory.known.former = Some(former);
        self.tell_memory();
    }

    /// Takes down what the mirrored store says.
    pub(super) fn remember(&mut self) {
        let used = |id: &NodeId, hostname: &str| {
            let session = self
                .view
                .sessions
                .get(id)
                .filter(|s| s.entry.value.hostname == hostname)?;
            Some(session.renewed())
        };
        let ids = self.view.ids.iter().map(|(id, owner)| Remembered {
            id: *id,
            hostname: owner.value.hostname.clone(),
            used: used(id, &owner.value.hostname).unwrap_or(owner.written),
        });
        self.memory.known.ids = ids.collect();
        self.tell_memory();
    }

    /// Takes down how high tokens may be by now. Only for who holds an id: a history in which this node never acted may
    /// be given up for another.
    pub(super) fn note_tokens(&mut self) {
        if let Some((history, base)) = self.history {
            self.memory.known.history = Some(history);
            self.memory.known.heard = self.heard;
            self.memory.known.token = self.memory.known.token.max(base.saturating_add(self.highest.0));
        }
    }

    /// A token above all that this node knows of; 0 if it knows none.
    pub(super) fn token_above_all(&self) -> u64 {
        match self.memory.known.token {
            0 => 0,
            known => known.saturating_add(1),
        }
    }

    /// Whether `history` is another one than that in which this node acted last.
    pub(super) fn is_new(&self, history: HistoryId) -> bool {
        self.memory.known.history != Some(history)
    }

    /// Whether the store, which speaks of a loss at `unsure` last, has forgotten a later one in which this node acted.
    pub(super) fn is_forgetful(&self, history: HistoryId, unsure: StoreTime) -> bool {
        self.set.rules.keep(Rule::ForgottenLoss) && !self.is_new(history) && unsure < self.memory.known.heard
    }

    pub(super) fn tell_memory(&mut self) {
        self.note_tokens();
        let MemoryState { known, told, .. } = &self.memory;
        let same = known.ids.len() == told.ids.len()
            && (known.former == told.former && known.heard == told.heard)
            && known
                .ids
                .iter()
                .zip(&told.ids)
                .all(|(a, b)| (a.id, &a.hostname) == (b.id, &b.hostname) && a.used.since(b.used) < STALE);
        if !same {
            self.memory.told = known.clone();
            self.out.push(Command::Remember(Arc::new(self.memory.told.clone())));
        }
    }

    /// The store may have forgotten whose ids they are, and nobody joins for `wait` milliseconds: this node's own is
    /// written down at once, those of others later, when all that live have done the same.
    pub(super) fn reserve(&mut self, wait: u64, now: Instant) {
        // Not later: at half the wait, the simulation finds an id that goes to another host before it is written down.
        let delay = wait / 2 - self.jitter(wait / 4) / 4;
        self.memory.due = Some(now.plus(delay));
        self.memory.busy = false;
        let who = &self.set.identity;
        let mine = who
            .former
            .iter()
            .filter(|f| f.hostname == who.hostname && who.static_id.is_none_or(|id| id == f.id));
        self.memory.missing = mine
            .map(|former| Remembered {
                id: former.id,
                hostname: former.hostname.clone(),
                used: StoreTime(u64::MAX),
            })
            .collect();
    }

    fn may_reserve(&self) -> bool {
        matches!(self.phase, Phase::Grace(_) | Phase::Held)
    }

    pub(super) fn turn_memory(&mut self, now: Instant) {
        if self.memory.busy || !self.may_reserve() {
            return;
        }
        if let Some(next) = self.memory.missing.pop_front() {
            self.write_owner(next.id, next.hostname, Expected::Absent, now);
        } else if self.memory.due.is_some_and(|at| at <= now) {
            self.memory.due = None;
            self.memory.busy = true;
            let request = Request::List {
                prefix: "ids/",
                since: Revision(0),
            };
            self.send(Op::Reserve(ReserveOp::List), request, now);
        }
    }

    fn write_owner(&mut self, id: NodeId, hostname: String, expected: Expected, now: Instant) {
        self.memory.busy = true;
        let request = Request::Put {
            key: Key::Id(id),
            value: Value::Id(IdOwner { hostname }),
            expected,
        };
        self.send(Op::Reserve(ReserveOp::Write(id)), request, now);
    }

    pub(super) fn memory_due(&self) -> Option<Instant> {
        self.memory.due.filter(|_| !self.memory.busy && self.may_reserve())
    }

    fn is_taken_from_me(&self, id: NodeId, found: &Entry<Value>) -> bool {
        let other = matches!(&found.value, Value::Id(owner) if owner.hostname != self.set.identity.hostname);
        let early = found.written < self.memory.young_until;
        // What stood there when the history was begun anew, and is later than this node's last renewal, was claimed
        // when it counted as gone.
        let late = |renewed: Revision| renewed < found.revision && found.revision < self.memory.founded;
        let held = self
            .memory
            .held
            .is_some_and(|(mine, renewed)| mine == id && !late(renewed));
        other && early && held && matches!(self.phase, Phase::Grace(_))
    }

    pub(super) fn reserved(&mut self, op: &ReserveOp, outcome: Outcome, now: Instant) {
        self.memory.busy = false;
        match (op, outcome) {
            (ReserveOp::List, Ok(Answer::Listing(list))) => {
                let there: BTreeSet<&str> = list.entries.iter().map(|(key, _)| key.as_str()).collect();
                let reuse = self.set.timing.reuse_after;
                let me = &self.set.identity.hostname;
                let missing = self.memory.known.ids.iter().filter(|known| {
                    !there.contains(Key::Id(known.id).to_string().as_str())
                        && list.now.since(known.used) < reuse
                        && known.hostname != *me
                });
                self.memory.missing = missing.cloned().collect();
            }
            (ReserveOp::Write(id), Err(StoreError::Conflict(Some(found)))) if self.is_taken_from_me(*id, &found) => {
                let me = self.set.identity.hostname.clone();
                self.write_owner(*id, me, Expected::Revision(found.revision), now);
            }
            // Written, or somebody else has it.
            (ReserveOp::Write(_), Ok(_) | Err(StoreError::Conflict(_))) => {}
            _ => {
                let wait = self.retry();
                self.memory.due = Some(now.plus(wait));
            }
        }
    }
}
