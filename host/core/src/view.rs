//! The store as this node last saw it, and the registry that follows from it.

use crate::clock::BackendClock;
use crate::engine::{Ending, NodeRecord, Status};
use crate::handoff::{SessionState, Sessions};
use crate::id::NodeId;
use crate::plan::PlanPart;
use crate::store::{Entry, Listing, Revision, StoreTime};
use crate::time::{Instant, Timing};
use crate::values::{IdOwner, Key, Leader, Meta, NodeInfo, Policies, Session, SharedSettings, Value};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A session entry with the local time at which its revision was first seen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SeenSession {
    /// The entry.
    pub entry: Entry<Session>,
    /// When this revision was first seen here.
    pub since: Instant,
    /// When this node looked last and it was not there yet; 0 if this node has never looked before.
    pub after: Instant,
}

impl SeenSession {
    /// The backend's time of the last renewal.
    #[must_use]
    pub fn renewed(&self) -> StoreTime {
        self.entry.value.ended.unwrap_or(self.entry.written)
    }

    /// How the session came to its end, if it has: one that others had to end was not renewed for as long as that
    /// takes.
    #[must_use]
    pub fn ending(&self, timing: &Timing) -> Option<Ending> {
        let ended = self.entry.value.ended?;
        let expired = self.entry.written.since(ended) >= timing.taker();
        Some(if expired { Ending::Expired } else { Ending::Left })
    }
}

/// The mirrored entries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct View {
    /// `meta`.
    pub meta: Option<Entry<Meta>>,
    /// `leader`.
    pub leader: Option<Entry<Leader>>,
    /// `policies`.
    pub policies: Option<Entry<Policies>>,
    /// `sessions/*`.
    pub sessions: BTreeMap<NodeId, SeenSession>,
    /// `ids/*`.
    pub ids: BTreeMap<NodeId, Entry<IdOwner>>,
    /// `nodes/*`.
    pub nodes: BTreeMap<NodeId, Arc<NodeInfo>>,
    /// `settings/*`, by fingerprint.
    pub settings: BTreeMap<u128, Entry<Arc<SharedSettings>>>,
    /// `plan/*/*`.
    pub plans: BTreeMap<(String, u32), (Revision, Arc<PlanPart>)>,
    /// Everything up to here has been seen.
    pub revision: Revision,
    /// Whether a complete listing has been seen.
    pub complete: bool,
    /// When the last listing was asked for.
    pub looked: Instant,
}

impl View {
    /// Takes a listing in that was asked for at `sent`; a `full` one also tells what is gone.
    pub fn apply(&mut self, listing: Listing<Value>, full: bool, sent: Instant, now: Instant) {
        if full {
            let mut fresh = Self {
                looked: self.looked,
                ..Self::default()
            };
            for (key, entry) in listing.entries {
                fresh.put(&key, entry, now);
            }
            for (id, session) in &mut fresh.sessions {
                if let Some(old) = self
                    .sessions
                    .get(id)
                    .filter(|old| old.entry.revision == session.entry.revision)
                {
                    (session.since, session.after) = (old.since, old.after);
                }
            }
            fresh.complete = true;
            *self = Self {
                revision: self.revision.max(listing.revision),
                ..fresh
            };
        } else {
            for (key, entry) in listing.entries {
                self.put(&key, entry, now);
            }
            self.revision = self.revision.max(listing.revision);
        }
        self.looked = sent;
    }

    /// Takes one entry in, unless a newer one is known.
    pub fn put(&mut self, key: &str, entry: Entry<Value>, now: Instant) {
        let Some(key) = Key::parse(key) else { return };
        let Entry {
            revision,
            written,
            value,
        } = entry;
        match (key, value) {
            (Key::Meta, Value::Meta(value)) => {
                self.meta = Some(Entry {
                    revision,
                    written,
                    value,
                });
            }
            (Key::Leader, Value::Leader(value)) if self.leader.as_ref().is_none_or(|l| l.revision < revision) => {
                self.leader = Some(Entry {
                    revision,
                    written,
                    value,
                });
            }
            (Key::Policies, Value::Policies(value)) if self.policies.as_ref().is_none_or(|p| p.revision < revision) => {
                self.policies = Some(Entry {
                    revision,
                    written,
                    value,
                });
            }
            (Key::Session(id), Value::Session(value))
                if self.sessions.get(&id).is_none_or(|s| s.entry.revision < revision) =>
            {
                self.sessions.insert(
                    id,
                    SeenSession {
                        entry: Entry {
                            revision,
                            written,
                            value,
                        },
                        since: now,
                        after: self.looked,
                    },
                );
            }
            (Key::Id(id), Value::Id(value)) if self.ids.get(&id).is_none_or(|i| i.revision < revision) => {
                self.ids.insert(
                    id,
                    Entry {
                        revision,
                        written,
                        value,
                    },
                );
            }
            (Key::Node(id), Value::Node(value)) => {
                self.nodes.insert(id, value);
            }
            (Key::Settings(fingerprint), Value::Settings(value)) if value.fingerprint() == fingerprint => {
                self.settings.insert(
                    fingerprint,
                    Entry {
                        revision,
                        written,
                        value,
                    },
                );
            }
            (Key::Plan { role, part }, Value::Plan(value)) => {
                let known = self
                    .plans
                    .entry((role, part))
                    .or_insert_with(|| (Revision(0), Arc::clone(&value)));
                if known.0 < revision {
                    *known = (revision, value);
                }
            }
            _ => {}
        }
    }

