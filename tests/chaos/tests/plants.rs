//! The checker finds what workers are made to do wrong, in whole runs of real processes; and nothing where they do
//! right.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::process::Command;

/// What a run printed, and its exit code. All meet in a file, and share the schedule: it has losses of every kind.
fn chaos(plant: Option<&str>) -> (String, Option<i32>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chaos"));
    command.args(["--store", "sqlite", "--seed", "116", "--secs", "20"]);
    command.args(plant.iter().flat_map(|plant| ["--plant", plant]));
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let folder = told.lines().find_map(|line| line.split_once("logs and journals: "));
    if let Some((_, folder)) = folder.filter(|_| plant.is_some()) {
        // Kept for whoever reads them; here nobody does.
        std::fs::remove_dir_all(folder).unwrap();
    }
    (told, output.status.code())
}

fn found(plant: &str, kinds: &[&str]) {
    let (told, code) = chaos(Some(plant));
    assert_eq!(code, Some(1), "{told}");
    let found = |kind: &&str| told.contains(&format!("VIOLATION: {kind}: "));
    assert!(kinds.iter().any(found), "none of {kinds:?}: {told}");
}

#[test]
fn workers_that_do_right_break_no_promise() {
    let (told, code) = chaos(None);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("no violation"), "{told}");
}

#[test]
fn work_beyond_the_deadline_is_found() {
    found("ignore-deadline", &["two at once", "older after newer"]);
}

#[test]
fn work_that_goes_on_after_a_loss_is_found() {
    found("keep-acting", &["two at once", "older after newer"]);
}

#[test]
fn a_token_of_before_is_found() {
    found("reuse-token", &["older after newer"]);
}

#[test]
fn an_id_that_is_another_node_s_is_found() {
    found("claim-id", &["two holders", "id reused"]);
}

#[test]
fn an_id_that_is_another_one_after_a_loss_is_found() {
    found("deal-anew", &["id changed", "id reused"]);
}
