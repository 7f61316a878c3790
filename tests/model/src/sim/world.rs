//! Virtual time, the network, and the runtime that performs what engines order.

use super::checker::Checker;
use super::clock::{Clock, MS, Time};
use super::faults::Fault;
use super::node::{Link, Machine, Process};
use super::policy;
use super::rng::Rng;
use super::scenario::Scenario;
use super::store::Store;
use super::trace::Trace;
use shardwright_core::engine::{Event, OpId};
use shardwright_core::id::InstanceId;
use shardwright_core::join::Request;
use shardwright_core::memory::Memory;
use shardwright_core::rules::Rules;
use shardwright_core::snapshot::Snapshot;
use shardwright_core::store::StoreTime;
use shardwright_core::time::Instant;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Everything there is in one run.
pub struct World {
    pub(super) scenario: Scenario,
    pub(super) rules: Rules,
    pub(super) rng: Rng,
    pub(super) now: Time,
    queue: BinaryHeap<Reverse<Item>>,
    counter: u64,
    pub(super) store: Store,
    pub(super) machines: Vec<Machine>,
    pub(super) checker: Checker,
    pub(super) trace: Trace,
    /// The store does not answer anybody before this time.
    pub(super) outage: Time,
    /// Policies fail until this time.
    pub(super) bad_policies: Time,
    /// The digest of each role's policy.
    pub(super) policies: Vec<u64>,
    /// The faults are over.
    pub(super) calm: bool,
    /// When a plan was written last.
    pub(super) last_plan: Time,
    /// Adapters that have yet to report that the store lost its history.
    pub(super) unreported: Vec<usize>,
}

/// Something that is going to happen.
#[derive(Clone, Debug)]
pub(super) enum Next {
    /// A process is told something.
    Tell { machine: usize, life: u64, event: Event },
    /// A process's timer rings.
    Wake { machine: usize, life: u64, at: Instant },
    /// A request arrives at the store.
    Arrive {
        machine: usize,
        life: u64,
        op: OpId,
        request: Request,
        run: Option<usize>,
        heard: StoreTime,
    },
    /// A policy has thought.
    Think {
        machine: usize,
        life: u64,
        request: u64,
        snapshot: Box<Snapshot>,
    },
    /// A machine's process starts.
    Start { machine: usize },
    /// A stopped process goes on.
    Resume { machine: usize, life: u64 },
    /// A duplicate is taken away.
    Remove { machine: usize },
    /// The backend's clock is set.
    SetClock,
    /// A replica takes over that has not heard of the last takeover.
    PromoteBehind,
    /// The next fault is due.
    Trouble,
}

#[derive(Clone, Debug)]
struct Item {
    at: Time,
    order: u64,
    next: Next,
}

impl PartialEq for Item {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl Eq for Item {}

impl PartialOrd for Item {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Item {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// The oldest backend's clock starts here: 2026, about.
const EPOCH: u64 = 1_790_000_000_000;

impl World {
    /// The world of a seed, before anything has happened.
    #[must_use]
    pub fn new(seed: u64, faults: &[Fault], rules: Rules, trace: Trace) -> Self {
        let mut rng = Rng::new(seed);
        let scenario = Scenario::draw(&mut rng, faults);
        let backend = Clock::new(EPOCH, rate(&mut rng, &scenario));
        let mut world = Self {
            checker: Checker::new(scenario.timing.clone()),
            scenario,
            rules,
            rng,
            now: 0,
            queue: BinaryHeap::new(),
            counter: 0,
            store: Store::new(backend),
            machines: Vec::new(),
            trace,
            outage: 0,
            bad_policies: 0,
            policies: vec![1; 3],
            calm: false,
            last_plan: 0,
            unreported: Vec::new(),
        };
        for at in 0..world.scenario.nodes {
            let machine = world.add(format!("h{at}"), false);
            let wait = world.rng.within(0, 2_000) * MS;
            world.after(wait, Next::Start { machine });
        }
        let first = world.rng.within(3_000, 8_000) * MS;
        world.after(first, Next::Trouble);
        world
    }

