//! Engines over a small perfect store: the ordinary course of things. Faults are the simulation's business (`tests/model`).

use super::*;
use crate::id::{InstanceId, Token};
use crate::join::{Answer, Identity};
use crate::native;
use crate::role::{Mode, Placement, Replicas, RoleSpec};
use crate::rules::Rules;
use crate::store::{Entry, Expected, Listing, Reading, Written};
use crate::time::Timing;
use crate::values::{NodeInfo, Value};
use std::collections::{BTreeMap, BTreeSet};

const STEP: u64 = 2;

#[derive(Clone, Default)]
struct Store {
    entries: BTreeMap<String, Entry<Value>>,
    revision: u64,
}

impl Store {
    fn perform(&mut self, request: Request, now: u64) -> Outcome {
        let now = StoreTime(1_000_000 + now);
        match request {
            Request::Get(key) => Ok(Answer::Reading(Reading {
                entry: self.entries.get(&key.to_string()).cloned(),
                now,
            })),
            Request::List { prefix, since } => {
                let entries = self.entries.iter().filter(|(k, e)| k.starts_with(prefix) && e.revision > since);
                let entries = entries.map(|(k, e)| (k.clone(), e.clone())).collect();
                Ok(Answer::Listing(Listing {
                    entries,
                    revision: Revision(self.revision),
                    now,
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
}

#[derive(Default)]
struct World {
    store: Store,
    nodes: BTreeMap<&'static str, Node>,
    now: u64,
    roles: Vec<RoleSpec>,
    writes: u64,
    asks: u64,
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
        replicas: if mode == Mode::All { Replicas::Every } else { Replicas::Count(2) },
        mode,
        policy: "native".to_owned(),
        config: "{}".to_owned(),
        placement: Placement::Anywhere,
    }
}

impl World {
    fn new(roles: Vec<RoleSpec>) -> Self {
        Self { roles, ..Self::default() }
    }

    fn start(&mut self, host: &'static str, instance: u128) {
        let info = NodeInfo {
            capacity: 100,
            settings: 7,
            coordinator: "test".to_owned(),
            ..NodeInfo::default()
        };
        let seed = instance * 1_000 + u128::from(self.now);
        let settings = Settings {
            identity: Identity {
                hostname: host.to_owned(),
                instance: InstanceId(instance),
                static_id: None,
                max_id: 9,
            },
            seed,
            timing: timing(),
            policies: vec![1; self.roles.len()],
            roles: self.roles.clone(),
            info,
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
        };
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
        let mut hints = Vec::new();
        for (host, node) in &mut self.nodes {
            let mut events = std::mem::take(&mut node.inbox);
            if node.wake.is_some_and(|at| at <= now) {
                node.wake = None;
                events.push(Event::Wake);
            }
            for event in events {
                for command in node.engine.handle(event, now) {
                    match command {
                        Command::Store { op, request } => {
                            self.writes += u64::from(matches!(
                                &request,
                                Request::Put {
                                    key: crate::values::Key::Plan { .. },
                                    ..
                                }
                            ));
                            let outcome = self.store.perform(request, self.now);
                            node.inbox.push(Event::Stored { op, outcome });
                        }
                        Command::Hint => hints.push(*host),
                        Command::Ask { request, snapshot, .. } => {
                            self.asks += 1;
                            let answer = Ok(crate::snapshot::Answer::Plan(native::assign(&snapshot)));
                            node.inbox.push(Event::Answered { request, answer });
                        }
                        Command::Gain { role, shards } => node.held.extend(shards.into_iter().map(|(s, t)| ((role, s), t))),
                        Command::Stop { stop, role, shards } => {
                            for shard in shards {
                                node.held.remove(&(role, shard));
                            }
                            node.inbox.push(Event::Stopped(stop));
                        }
                        Command::Wake(at) => node.wake = Some(at),
                        Command::Notice(notice) => node.notices.push(notice),
                        Command::Left(result) => node.left = Some(result),
                        Command::Deadline(_) | Command::Plan { .. } | Command::Registry(_) => {}
                    }
                }
            }
        }
        // A hint is for the others: who gives it knows already.
        for from in hints {
            for (_, node) in self.nodes.iter_mut().filter(|(host, _)| **host != from) {
                node.inbox.push(Event::Look);
            }
        }
        self.assert_exclusive();
    }

    fn assert_exclusive(&self) {
        let mut seen = BTreeSet::new();
        for (host, node) in &self.nodes {
            for key in node.held.keys().filter(|(role, _)| self.roles[*role].mode == Mode::Primary) {
                assert!(seen.insert(*key), "two primaries of {key:?}, one of them {host}, at {}", self.now);
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

#[test]
fn three_nodes_share_lose_one_and_take_it_back() {
    let mut w = World::new(vec![role("a", 12, Mode::Primary)]);
    for (host, instance) in [("h1", 1), ("h2", 2), ("h3", 3)] {
        w.start(host, instance);
    }
    w.run(3_050);
    assert_eq!(w.total(), 0, "a new history begins with a grace period");
    w.run(2_000);
    assert_eq!((w.held("h1"), w.held("h2"), w.held("h3")), (4, 4, 4));
    let before = w.nodes["h2"].held.clone();
    let asks = w.asks;

    w.nodes.remove("h2");
    w.run(3_300);
    assert_eq!(w.total(), 12, "a dead node's shards are taken over after its session has ended");
    assert_eq!(w.asks, asks, "by the host's own repair");
    w.start("h2", 2);
    w.run(1_500);
    let after: Vec<_> = w.nodes["h2"].held.keys().collect();
    assert_eq!(
        after,
        before.keys().collect::<Vec<_>>(),
        "within the rejoin delay it gets its own shards back"
    );
    assert!(
        w.nodes["h2"].held.iter().all(|(shard, token)| *token > before[shard]),
        "under higher tokens"
    );
    let writes = w.writes;
    w.run(10_000);
    assert_eq!(w.writes, writes, "then the plan rests");
    assert_eq!(w.total(), 12);
}

#[test]
fn shutdown_hands_over_at_once_and_keeps_the_id() {
    let mut w = World::new(vec![role("a", 8, Mode::Primary), role("b", 1, Mode::All)]);
    w.start("h1", 1);
    w.start("h2", 2);
    w.run(5_000);
    assert_eq!(w.total(), 10);
    let id = w.nodes["h1"].engine.id();
    w.nodes.get_mut("h1").unwrap().inbox.push(Event::Leave);
    w.run(100);
    assert_eq!(w.nodes["h1"].left, Some(Ok(())));
    assert_eq!((w.held("h1"), w.held("h2")), (0, 9));
    w.start("h1", 1);
    w.run(1_000);
    assert_eq!(w.nodes["h1"].engine.id(), id);
    assert_eq!(w.total(), 10);
}

#[test]
fn a_second_live_instance_is_refused_and_harms_nobody() {
    let mut w = World::new(vec![role("a", 4, Mode::Primary)]);
    w.start("h1", 1);
    w.run(5_000);
    let first = w.nodes.remove("h1").unwrap();
    w.start("h1", 99);
    let second = w.nodes.remove("h1").unwrap();
    w.nodes.insert("first", first);
    w.nodes.insert("second", second);
    w.run(3_000);
    let refusal = w.nodes["second"].left.clone().unwrap().unwrap_err().to_string();
    assert!(
        refusal.contains("h1") && refusal.contains(&InstanceId(1).to_string()) && refusal.contains(&InstanceId(99).to_string()),
        "{refusal}"
    );
    assert_eq!(w.held("first"), 4);
}

#[test]
fn draining_moves_everything_away_and_undraining_brings_it_back() {
    let mut w = World::new(vec![role("a", 12, Mode::Primary)]);
    w.start("h1", 1);
    w.start("h2", 2);
    w.run(5_000);
    w.nodes.get_mut("h1").unwrap().inbox.push(Event::Order {
        drain: Some(true),
        cordon: None,
    });
    w.run(1_000);
    assert_eq!(
        (w.held("h1"), w.held("h2")),
        (0, 12),
        "within a second, though it takes several rounds and the leader itself drains"
    );
    w.nodes.get_mut("h1").unwrap().inbox.push(Event::Order {
        drain: Some(false),
        cordon: None,
    });
    w.run(1_000);
    assert_eq!((w.held("h1"), w.held("h2")), (6, 6));
}

#[test]
fn another_shard_count_is_reshaped_without_overlap() {
    let mut w = World::new(vec![role("a", 5_000, Mode::Primary)]);
    w.start("h1", 1);
    w.start("h2", 2);
    w.run(6_000);
    assert_eq!(w.total(), 5_000);
    w.nodes.clear();
    w.roles = vec![role("a", 6, Mode::Primary)];
    w.start("h1", 1);
    w.start("h2", 2);
    w.run(3_000);
    assert_eq!(w.total(), 6);
}

#[test]
fn a_store_that_was_restored_is_lost_history_and_issues_no_token_twice() {
    let mut w = World::new(vec![role("a", 6, Mode::Primary)]);
    w.start("h1", 1);
    w.start("h2", 2);
    w.run(6_000);
    let backup = w.store.clone();
    w.nodes.get_mut("h2").unwrap().inbox.push(Event::Leave);
    w.run(500);
    w.start("h2", 2);
    w.run(2_000);
    let highest = w.nodes.values().flat_map(|n| n.held.values().copied()).max().unwrap();
    w.store = backup;
    w.run(1_200);
    for (host, node) in &w.nodes {
        assert!(
            node.notices.iter().any(|n| matches!(n, Notice::HistoryLost { .. })),
            "{host} notices within one renewal"
        );
    }
    assert_eq!(w.total(), 0, "and nobody acts");
    w.run(4_500);
    assert_eq!(w.total(), 6, "until the grace period is over");
    let lowest = w.nodes.values().flat_map(|n| n.held.values().copied()).min().unwrap();
    assert!(lowest > highest, "{lowest} after {highest}");
}
