//! The virtual runtime: processes start, are told things, perform what their engines order, and end.

use super::checker::Invariant;
use super::clock::MS;
use super::node::Process;
use super::world::{Next, World};
use shardwright_core::engine::{Command, Engine, Event, Notice, Settings};
use shardwright_core::id::ProcessId;
use shardwright_core::join::Identity;
use shardwright_core::role::{Mode, RoleSpec};
use shardwright_core::values::{NodeInfo, SharedSettings};
use std::sync::Arc;

impl World {
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
                predecessors: m.processes.clone(),
                former: m.memory.former.clone(),
                ..Identity::new(m.hostname.clone(), m.instance, ProcessId(life), self.scenario.max_id)
            },
            memory: m.memory.clone(),
            seed,
            timing: self.scenario.timing.clone(),
            roles: m.roles.clone(),
            policies: self.policies.clone(),
            info: NodeInfo {
                capacity: 100,
                coordinator: "virtual".to_owned(),
                ..NodeInfo::default()
            },
            shared: Arc::new(shared(&m.roles)),
            fresh_is_safe: false,
            rules: self.rules,
        };
        m.processes.push(ProcessId(life));
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

    /// A stopped process goes on.
    pub(super) fn resume(&mut self, machine: usize, life: u64) {
        let Some(process) = self.process(machine, life) else {
            return;
        };
        let Some(mut waiting) = process.paused.take() else {
            return;
        };
        waiting.push(Event::Wake);
        // A write that was on its way when the process was stopped gets out before anybody looks at a clock.
        for claim in process.exclusive().copied().collect::<Vec<_>>() {
            self.checker.write(&claim, false);
        }
        self.rng.shuffle(&mut waiting);
        let name = self.machines[machine].hostname.clone();
        self.trace.note(self.now, &name, || {
            format!("goes on with {} events waiting", waiting.len())
        });
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
        if let Event::Stored { op, outcome } = &event {
            if !process.open.remove(op) {
                return;
            }
            process.handle.learn(outcome);
        }
        if let Event::Stopped(stop) = event {
            // The last that the work does.
            let ending: Vec<_> = process.exclusive().filter(|c| c.stop == Some(stop)).copied().collect();
            for claim in ending.iter().filter(|claim| claim.goes_on(local)) {
                self.checker.write(claim, true);
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
            Command::Store { op, request, heard } => self.send(machine, life, op, request, heard),
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
            Command::Stop { stop, role, shards, .. } => {
                let shards: Vec<u32> = shards.into_iter().map(|(shard, _)| shard).collect();
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
            Command::Gain { role, shards, .. } => {
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
            Command::Remember(memory) => self.machines[machine].memory = (*memory).clone(),
            Command::Notice(notice) => self.noticed(machine, &notice),
            Command::Left(result) => self.left(machine, result.is_ok()),
            Command::Plan { .. } => {}
        }
    }

    /// A process has ended by itself; something like systemd starts it again.
    fn left(&mut self, machine: usize, well: bool) {
        let works = self.machines[machine]
            .process
            .as_ref()
            .is_some_and(|p| !p.claims.is_empty());
        if works {
            self.checker.report(Invariant::Deadline, || {
                "a node left before its work had stopped".to_owned()
            });
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
}

/// What nodes must agree in.
pub(super) fn shared(roles: &[RoleSpec]) -> SharedSettings {
    let lines = roles
        .iter()
        .map(|role| format!("cluster.roles.{}.shards = {}\n", role.name, role.shards));
    SharedSettings { text: lines.collect() }
}
