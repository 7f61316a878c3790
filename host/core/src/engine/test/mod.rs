//! Engines over a small store. Faults of many kinds at once are the simulation's business (`tests/model`).

mod course;
mod entry;
mod farewell;
mod fate;
mod grace;
mod ids;
mod info;
mod leader;
mod loss;
mod operator;
mod outage;
mod peers;
mod policies;
mod remembers;
mod renewal;
mod rest;
mod settings;
mod strange;
mod trouble;
mod waits;

use super::*;
use crate::id::{InstanceId, ProcessId, Token};
use crate::join::{Answer, Identity};
use crate::memory::Memory;
use crate::native;
use crate::role::{Mode, Placement, Replicas, RoleSpec};
use crate::rules::Rules;
use crate::store::{Entry, Expected, Listing, Reading, Written};
use crate::time::Timing;
use crate::values::{Key, NodeInfo, SharedSettings, Value};
use std::collections::{BTreeMap, BTreeSet};

const STEP: u64 = 2;
/// What the clock of the first store says at the beginning.
const EPOCH: u64 = 1_000_000;

#[derive(Clone, Default)]
struct Store {
    entries: BTreeMap<String, Entry<Value>>,
    revision: u64,
    /// When it may have lost something.
    unsure_before: StoreTime,
    /// By how much its clock is behind that of the first store.
    behind: u64,
}

impl Store {
    /// As a backend does it for somebody who has heard of the partial loss `heard`.
    fn serve(&mut self, request: Request, heard: StoreTime, now: u64) -> Outcome {
        if heard < self.unsure_before && matches!(request, Request::Put { .. }) {
            return Err(StoreError::Unavailable("another server answers".to_owned()));
        }
        self.perform(request, now)
    }

    fn perform(&mut self, request: Request, now: u64) -> Outcome {
        let now = StoreTime(EPOCH + now - self.behind);
        match request {
            Request::Get(key) => Ok(Answer::Reading(Reading {
                entry: self.entries.get(&key.to_string()).cloned(),
                now,
                unsure_before: self.unsure_before,
            })),
            Request::List { prefix, since } => {
                let entries = self
                    .entries
                    .iter()
                    .filter(|(k, e)| k.starts_with(prefix) && e.revision > since);
                let entries = entries.map(|(k, e)| (k.clone(), e.clone())).collect();
                Ok(Answer::Listing(Listing {
                    entries,
                    revision: Revision(self.revision),
                    now,
                    unsure_before: self.unsure_before,
                }))
            }
            Request::Put { key, value, expected } => {
                let found = self.entries.get(&key.to_string());
                let holds = match expected {
                    Expected::Any => true,
                    Expected::Absent => found.is_none(),
                    Expected::Revision(r) => found.is_some_and(|e| e.revision == r),
                };
                if !holds {
                    return Err(StoreError::Conflict(found.cloned()));
                }
                self.revision += 1;
                let revision = Revision(self.revision);
                self.entries.insert(
                    key.to_string(),
                    Entry {
                        revision,
                        written: now,
                        value,
                    },
                );
                Ok(Answer::Written(Written { revision, now }))
            }
            Request::Delete { key, revision } => {
                let found = self.entries.get(&key.to_string());
                if found.is_none_or(|e| e.revision != revision) {
                    return Err(StoreError::Conflict(found.cloned()));
                }
                self.entries.remove(&key.to_string());
                self.revision += 1;
                let revision = Revision(self.revision);
                Ok(Answer::Written(Written { revision, now }))
            }
        }
    }
}

struct Node {
    engine: Engine,
    wake: Option<Instant>,
    held: BTreeMap<(usize, u32), Token>,
    inbox: Vec<Event>,
    left: Option<Result<(), Refusal>>,
    notices: Vec<Notice>,
    memory: Memory,
    /// How often it was told to keep something.
    remembered: u64,
    /// The parts of which it has told a plan.
    parts: BTreeSet<(usize, u32)>,
    registries: Vec<Arc<[NodeRecord]>>,
}

