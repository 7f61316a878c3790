//! The invariants, checked after every step with true time, which no node knows.

use super::clock::{Clock, MS, Time};
use super::node::{Claim, Machine};
use super::scenario::KEYS;
use shardwright_core::id::{NodeId, SessionId};
use shardwright_core::role::Mode;
use shardwright_core::time::{Instant, Timing};
use shardwright_core::values::{Key, Session, Value};
use std::collections::{BTreeMap, BTreeSet};

/// What must hold. The numbers are those of `docs/simulation.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// 1. An id has one live holder at most.
    OneHolder,
    /// 2. A hostname has one live holder at most.
    OneId,
    /// 3. Tokens of a key increase with every change of owner.
    TokensIncrease,
    /// 4. An id goes to another hostname only after reuse-after.
    NoEarlyReuse,
    /// 5. Nobody acts past its deadline, and the deadline is honest.
    Deadline,
    /// 6. A session that has ended or was replaced is never renewed.
    StaleNeverRenews,
    /// 8. In calm everybody joins and every shard has its owner within a bound.
    Liveness,
    /// 9. A hostname keeps its id.
    KeepsId,
    /// 10. The registry tells the truth in the end.
    Registry,
    /// 12. A guarded resource is never written by an owner after a newer one, and never refuses the present one.
    Guard,
    /// 13. A shard has one acting primary at most.
    OnePrimary,
    /// The plan comes to rest.
    Rest,
    /// A node that was away for a moment gets its own shards back, and nothing else moves.
    OwnShards,
    /// Of two nodes, one that comes back with other settings takes nothing away from the other.
    Settings,
}

/// An invariant that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub invariant: Invariant,
    /// How.
    pub what: String,
}

/// What is remembered of the past to judge the present.
#[derive(Clone, Debug)]
pub struct Checker {
    timing: Timing,
    keys: BTreeMap<(usize, u32), Owner>,
    /// The true time at which each session was last renewed, and whether it is over.
    sessions: BTreeMap<SessionId, (Time, bool)>,
    /// The session that each id has now.
    current: BTreeMap<NodeId, SessionId>,
    /// The last renewal under an id, for each hostname.
    used: BTreeMap<(NodeId, String), Time>,
    /// The hostname to which each id belongs.
    owners: BTreeMap<NodeId, String>,
    /// The id of each hostname.
    ids: BTreeMap<String, NodeId>,
    /// Ids must outlast a store that is lost.
    outlast: bool,
    /// The backend's clock cannot be trusted over long times any more.
    stepped: bool,
    /// Whoever remembers how high tokens were is always there.
    attended: bool,
    /// The backend's clock went back, and when the store is lost next, nobody may remember.
    unremembered: bool,
    found: Option<Violation>,
    /// Shards that moved from one live session to another, and those taken over from one that was over.
    pub handoffs: u64,
    /// See `handoffs`.
    pub takeovers: u64,
    /// Writes that a guarded resource refused because a newer owner had written.
    pub refused: u64,
}

/// The last owner of a key, and what the resource that it guards remembers.
#[derive(Clone, Copy, Debug)]
struct Owner {
    session: SessionId,
    token: u64,
    guard: u64,
}

impl Checker {
    /// Nothing has happened yet.
    #[must_use]
    pub fn new(timing: Timing) -> Self {
        Self {
            timing,
            keys: BTreeMap::new(),
            sessions: BTreeMap::new(),
            current: BTreeMap::new(),
            used: BTreeMap::new(),
            owners: BTreeMap::new(),
            ids: BTreeMap::new(),
            outlast: false,
            stepped: false,
            attended: false,
            unremembered: false,
            found: None,
            handoffs: 0,
            takeovers: 0,
            refused: 0,
        }
    }

    /// The first invariant that did not hold.
    #[must_use]
    pub fn violation(&self) -> Option<&Violation> {
        self.found.as_ref()
    }

    /// Reports a violation; only the first counts.
    pub fn report(&mut self, invariant: Invariant, what: impl FnOnce() -> String) {
        if self.found.is_none() {
            self.found = Some(Violation {
                invariant,
                what: what(),
            });
        }
    }

