//! Nodes over a store in which somebody writes whatever he likes: none of them may be brought to fall by it.

mod planted;
mod store;

use arbitrary::{Arbitrary, Unstructured};
use planted::{Number, Planted};
use shardwright_core::codec::{decode, encode};
use shardwright_core::engine::{Command, Engine, Event, Settings};
use shardwright_core::id::{InstanceId, ProcessId};
use shardwright_core::join::{Identity, Request};
use shardwright_core::memory::Memory;
use shardwright_core::native;
use shardwright_core::role::{Mode, Placement, Replicas, RoleSpec};
use shardwright_core::rules::Rules;
use shardwright_core::snapshot::{self, Proposal};
use shardwright_core::store::StoreTime;
use shardwright_core::time::{Instant, Timing};
use shardwright_core::values::{Key, NodeInfo};
use std::collections::BTreeMap;
use std::sync::Arc;
use store::Store;

/// So many things happen at most.
const DEEDS: usize = 48;
/// Milliseconds between two looks at the nodes.
const STEP: u64 = 50;
/// So many looks at most: two minutes, which is longer than any wait below.
const STEPS: u64 = 2_400;
/// So many looks are longer than the grace period of a new history.
const GRACE: u64 = 100;
const HOSTS: [&str; 2] = ["mail-1", "mail-2"];

/// Something that happens.
#[derive(Arbitrary, Debug)]
enum Deed {
    /// Time passes, in steps.
    Run(u8),
    /// Somebody stores a value of this kind.
    Plant(Planted),
    /// Somebody stores bytes under a key of this kind.
    Bytes(u8, Vec<u8>),
    /// The store's clock steps, or its revisions.
    Clock(Number),
    Revision(Number),
    /// Writes may have been lost before this moment.
    Unsure(Number),
    /// The store loses everything.
    Wipe,
    /// A node starts, is told to leave, or is asked to look.
    Start(bool),
    Leave(bool),
    Look(bool),
    /// An operator's orders.
    Order(bool, Option<bool>, Option<bool>),
    /// What policies answer from now on.
    Policy(Option<Vec<u8>>),
}

struct Node {
    engine: Engine,
    inbox: Vec<Event>,
    wake: Option<Instant>,
}

struct World {
    store: Store,
    nodes: BTreeMap<bool, Node>,
    roles: Vec<RoleSpec>,
    now: Instant,
    steps: u64,
    processes: u64,
    /// What every node remembers that starts.
    memory: Memory,
    policy: Option<Vec<u8>>,
}

fn role(name: &str, mode: Mode) -> RoleSpec {
    RoleSpec {
        name: name.to_owned(),
        shards: 3,
        replicas: if mode == Mode::All {
            Replicas::Every
        } else {
            Replicas::Count(2)
        },
        mode,
        policy: "balanced".to_owned(),
        config: "{}".to_owned(),
        placement: Placement::Anywhere,
    }
}

/// No entry, clock or policy brings a node to fall; and whatever a node writes can be read.
pub(crate) fn engine(data: &[u8]) {
    let mut unstructured = Unstructured::new(data);
    let mut world = World::new(Memory::default());
    world.start(false);
    for _ in 0..DEEDS {
        if unstructured.is_empty() {
            break;
        }
        let Ok(deed) = Deed::arbitrary(&mut unstructured) else {
            break;
        };
        world.happen(deed);
    }
    world.run(20);
}

/// Nothing that a state directory makes it remember brings a node to fall, neither in a new store nor in one that is
/// lost under it.
pub(crate) fn memory(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Some(memory) = shardwright::properties::memory(text) else {
        return;
    };
    let mut world = World::new(memory);
    world.start(false);
    world.start(true);
    world.run(GRACE);
    world.happen(Deed::Wipe);
    world.run(GRACE);
}

impl World {
    fn new(memory: Memory) -> Self {
        Self {
            store: Store {
                ahead: 1_700_000_000_000,
                ..Store::default()
            },
            nodes: BTreeMap::new(),
            roles: vec![role("a", Mode::Primary), role("b", Mode::All)],
            now: Instant(1_000),
            steps: 0,
            processes: 0,
            memory,
            policy: None,
        }
    }

