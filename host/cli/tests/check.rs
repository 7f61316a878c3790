//! `shardwright check`: exit codes and words, on files good and bad.

mod common;

use common::{command, run, run_as};
use serde_json::Value;
use std::path::{Path, PathBuf};

fn examples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/config");
    let files = std::fs::read_dir(folder)
        .expect("examples")
        .map(|entry| entry.expect("an entry").path());
    files
        .filter(|path| path.extension().is_some_and(|ext| ext == "toml"))
        .collect()
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
    run(&["check", path])
        .code(1)
        .says("node-id")
        .says("did you mean")
        .says(":3:");
    let json = run(&["check", "-o", "json", path]).code(1).json();
    let problems = json.as_array().expect("an array");
    assert!(problems.len() >= 2, "{json}");
    for problem in problems {
        for field in ["severity", "code", "file", "message", "help"] {
            assert!(
                problem[field].as_str().is_some_and(|text| !text.is_empty()),
                "{field} of {problem}"
            );
        }
        assert!(problem["line"].as_u64().is_some_and(|line| line > 0), "{problem}");
    }
}

#[test]
fn a_missing_file_is_an_error_and_no_file_is_usage() {
    run(&["check", "/nonexistent/x.toml"])
        .code(1)
        .says("/nonexistent/x.toml");
    run(&["check"]).code(2).says("FILE");
    run(&["check", "-o", "xml", "x"]).code(2);
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

/// What a node refuses at its start without having asked any server, as the section of its coordinator or its roles,
/// and a word of the reason.
fn refused() -> Vec<(&'static str, String, &'static str)> {
    let store = |lines: &str| format!("coordinator = \"x\"\n[store.x]\n{lines}\n");
    let component = Path::new(env!("CARGO_MANIFEST_DIR")).join("../components/bundled/balanced.wasm");
    let policy = |path: &Path, more: &str, role: &str| {
        format!(
            "[policy.mine]\npath = {path:?}\n{more}\n[cluster.roles]\nfts-indexing = {{ policy = \"mine\"{role} }}\n"
        )
    };
    let pem = "tls.ca = \"\"\"\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n\"\"\"";
    let margin = "[cluster.timing]\nmargin = \"499ms\"";
    vec![
        (
            "a password that is no UTF-8",
            store("type = \"redis\"\nurl = \"redis://u:%FF@127.0.0.1:1\""),
            "address 1",
        ),
        (
            "an address of everywhere",
            store("type = \"redis\"\nurl = \"redis://0.0.0.0:1\""),
            "address 1",
        ),
        (
            "no certificate for redis",
            store(&format!("type = \"redis\"\nurl = \"rediss://127.0.0.1:1\"\n{pem}")),
            "tls.ca",
        ),
        (
            "no certificate for nats",
            store(&format!("type = \"nats\"\naddress = \"127.0.0.1:1\"\n{pem}")),
            "tls.ca",
        ),
        (
            "several servers' clocks and a small margin",
            store(&format!(
                "type = \"nats\"\naddress = \"127.0.0.1:1\"\nreplicas = 3\n{margin}"
            )),
            "margin = \"500ms\"",
        ),
        (
            "several brokers' clocks and a small margin",
            store(&format!(
                "type = \"kafka\"\nbrokers = [\"127.0.0.1:1\"]\nreplication = 3\n{margin}"
            )),
            "margin = \"500ms\"",
        ),
        (
            "an adapter without its settings",
            store("type = \"component\"\nadapter = \"etcd\""),
            "endpoints",
        ),
        (
            "an adapter without its grants",
            store("type = \"component\"\nadapter = \"etcd\"\nconfig = { endpoints = [\"http://127.0.0.1:1\"] }"),
            "http://127.0.0.1:1",
        ),
        (
            "a component that is no adapter",
            store(&format!("type = \"component\"\npath = {component:?}")),
            "the adapter cannot be used",
        ),
        (
            "a policy of another digest",
            policy(&component, &format!("digest = \"sha256:{}\"", "00".repeat(32)), ""),
            "SHA-256",
        ),
        (
            "a policy that takes no settings",
            policy(&component, "", ", config = { a = 1 }"),
            "no options",
        ),
        (
            "a policy that is no component",
            policy(Path::new(file!()).file_name().map(Path::new).expect("a name"), "", ""),
            "mine",
        ),
    ]
}

#[test]
fn what_a_start_would_refuse_is_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    // The name of this file, in the folder of the configuration.
    std::fs::write(folder.path().join("check.rs"), "no component").expect("written");
    for (what, text, says) in refused() {
        let path = folder.path().join("x.toml");
        let state = folder.path().join("state");
        std::fs::write(&path, format!("{GOOD}{text}\n[node]\nstate-dir = {state:?}\n")).expect("written");
        let told = |args: &[&str]| {
            let mut command = command();
            command.args(args).arg(&path).env("SHARDWRIGHT_HOSTNAME", "refused");
            common::Answer::from(command.output().expect("it runs"))
        };
        let checked = told(&["check"]);
        assert_eq!(checked.code, Some(1), "{what}: {checked:?}");
        let checked = checked.says("refused").says(says);
        let json = told(&["check", "-o", "json"]).code(1).json();
        assert_eq!(json[0]["code"], "refused", "{what}: {json} {checked:?}");
        told(&["run", "--config"]).code(1).says(says);
    }
}

