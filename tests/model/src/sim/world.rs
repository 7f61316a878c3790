//! Virtual time, the network, and the runtime that performs what engines order.

use super::checker::{Checker, Invariant};
use super::clock::{Clock, MS, Time};
use super::faults::Fault;
use super::node::{Link, Machine, Process};
use super::policy;
use super::rng::Rng;
use super::scenario::Scenario;
use super::store::Store;
use super::trace::Trace;
use shardwright_core::engine::{Command, Engine, Event, Notice, OpId, Settings};
use shardwright_core::id::InstanceId;
use shardwright_core::join::{Answer, Identity, Request};
use shardwright_core::role::{Mode, RoleSpec};
use shardwright_core::rules::Rules;
use shardwright_core::snapshot::Snapshot;
use shardwright_core::store::StoreError;
use shardwright_core::time::Instant;
use shardwright_core::values::{Key, NodeInfo};
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
            } => self.arrive(machine, life, op, request),
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
            Next::Trouble => self.trouble(),
        }
    }

    pub(super) fn process(&mut self, machine: usize, life: u64) -> Option<&mut Process> {
        self.machines[machine].process.as_mut().filter(|p| p.life == life)
    }

    /// Starts a machine's process, unless one runs.
    pub(super) fn start(&mut self, machine: usize) {
        let seed = self.rng.wide();
        let life = self.rng.bits();
        let m = &mut self.machines[machine];
        if m.retired || m.process.is_some() {
            return;
        }
        let settings = Settings {
            identity: Identity {
                hostname: m.hostname.clone(),
                instance: m.instance,
                static_id: None,
                max_id: self.scenario.max_id,
            },
            seed,
            timing: self.scenario.timing.clone(),
            roles: m.roles.clone(),
            policies: self.policies.clone(),
            info: NodeInfo {
                capacity: 100,
                coordinator: "virtual".to_owned(),
                settings: fingerprint(&m.roles),
                ..NodeInfo::default()
            },
            fresh_is_safe: false,
            rules: self.rules,
        };
        m.process = Some(Process::new(life, Engine::new(settings), m.roles.clone()));
        let name = m.hostname.clone();
        self.trace.note(self.now, &name, || "starts".to_owned());
        self.tell(machine, life, Event::Start);
        if self.calm {
            self.tell(
                machine,
                life,
                Event::Order {
                    drain: Some(false),
                    cordon: Some(false),
                },
            );
        }
    }

    /// Ends a machine's process: everything in memory is gone, work included.
    pub(super) fn kill(&mut self, machine: usize) {
        let m = &mut self.machines[machine];
        m.process = None;
        if m.duplicate {
            m.retired = true;
        }
        let name = m.hostname.clone();
        self.trace.note(self.now, &name, || "is dead".to_owned());
    }

    fn resume(&mut self, machine: usize, life: u64) {
        let Some(process) = self.process(machine, life) else { return };
        let Some(mut waiting) = process.paused.take() else { return };
        waiting.push(Event::Wake);
        // A write that was on its way when the process was stopped gets out before anybody looks at a clock.
        for claim in process.exclusive().copied().collect::<Vec<_>>() {
            self.checker.write(&claim, false);
        }
        self.rng.shuffle(&mut waiting);
        let name = self.machines[machine].hostname.clone();
        self.trace
            .note(self.now, &name, || format!("goes on with {} events waiting", waiting.len()));
        for event in waiting {
            self.tell(machine, life, event);
        }
    }

    /// Tells a process something, unless it has died; if it is stopped, it hears of it later.
    pub(super) fn tell(&mut self, machine: usize, life: u64, event: Event) {
        let now = self.now;
        let m = &mut self.machines[machine];
        let local = m.clock.read(now);
        let Some(process) = m.process.as_mut().filter(|p| p.life == life) else {
            return;
        };
        if let Some(waiting) = &mut process.paused {
            if event != Event::Wake {
                waiting.push(event);
            }
            return;
        }
        // An operation has one outcome: its answer, or that there was none in time.
        if matches!(event, Event::Stored { op, .. } if !process.open.remove(&op)) {
            return;
        }
        if let Event::Stopped(stop) = event {
            // The last that the work does.
            let ending: Vec<_> = process.exclusive().filter(|c| c.stop == Some(stop)).copied().collect();
            if local < process.reach {
                for claim in ending {
                    self.checker.write(&claim, true);
                }
            }
            process.stopped(stop);
        }
        self.trace.event(now, &m.hostname, &event);
        let commands = process.engine.handle(event, local);
        for command in commands {
            self.perform(machine, life, command);
        }
        self.checker.handled(&self.machines[machine], now);
    }

    fn perform(&mut self, machine: usize, life: u64, command: Command) {
        self.trace.command(self.now, &self.machines[machine].hostname, &command);
        match command {
            Command::Store { op, request } => self.send(machine, life, op, request),
            Command::Hint => self.hint(machine),
            Command::Ask { request, snapshot, .. } => {
                let longest = if self.now < self.bad_policies { 3_000 } else { 50 };
                let wait = self.rng.within(0, longest) * MS;
                self.after(
                    wait,
                    Next::Think {
                        machine,
                        life,
                        request,
                        snapshot,
                    },
                );
            }
            Command::Wake(at) => {
                let m = &mut self.machines[machine];
                let due = m.clock.when(at).max(self.now);
                if let Some(process) = &mut m.process {
                    process.wake = Some(at);
                }
                let late = self.rng.within(0, 2 * MS);
                self.after(due + late - self.now, Next::Wake { machine, life, at });
            }
            Command::Stop { stop, role, shards } => {
                if let Some(process) = self.process(machine, life) {
                    process.stop(stop, role, &shards);
                }
                let longest = if self.rng.chance(70) {
                    20
                } else {
                    self.scenario.timing.stop_timeout
                };
                let wait = self.rng.within(0, longest) * MS;
                self.after(
                    wait,
                    Next::Tell {
                        machine,
                        life,
                        event: Event::Stopped(stop),
                    },
                );
            }
            Command::Gain { role, shards } => {
                let Some(process) = self.machines[machine].process.as_mut() else {
                    return;
                };
                let exclusive = process.roles[role].mode == Mode::Primary;
                let session = process.engine.session();
                for (shard, token) in shards {
                    let claim = process.gain(role, shard, token);
                    if let (true, Some(session)) = (exclusive, session) {
                        self.checker.gained(&claim, session);
                    }
                }
            }
            Command::Deadline(deadline) => {
                let m = &mut self.machines[machine];
                let Some(process) = &mut m.process else { return };
                process.deadline = deadline;
                if let Some(at) = deadline {
                    process.reach = at;
                    self.checker.deadline(process.engine.session(), at, &m.clock);
                }
            }
            Command::Registry(records) => {
                if let Some(process) = self.process(machine, life) {
                    process.registry = records;
                }
            }
            Command::Notice(notice) => self.noticed(machine, &notice),
            Command::Left(result) => self.left(machine, result.is_ok()),
            Command::Plan { .. } => {}
        }
    }

    /// A process has ended by itself; something like systemd starts it again.
    fn left(&mut self, machine: usize, well: bool) {
        let works = self.machines[machine].process.as_ref().is_some_and(|p| !p.claims.is_empty());
        if works {
            self.checker
                .report(Invariant::Deadline, || "a node left before its work had stopped".to_owned());
        }
        self.trace.count(if well { "left" } else { "refused" });
        let again = !self.machines[machine].duplicate;
        self.kill(machine);
        if again {
            let longest = if well && !self.calm { 12_000 } else { 3_000 };
            let wait = self.rng.within(500, longest) * MS;
            self.after(wait, Next::Start { machine });
        }
    }

    fn noticed(&mut self, machine: usize, notice: &Notice) {
        if let Notice::Joined { id, session } = notice {
            self.checker.joined(&self.machines[machine].hostname, *id, *session);
        }
        self.trace.noticed(notice);
    }

    fn hint(&mut self, from: usize) {
        for machine in 0..self.machines.len() {
            let Some(life) = self.machines[machine].process.as_ref().map(|p| p.life) else {
                continue;
            };
            if machine == from || self.rng.chance(self.scenario.lost_hints) {
                continue;
            }
            let wait = self.rng.within(0, 15 * MS);
            self.after(
                wait,
                Next::Tell {
                    machine,
                    life,
                    event: Event::Look,
                },
            );
        }
    }

    fn send(&mut self, machine: usize, life: u64, op: OpId, request: Request) {
        if let Some(process) = self.process(machine, life) {
            process.open.insert(op);
        }
        let link = &self.machines[machine].link;
        let reads = !matches!(request, Request::Put { .. });
        if let Some(at) = self.unreported.iter().position(|m| *m == machine) {
            self.unreported.swap_remove(at);
            let outcome = Err(StoreError::HistoryLost("the store is another one".to_owned()));
            return self.after(
                MS,
                Next::Tell {
                    machine,
                    life,
                    event: Event::Stored { op, outcome },
                },
            );
        }
        if self.now < link.refused || self.now < self.outage && self.rng.chance(50) {
            let outcome = Err(StoreError::Unavailable("connection refused".to_owned()));
            let wait = self.rng.within(0, 5) * MS;
            return self.after(
                wait,
                Next::Tell {
                    machine,
                    life,
                    event: Event::Stored { op, outcome },
                },
            );
        }
        // The runtime waits no longer than one renewal interval; what arrives later is dropped.
        let why = "no answer in time".to_owned();
        let outcome = Err(if reads {
            StoreError::Unavailable(why)
        } else {
            StoreError::Indeterminate(why)
        });
        let timeout = self.scenario.timing.renew * MS;
        self.after(
            timeout,
            Next::Tell {
                machine,
                life,
                event: Event::Stored { op, outcome },
            },
        );
        let wait = self.travel(machine);
        self.after(
            wait,
            Next::Arrive {
                machine,
                life,
                op,
                request,
            },
        );
    }

    /// How long a message between a machine and the store is on its way.
    fn travel(&mut self, machine: usize) -> Time {
        let slow = self.now < self.machines[machine].link.slow;
        let longest = if slow { self.rng.pick(&[400, 2_500]) } else { 8 } * MS;
        self.rng.within(100, longest)
    }

    fn arrive(&mut self, machine: usize, life: u64, op: OpId, request: Request) {
        let (lost, deaf) = {
            let link = &self.machines[machine].link;
            (self.now < link.requests_lost.max(self.outage), self.now < link.answers_lost)
        };
        if lost {
            return;
        }
        let put = match &request {
            Request::Put { key, value, .. } => Some((key.clone(), value.clone())),
            _ => None,
        };
        let outcome = self.store.perform(request, self.now);
        if let (Some((key, value)), Ok(Answer::Written(_))) = (&put, &outcome) {
            self.checker.wrote(key, value, self.now);
            if matches!(key, Key::Plan { .. }) {
                self.last_plan = self.now;
            }
            let name = &self.machines[machine].hostname;
            self.trace.wrote(self.now, name, key, value);
        }
        if !deaf {
            let wait = self.travel(machine);
            self.after(
                wait,
                Next::Tell {
                    machine,
                    life,
                    event: Event::Stored { op, outcome },
                },
            );
        }
    }

    /// A machine that is not retired, at random.
    pub(super) fn any_machine(&mut self) -> usize {
        let able: Vec<usize> = (0..self.machines.len()).filter(|m| !self.machines[*m].retired).collect();
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

/// What nodes must agree in.
fn fingerprint(roles: &[RoleSpec]) -> u128 {
    roles.iter().fold(1, |sum, role| sum * 100 + u128::from(role.shards))
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
