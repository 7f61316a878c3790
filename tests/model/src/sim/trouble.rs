//! Making things go wrong, and making them right again.

use super::clock::{MS, Time};
use super::faults::Fault;
use super::node::Link;
use super::scenario::shards;
use super::world::{Next, World};
use shardwright_core::engine::Event;
use shardwright_core::id::InstanceId;
use shardwright_core::memory::Memory;

impl World {
    /// One fault, and the time of the next.
    pub(super) fn trouble(&mut self) {
        if self.calm {
            return;
        }
        let wait = self.rng.within(50, self.scenario.gap) * MS;
        self.after(wait, Next::Trouble);
        if self.rng.chance(10) {
            self.store.back_up();
        }
        if !self.scenario.faults.is_empty() {
            let fault = self.rng.pick(&self.scenario.faults);
            let machine = self.any_machine();
            if self.inflict(fault, machine) {
                self.trace.count(fault.name());
                let name = self.machines[machine].hostname.clone();
                self.trace.note(self.now, &name, || format!("*** {}", fault.name()));
            }
        }
    }

    /// Whether something could be done.
    fn inflict(&mut self, fault: Fault, machine: usize) -> bool {
        let until = self.now + self.rng.within(100, 8_000) * MS;
        match fault {
            Fault::Crash => return self.crash(machine, 8_000),
            Fault::LostState => {
                if !self.crash(machine, 8_000) {
                    return false;
                }
                let instance = InstanceId(self.rng.wide());
                let m = &mut self.machines[machine];
                m.instance = instance;
                m.processes.clear();
                m.memory = Memory::default();
            }
            Fault::Pause => return self.pause(machine),
            Fault::Refuse => self.machines[machine].link.refused = until,
            Fault::LoseRequests => self.machines[machine].link.requests_lost = until,
            Fault::LoseAnswers => self.machines[machine].link.answers_lost = until,
            Fault::Slow => self.machines[machine].link.slow = until,
            Fault::Outage => self.outage = until,
            Fault::Drift => {
                let rate = self.draw_rate();
                self.machines[machine].clock.retune(self.now, rate);
                let rate = self.draw_rate();
                self.store.clock.retune(self.now, rate);
            }
            Fault::ClockStep => {
                let by = self
                    .rng
                    .pick(&[1_000, 4_000, 60_000, 3_600_000, -1_000, -4_000, -60_000, -3_600_000]);
                self.store.clock.step(self.now, by);
                self.checker.stepped();
            }
            Fault::ClockSet => self.set_clock(),
            Fault::Wipe => {
                self.store.wipe();
                self.history_lost();
            }
            Fault::WipeAndSet => {
                self.store.wipe();
                self.history_lost();
                self.machines[machine].link.refused = self.now + self.scenario.timing.validity * MS;
                let wait = self.rng.within(200, 2_000) * MS;
                self.after(wait, Next::SetClock);
                let starts = self.any_machine();
                self.kill(starts);
                self.after(wait + MS, Next::Start { machine: starts });
            }
            Fault::Promote => self.promote(),
            Fault::PromoteTwice => {
                self.promote();
                let wait = self.rng.within(100, 4_000) * MS;
                self.after(wait, Next::PromoteBehind);
            }
            Fault::Restore => {
                if !self.store.restore() {
                    return false;
                }
                self.history_lost();
            }
            Fault::Order => {
                let drain = self.rng.pick(&[None, Some(true), Some(false)]);
                let cordon = self.rng.pick(&[None, Some(true), Some(false)]);
                self.tell_all(machine..machine + 1, &Event::Order { drain, cordon });
            }
            Fault::Reshape => self.reshape(),
            Fault::BadPolicy => self.bad_policies = until,
            Fault::NewPolicy => {
                let role = self.rng.index(self.policies.len());
                self.policies[role] += 1;
                let digest = self.policies[role];
                for machine in 0..self.machines.len() {
                    let event = Event::PolicyChanged { role, digest };
                    let wait = self.rng.within(0, 1_000) * MS;
                    self.tell_later(machine, wait, event);
                }
            }
            Fault::Duplicate => return self.duplicate(machine, false),
            Fault::Copy => return self.duplicate(machine, true),
            Fault::Leave => {
                if self.machines[machine].process.is_none() {
                    return false;
                }
                self.tell_all(machine..machine + 1, &Event::Leave);
            }
            Fault::Replace => return self.replace(machine),
        }
        true
    }

    /// The backend's clock is set by seconds.
    pub(super) fn set_clock(&mut self) {
        let by = self.rng.pick(&[1_000, 2_000, 4_000, 9_000, -1_000, -4_000]);
        self.store.clock.step(self.now, by);
        self.checker.set(by);
    }

    fn promote(&mut self) {
        let lost = self.rng.index(25);
        self.store.promote(lost, self.now);
        self.checker.forget();
    }

