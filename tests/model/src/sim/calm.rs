//! After the faults: everybody joins, every shard finds its owner, and then nothing moves any more.

use super::checker::Invariant;
use super::clock::{MS, Time};
use super::node::{Machine, Process};
use super::world::{Next, World};
use shardwright_core::engine::Status;
use shardwright_core::role::{Mode, Placement, RoleSpec};

/// From the last fault to the last shard in its place, at most. It is the sum of the waits that the protocol has: a
/// grace period, the age of a rival's session, the reuse of an id, the rejoin delay, and a restart by the supervisor
/// before each.
pub const BOUND: Time = 45_000 * MS;

/// How long everything must stand still to count as at rest: longer than the rejoin delay and than a complete listing
/// takes to come.
const REST: Time = 14_000 * MS;

impl World {
    /// Ends the trouble and judges what follows.
    pub(super) fn conclude(&mut self) {
        self.calm_down();
        let end = self.now + BOUND;
        if !self.settle(end) {
            return;
        }
        self.away_for_a_moment();
        // It costs as much as all else in calm.
        if self.checker.violation().is_none() && self.rng.chance(25) {
            self.other_settings(BOUND);
        }
    }

    /// Runs until all is in place and has been so for a while; false if that did not happen.
    pub(super) fn settle(&mut self, end: Time) -> bool {
        let start = self.now;
        loop {
            self.run(self.now + 250 * MS);
            if self.checker.violation().is_some() {
                return false;
            }
            let missing = self.missing();
            if missing.is_none() && self.now >= self.last_plan.max(start) + REST {
                return true;
            }
            if self.now > end + REST {
                let last = self.last_plan;
                match missing {
                    Some((invariant, what)) => self.checker.report(invariant, || what),
                    None => self
                        .checker
                        .report(Invariant::Rest, || format!("a plan was written at {} ms", last / MS)),
                }
                return false;
            }
        }
    }

    /// What is not yet as it must be in calm.
    fn missing(&self) -> Option<(Invariant, String)> {
        let expected: Vec<&Machine> = self.machines.iter().filter(|m| !m.retired).collect();
        if let Some(machine) = expected.iter().find(|m| m.holds(self.now).is_none()) {
            return Some((Invariant::Liveness, format!("{} has not joined", machine.hostname)));
        }
        let present: Vec<(u32, &Process)> = expected
            .iter()
            .filter_map(|m| Some((m.holds(self.now)?.0.get(), m.process.as_ref()?)))
            .collect();
        let roles = &self.scenario.roles;
        let wrong = (0..roles.len()).find_map(|role| misplaced(&roles[role], role, &present));
        let unseen = || Some((Invariant::Registry, expected.iter().find_map(|m| self.misseen(m))?));
        wrong.map(|what| (Invariant::Liveness, what)).or_else(unseen)
    }

    /// A node that `machine` sees as something else than it is.
    fn misseen(&self, machine: &Machine) -> Option<String> {
        let now = self.store.time(self.now);
        let timing = &self.scenario.timing;
        let records = &machine.process.as_ref()?.registry;
        let live: Vec<_> = self
            .machines
            .iter()
            .filter_map(|m| Some((m.holds(self.now)?.0, &m.hostname)))
            .collect();
        for (id, hostname) in &live {
            let found = records.iter().find(|r| r.node_id == *id);
            if found.is_none_or(|r| r.hostname != **hostname || r.status != Status::Active || r.ended.is_some()) {
                return Some(format!(
                    "{} sees the live {id:?} {hostname} as {found:?}",
                    machine.hostname
                ));
            }
        }
        records
            .iter()
            .filter(|r| live.iter().all(|(id, _)| *id != r.node_id))
            .find_map(|record| {
                let age = now.since(record.last_renewal);
                let right = match record.status {
                    Status::Active => false,
                    // One renewal interval of slack: a status changes when the node looks.
                    Status::Stale => age <= timing.inactive_after + timing.renew,
                    Status::Inactive => age + timing.renew >= timing.inactive_after,
                };
                (!right).then(|| format!("{} sees a node gone for {age} ms as {record:?}", machine.hostname))
            })
    }

    /// A node that crashes and is back within the rejoin delay has its own shards again, and nobody else has moved.
    fn away_for_a_moment(&mut self) {
        let before = self.everything_held();
        let machine = self.any_machine();
        let asks = self.trace.counts.get("plan accepted").copied();
        self.kill(machine);
        // At the latest two seconds before the delay is over: it counts from the last renewal, and joining takes time.
        // After a partial loss it takes a wait besides, unless somebody has joined since.
        let timing = &self.scenario.timing;
        let waits = if self.store.may_lack() { timing.taker() } else { 0 };
        let wait = self.rng.within(10, timing.rejoin_delay - 2_500 - waits) * MS;
        self.after(wait, Next::Start { machine });
        self.trace.count("away for a moment");
        // Moves go in batches, and each may take until the work has stopped.
        let batches = 8 * self.scenario.timing.stop_timeout;
        let end = self.now + wait + (self.scenario.timing.rejoin_delay + batches) * MS;
        if !self.settle(end) {
            return;
        }
        let after = self.everything_held();
        if before != after || asks != self.trace.counts.get("plan accepted").copied() {
            let hostname = self.machines[machine].hostname.clone();
            self.checker.report(Invariant::OwnShards, || {
                format!("{hostname} was away for {} ms: {before:?} became {after:?}", wait / MS)
            });
        }
    }

    fn everything_held(&self) -> Vec<Vec<Vec<u32>>> {
        let roles = 0..self.scenario.roles.len();
        let held = |p: &Process| roles.clone().map(|role| p.held(role)).collect();
        self.machines
            .iter()
            .map(|m| m.process.as_ref().map_or_else(Vec::new, held))
            .collect()
    }
}

/// A shard that is not where it must be.
fn misplaced(spec: &RoleSpec, role: usize, present: &[(u32, &Process)]) -> Option<String> {
    let everywhere: Vec<u32> = (0..spec.shards).collect();
    if spec.mode == Mode::All {
        let lacks = present.iter().find(|(_, p)| p.held(role) != everywhere);
        return lacks.map(|(id, p)| format!("node {id} has {:?} of role {}", p.held(role), spec.name));
    }
    let owners = |shard: u32| -> Vec<u32> {
        let has = |p: &&(u32, &Process)| p.1.claims.iter().any(|c| c.role == role && c.shard == shard);
        present.iter().filter(has).map(|(id, _)| *id).collect()
    };
    everywhere.into_iter().find_map(|shard| {
        let able: Vec<u32> = match &spec.placement {
            Placement::Groups(groups) => {
                let group = &groups[shard as usize];
                let listed = |id: &u32| {
                    group
                        .iter()
                        .any(|m| m.matches(*id, "", &std::collections::BTreeMap::new()))
                };
                present.iter().map(|(id, _)| *id).filter(listed).collect()
            }
            _ => present.iter().map(|(id, _)| *id).collect(),
        };
        let has = owners(shard);
        let right = if able.is_empty() {
            has.is_empty()
        } else {
            has.len() == 1 && able.contains(&has[0])
        };
        (!right).then(|| {
            format!(
                "shard {shard} of role {} is held by {has:?}, and {able:?} may hold it",
                spec.name
            )
        })
    })
}
