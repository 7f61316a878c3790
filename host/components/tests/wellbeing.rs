//! After many faults, on many threads at once, an honest policy works, and threads and memory of the process are what
//! they were. A program of its own, because it counts threads.

mod support;

use shardwright_components::{Budget, PolicyComponent, PolicyEngine, bundled};
use shardwright_core::snapshot::Answer;
use shardwright_guest::testing;
use std::time::{Duration, Instant};

const MISDEEDS: [&str; 8] = [
    "allocate",
    "recurse",
    "recurse-in-memory",
    "trap",
    "huge",
    "echo",
    "beyond",
    "too-short",
];

#[test]
fn the_host_stays_well() {
    let snapshot = support::host_snapshot(&testing::snapshot(
        8,
        2,
        [testing::node(1), testing::node(2), testing::node(3)],
    ));
    let budget = Budget {
        wall: Duration::from_secs(20),
        fuel: None,
        memory: 32 << 20,
        output: 1 << 20,
    };
    let at_first = threads();
    let engine = PolicyEngine::new(None).expect("an engine");
    let hostile = PolicyComponent::load(&engine, support::hostile(), &budget).expect("loads");
    let honest = PolicyComponent::load(&engine, bundled::BALANCED.bytes, &budget).expect("loads");
    let right = honest.assign("{}", &snapshot).expect("an answer");
    let round = || {
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for config in MISDEEDS {
                        let answer = hostile.assign(config, &snapshot);
                        assert!(
                            answer.is_err() || matches!(&answer, Ok(Answer::Plan(plan)) if plan.owners.len() == 15)
                        );
                        assert_eq!(honest.assign("{}", &snapshot), Ok(right.clone()));
                    }
                });
            }
        });
    };
    let ticking = threads();
    assert_eq!(ticking, at_first + 1, "one clock for all policies");
    round();
    let memory = resident();
    for _ in 0..10 {
        round();
    }
    settles_at(ticking);
    assert!(
        resident() < memory + (64 << 10),
        "{memory} → {} KiB resident",
        resident()
    );

    // The clock lives for as long as there is a policy to be timed, and no longer.
    drop(engine);
    assert_eq!(threads(), ticking);
    drop((hostile, honest));
    settles_at(at_first);
}

/// Waits until this process has `count` threads: one that was joined is gone a moment later.
fn settles_at(count: usize) {
    let started = Instant::now();
    while threads() != count {
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "{} threads instead of {count}",
            threads()
        );
        std::thread::yield_now();
    }
}

/// Threads of this process.
fn threads() -> usize {
    std::fs::read_dir("/proc/self/task")
        .expect("threads can be counted")
        .count()
}

/// Resident memory of this process, KiB.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("memory can be read");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let figure = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
    figure.expect("a figure in kB")
}
