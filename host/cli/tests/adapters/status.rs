//! How an adapter is, as it is seen from outside.

use crate::Stage;
use crate::common::{Cluster, LIMIT, is_running, run};
use crate::relay::{self, BUILT, Mood, NEWER};
use rustix::process::Signal;
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;

#[test]
fn quarantine_is_told_written_and_shown() {
    let mut stage = Stage::of(&["alpha"]);
    let status = stage.status("alpha", 0, |status| status["nodes"][0]["adapter"]["state"] == "running");
    assert_eq!(
        (&status["ok"], &status["asked"], &status["kind"]),
        (&true.into(), &false.into(), &"relay".into()),
        "{status}"
    );
    let adapter = &status["nodes"][0]["adapter"];
    assert_eq!(
        (&adapter["version"], &adapter["location"]),
        (&BUILT.into(), &stage.relay.address().into()),
        "{status}"
    );
    let report = stage.report("alpha");
    let mode = std::fs::metadata(&report).expect("written").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let skip = stage.cluster.told.len();
    stage.relay.set(Mood::Traps);
    let quarantined = stage.cluster.until("quarantine", |told| {
        let is = |told: &&crate::OutputLine| told.event == "adapter-state" && told.fields["state"] == "quarantined";
        told.iter().skip(skip).find(is).cloned()
    });
    let fields = &quarantined.fields;
    assert_eq!(
        (&fields["name"], &fields["version"]),
        (&"relay".into(), &BUILT.into()),
        "{fields}"
    );
    assert!(
        fields["reason"].as_str().is_some_and(|why| why.contains("trap")),
        "{fields}"
    );
    let status = stage.status("alpha", 3, |status| {
        status["nodes"][0]["adapter"]["state"] == "quarantined"
    });
    let adapter = &status["nodes"][0]["adapter"];
    assert!(
        adapter["totals"]["faults"]["trap"].as_u64() > Some(5) && adapter["retryInMs"].as_u64() > Some(0),
        "{status}"
    );
    let written: Value = serde_json::from_slice(&std::fs::read(&report).expect("written")).expect("JSON");
    assert_eq!(
        (&written["adapter"]["state"], &written["hostname"]),
        (&"quarantined".into(), &"alpha".into()),
        "{written}"
    );
    let dir = stage.cluster.yard.path().join("state-alpha");
    let table = stage
        .cluster
        .ask(&[
            "coordinator",
            "status",
            "-o",
            "wide",
            "--state-dir",
            dir.to_str().expect("UTF-8"),
        ])
        .code(3);
    table
        .says("quarantined")
        .says("alpha: last fault: ")
        .says("alpha: tried again: ")
        .says("trap ");

    // One that works is not kept waiting for the end of the quarantine.
    stage.relay.set(Mood::Fine);
    stage.put(&relay::adapter(NEWER));
    stage.hang_up("alpha", "adapter-upgraded");
    let status = stage.status("alpha", 0, |status| status["ok"] == true);
    assert_eq!(status["nodes"][0]["adapter"]["version"], NEWER, "{status}");

    let node = stage.cluster.node("alpha");
    node.signal(Signal::TERM).expect("it lives");
    node.wait(LIMIT).expect("it ends");
    assert!(!report.exists(), "a node that has ended says nothing");
}

#[test]
fn an_outage_and_a_lost_history_are_told() {
    let mut stage = Stage::of(&["alpha"]);
    let state = |stage: &mut Stage, wanted: &str| {
        let skip = stage.cluster.told.len();
        match wanted {
            "unreachable" => stage.relay.set(Mood::Down),
            "lost" => stage.relay.wipe(),
            _ => stage.relay.set(Mood::Fine),
        }
        stage.cluster.until(wanted, |told| {
            let is = |told: &&crate::OutputLine| told.event == "adapter-state" && told.fields["state"] == *wanted;
            told.iter().skip(skip).find(is).cloned()
        })
    };
    let down = state(&mut stage, "unreachable").fields;
    assert_eq!(down["reason"], "the server is down", "{down}");
    stage.status("alpha", 3, |status| {
        status["nodes"][0]["adapter"]["unreachable"] == "the server is down"
    });
    let up = state(&mut stage, "running").fields;
    assert_eq!(up["reason"], Value::Null, "{up}");
    stage.status("alpha", 0, |status| status["ok"] == true);

    let skip = stage.cluster.told.len();
    let lost = state(&mut stage, "lost").fields;
    assert_eq!(lost["reason"], "the server was wiped", "{lost}");
    // Opened anew.
    stage.cluster.until("another history", |told| {
        let mut states = told.iter().skip(skip).filter(|told| told.event == "adapter-state");
        states
            .next_back()
            .filter(|told| told.fields["state"] == "running")
            .map(drop)
    });
    stage.cluster.event("alpha", "gained", skip);
    stage.status("alpha", 0, |status| status["ok"] == true);
}

#[test]
fn without_a_node_it_is_asked_once() {
    let mut stage = Stage::of(&["alpha"]);
    let pid = stage.cluster.node("alpha").pid();
    stage.cluster.take("alpha").kill().expect("killed");
    assert!(!is_running(pid) && stage.report("alpha").exists());
    let status = stage.status("alpha", 0, |status| status["asked"] == true);
    assert_eq!(status["nodes"][0]["adapter"]["state"], "running", "{status}");
    let notes = status["notes"].to_string();
    assert!(notes.contains(&format!("left by process {pid}")), "{notes}");
    stage.relay.set(Mood::Down);
    let dir = stage.cluster.yard.path().join("state-alpha");
    let args = ["coordinator", "status", "--state-dir", dir.to_str().expect("UTF-8")];
    stage.cluster.ask(&args).code(1).says("the server is down");
}

#[test]
fn a_native_coordinator_answers_or_does_not() {
    let cluster = Cluster::of(&["alpha"]);
    cluster
        .ask(&["coordinator", "status"])
        .code(0)
        .says("sqlite")
        .says("answers");
    let found = cluster.ask(&["coordinator", "status", "-o", "json"]).code(0).json();
    assert_eq!(
        (&found["kind"], &found["ok"]),
        (&"sqlite".into(), &true.into()),
        "{found}"
    );
    assert!(
        !cluster.yard.path().join("state-alpha/coordinator.json").exists(),
        "only adapters are reported"
    );
    run(&["coordinator", "status", "--store", "/nonexistent/x.db"])
        .code(1)
        .says("no store at");
}