    fn need(&mut self, holds: bool, invariant: Invariant, what: impl FnOnce() -> String) {
        if !holds {
            self.report(invariant, what);
        }
    }

    /// A write succeeded.
    pub fn wrote(&mut self, key: &Key, value: &Value, now: Time) {
        match (key, value) {
            (Key::Session(id), Value::Session(session)) => self.wrote_session(*id, session, now),
            (Key::Id(id), Value::Id(owner)) => self.wrote_owner(*id, &owner.hostname, now),
            _ => {}
        }
    }

    fn wrote_session(&mut self, id: NodeId, value: &Session, now: Time) {
        let session = value.session;
        if let Some(old) = self.current.insert(id, session).filter(|old| *old != session)
            && let Some((_, over)) = self.sessions.get_mut(&old)
        {
            *over = true;
        }
        if value.ended.is_some() {
            self.sessions.entry(session).or_insert((now, true)).1 = true;
            return;
        }
        let over = self.sessions.get(&session).is_some_and(|(_, over)| *over);
        self.need(!over, Invariant::StaleNeverRenews, || {
            format!("session {session:?} of {id:?} was over and was renewed")
        });
        self.sessions.insert(session, (now, false));
        self.used.insert((id, value.hostname.clone()), now);
    }

    fn wrote_owner(&mut self, id: NodeId, hostname: &str, now: Time) {
        // Whoever had the id before has lost it for good.
        self.ids.retain(|other, theirs| other == hostname || *theirs != id);
        // Ages over hours exist on the backend's clock only: a step of it makes ids free early or late.
        let wait = if self.stepped {
            0
        } else {
            self.slowest(self.timing.reuse_after)
        };
        let Some(by) = self.owners.insert(id, hostname.to_owned()).filter(|by| by != hostname) else {
            return;
        };
        if let Some(&at) = self.used.get(&(id, by.clone())) {
            self.need(now >= at + wait, Invariant::NoEarlyReuse, || {
                format!(
                    "{id:?} of {by} went to {hostname} {} ms after its last renewal",
                    (now - at) / MS
                )
            });
        }
    }

    /// A node says that it holds an id.
    pub fn joined(&mut self, hostname: &str, id: NodeId, session: SessionId) {
        if self.current.get(&id) != Some(&session) {
            return; // the store was lost on the way
        }
        let before = self.ids.insert(hostname.to_owned(), id);
        if let Some(before) = before {
            self.need(before == id, Invariant::KeepsId, || {
                format!("{hostname} had {before:?} and now has {id:?}")
            });
        }
    }

    /// A node was told until when it may act.
    pub fn deadline(&mut self, session: Option<SessionId>, deadline: Instant, clock: &Clock) {
        let Some((renewed, _)) = session.and_then(|s| self.sessions.get(&s).copied()) else {
            return self.report(Invariant::Deadline, || "a deadline without a session".to_owned());
        };
        // The store cannot have performed the renewal before it was sent.
        let (end, bound) = (clock.when(deadline), renewed + self.timing.validity * MS);
        self.need(end <= bound, Invariant::Deadline, || {
            format!("the deadline lies {} ms after the last renewal", (end - renewed) / MS)
        });
    }

    /// A node begins work on a shard, and writes to the resource at once.
    pub fn gained(&mut self, claim: &Claim, session: SessionId) {
        for key in (0..KEYS).filter(|key| claim.keys & 1 << key != 0) {
            let token = claim.token.0;
            let before = self.keys.get(&(claim.role, key)).copied();
            if let Some(old) = before {
                let more = if old.session == session {
                    token >= old.token
                } else {
                    token > old.token
                };
                self.need(more || self.unremembered, Invariant::TokensIncrease, || {
                    format!("key {key} of role {}: token {token} after {}", claim.role, old.token)
                });
                if old.session != session {
                    let alive = self.sessions.get(&old.session).is_some_and(|(_, over)| !over);
                    *(if alive { &mut self.handoffs } else { &mut self.takeovers }) += 1;
                }
            }
            let guard = before.map_or(0, |old| old.guard);
            self.keys.insert((claim.role, key), Owner { session, token, guard });
        }
        self.write(claim, true);
    }

