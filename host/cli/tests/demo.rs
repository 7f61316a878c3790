//! `shardwright demo`, from beginning to end, and broken off in the middle.

mod common;

use common::{Answer, command, is_running};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Instant;

fn steps(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

#[test]
fn it_shows_a_takeover_and_every_check_holds() {
    let temp = tempfile::tempdir().expect("a folder");
    let began = Instant::now();
    let output = command()
        .args(["demo", "-o", "json"])
        .env("TMPDIR", temp.path())
        .output()
        .expect("it runs");
    let answer = Answer::from(output).code(0);
    assert!(began.elapsed().as_secs() < 60, "within a minute");

    let steps = steps(&answer.out);
    let named = |name: &str| steps.iter().filter(|step| step["step"] == name).collect::<Vec<_>>();
    let summary = steps.last().expect("a summary");
    assert_eq!(summary["step"], "summary");
    assert_eq!(summary["ok"], true, "{summary}");
    assert_eq!(
        (summary["doubleOwners"].as_u64(), summary["badTokens"].as_u64()),
        (Some(0), Some(0))
    );
    assert!(
        summary["checks"]
            .as_array()
            .is_some_and(|checks| checks.len() == 7 && checks.iter().all(|check| check["held"] == true))
    );

    let killed = named("kill")[0];
    let shards = killed["shards"].as_array().expect("a list");
    assert_eq!(shards.len(), 5, "four of twelve, and one of three");
    assert_eq!(named("takeover").len(), 5);
    for takeover in named("takeover") {
        assert_ne!(takeover["host"], killed["host"]);
        assert!(
            takeover["afterSessionMs"].as_i64() >= Some(0),
            "not before the session has run out: {takeover}"
        );
    }
    assert_eq!(named("restored")[0]["sameShards"], true);
    // Away and back, for each shard.
    assert!(summary["moves"].as_u64() >= Some(10), "{summary}");
    assert_eq!(
        std::fs::read_dir(temp.path()).expect("a folder").count(),
        0,
        "no file is left"
    );
    for step in named("start") {
        assert!(!is_running(
            u32::try_from(step["pid"].as_u64().expect("a number")).expect("small")
        ));
    }
}

/// Starts a demonstration with two nodes, whose files are in `folder`.
fn start(folder: &Path) -> Child {
    let mut command = command();
    command
        .args(["demo", "-o", "json", "--nodes", "2"])
        .env("TMPDIR", folder);
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs")
}

/// Reads what it tells until its end, calling `joined` whenever a node has joined; returns the nodes' processes.
fn follow(child: &mut Child, joined: impl Fn(&mut Child)) -> Vec<u32> {
    let out = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut pids = Vec::new();
    for line in out.lines().map_while(Result::ok) {
        let step: Value = serde_json::from_str(&line).expect("JSON");
        if step["step"] == "start" {
            pids.push(u32::try_from(step["pid"].as_u64().expect("a number")).expect("small"));
        }
        if step["step"] == "joined" {
            joined(child);
        }
    }
    pids
}

#[test]
fn broken_off_it_leaves_nothing_behind() {
    for signal in [Signal::INT, Signal::TERM] {
        let temp = tempfile::tempdir().expect("a folder");
        let mut child = start(temp.path());
        let pids = follow(&mut child, |child| {
            let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
            kill_process(pid.expect("a process"), signal).expect("it lives");
        });
        let answer = Answer::from(child.wait_with_output().expect("it ends"))
            .code(1)
            .says("interrupted");
        assert_eq!(pids.len(), 2, "{answer:?}");
        assert!(pids.iter().all(|&pid| !is_running(pid)), "no process is left");
        assert_eq!(
            std::fs::read_dir(temp.path()).expect("a folder").count(),
            0,
            "no file is left"
        );
    }
}

#[test]
fn a_demonstration_that_is_killed_takes_its_nodes_along() {
    let temp = tempfile::tempdir().expect("a folder");
    let mut child = start(temp.path());
    let pids = follow(&mut child, |child| child.kill().expect("killed"));
    child.wait().expect("reaped");
    let end = Instant::now() + common::LIMIT;
    // They are nobody's children now, so nothing tells of their end: look until it has come.
    while pids.iter().any(|&pid| is_running(pid)) {
        assert!(Instant::now() < end, "nodes are left: {pids:?}");
        std::thread::yield_now();
    }
}

#[test]
fn usage() {
    Answer::from(command().args(["demo", "--nodes", "1"]).output().expect("it runs")).code(2);
}