    /// A replica takes over that has not heard of the last takeover.
    pub(super) fn promote_behind(&mut self) {
        let behind = self.rng.pick(&[0, 1_000, 5_000]);
        self.store.clock.step(self.now, -behind);
        self.checker.set(-behind);
        if !self.store.promote_behind(self.now) {
            return;
        }
        self.trace.count("promote behind");
        self.trace.note(self.now, "world", || "*** promote behind".to_owned());
        self.checker.forget();
        // The power fails for all: nobody has a connection left that knows better.
        if self.rng.chance(50) {
            for machine in 0..self.machines.len() {
                self.crash(machine, 4_000);
            }
        }
    }

    fn tell_all(&mut self, machines: std::ops::Range<usize>, event: &Event) {
        for machine in machines {
            self.tell_later(machine, 0, event.clone());
        }
    }

    fn tell_later(&mut self, machine: usize, wait: Time, event: Event) {
        if let Some(life) = self.machines[machine].process.as_ref().map(|p| p.life) {
            self.after(wait, Next::Tell { machine, life, event });
        }
    }

    /// Kills a process; it starts again within `longest` milliseconds.
    pub(super) fn crash(&mut self, machine: usize, longest: u64) -> bool {
        if self.machines[machine].process.is_none() {
            return false;
        }
        self.kill(machine);
        let wait = self.rng.within(50, longest) * MS;
        self.after(wait, Next::Start { machine });
        true
    }

    fn pause(&mut self, machine: usize) -> bool {
        let Some(process) = &mut self.machines[machine].process else {
            return false;
        };
        if process.paused.is_some() {
            return false;
        }
        process.paused = Some(Vec::new());
        let life = process.life;
        let wait = self.rng.within(20, 9_000) * MS;
        self.after(wait, Next::Resume { machine, life });
        true
    }

    /// Some adapters notice that the store is another one, and say so once to everybody who had spoken to the old one.
    fn history_lost(&mut self) {
        self.checker.forget();
        self.unreported.clear();
        if self.rng.chance(30) {
            let had = |m: &usize| self.machines[*m].process.is_some();
            self.unreported = (0..self.machines.len()).filter(had).collect();
        }
    }

    /// All nodes restart, one after another, with another number of shards.
    fn reshape(&mut self) {
        let count = shards(&mut self.rng);
        self.scenario.roles[0].shards = count;
        for machine in 0..self.machines.len() {
            self.machines[machine].roles = self.scenario.roles.clone();
            if self.rng.chance(80) {
                self.crash(machine, 4_000);
            }
        }
    }

    /// A second process under a hostname, with a state directory of its own or with a copy of the other's.
    fn duplicate(&mut self, of: usize, copy: bool) -> bool {
        if self.machines.iter().filter(|m| m.duplicate).count() == 3 {
            return false;
        }
        let hostname = self.machines[of].hostname.clone();
        let machine = self.add(hostname, true);
        if copy {
            self.machines[machine].instance = self.machines[of].instance;
            self.machines[machine].memory = self.machines[of].memory.clone();
        }
        self.after(0, Next::Start { machine });
        let wait = self.rng.within(500, 12_000) * MS;
        self.after(wait, Next::Remove { machine });
        true
    }

    fn replace(&mut self, machine: usize) -> bool {
        if self.machines.len() > self.scenario.nodes + 4 || self.machines[machine].duplicate {
            return false;
        }
        self.machines[machine].retired = true;
        self.kill(machine);
        let hostname = format!("h{}", self.machines.len());
        let machine = self.add(hostname, false);
        let wait = self.rng.within(0, 20_000) * MS;
        self.after(wait, Next::Start { machine });
        true
    }

    /// Everything is right again; what has happened has happened.
    pub(super) fn calm_down(&mut self) {
        self.calm = true;
        self.outage = 0;
        self.bad_policies = 0;
        self.scenario.lost_hints = 0;
        self.trace.note(self.now, "world", || "*** calm".to_owned());
        // Policies that work now, and the same ones everywhere: what a bad one has decided would stand.
        for digest in &mut self.policies {
            *digest += 1;
        }
        for machine in 0..self.machines.len() {
            let m = &mut self.machines[machine];
            m.link = Link::default();
            let life = m.process.as_ref().map(|p| p.life);
            let stale = m.process.as_ref().is_some_and(|p| p.roles != m.roles);
            if m.duplicate {
                self.kill(machine);
                continue;
            }
            if stale {
                self.kill(machine);
            }
            match life {
                Some(life) if !stale => {
                    self.after(0, Next::Resume { machine, life });
                    let order = Event::Order {
                        drain: Some(false),
                        cordon: Some(false),
                    };
                    self.tell_later(machine, MS, order);
                    for (role, digest) in self.policies.clone().into_iter().enumerate() {
                        // Later than any change that is still on its way.
                        self.tell_later(machine, 1_100 * MS, Event::PolicyChanged { role, digest });
                    }
                }
                _ => self.after(100 * MS, Next::Start { machine }),
            }
        }
    }
}
