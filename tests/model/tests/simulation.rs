//! Thousands of seeds, each a cluster in trouble; and bugs planted to show that the checker sees them.
//!
//! - `SHARDWRIGHT_SIM_SEEDS=N`: run N seeds instead of 6,000.
//! - `SHARDWRIGHT_SIM_SEED=S`: run only seed S and tell its last steps.

use shardwright_core::rules::{Rule, Rules};
use shardwright_model::sim::checker::Invariant;
use shardwright_model::sim::faults::Fault;
use shardwright_model::sim::{Report, run};
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};

const SEEDS: u64 = 6_000;

/// What must have happened at least once in a complete run, or the run proves less than it says.
const EVENTS: [&str; 24] = [
    "away for a moment",
    "coordinator down",
    "fenced",
    "grace",
    "handoff",
    "history lost",
    "join refused later",
    "joined",
    "leading",
    "left",
    "native plan",
    "other settings",
    "plan accepted",
    "plan refused",
    "policy suspended",
    "refused",
    "refused by the resource",
    "resumed",
    "session lost",
    "settings agree",
    "settings differ",
    "takeover",
    "wipe",
    "reshape",
];

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().and_then(|v| v.parse().ok())
}

/// Past the test harness, which swallows what tests print.
fn say(line: &str) {
    writeln!(std::io::stderr(), "{line}").expect("standard error takes a line");
}

fn replay(seed: u64) -> String {
    let report = run(seed, &Fault::STANDARD, Rules::default(), true);
    let lines = report.log.join("\n");
    format!(
        "{lines}\nseed {seed}: {:?}\nreplay: SHARDWRIGHT_SIM_SEED={seed} cargo test --profile model -p \
         shardwright-model --test simulation",
        report.violation
    )
}

/// Runs seeds `0..count` on all cores, up to the first violations.
fn run_all(count: u64) -> Vec<Report> {
    let next = AtomicU64::new(0);
    let failed = AtomicU64::new(0);
    let work = || {
        let mut reports = Vec::new();
        while failed.load(Ordering::Relaxed) == 0 {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= count {
                break;
            }
            let report = run(seed, &Fault::STANDARD, Rules::default(), false);
            failed.fetch_add(u64::from(report.violation.is_some()), Ordering::Relaxed);
            reports.push(report);
        }
        reports
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .flat_map(|t| t.join().expect("a run panicked"))
            .collect()
    })
}

#[test]
fn every_invariant_holds_at_every_step() {
    if let Some(seed) = number("SHARDWRIGHT_SIM_SEED") {
        let told = replay(seed);
        say(&told);
        assert!(
            told.contains(&format!("seed {seed}: None")),
            "seed {seed} violates an invariant"
        );
        return;
    }
    let seeds = number("SHARDWRIGHT_SIM_SEEDS").unwrap_or(SEEDS);
    let reports = run_all(seeds);
    if let Some(bad) = reports.iter().find(|r| r.violation.is_some()) {
        panic!("{}", replay(bad.seed));
    }
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for (what, count) in reports.iter().flat_map(|r| &r.counts) {
        *counts.entry(what).or_default() += count;
    }
    let count = |what: &str| counts.get(what).copied().unwrap_or(0);
    let steps: u64 = reports.iter().map(|r| r.steps).sum();
    let faults: u64 = Fault::STANDARD.iter().map(|f| count(f.name())).sum();
    say(&format!(
        "simulation: {} seeds, {steps} steps, {faults} faults, {} handoffs, {} takeovers",
        reports.len(),
        count("handoff"),
        count("takeover")
    ));
    say(&format!("{counts:?}"));
    if seeds >= SEEDS {
        let expected = Fault::STANDARD.iter().map(|f| f.name()).chain(EVENTS);
        let missing: Vec<&str> = expected.filter(|what| count(what) == 0).collect();
        assert!(missing.is_empty(), "never happened: {missing:?}");
    }
}

#[test]
fn ids_outlast_a_store_that_is_lost() {
    let mut wipes = 0;
    for seed in 0..400 {
        let report = run(seed, &Fault::ATTENDED, Rules::default(), false);
        assert!(report.violation.is_none(), "seed {seed}: {:?}", report.violation);
        wipes += report.counts.get("wipe").copied().unwrap_or(0);
    }
    say(&format!("ids outlast {wipes} losses of the store"));
    assert!(wipes > 300, "{wipes} losses");
}

#[test]
fn a_lost_store_whose_clock_is_set_is_waited_for() {
    let seeds = number("SHARDWRIGHT_SIM_SEEDS").unwrap_or(1_000);
    let counts = all_hold(&Fault::CLOCKS, seeds);
    say(&format!("clocks that are set: {counts:?}"));
    for what in ["clock set", "wipe", "promote", "grace", "joined"] {
        assert!(
            counts.get(what).is_some_and(|count| *count > 0),
            "never happened: {what}"
        );
    }
}