    /// Another machine.
    pub(super) fn add(&mut self, hostname: String, duplicate: bool) -> usize {
        let clock = Clock::new(self.rng.within(0, 1_000_000), rate(&mut self.rng, &self.scenario));
        self.machines.push(Machine {
            hostname,
            instance: InstanceId(self.rng.wide()),
            processes: Vec::new(),
            memory: Memory::default(),
            clock,
            link: Link::default(),
            roles: self.scenario.roles.clone(),
            process: None,
            retired: false,
            duplicate,
        });
        self.machines.len() - 1
    }

    /// Has something happen later.
    pub(super) fn after(&mut self, wait: Time, next: Next) {
        self.counter += 1;
        self.queue.push(Reverse(Item {
            at: self.now + wait,
            order: self.counter,
            next,
        }));
    }

    /// Lets time pass up to `end`, or to the first violation.
    pub fn run(&mut self, end: Time) {
        while self.checker.violation().is_none() {
            match self.queue.peek() {
                Some(Reverse(item)) if item.at <= end => {}
                _ => break,
            }
            let Some(Reverse(item)) = self.queue.pop() else { break };
            self.now = item.at;
            self.trace.steps += 1;
            self.happen(item.next);
            self.checker.instant(&self.machines, self.now);
        }
        if self.checker.violation().is_none() {
            self.now = end;
        }
    }

    fn happen(&mut self, next: Next) {
        match next {
            Next::Tell { machine, life, event } => self.tell(machine, life, event),
            Next::Wake { machine, life, at } => {
                if self.process(machine, life).is_some_and(|p| p.wake == Some(at)) {
                    self.tell(machine, life, Event::Wake);
                }
            }
            Next::Arrive {
                machine,
                life,
                op,
                request,
                run,
                heard,
            } => self.arrive(machine, life, op, request, run, heard),
            Next::Think {
                machine,
                life,
                request,
                snapshot,
            } => {
                let answer = if self.now < self.bad_policies {
                    policy::bad(&snapshot, &mut self.rng)
                } else {
                    Ok(policy::good(&snapshot, &mut self.rng))
                };
                self.tell(machine, life, Event::Answered { request, answer });
            }
            Next::Start { machine } => self.start(machine),
            Next::Resume { machine, life } => self.resume(machine, life),
            Next::Remove { machine } => self.kill(machine),
            Next::SetClock | Next::PromoteBehind if self.calm => {}
            Next::SetClock => self.set_clock(),
            Next::PromoteBehind => self.promote_behind(),
            Next::Trouble => self.trouble(),
        }
    }

    pub(super) fn process(&mut self, machine: usize, life: u64) -> Option<&mut Process> {
        self.machines[machine].process.as_mut().filter(|p| p.life == life)
    }

    /// A machine that is not retired, at random.
    pub(super) fn any_machine(&mut self) -> usize {
        let able: Vec<usize> = (0..self.machines.len())
            .filter(|m| !self.machines[*m].retired)
            .collect();
        self.rng.pick(&able)
    }

    /// Draws the rate error of a clock.
    pub(super) fn draw_rate(&mut self) -> i64 {
        rate(&mut self.rng, &self.scenario)
    }
}

fn rate(rng: &mut Rng, scenario: &Scenario) -> i64 {
    let most = i64::try_from(scenario.timing.drift_ppm).unwrap_or(0);
    rng.pick(&[-most, -most / 2, 0, most / 2, most])
}

impl World {
    /// How things stand, in words.
    #[must_use]
    pub fn picture(&self) -> Vec<String> {
        let entries = self
            .store
            .entries()
            .iter()
            .map(|(key, e)| format!("{key} @{}: {:?}", e.revision.0, e.value));
        let machines = self.machines.iter().map(|m| {
            let state = m.process.as_ref().map(|p| {
                let held: Vec<_> = p.claims.iter().map(|c| (c.role, c.shard, c.stop.is_some())).collect();
                let paused = p.paused.is_some();
                format!(
                    "{:?} leads {} paused {paused} acts on {held:?}",
                    p.engine.id(),
                    p.engine.is_leading()
                )
            });
            format!(
                "{} {:?}: {}",
                m.hostname,
                m.instance,
                state.unwrap_or_else(|| "not running".to_owned())
            )
        });
        entries.chain(machines).collect()
    }
}
