//! Leading: claimed when nobody does. It only avoids duplicate work; safety never rests on it.

use super::{Engine, Notice, Op};
use crate::id::NodeId;
use crate::join::{Answer, Outcome, Request};
use crate::snapshot::Snapshot;
use crate::store::{Entry, Expected, StoreError};
use crate::time::Instant;
use crate::values::{Key, Leader, Value};
use std::collections::BTreeSet;

/// What a node knows as a leader or as a candidate.
#[derive(Clone, Debug)]
pub(super) struct Lead {
    pub leading: bool,
    /// Something changed that the leader should look at.
    pub dirty: bool,
    claiming: bool,
    /// A claim that failed is not repeated before.
    not_before: Instant,
    /// Since when nobody has led.
    vacant: Option<Instant>,
    pub roles: Vec<RoleLead>,
    /// What is said of policies that fail is being written; a write that failed is not repeated before.
    pub telling: bool,
    pub tell_not_before: Instant,
    /// When a role wants to be looked at again although nothing changed.
    pub again: Option<Instant>,
    pub requests: u64,
}

/// The leader's work on one role.
#[derive(Clone, Debug, Default)]
pub(super) struct RoleLead {
    /// Parts with a write under way.
    pub writing: BTreeSet<u32>,
    /// The question under way.
    pub asked: Option<Asked>,
    /// Rows that were accepted and are being written.
    pub accepted: Option<Accepted>,
    /// Inputs for which the policy keeps the plan as it is.
    pub kept: Option<u64>,
    /// Inputs that a policy is about to be asked about, and since when they are so.
    pub settling: Option<(u64, Instant)>,
    /// Not to be asked before.
    pub not_before: Instant,
    /// Failures in a row.
    pub failures: u32,
    /// How the policy failed last, until it answers well or is replaced.
    pub trouble: Option<String>,
    /// The native policy has taken over.
    pub native: bool,
}

impl RoleLead {
    /// A policy has answered well. If that was the native one, the role's own still has its trouble.
    pub(super) fn recovered(&mut self) {
        self.failures = 0;
        if !self.native {
            self.trouble = None;
        }
    }
}

/// A question put to a policy.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub request: u64,
    pub inputs: u64,
    pub snapshot: Box<Snapshot>,
}

/// A checked plan on its way into the store.
#[derive(Clone, Debug)]
pub(super) struct Accepted {
    pub epoch: u64,
    /// Digest of the question.
    pub asked: u64,
    /// Digest of what the answer has taken into account.
    pub inputs: u64,
    pub width: u32,
    pub owners: Vec<u32>,
}

/// How much later the next node in line tries what any may do, in milliseconds, so that not all do it at once.
pub(super) const TURN: u64 = 150;

impl Lead {
    pub(super) fn new(roles: usize) -> Self {
        Self {
            leading: false,
            dirty: false,
            claiming: false,
            not_before: Instant(0),
            vacant: None,
            roles: vec![RoleLead::default(); roles],
            telling: false,
            tell_not_before: Instant(0),
            again: None,
            requests: 0,
        }
    }
}

impl Engine {
    /// Forgets everything that only a leader knows.
    pub(super) fn resign(&mut self) {
        if self.lead.leading {
            self.notice(Notice::Resigned);
        }
        // Requests keep their numbers: an answer to a former life must not be taken for a new one.
        let requests = self.lead.requests;
        let suspended = self
            .lead
            .roles
            .iter_mut()
            .map(|r| (r.native, r.trouble.take().filter(|_| r.native)));
        let suspended: Vec<_> = suspended.collect();
        self.lead = Lead::new(self.set.roles.len());
        self.lead.requests = requests;
        for (role, (native, trouble)) in self.lead.roles.iter_mut().zip(suspended) {
            (role.native, role.trouble) = (native, trouble);
        }
    }

    pub(super) fn turn_lead(&mut self, now: Instant) {
        if !self.view.complete {
            return;
        }
        let able = self.may_lead();
        let leader = self.view.leader();
        if leader.is_some() && leader == self.id() {
            if !able {
                return;
            }
            if !self.lead.leading {
                self.lead.leading = true;
                self.lead.dirty = true;
                self.notice(Notice::Leading);
            }
            self.lead.vacant = None;
            self.turn_plans(now);
            self.turn_policies(now);
            return;
        }
        if self.lead.leading {
            self.resign();
        }
        // A leader whose settings few share blocks everyone else: it is replaced like one that is gone.
        let prevailing = self.prevailing();
        let fits = |entry: &Entry<Leader>| prevailing.is_none_or(|settings| settings == entry.value.settings);
        let accepted = leader.filter(|_| self.view.leader.as_ref().is_some_and(fits));
        if accepted.is_some() || !able {
            self.lead.vacant = None;
            return;
        }
        let since = *self.lead.vacant.get_or_insert(now);
        if !self.lead.claiming && now >= since.plus(self.turn_in_line()).max(self.lead.not_before) {
            self.claim(now);
        }
    }

    /// Whether this node could do a leader's work now.
    fn may_lead(&self) -> bool {
        self.mine.as_ref().is_some_and(|m| !m.late) && !self.differs && self.has_told_info()
    }

    pub(super) fn lead_due(&self) -> Option<Instant> {
        // What a leader that cannot act has to do waits until it can.
        if !self.may_lead() {
            return None;
        }
        let claim = self
            .lead
            .vacant
            .filter(|_| !self.lead.claiming)
            .map(|since| since.plus(self.turn_in_line()).max(self.lead.not_before));
        let dirty = (self.lead.leading && self.lead.dirty).then_some(Instant(0));
        [
            claim,
            dirty,
            self.lead.again.filter(|_| self.lead.leading),
            self.policies_due(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn turn_in_line(&self) -> u64 {
        let me = self.id();
        TURN * self.view.live().filter(|id| Some(*id) < me).count().min(8) as u64
    }

    fn has_told_info(&self) -> bool {
        self.id().and_then(|id| self.view.settings_of(id)) == Some(self.set.info.settings)
    }

    fn claim(&mut self, now: Instant) {
        let Some(mine) = &self.mine else { return };
        let value = Leader {
            node: Some(mine.id),
            session: mine.session.session,
            settings: self.set.info.settings,
        };
        let expected = self
            .view
            .leader
            .as_ref()
            .map_or(Expected::Absent, |l| Expected::Revision(l.revision));
        self.lead.claiming = true;
        self.send(
            Op::Lead { value: value.clone() },
            Request::Put {
                key: Key::Leader,
                value: Value::Leader(value),
                expected,
            },
            now,
        );
    }

    pub(super) fn led(&mut self, value: Leader, outcome: Outcome, now: Instant) {
        self.lead.claiming = false;
        self.lead.vacant = None;
        match outcome {
            Ok(Answer::Written(w)) => {
                let entry = Entry {
                    revision: w.revision,
                    written: w.now,
                    value: Value::Leader(value),
                };
                self.view.put("leader", entry, now);
            }
            Err(StoreError::Conflict(Some(entry))) => self.view.put("leader", entry, now),
            outcome => {
                if matches!(outcome, Err(StoreError::Conflict(None))) {
                    self.view.leader = None;
                }
                // Whatever happened, the next listing shows it; a store that refuses is not hammered.
                self.lead.not_before = now.plus(self.retry());
                self.look();
            }
        }
    }

    /// Whether the node may be given shards by this leader.
    pub(super) fn is_mate(&self, id: NodeId) -> bool {
        self.view.is_live(id)
            && self
                .view
                .nodes
                .get(&id)
                .is_some_and(|i| i.settings == self.set.info.settings && i.capacity > 0)
    }
}