#[test]
fn tokens_grow_though_the_store_forgets_a_loss_of_which_it_had_told() {
    let seeds = number("SHARDWRIGHT_SIM_SEEDS").unwrap_or(1_000);
    let counts = all_hold(&Fault::FORGETS, seeds);
    say(&format!("losses that are forgotten: {counts:?}"));
    for what in [
        "clock set",
        "promote",
        "promote twice",
        "promote behind",
        "history lost",
    ] {
        assert!(
            counts.get(what).is_some_and(|count| *count > 0),
            "never happened: {what}"
        );
    }
}

/// Runs seeds with some of `faults`; what happened how often.
fn all_hold(faults: &[Fault], seeds: u64) -> BTreeMap<&'static str, u64> {
    let mut counts = BTreeMap::new();
    for seed in 0..seeds {
        let report = run(seed, faults, Rules::default(), false);
        if let Some(violation) = report.violation {
            let log = run(seed, faults, Rules::default(), true).log.join("\n");
            panic!("{log}\nseed {seed}: {violation:?}");
        }
        for (what, count) in report.counts {
            *counts.entry(what).or_default() += count;
        }
    }
    counts
}

#[test]
fn a_seed_replays_step_by_step() {
    for seed in 0..5 {
        let [first, again] = [(); 2].map(|()| run(seed, &Fault::ALL, Rules::default(), true));
        assert_eq!(first.log, again.log);
        let quiet = run(seed, &Fault::ALL, Rules::default(), false);
        assert_eq!((first.steps, first.counts), (quiet.steps, quiet.counts));
    }
}

/// Drops a rule and looks for the violation that must follow.
fn caught(rule: Rule, within: u64, expected: &[Invariant]) {
    caught_among(&Fault::STANDARD, rule, within, expected);
}

fn caught_among(faults: &[Fault], rule: Rule, within: u64, expected: &[Invariant]) {
    let found = (0..within).find_map(|seed| {
        let violation = run(seed, faults, Rules::without(rule), false).violation?;
        Some((seed, violation))
    });
    let (seed, violation) = found.unwrap_or_else(|| panic!("without {rule:?}, {within} seeds found nothing"));
    say(&format!(
        "without {rule:?}: seed {seed} finds {:?}: {}",
        violation.invariant, violation.what
    ));
    assert!(expected.contains(&violation.invariant), "{violation:?}");
}

#[test]
fn finds_a_deadline_that_counts_from_the_answer() {
    caught(Rule::DeadlineFromSending, 100, &[Invariant::Deadline]);
}

#[test]
fn finds_a_release_before_the_work_has_stopped() {
    caught(Rule::StopBeforeRelease, 50, &[Invariant::OnePrimary]);
}

#[test]
fn finds_grants_that_do_not_wait_after_a_partial_loss() {
    caught(
        Rule::PartialLoss,
        2_000,
        &[Invariant::OnePrimary, Invariant::OneHolder, Invariant::TokensIncrease],
    );
}

#[test]
fn finds_a_history_without_grace() {
    caught(
        Rule::Grace,
        200,
        &[Invariant::OnePrimary, Invariant::OneHolder, Invariant::OneId],
    );
}

#[test]
fn finds_a_start_that_believes_a_clock_that_was_set() {
    caught_among(
        &Fault::CLOCKS,
        Rule::ProvenAge,
        1_000,
        &[Invariant::OnePrimary, Invariant::OneHolder, Invariant::OneId],
    );
}

#[test]
fn finds_tokens_that_fall_when_a_loss_is_forgotten() {
    caught_among(
        &Fault::FORGETS,
        Rule::ForgottenLoss,
        1_000,
        &[Invariant::TokensIncrease, Invariant::Guard],
    );
}

#[test]
fn finds_an_owner_that_goes_on_when_its_shard_is_moving() {
    caught(Rule::StopOnTarget, 50, &[Invariant::OnePrimary, Invariant::Liveness]);
}

#[test]
fn finds_a_release_that_is_older_than_the_request() {
    caught(Rule::FreshRelease, 500, &[Invariant::OnePrimary]);
}

#[test]
fn finds_a_plan_that_does_not_name_sessions() {
    caught(Rule::SessionId, 50, &[Invariant::OnePrimary, Invariant::TokensIncrease]);
}

#[test]
fn finds_a_copy_that_takes_its_own_instance_for_itself() {
    caught(
        Rule::WatchOwnInstance,
        500,
        &[Invariant::OneHolder, Invariant::OneId, Invariant::OnePrimary],
    );
}
