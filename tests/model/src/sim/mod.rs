//! Seeded simulation: many real engines over a virtual store, in virtual time, while everything goes wrong.
//!
//! One seed is one run, the same for ever. After every step the [`checker`] judges with true time, which no node knows.
//! What is simulated, what is checked and what has been found is in `docs/simulation.md`.

pub mod calm;
pub mod checker;
pub mod clock;
pub mod faults;
pub mod network;
pub mod node;
pub mod policy;
pub mod rng;
pub mod runtime;
pub mod scenario;
pub mod settings;
pub mod store;
pub mod trace;
pub mod trouble;
pub mod world;

use checker::Violation;
use clock::MS;
use faults::Fault;
use shardwright_core::rules::Rules;
use std::collections::BTreeMap;
use trace::Trace;
use world::World;

/// What came of one seed.
#[derive(Clone, Debug)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// The first invariant that did not hold.
    pub violation: Option<Violation>,
    /// Steps made.
    pub steps: u64,
    /// How often each kind of thing happened.
    pub counts: BTreeMap<&'static str, u64>,
    /// The last steps in words, if they were asked for.
    pub log: Vec<String>,
}

/// Runs one seed with some of `faults`. `telling` keeps the last steps in words; it changes nothing else.
#[must_use]
pub fn run(seed: u64, faults: &[Fault], rules: Rules, telling: bool) -> Report {
    let trace = if telling { Trace::telling() } else { Trace::counting() };
    let mut world = World::new(seed, faults, rules, trace);
    if faults.iter().all(|fault| Fault::ATTENDED.contains(fault)) {
        world.checker.ids_outlast_the_store();
    }
    if faults.iter().all(|fault| Fault::FORGETS.contains(fault)) {
        world.checker.attend();
    }
    let trouble = world.scenario.trouble * MS;
    world.run(trouble);
    if world.checker.violation().is_none() {
        world.conclude();
    }
    let picture = if telling { world.picture() } else { Vec::new() };
    let mut trace = world.trace;
    trace.counts.insert("handoff", world.checker.handoffs);
    trace.counts.insert("takeover", world.checker.takeovers);
    trace.counts.insert("refused by the resource", world.checker.refused);
    Report {
        seed,
        violation: world.checker.violation().cloned(),
        steps: trace.steps,
        counts: std::mem::take(&mut trace.counts),
        log: trace.lines().into_iter().chain(picture).collect(),
    }
}