    /// The sessions as evidence for the leader.
    #[must_use]
    pub fn evidence(&self) -> Sessions {
        let state = |s: &SeenSession| {
            let Session {
                session,
                applied,
                ended,
                ..
            } = &s.entry.value;
            SessionState {
                session: *session,
                applied: *applied,
                ended: ended.is_some(),
            }
        };
        self.sessions.iter().map(|(id, s)| (*id, state(s))).collect()
    }

    /// Whether the node has a session that has not ended.
    #[must_use]
    pub fn is_live(&self, id: NodeId) -> bool {
        self.sessions.get(&id).is_some_and(|s| s.entry.value.ended.is_none())
    }

    /// The live nodes, by id.
    pub fn live(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.sessions
            .iter()
            .filter(|(_, s)| s.entry.value.ended.is_none())
            .map(|(id, _)| *id)
    }

    /// What a node says of itself; empty if it has not said anything yet.
    #[must_use]
    pub fn info(&self, id: NodeId) -> Arc<NodeInfo> {
        self.nodes.get(&id).cloned().unwrap_or_default()
    }

    /// The fingerprint of a live node's settings, once it has told it in its present session: what it said before may
    /// not hold any more.
    #[must_use]
    pub fn settings_of(&self, id: NodeId) -> Option<u128> {
        let session = &self.sessions.get(&id)?.entry.value;
        let info = self.nodes.get(&id)?;
        (session.ended.is_none() && info.session == session.session).then_some(info.settings)
    }

    /// The settings that prevail: those of most live nodes; among equals those under which the cluster acts, as
    /// `leader` says, so that a node that comes back with others takes nothing away; else those of the lowest id.
    /// `None` while nobody has told any.
    #[must_use]
    pub fn prevailing(&self) -> Option<u128> {
        self.prevailing_if(|id| self.settings_of(id))
    }

    /// As [`Self::prevailing`], if live nodes have the settings that `of` says.
    pub(crate) fn prevailing_if(&self, of: impl Fn(NodeId) -> Option<u128>) -> Option<u128> {
        let mut votes: BTreeMap<u128, (usize, bool, Reverse<NodeId>)> = BTreeMap::new();
        let acting = self.leader.as_ref().map(|leader| leader.value.settings);
        for (id, settings) in self.live().filter_map(|id| Some((id, of(id)?))) {
            votes
                .entry(settings)
                .or_insert((0, acting == Some(settings), Reverse(id)))
                .0 += 1;
        }
        votes
            .into_iter()
            .max_by_key(|(_, vote)| *vote)
            .map(|(settings, _)| settings)
    }

    /// The text of the settings with this fingerprint, if somebody stored it.
    #[must_use]
    pub fn settings(&self, fingerprint: u128) -> Option<Arc<SharedSettings>> {
        self.settings.get(&fingerprint).map(|entry| Arc::clone(&entry.value))
    }

    /// Whether `leader` names a session that is not over.
    #[must_use]
    pub fn leader(&self) -> Option<NodeId> {
        let leader = &self.leader.as_ref()?.value;
        let id = leader.node?;
        let session = self.sessions.get(&id)?;
        (session.entry.value.ended.is_none() && session.entry.value.session == leader.session).then_some(id)
    }

    /// The registry, and the local time at which the next status changes by itself.
    #[must_use]
    pub fn registry(&self, clock: &BackendClock, timing: &Timing, now: Instant) -> (Vec<NodeRecord>, Option<Instant>) {
        let backend = clock.estimate(now);
        let leader = self.leader();
        let mut next: Option<Instant> = None;
        let mut records = Vec::with_capacity(self.sessions.len());
        for (&node_id, seen) in &self.sessions {
            let session = &seen.entry.value;
            let renewed = seen.renewed();
            let age = backend.since(renewed);
            let status = match age {
                age if age >= timing.inactive_after => Status::Inactive,
                age if age >= timing.stale_after || session.ended.is_some() => Status::Stale,
                _ => Status::Active,
            };
            let change = match status {
                Status::Active => Some(timing.stale_after),
                Status::Stale => Some(timing.inactive_after),
                Status::Inactive => None,
            };
            if let Some(after) = change {
                let at = clock.local(renewed.plus(after)).plus(1).max(now.plus(1));
                next = Some(next.map_or(at, |n| n.min(at)));
            }
            records.push(NodeRecord {
                node_id,
                hostname: session.hostname.clone(),
                last_renewal: renewed,
                status,
                ended: seen.ending(timing),
                session: session.session,
                instance: session.instance,
                leader: leader == Some(node_id),
                info: self.info(node_id),
            });
        }
        (records, next)
    }
}