#[test]
fn files_of_another_machine_are_warned_of() {
    for text in [
        "[policy.mine]\npath = \"absent.wasm\"\n[cluster.roles]\nfts-indexing = { policy = \"mine\" }\n",
        "coordinator = \"x\"\n[store.x]\ntype = \"redis\"\nurl = \"rediss://127.0.0.1:1\"\ntls.ca = \"absent.pem\"\n",
        "coordinator = \"x\"\n[store.x]\ntype = \"component\"\npath = \"absent.wasm\"\n",
    ] {
        let file = file(&format!("{GOOD}{text}"));
        let path = file.path().to_str().expect("UTF-8");
        run(&["check", path])
            .code(0)
            .says("warning[missing-")
            .says("warning[refused]");
        run(&["check", "--deny-warnings", path]).code(1);
    }
}

#[test]
fn run_tells_what_check_warns_of() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x.toml");
    // It ends at its missing policy, and has spoken before.
    let roles =
        "merge-threads = [\"1,2\"]\nfts-indexing = { policy = \"mine\" }\n[policy.mine]\npath = \"absent.wasm\"\n";
    let state = folder.path().join("state");
    std::fs::write(
        &path,
        format!("{GOOD}[cluster.roles]\n{roles}[node]\nstate-dir = {state:?}\n"),
    )
    .expect("written");
    run(&["check", path.to_str().expect("UTF-8")])
        .code(0)
        .says("no-coordinator");
    run_as("warned", &path)
        .code(1)
        .says("no-coordinator")
        .says("absent.wasm");
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
        common::Answer::from(
            script
                .stdin(std::process::Stdio::null())
                .output()
                .expect("script, of bsdutils"),
        )
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
fn which_roles_exist_is_said_with_the_rule() {
    let (none, own) = (
        file(GOOD),
        file(&format!("{GOOD}[cluster.roles]\nnightly = {{ shards = 4 }}\n")),
    );
    let path = |file: &tempfile::NamedTempFile| file.path().to_str().expect("UTF-8").to_owned();
    run(&["check", &path(&none)])
        .code(0)
        .says("roles: none: the file sets no role");
    let of_own = "roles: nightly, and none of the mail server's: the file mentions none of them";
    run(&["check", &path(&own)]).code(0).says(of_own);
    // Of files that differ in it, each is named, and that they differ is an error.
    let both = run(&["check", &path(&none), &path(&own)])
        .code(1)
        .says("settings-differ");
    both.says(&format!("{}: {of_own}", path(&own)));
    let mail = file(WARNED);
    run(&["check", &path(&mail)])
        .code(0)
        .says("the mail server's 12: the file mentions `calendar-alerts`");
    let differ = run(&["check", &path(&mail), &path(&own)]).code(1);
    differ.says("the mail server's roles do not exist here").says("preset");
}

#[test]
fn several_files_are_compared_and_what_differs_is_told_for_each() {
    let text = |more: &str| format!("{GOOD}[cluster.roles]\nnightly = {{ shards = 4 }}\n{more}");
    let files = [
        file(&text("")),
        file(&text("")),
        file(&text("other = { shards = 1 }\n[cluster.timing]\nrenew = \"4s\"\n")),
    ];
    let paths = files.each_ref().map(|file| file.path().to_str().expect("UTF-8"));
    run(&["check", paths[0], paths[1]])
        .code(0)
        .says("2 files checked: no problems");
    run(&["check", paths[2]]).code(0).says("1 file checked: no problems");
    let told = run(&["check", paths[2], paths[0], paths[1]])
        .code(1)
        .says("settings-differ");
    let reference = format!("in `{}` and 1 more", paths[0]);
    let told = told
        .says(&format!("`cluster.timing.renew` is \"4s\" here and \"5s\" {reference}"))
        .says(&format!(
            "`cluster.roles.other` is {{ shards = 1 }} here and not set {reference}"
        ));
    assert!(
        told.out.contains("2 errors, 0 warnings"),
        "the files that agree are not named: {told:?}"
    );
    let json = run(&["check", "-o", "json", paths[0], paths[1], paths[2]])
        .code(1)
        .json();
    let problems = json.as_array().expect("an array");
    assert!(
        problems.len() == 2 && problems.iter().all(|problem| problem["file"] == paths[2]),
        "{json:#}"
    );
}

#[test]
fn json_stays_json() {
    let file = file(GOOD);
    assert_eq!(
        run(&["check", "-o", "json", file.path().to_str().expect("UTF-8")])
            .code(0)
            .json(),
        Value::Array(Vec::new())
    );
}
