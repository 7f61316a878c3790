//! An adapter whose times may be wrong by more than the cluster's margin, which is 100 ms: at the start, instead of
//! another, after a loss, and when only a later connection tells.

use crate::common::LIMIT;
use crate::relay::{BUILT, Mood, ROUGH, adapter};
use crate::{OutputLine, Stage};
use std::time::{Duration, Instant};

const TOO_SMALL: &str = "`cluster.timing.margin` is 100 ms";

/// The log of `alpha`, as soon as it has this in it.
fn logged(stage: &Stage, line: &str) -> String {
    let end = Instant::now() + LIMIT;
    loop {
        let log = stage.cluster.yard.log("alpha");
        if log.contains(line) {
            return log;
        }
        assert!(Instant::now() < end, "no {line:?} in {log}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What must not happen to a node that goes on.
fn harm(told: &[OutputLine]) -> Vec<&OutputLine> {
    let harm = ["losing", "fenced", "session-lost", "coordinator-down", "ended"];
    told.iter().filter(|told| harm.contains(&told.event.as_str())).collect()
}

#[test]
fn no_node_starts_and_the_doctor_says_why() {
    let stage = Stage::new();
    let doctor = |code: i32| stage.cluster.ask(&["coordinator", "doctor"]).code(code);
    doctor(0).says("margin");
    stage.relay.doubt(101);
    let run = stage.cluster.ask(&["run"]).code(1);
    run.says(TOO_SMALL)
        .says("may be wrong by 101 ms")
        .says("margin = \"101ms\"");
    doctor(3)
        .says("100ms, but its times may be wrong by 101ms")
        .says("margin = \"101ms\" or more in [cluster.timing]");
}

#[test]
fn a_rougher_version_does_not_take_over() {
    let mut stage = Stage::of(&["alpha"]);
    let skip = stage.cluster.told.len();
    stage.put(&adapter(ROUGH));
    let refused = stage.hang_up("alpha", "adapter-refused").fields;
    let reason = refused["reason"].as_str().expect("a reason");
    assert!(
        reason.contains(TOO_SMALL) && reason.contains("may be wrong by 2 s"),
        "{reason}"
    );
    assert_eq!(refused["version"], BUILT, "{refused}");
    stage.put(&adapter(BUILT));
    let new = stage.cluster.yard.path().join("rough.wasm");
    std::fs::write(&new, adapter(ROUGH)).expect("written");
    let upgrade = ["coordinator", "upgrade", new.to_str().expect("UTF-8")];
    stage.cluster.ask(&upgrade).code(3).says(TOO_SMALL);
    stage.status("alpha", 0, |status| status["nodes"][0]["adapter"]["version"] == BUILT);
    assert_eq!(harm(&stage.cluster.told[skip..]), Vec::<&OutputLine>::new());
}

#[test]
fn what_is_there_after_a_loss_is_not_opened_before_it_is_exact_enough() {
    let mut stage = Stage::of(&["alpha"]);
    let skip = stage.cluster.told.len();
    stage.relay.doubt(3_000);
    stage.relay.wipe();
    let log = logged(&stage, "the coordinator cannot be opened");
    assert!(log.contains(TOO_SMALL) && log.contains("margin = \"3000ms\""), "{log}");
    let gained = |told: &[OutputLine]| told.iter().skip(skip).filter(|told| told.event == "gained").count();
    assert_eq!(gained(&stage.cluster.told), 0);
    stage.relay.doubt(0);
    stage.cluster.until("work", |told| (gained(told) > 0).then_some(()));
}

#[test]
fn a_node_stops_when_a_later_connection_tells() {
    let mut stage = Stage::of(&["alpha"]);
    let skip = stage.cluster.told.len();
    stage.relay.doubt(3_000);
    // All connections are made anew after that, for each was used in vain.
    stage.relay.set(Mood::Down);
    stage.cluster.event("alpha", "coordinator-down", skip);
    stage.cluster.event("alpha", "fenced", skip);
    stage.relay.set(Mood::Fine);
    let log = logged(&stage, "this node does nothing by them");
    assert!(log.contains("margin = \"3000ms\""), "{log}");
    stage.cluster.ask(&["coordinator", "doctor"]).code(3).says("margin");
}
