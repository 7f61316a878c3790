//! What it costs that a policy is a component: against the same Rust code run natively, side by side, alternating.
//!
//! Prints `figure: <name> | <value> | <limit> | ok or MISSED`.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

#[path = "../tests/support/mod.rs"]
mod support;

use shardwright_components::{Budget, PolicyComponent, PolicyEngine, bundled};
use shardwright_core::snapshot::Answer;
use shardwright_guest::{Policy, Snapshot, Trigger, testing};
use std::hint::black_box;
use std::time::{Duration, Instant};

fn main() {
    // `cargo test --benches` builds and runs this too: then, or with `--quick`, once is enough.
    let given = |wanted: &str| std::env::args().any(|argument| argument == wanted);
    let quick = !given("--bench") || given("--quick");
    let engine = PolicyEngine::new(None).expect("an engine");
    let budget = Budget {
        wall: Duration::from_secs(60),
        ..Budget::default()
    };
    let load =
        |policy: bundled::Bundled| PolicyComponent::load(&engine, policy.bytes, &budget).expect("a standard policy");
    let (balanced, rendezvous) = (load(bundled::BALANCED), load(bundled::RENDEZVOUS));

    for (nodes, shards, replicas, runs) in [(10, 64, 2, 2000), (100, 4_096, 2, 500), (1_000, 100_000, 3, 60)] {
        let runs = if quick { 2 } else { runs };
        let snapshot = one_left(nodes, shards, replicas);
        let size = format!("{nodes} × {shards} × {replicas}");
        compare::<balanced::Balanced>(&format!("balanced {size}"), &balanced, &snapshot, runs);
        let hashes = u64::from(nodes) * u64::from(shards);
        let runs = if hashes > 10_000_000 { runs.div_ceil(12) } else { runs };
        compare::<rendezvous::Rendezvous>(&format!("rendezvous {size}"), &rendezvous, &snapshot, runs);
    }

    let snapshot = support::host_snapshot(&one_left(1_000, 100_000, 3));
    let (_, memory) = balanced.assign_measured("{}", &snapshot).expect("an answer");
    figure(
        "guest memory, balanced 1000 × 100000 × 3",
        memory as f64 / f64::from(1 << 20),
        "MiB",
        64.0,
    );

    // A policy that looks at nothing: what is left is the snapshot's way into the guest.
    let idle = PolicyComponent::load(&engine, support::hostile(), &budget).expect("a policy");
    let runs = if quick { 2 } else { 60 };
    let passed = (0..runs).map(|_| time(|| idle.assign("keep", &snapshot))).collect();
    figure(
        "passing a snapshot of 1000 × 100000 × 3",
        millis(undisturbed(passed)),
        "ms",
        2.0,
    );

    let runs = if quick { 2 } else { 5_000 };
    // Everything that a call costs but the policy's own work.
    let whole = median(runs, || balanced.validate("{}"));
    figure("store, instance and an empty call", micros(whole), "µs", 52.0);
    let [entry, warm] = balanced.time_parts("{}", runs).expect("calls");
    figure("store and instance", micros(entry), "µs", 50.0);
    figure("empty call, warm instance", micros(warm), "µs", 2.0);
}

/// Assigned by `balanced`, then one node has left.
fn one_left(nodes: u32, shards: u32, replicas: u32) -> Snapshot {
    let mut snapshot = testing::snapshot(shards, replicas, (1..=nodes).map(testing::node));
    let Ok(shardwright_guest::Answer::Plan(plan)) = balanced::Balanced::assign("{}", &snapshot) else {
        panic!("a plan")
    };
    snapshot.epoch = 1;
    snapshot.trigger = Trigger::Leave;
    snapshot.role.holders = plan.owners.iter().step_by(replicas as usize).copied().collect();
    snapshot.role.previous = plan.owners;
    snapshot.nodes.remove(nodes as usize / 2);
    snapshot
}

fn compare<P: Policy>(name: &str, component: &PolicyComponent, snapshot: &Snapshot, runs: u32) {
    let host = support::host_snapshot(snapshot);
    let native = || P::assign("{}", black_box(snapshot)).expect("a plan");
    let wasm = || component.assign("{}", black_box(&host)).expect("a plan");
    let (Answer::Plan(a), Answer::Plan(b)) = (support::host_answer(native()), wasm()) else {
        panic!("plans")
    };
    assert_eq!(a, b, "{name}");
    // Alternating, so that whatever else the machine does falls on both.
    let (mut of_native, mut of_wasm) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        of_native.push(time(native));
        of_wasm.push(time(wasm));
    }
    let (n, w) = (undisturbed(of_native), undisturbed(of_wasm));
    println!("{name}: native {:.3} ms, component {:.3} ms", millis(n), millis(w));
    figure(
        &format!("component ÷ native, {name}"),
        w.as_secs_f64() / n.as_secs_f64(),
        "×",
        1.5,
    );
}

fn time<T>(mut run: impl FnMut() -> T) -> Duration {
    let started = Instant::now();
    let result = run();
    let took = started.elapsed();
    drop(black_box(result));
    took
}

fn median<T>(runs: u32, mut run: impl FnMut() -> T) -> Duration {
    middle((0..runs).map(|_| time(&mut run)).collect())
}

/// The tenth percentile: what it takes where nothing else gets between. On a busy machine a call of some milliseconds
/// is mostly interrupted, a shorter one mostly not, and medians would compare that.
fn undisturbed(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 10]
}

fn middle(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn figure(name: &str, value: f64, unit: &str, limit: f64) {
    let verdict = if value <= limit { "ok" } else { "MISSED" };
    println!("figure: {name} | {value:.2} {unit} | {limit} {unit} | {verdict}");
}