#[derive(Default)]
struct World {
    store: Store,
    nodes: BTreeMap<&'static str, Node>,
    now: u64,
    roles: Vec<RoleSpec>,
    /// What ran in the state directory of each instance.
    processes: BTreeMap<u128, Vec<ProcessId>>,
    writes: u64,
    asks: u64,
    /// The owners that a policy wanted last.
    planned: Vec<u32>,
    /// Events handled, of all nodes.
    handled: u64,
    /// Claims of leadership.
    claims: u64,
    /// Every request, with its time and the host that sent it.
    log: Vec<(u64, &'static str, Request)>,
    travels: Vec<(u64, &'static str, fate::Travel)>,
    /// Questions to policies that give no answer.
    unanswered: Vec<(u64, usize, Box<crate::snapshot::Snapshot>)>,
    /// Capacity and static id of the nodes that start from now on, if they are special.
    capacity: Option<u32>,
    static_id: Option<NodeId>,
    trouble: Trouble,
}

/// What goes wrong.
#[derive(Default)]
struct Trouble {
    /// The store cannot be reached.
    down: bool,
    /// It refuses to have a leader.
    leaderless: bool,
    /// It can only be read.
    read_only: bool,
    /// It says that it is another one.
    lost: bool,
    /// It permits nothing.
    denied: bool,
    /// Policies fail, like this.
    policy: Option<&'static str>,
    /// Policies give this answer.
    answer: Option<crate::snapshot::Answer>,
    /// Work does not stop.
    stubborn: bool,
    /// Hints are lost.
    deaf: bool,
    /// Policies give no answer.
    mute: bool,
    /// What becomes of single requests.
    fate: Option<fate::Rule>,
}

fn timing() -> Timing {
    Timing {
        validity: 3_000,
        renew: 1_000,
        margin: 100,
        stale_after: 5_000,
        inactive_after: 20_000,
        reuse_after: 100_000,
        rejoin_delay: 10_000,
        stop_timeout: 500,
        settle: 50,
        drift_ppm: 1_000,
    }
}

fn role(name: &str, shards: u32, mode: Mode) -> RoleSpec {
    RoleSpec {
        name: name.to_owned(),
        shards,
        replicas: if mode == Mode::All {
            Replicas::Every
        } else {
            Replicas::Count(2)
        },
        mode,
        policy: "native".to_owned(),
        config: "{}".to_owned(),
        placement: Placement::Anywhere,
    }
}

impl World {
    fn new(roles: Vec<RoleSpec>) -> Self {
        Self {
            roles,
            ..Self::default()
        }
    }

    /// These nodes share the twelve shards of a role; the first leads.
    fn sharing(hosts: &[&'static str]) -> Self {
        let mut w = Self::new(vec![role("a", 12, Mode::Primary)]);
        for (instance, host) in (1..).zip(hosts) {
            w.start(host, instance);
        }
        w.run(6_000);
        assert!(w.nodes[hosts[0]].engine.is_leading());
        assert!(hosts.iter().all(|host| w.held(host) == 12 / hosts.len()));
        w
    }

    fn start(&mut self, host: &'static str, instance: u128) {
        self.start_with(host, instance, Memory::default());
    }

    /// Starts a node whose state directory remembers this.
    fn start_with(&mut self, host: &'static str, instance: u128, memory: Memory) {
        let info = NodeInfo {
            capacity: self.capacity.unwrap_or(100),
            coordinator: "test".to_owned(),
            ..NodeInfo::default()
        };
        let seed = instance * 1_000 + u128::from(self.now);
        let settings = Settings {
            identity: Identity {
                predecessors: self.processes.entry(instance).or_default().clone(),
                former: memory.former.clone(),
                static_id: self.static_id,
                ..Identity::new(host, InstanceId(instance), ProcessId(self.now), 9)
            },
            seed,
            timing: timing(),
            policies: vec![1; self.roles.len()],
            roles: self.roles.clone(),
            memory,
            info,
            shared: Arc::new(SharedSettings {
                text: format!("roles = {:?}\n", self.roles),
            }),
            fresh_is_safe: false,
            rules: Rules::default(),
        };
        let node = Node {
            engine: Engine::new(settings),
            wake: None,
            held: BTreeMap::new(),
            inbox: vec![Event::Start],
            left: None,
            notices: Vec::new(),
            memory: Memory::default(),
            remembered: 0,
            parts: BTreeSet::new(),
            registries: Vec::new(),
        };
        self.processes.entry(instance).or_default().push(ProcessId(self.now));
        self.nodes.insert(host, node);
    }

    fn run(&mut self, ms: u64) {
        for _ in 0..ms / STEP {
            self.now += STEP;
            self.step();
        }
    }

    fn step(&mut self) {
        let now = Instant(self.now);
        let (mut hints, mut gained) = (Vec::new(), false);
        self.arrive();
        let mut nodes = std::mem::take(&mut self.nodes);
        for (&host, node) in &mut nodes {
            let mut events = std::mem::take(&mut node.inbox);
            if node.wake.is_some_and(|at| at <= now) {
                node.wake = None;
                events.push(Event::Wake);
            }
            for event in events {
                self.handled += 1;
                for command in node.engine.handle(event, now) {
                    match command {
                        Command::Store { op, request, heard } => node.inbox.extend(self.ask(host, op, request, heard)),
                        Command::Hint => hints.push(host),
                        Command::Ask {
                            request,
                            role,
                            snapshot,
                        } => {
                            self.asks += 1;
                            if self.trouble.mute {
                                self.unanswered.push((request, role, snapshot));
                                continue;
                            }
                            let plan = native::assign(&snapshot);
                            self.planned.clone_from(&plan.owners);
                            let answer = self
                                .trouble
                                .answer
                                .clone()
                                .unwrap_or(crate::snapshot::Answer::Plan(plan));
                            let answer = self.trouble.policy.map_or(Ok(answer), |how| Err(how.to_owned()));
                            node.inbox.push(Event::Answered { request, answer });
                        }
                        Command::Gain { role, shards, .. } => {
                            gained = true;
                            node.held.extend(shards.into_iter().map(|(s, t)| ((role, s), t)));
                        }
                        Command::Stop { stop, role, shards, .. } => {
                            for (shard, _) in shards {
                                node.held.remove(&(role, shard));
                            }
                            if !self.trouble.stubborn {
                                node.inbox.push(Event::Stopped(stop));
                            }
                        }
                        Command::Wake(at) => node.wake = Some(at),
                        Command::Notice(notice) => node.notices.push(notice),
                        Command::Left(result) => node.left = Some(result),
                        Command::Remember(memory) => {
                            node.memory = (*memory).clone();
                            node.remembered += 1;
                        }
                        Command::Plan { role, part, .. } => node.parts.extend([(role, part)]),
                        Command::Registry(records) => node.registries.push(records),
                        Command::Deadline(_) => {}
                    }
                }
            }
        }
        self.nodes = nodes;
        // A hint is for the others: who gives it knows already.
        for from in hints.into_iter().filter(|_| !self.trouble.deaf) {
            for (_, node) in self.nodes.iter_mut().filter(|(host, _)| **host != from) {
                node.inbox.push(Event::Look);
            }
        }
        if gained {
            self.assert_exclusive();
        }
    }

    fn assert_exclusive(&self) {
        let mut seen = BTreeSet::new();
        for (host, node) in &self.nodes {
            for key in node
                .held
                .keys()
                .filter(|(role, _)| self.roles[*role].mode == Mode::Primary)
            {
                assert!(
                    seen.insert(*key),
                    "two primaries of {key:?}, one of them {host}, at {}",
                    self.now
                );
            }
        }
    }

    fn held(&self, host: &str) -> usize {
        self.nodes[host].held.len()
    }

    fn total(&self) -> usize {
        self.nodes.values().map(|n| n.held.len()).sum()
    }
}
