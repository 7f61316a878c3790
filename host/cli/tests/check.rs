//! `shardwright check`: exit codes and words, on files good and bad.

mod common;

use common::{command, run};
use serde_json::Value;
use std::path::{Path, PathBuf};

fn examples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/config");
    let files = std::fs::read_dir(folder)
        .expect("examples")
        .map(|entry| entry.expect("an entry").path());
    files.filter(|path| path.extension().is_some_and(|ext| ext == "toml")).collect()
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::Builder::new().suffix(".toml").tempfile().expect("a file");
    std::fs::write(file.path(), text).expect("written");
    file
}

const GOOD: &str = "[cluster]\nname = \"test\"\n";
const WARNED: &str = "[cluster]\nname = \"test\"\n[cluster.roles]\ncalendar-alerts = [1, 2]\n";

#[test]
fn examples_are_good() {
    let files = examples();
    assert!(files.len() >= 5, "{files:?}");
    for file in files {
        // Some name secrets in the environment: each is given one.
        let output = command()
            .arg("check")
            .arg(&file)
            .envs([("KAFKA_PASSWORD", "x"), ("NATS_PASSWORD", "x"), ("REDIS_PASSWORD", "x")])
            .output();
        common::Answer::from(output.expect("it runs")).code(0);
    }
}

#[test]
fn a_good_file_says_so() {
    let file = file(GOOD);
    run(&["check", file.path().to_str().expect("UTF-8")])
        .code(0)
        .says("1 file checked: no problems");
}

#[test]
fn warnings_fail_only_if_denied() {
    let file = file(WARNED);
    let path = file.path().to_str().expect("UTF-8");
    run(&["check", path]).code(0).says("warning").says("help");
    run(&["check", "--deny-warnings", path]).code(1);
}

#[test]
fn errors_have_code_place_and_help_for_people_and_machines() {
    let file = file("[cluster]\nname = \"test\"\nnode-id = 0\n[cluster.rolls]\n");
    let path = file.path().to_str().expect("UTF-8");
    run(&["check", path]).code(1).says("node-id").says("did you mean").says(":3:");
    let json = run(&["check", "--format", "json", path]).code(1).json();
    let problems = json.as_array().expect("an array");
    assert!(problems.len() >= 2, "{json}");
    for problem in problems {
        for field in ["severity", "code", "file", "message", "help"] {
            assert!(problem[field].as_str().is_some_and(|text| !text.is_empty()), "{field} of {problem}");
        }
        assert!(problem["line"].as_u64().is_some_and(|line| line > 0), "{problem}");
    }
}

#[test]
fn a_missing_file_is_an_error_and_no_file_is_usage() {
    run(&["check", "/nonexistent/x.toml"]).code(1).says("/nonexistent/x.toml");
    run(&["check"]).code(2).says("FILE");
    run(&["check", "--format", "xml", "x"]).code(2);
    run(&["chekc"]).code(2).says("check");
}

#[test]
fn a_coordinator_that_this_build_cannot_reach_is_noted_and_refused_by_run() {
    let text = format!("{GOOD}coordinator = \"z\"\n[store.z]\ntype = \"zenoh\"\nconfig = \"{{}}\"\n");
    let file = file(&text);
    let path = file.path().to_str().expect("UTF-8");
    run(&["check", path]).code(0).says("note").says("zenoh");
    for args in [&["run", "--config", path][..], &["nodes", "--config", path]] {
        run(args).code(1).says("[store.\"z\"]").says("zenoh").says("sqlite");
    }
}

#[test]
fn colours_on_a_terminal_only_and_only_if_nobody_objects() {
    let file = file(WARNED);
    let path = file.path().to_str().expect("UTF-8");
    assert!(!run(&["check", path]).out.contains('\x1b'), "a pipe");
    let on_a_terminal = |no_color: &str| {
        // `script` gives the command a terminal.
        let line = format!("{} check {path}", common::binary());
        let mut script = std::process::Command::new("script");
        script
            .args(["-qec", &line, "/dev/null"])
            .env("NO_COLOR", no_color)
            .env("TERM", "xterm");
        common::Answer::from(script.stdin(std::process::Stdio::null()).output().expect("script, of bsdutils"))
            .code(0)
            .says("warning")
            .out
    };
    assert!(on_a_terminal("").contains('\x1b'), "empty is unset");
    assert!(!on_a_terminal("1").contains('\x1b'));
}

#[test]
fn completions_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        run(&["completions", shell]).code(0).says("shardwright").says("undrain");
    }
    run(&["completions", "nosuch"]).code(2);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut child = command()
        .args(["completions", "bash"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("it runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn json_stays_json() {
    let file = file(GOOD);
    assert_eq!(
        run(&["check", "--format", "json", file.path().to_str().expect("UTF-8")])
            .code(0)
            .json(),
        Value::Array(Vec::new())
    );
}
