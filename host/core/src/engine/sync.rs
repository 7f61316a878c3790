//! Mirroring the store: what has changed since the last look, in one listing.

use super::{Command, Engine, NodeRecord, Notice, Op, Status};
use crate::duty::PartId;
use crate::id::NodeId;
use crate::join::{Answer, Outcome, Request};
use crate::plan::{PlanPart, parts, shape};
use crate::store::{Listing, Revision};
use crate::time::Instant;
use crate::values::{Key, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// When to look next.
#[derive(Clone, Debug, Default)]
pub(super) struct Sync {
    listing: bool,
    again: bool,
    next: Instant,
    full: Instant,
}

/// A complete listing, which also shows what was deleted, every so many renewals.
const FULL_EVERY: u64 = 12;

impl Engine {
    pub(super) fn begin_sync(&mut self, now: Instant) {
        self.sync = Sync {
            listing: false,
            again: false,
            next: now,
            full: now,
        };
    }

    /// Somebody says that there is something to see.
    pub(super) fn look(&mut self) {
        if self.sync.listing {
            self.sync.again = true;
        } else {
            self.sync.next = Instant(0);
        }
    }

    /// Only a complete listing shows what was deleted.
    pub(super) fn look_at_everything(&mut self) {
        self.sync.full = Instant(0);
        self.look();
    }

    pub(super) fn turn_sync(&mut self, now: Instant) {
        if self.sync.listing || now < self.sync.next {
            return;
        }
        let full = now >= self.sync.full;
        self.sync.listing = true;
        self.sync.again = false;
        let since = if full { Revision(0) } else { self.view.revision };
        self.send(Op::List { full }, Request::List { prefix: "", since }, now);
    }

    pub(super) fn sync_due(&self) -> Option<Instant> {
        (!self.sync.listing).then_some(self.sync.next)
    }

    pub(super) fn listed(&mut self, outcome: Outcome, full: bool, floor: Revision, sent: Instant, now: Instant) {
        self.sync.listing = false;
        let Ok(Answer::Listing(listing)) = outcome else {
            let wait = self.retry();
            self.sync.next = now.plus(wait);
            return;
        };
        let foreign = self.is_foreign(&listing);
        if listing.revision < floor || foreign {
            self.regressed = true;
            let why = if foreign {
                "the store has another history than this node joined under".to_owned()
            } else {
                format!(
                    "a listing is of revision {}, after {} was seen: the store went back",
                    listing.revision.0, floor.0
                )
            };
            return self.lose_history(why, now);
        }
        let wait = self.jitter(self.set.timing.renew);
        self.sync.next = if self.sync.again { now } else { now.plus(wait) };
        if full {
            self.sync.full = now.plus(FULL_EVERY * self.set.timing.renew);
        }
        let before: BTreeSet<NodeId> = self.view.live().collect();
        // Renewals give no orders, and only a full listing shows who is gone.
        let told = full || listing.entries.iter().any(|(key, _)| key.starts_with("nodes/"));
        let ordered = told.then(|| {
            (
                self.orders(),
                self.view.sessions.keys().copied().collect::<BTreeSet<_>>(),
            )
        });
        let plans = self.plans_in(&listing);
        let seen = listing.revision;
        // Renewals alone are no news for a leader.
        let evidence = self.view.evidence();
        let other = |(key, _): &(String, crate::store::Entry<Value>)| !key.starts_with("sessions/");
        let news = full || listing.entries.iter().any(other);
        let ids = full || listing.entries.iter().any(|(key, _)| key.starts_with("ids/"));
        self.view.apply(listing, full, sent, now);
        if ids {
            self.remember();
        }
        self.lead.dirty |= news || self.view.evidence() != evidence;
        for (PartId { role, part }, revision, plan) in &plans {
            self.out.push(Command::Plan {
                role: *role,
                part: *part,
                revision: *revision,
                plan: Arc::clone(plan),
            });
        }
        self.retell_info(full);
        if full {
            self.tidy_settings(now);
        }
        let changes = self.duty.learn(seen, plans);
        self.perform(changes);
        self.tell_peers(&before);
        if let Some((before, known)) = ordered {
            self.tell_orders(&before, &known);
        }
        self.registry_due = Some(now);
    }

    /// Whether a listing shows a history other than the one joined under.
    fn is_foreign(&self, listing: &Listing<Value>) -> bool {
        let meta = listing.entries.iter().find_map(|(_, e)| match &e.value {
            Value::Meta(meta) => Some(meta.history),
            _ => None,
        });
        meta.is_some_and(|found| self.history.is_some_and(|(known, _)| known != found))
    }

    /// The plan entries in a listing that concern this node's roles.
    fn plans_in(&self, listing: &Listing<Value>) -> Vec<(PartId, Revision, Arc<PlanPart>)> {
        let index: BTreeMap<&str, usize> = self
            .set
            .roles
            .iter()
            .enumerate()
            .map(|(at, r)| (r.name.as_str(), at))
            .collect();
        let plan = |(key, entry): &(String, crate::store::Entry<Value>)| match (Key::parse(key)?, &entry.value) {
            (Key::Plan { role, part }, Value::Plan(plan)) => {
                let role = *index.get(role.as_str())?;
                let plan = self.fitting(role, part, plan)?;
                Some((PartId { role, part }, entry.revision, plan))
            }
            _ => None,
        };
        listing.entries.iter().filter_map(plan).collect()
    }

    /// What this node makes of an entry. A part that the role does not have is of a former shape, or a stranger's, and
    /// is left alone; one of our shape that does not fit is as good as empty: nobody acts by it, until the leader
    /// has written it anew.
    pub(super) fn fitting(&self, role: usize, part: u32, plan: &Arc<PlanPart>) -> Option<Arc<PlanPart>> {
        let spec = &self.set.roles[role];
        let strange = plan.shape == shape(spec) && !plan.is_of(spec, part);
        (part < parts(spec.shards)).then(|| {
            if strange {
                Arc::new(PlanPart::empty(spec, part))
            } else {
                Arc::clone(plan)
            }
        })
    }

    fn tell_peers(&mut self, before: &BTreeSet<NodeId>) {
        let now: BTreeSet<NodeId> = self.view.live().collect();
        let me = self.id();
        for &id in now.difference(before).filter(|id| Some(**id) != me) {
            self.out.push(Command::Notice(Notice::PeerJoined(id)));
        }
        for &id in before.difference(&now).filter(|id| Some(**id) != me) {
            let ending = self
                .view
                .sessions
                .get(&id)
                .and_then(|seen| seen.ending(&self.set.timing));
            self.out.push(Command::Notice(Notice::PeerLeft(id, ending)));
        }
    }

    pub(super) fn turn_registry(&mut self, now: Instant) {
        if self.registry_due.is_none_or(|at| now < at) {
            return;
        }
        let (records, next) = self.view.registry(&self.clock, &self.set.timing, now);
        self.registry_due = next;
        if *self.registry == *records {
            return;
        }
        let old: BTreeMap<NodeId, Status> = self.registry.iter().map(|r| (r.node_id, r.status)).collect();
        for NodeRecord { node_id, status, .. } in &records {
            if old.get(node_id).is_some_and(|old| old != status) {
                self.notice(Notice::PeerStatus(*node_id, *status));
            }
        }
        self.registry = Arc::from(records);
        self.out.push(Command::Registry(Arc::clone(&self.registry)));
    }
}
