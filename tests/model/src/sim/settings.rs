//! Two nodes, one of which comes back with other settings: it takes nothing away from the other, whichever has the
//! lower id.

use super::checker::Invariant;
use super::clock::{MS, Time};
use super::scenario;
use super::world::{Next, World};
use shardwright_core::engine::Event;

/// From its restart until the other must act on everything: the age of a session, and the moves that follow.
const WITHIN: Time = 20_000 * MS;

impl World {
    /// In calm: all but two leave, then one of these comes back with another number of shards.
    pub(super) fn other_settings(&mut self, bound: Time) {
        let mut present: Vec<usize> = (0..self.machines.len())
            .filter(|&at| !self.machines[at].retired && self.machines[at].holds(self.now).is_some())
            .collect();
        self.rng.shuffle(&mut present);
        for machine in present.split_off(2) {
            self.machines[machine].retired = true;
            self.leave(machine);
        }
        if !self.settle(self.now + bound) {
            return;
        }
        self.trace.count("other settings");
        let (odd, keeper) = (present[0], present[1]);
        let count = self.machines[odd].roles[0].shards;
        while self.machines[odd].roles[0].shards == count {
            self.machines[odd].roles[0].shards = scenario::shards(&mut self.rng);
        }
        if self.rng.chance(50) {
            self.leave(odd);
        } else {
            self.kill(odd);
            let wait = self.rng.within(10, 8_000) * MS;
            self.after(wait, Next::Start { machine: odd });
        }
        let end = self.now + WITHIN;
        let mut least = 0;
        while self.now < end && self.checker.violation().is_none() {
            self.run(self.now + 50 * MS);
            let held = self.held_by(keeper);
            let name = self.machines[keeper].hostname.clone();
            if held < least {
                self.checker.report(Invariant::Settings, || {
                    format!("{name} had {least} shards and has {held}")
                });
            }
            least = held;
        }
        let acts = |machine: usize| self.machines[machine].holds(self.now).is_some();
        let joined = self.machines[odd]
            .process
            .as_ref()
            .is_some_and(|p| p.engine.id().is_some());
        let (stays_out, goes_on) = (joined && !acts(odd), acts(keeper));
        if !(stays_out && goes_on) {
            self.checker.report(Invariant::Settings, || {
                format!("it has joined: {joined}; it stays out: {stays_out}; the other goes on: {goes_on}")
            });
        }
        let spread = self.machines[keeper].process.as_ref().map_or(0, |p| p.held(0).len());
        if spread != count as usize {
            self.checker.report(Invariant::Settings, || {
                format!("the other has {spread} of {count} shards")
            });
        }
    }

    fn leave(&mut self, machine: usize) {
        if let Some(life) = self.machines[machine].process.as_ref().map(|p| p.life) {
            self.tell(machine, life, Event::Leave);
        }
    }

    fn held_by(&self, machine: usize) -> usize {
        let process = self.machines[machine].process.as_ref();
        process.map_or(0, |p| (0..p.roles.len()).map(|role| p.held(role).len()).sum())
    }
}