    fn start(&mut self, second: bool) {
        self.processes += 1;
        let settings = Settings {
            identity: Identity {
                former: self.memory.former.clone(),
                ..Identity::new(
                    HOSTS[usize::from(second)],
                    InstanceId(u128::from(second) + 1),
                    ProcessId(self.processes),
                    9,
                )
            },
            seed: self.processes.into(),
            timing: Timing {
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
            },
            policies: vec![1; self.roles.len()],
            roles: self.roles.clone(),
            memory: self.memory.clone(),
            info: NodeInfo {
                capacity: 100,
                coordinator: "test".to_owned(),
                ..NodeInfo::default()
            },
            fresh_is_safe: true,
            rules: Rules::default(),
            shared: Arc::default(),
        };
        let node = Node {
            engine: Engine::new(settings),
            inbox: vec![Event::Start],
            wake: None,
        };
        self.nodes.insert(second, node);
    }

    fn happen(&mut self, deed: Deed) {
        match deed {
            Deed::Run(steps) => self.run(steps.into()),
            Deed::Plant(planted) => {
                if let Some((key, value)) = planted.entry(&self.roles) {
                    self.plant(&key, &encode(&key, &value).unwrap_or_default());
                }
            }
            Deed::Bytes(kind, bytes) => self.plant(&crate::values::key(kind), &bytes),
            Deed::Clock(number) => self.store.ahead = number.get(),
            Deed::Revision(number) => self.store.revision = number.get(),
            Deed::Unsure(number) => self.store.unsure_before = StoreTime(number.get()),
            Deed::Wipe => {
                self.store.entries.clear();
                self.store.revision = 0;
            }
            Deed::Start(second) => self.start(second),
            Deed::Leave(second) => self.tell(second, Event::Leave),
            Deed::Look(second) => self.tell(second, Event::Look),
            Deed::Order(second, drain, cordon) => self.tell(second, Event::Order { drain, cordon }),
            Deed::Policy(answer) => self.policy = answer,
        }
    }

    /// What a node would read, if it can be read at all.
    fn plant(&mut self, key: &Key, bytes: &[u8]) {
        if let Ok(value) = decode(key, bytes) {
            let now = self.store.now(self.now);
            self.store.put(key, value, now);
        }
    }

    fn tell(&mut self, second: bool, event: Event) {
        if let Some(node) = self.nodes.get_mut(&second) {
            node.inbox.push(event);
        }
    }

    fn run(&mut self, steps: u64) {
        for _ in 0..steps.min(STEPS - self.steps) {
            self.steps += 1;
            self.now = self.now.plus(STEP);
            self.step();
        }
    }

    fn step(&mut self) {
        let Self {
            store,
            nodes,
            roles,
            now,
            policy,
            ..
        } = self;
        let mut gone = Vec::new();
        for (&second, node) in nodes.iter_mut() {
            let mut events = std::mem::take(&mut node.inbox);
            if node.wake.is_some_and(|at| at <= *now) {
                node.wake = None;
                events.push(Event::Wake);
            }
            for event in events {
                for command in node.engine.handle(event, *now) {
                    match command {
                        Command::Store { op, request, .. } => {
                            if let Request::Put { key, value, .. } = &request {
                                let bytes = encode(key, value).expect("it fits");
                                assert_eq!(decode(key, &bytes).as_ref(), Ok(value), "{key} can be read again");
                            }
                            let outcome = store.perform(request, *now);
                            node.inbox.push(Event::Stored { op, outcome });
                        }
                        Command::Ask { request, snapshot, .. } => {
                            let plan = policy.as_ref().map_or_else(
                                || native::assign(&snapshot),
                                |owners| Proposal {
                                    owners: owners.iter().map(|&id| u32::from(id)).collect(),
                                    unplaced: Vec::new(),
                                },
                            );
                            let answer = Ok(snapshot::Answer::Plan(plan));
                            node.inbox.push(Event::Answered { request, answer });
                        }
                        Command::Gain { role, shards, .. } => {
                            let most = roles[role].shards;
                            assert!(shards.iter().all(|(shard, _)| *shard < most), "{shards:?} of {most}");
                        }
                        Command::Stop { stop, .. } => node.inbox.push(Event::Stopped(stop)),
                        Command::Wake(at) => node.wake = Some(at),
                        Command::Left(_) => gone.push(second),
                        _ => {}
                    }
                }
            }
        }
        for second in gone {
            nodes.remove(&second);
        }
    }
}
