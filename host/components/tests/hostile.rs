//! Components that misbehave: each outcome is typed, and the host is as well as before.

mod support;

use shardwright_components::{Budget, PolicyComponent, PolicyEngine, PolicyFault, Refusal};
use shardwright_core::check;
use shardwright_core::snapshot::{Answer, Proposal, Snapshot};
use shardwright_guest::testing;
use std::time::{Duration, Instant};

fn budget() -> Budget {
    Budget {
        wall: Duration::from_millis(200),
        fuel: None,
        memory: 32 << 20,
        output: 1 << 20,
    }
}

fn load(budget: &Budget) -> PolicyComponent {
    let engine = PolicyEngine::new(None).expect("an engine");
    PolicyComponent::load(&engine, support::hostile(), budget).expect("it looks like any policy")
}

fn snapshot() -> Snapshot {
    support::host_snapshot(&testing::snapshot(
        8,
        2,
        [testing::node(1), testing::node(2), testing::node(3)],
    ))
}

fn misdeed(config: &str) -> Result<Answer, PolicyFault> {
    load(&budget()).assign(config, &snapshot())
}

fn plan(config: &str) -> Proposal {
    match misdeed(config) {
        Ok(Answer::Plan(plan)) => plan,
        other => panic!("{config}: {other:?}"),
    }
}

#[test]
fn an_endless_loop_ends_in_time() {
    let policy = load(&budget());
    for fault in [policy.assign("loop", &snapshot()).err(), policy.validate("loop").err()] {
        assert_eq!(
            fault,
            Some(PolicyFault::TimedOut {
                limit: Duration::from_millis(200)
            })
        );
    }
    let started = Instant::now();
    assert!(policy.assign("loop", &snapshot()).is_err());
    assert!(started.elapsed() >= Duration::from_millis(200));
}

#[test]
fn fuel_ends_a_loop_too() {
    let policy = load(&Budget {
        fuel: Some(5_000_000),
        wall: Duration::from_secs(60),
        ..budget()
    });
    assert_eq!(
        policy.assign("loop", &snapshot()),
        Err(PolicyFault::OutOfFuel { limit: 5_000_000 })
    );
    assert_eq!(policy.assign("keep", &snapshot()), Ok(Answer::KeepPrevious));
}

#[test]
fn memory_is_limited_as_a_whole() {
    match misdeed("allocate") {
        Err(PolicyFault::OutOfMemory { wanted, limit }) => assert!(wanted > limit && limit == 32 << 20),
        other => panic!("{other:?}"),
    }
}

#[test]
fn recursion_overflows_its_own_stack() {
    assert_eq!(misdeed("recurse"), Err(PolicyFault::StackOverflow));
    // The stack that the compiler keeps in the guest's memory is memory like any other: running over its edge is a
    // trap.
    assert!(matches!(misdeed("recurse-in-memory"), Err(PolicyFault::Trap(_))));
}

#[test]
fn a_panic_is_a_trap() {
    assert!(matches!(misdeed("trap"), Err(PolicyFault::Trap(_))));
}

#[test]
fn bad_plans_arrive_as_given_and_are_caught_by_the_check() {
    let snapshot = snapshot();
    for (config, owners) in [
        ("unknown-node", vec![77_777; 16]),
        ("missing-shards", vec![0; 16]),
        ("same-node-twice", vec![1; 16]),
        ("too-short", vec![1; 15]),
        ("too-long", vec![1; 17]),
    ] {
        let plan = plan(config);
        assert_eq!(plan.owners, owners, "{config}");
        assert!(check::check(&snapshot, &plan).is_err(), "{config}");
    }
}

#[test]
fn output_is_limited_before_the_host_reserves_anything() {
    for config in ["huge", "long-error", "echo"] {
        assert_eq!(
            misdeed(config),
            Err(PolicyFault::OutputTooLarge { limit: 1 << 20 }),
            "{config}"
        );
    }
    // The same where the list itself is within the limit, and only the texts are not.
    let policy = load(&Budget {
        output: 8 << 20,
        ..budget()
    });
    assert_eq!(
        policy.assign("echo", &snapshot()),
        Err(PolicyFault::OutputTooLarge { limit: 8 << 20 })
    );
}

#[test]
fn lies_about_the_answer_are_seen() {
    assert!(
        matches!(misdeed("beyond"), Err(PolicyFault::Malformed(_))),
        "{:?}",
        misdeed("beyond")
    );
    assert!(matches!(misdeed("not-utf8"), Err(PolicyFault::Malformed(_))));
}

#[test]
fn refusals_keep_their_kind_and_reason() {
    let policy = load(&budget());
    assert_eq!(policy.validate("invalid"), Ok(()), "validate lies");
    assert_eq!(
        policy.assign("invalid", &snapshot()),
        Err(Refusal::InvalidConfig("validate lied".into()).into())
    );
    assert_eq!(
        policy.assign("unsatisfiable", &snapshot()),
        Err(Refusal::Unsatisfiable("never".into()).into())
    );
    assert_eq!(policy.assign("later", &snapshot()), Ok(Answer::RetryAfter(1234)));
}

#[test]
fn what_is_kept_of_a_long_refusal_is_its_beginning() {
    let Err(PolicyFault::Refused(Refusal::Other(reason))) = misdeed("long-refusal") else {
        panic!("it refuses")
    };
    assert!(reason.starts_with("ää") && reason.ends_with("ä…") && reason.len() <= 1024 + '…'.len_utf8());
}

#[test]
fn nothing_is_left_from_call_to_call() {
    let policy = load(&budget());
    let first = policy
        .assign_twice("fickle", &snapshot())
        .expect("the same answer twice");
    match &first {
        Answer::Plan(plan) => assert_eq!(plan.owners[0], 1, "the counter is as new"),
        other => panic!("{other:?}"),
    }
    assert!(policy.assign("trap", &snapshot()).is_err());
    assert_eq!(policy.assign("fickle", &snapshot()), Ok(first));
}