    /// A node writes to the resources behind a shard. `entitled`: it believes rightly that it may; otherwise it has
    /// been stopped in the middle of a write, whose end comes only now.
    pub fn write(&mut self, claim: &Claim, entitled: bool) {
        for key in (0..KEYS).filter(|key| claim.keys & 1 << key != 0) {
            let Some(owner) = self.keys.get_mut(&(claim.role, key)) else {
                continue;
            };
            let token = claim.token.0;
            if token < owner.guard {
                self.refused += 1;
                self.need(!entitled || self.unremembered, Invariant::Guard, || {
                    format!("key {key} of role {} refused its owner", claim.role)
                });
            } else {
                owner.guard = token;
                let newest = owner.token;
                self.need(token >= newest || self.unremembered, Invariant::Guard, || {
                    format!(
                        "key {key} of role {} was written under {token} after {newest}",
                        claim.role
                    )
                });
            }
        }
    }

    /// What must hold at any instant.
    pub fn instant(&mut self, machines: &[Machine], now: Time) {
        let mut ids = BTreeSet::new();
        let mut hosts = BTreeSet::new();
        for machine in machines {
            if let Some((id, _)) = machine.holds(now) {
                self.need(ids.insert(id), Invariant::OneHolder, || {
                    format!("{id:?} has two live holders")
                });
                self.need(hosts.insert(&machine.hostname), Invariant::OneId, || {
                    format!("{} holds two ids at once", machine.hostname)
                });
            }
        }
        let mut busy = [0u32; 8];
        for machine in machines.iter().filter(|m| m.acts(now)) {
            let Some(process) = &machine.process else { continue };
            for (role, busy) in busy.iter_mut().enumerate().take(process.roles.len()) {
                if process.roles[role].mode == Mode::All {
                    continue;
                }
                let mine = process.busy(role, machine.clock.read(now));
                self.need(*busy & mine == 0, Invariant::OnePrimary, || {
                    format!(
                        "{} and another act on keys {:#x} of role {role}",
                        machine.hostname,
                        *busy & mine
                    )
                });
                *busy |= mine;
            }
        }
    }

    /// A process has handled an event: it acts only before its deadline.
    pub fn handled(&mut self, machine: &Machine, now: Time) {
        let Some(process) = &machine.process else { return };
        let local = machine.clock.read(now);
        let works = process.claims.iter().any(|c| c.stop.is_none());
        let may = process.deadline.is_some_and(|d| local < d);
        self.need(may || !works, Invariant::Deadline, || {
            format!(
                "{} works at {local:?} with the deadline {:?}",
                machine.hostname, process.deadline
            )
        });
    }

    /// The backend's clock jumped.
    pub fn stepped(&mut self) {
        self.stepped = true;
    }

    /// The backend's clock was set, by so many milliseconds. Tokens are made of it: once it went back, those of a new
    /// history are higher only if somebody remembers.
    pub fn set(&mut self, by: i64) {
        self.stepped();
        self.unremembered |= by < 0 && !self.attended;
    }

    /// Whoever remembers how high tokens were is always there.
    pub fn attend(&mut self) {
        self.attended = true;
    }

    /// From now on ids bind though the store is lost.
    pub fn ids_outlast_the_store(&mut self) {
        self.outlast = true;
    }

    /// The store lost its history: what it said before binds nobody, except for tokens, and for ids that somebody
    /// remembers.
    pub fn forget(&mut self) {
        for (_, over) in self.sessions.values_mut() {
            *over = false;
        }
        self.current.clear();
        let Self {
            ids,
            owners,
            used,
            outlast,
            ..
        } = self;
        if !*outlast {
            ids.clear();
        }
        // An id that was claimed and not held yet is nobody's loss.
        owners.retain(|id, host| ids.get(host) == Some(id));
        used.retain(|(id, host), _| ids.get(host) == Some(id));
    }

    /// The least true time in which a clock within bounds shows `ms`.
    fn slowest(&self, ms: u64) -> Time {
        ms * MS - ms * MS / 1_000_000 * self.timing.drift_ppm - MS
    }
}
