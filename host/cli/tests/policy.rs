//! `shardwright policy`: listing, inspecting, and what is made of answers good and bad.

mod common;

use common::schema::validate;
use common::{run, run_with_input};
use serde_json::{Value, json};

fn snapshot() -> Value {
    let node = |id: u32| {
        let hostname = format!("host-{id}");
        json!({ "id": id, "hostname": hostname, "status": "active", "capacity": 100, "joined": 1 })
    };
    json!({
        "epoch": 1, "now": 1000, "seed": 7, "trigger": "leave",
        "nodes": [node(1), node(2), node(4)],
        "role": {
            "name": "fts-indexing", "shards": 6, "replicas": 2, "mode": "primary",
            "previous": [1, 2, 1, 3, 2, 3, 2, 1, 3, 1, 3, 2]
        }
    })
}

fn assign(policy: &str, snapshot: &Value) -> common::Answer {
    run_with_input(&["policy", "assign", policy, "--snapshot", "-"], &snapshot.to_string())
}

#[test]
fn the_bundled_ones_are_listed() {
    let list = run(&["policy", "list", "-o", "json"]).code(0).json();
    let names: Vec<_> = list
        .as_array()
        .expect("an array")
        .iter()
        .map(|row| row["name"].as_str().expect("a name"))
        .collect();
    assert_eq!(names, ["static-groups", "balanced", "rendezvous"]);
    for row in list.as_array().expect("an array") {
        assert!(
            row["digest"]
                .as_str()
                .is_some_and(|text| text.starts_with("sha256:") && text.len() == 71),
            "{row}"
        );
        assert!(
            row["version"].is_string() && row["size"].as_u64() > Some(1000) && row["problem"].is_null(),
            "{row}"
        );
    }
    run(&["policy", "list"]).code(0).says("balanced").says("HONOURS");
    run(&["policy", "list", "-o", "wide"])
        .code(0)
        .says("sha256:")
        .says("bundled");
}

#[test]
fn configured_ones_are_listed_and_unusable_ones_named() {
    let dir = tempfile::tempdir().expect("a folder");
    let bytes = shardwright_components::bundled::BALANCED.bytes;
    std::fs::write(dir.path().join("own.wasm"), bytes).expect("written");
    std::fs::write(dir.path().join("bad.wasm"), b"junk").expect("written");
    let config = dir.path().join("c.toml");
    std::fs::write(
        &config,
        "[policy.own]\npath = \"own.wasm\"\n[policy.bad]\npath = \"bad.wasm\"\n",
    )
    .expect("written");
    let answer = run(&["policy", "list", "--config", config.to_str().expect("UTF-8")]).code(3);
    answer.says("own").says("UNUSABLE").says("not a WebAssembly component");
}

#[test]
fn a_component_says_what_it_is() {
    let found = run(&["policy", "inspect", "balanced", "-o", "json"]).code(0).json();
    assert_eq!(found["world"], "shardwright:policy/policy@0.1.0");
    assert_eq!(found["exports"], json!(["describe", "validate", "assign"]));
    assert_eq!(found["imports"], json!([]));
    run(&["policy", "inspect", "rendezvous"])
        .code(0)
        .says("digest")
        .says("sha256:");
}

#[test]
fn what_is_no_policy_is_refused_with_the_reason() {
    let dir = tempfile::tempdir().expect("a folder");
    let good = shardwright_components::bundled::BALANCED.bytes;
    let cases: [(&str, &[u8], &str); 5] = [
        ("empty", b"", "empty file"),
        ("junk", b"hello", "something else"),
        ("module", b"\0asm\x01\0\0\0", "core module"),
        ("truncated", &good[..good.len() / 2], "cannot be compiled"),
        // A component without anything in it.
        ("other-world", b"\0asm\x0d\0\x01\0", "does not export"),
    ];
    for (name, bytes, says) in cases {
        let file = dir.path().join(name);
        std::fs::write(&file, bytes).expect("written");
        let path = file.to_str().expect("UTF-8");
        run(&["policy", "inspect", path]).code(1).says("refused").says(says);
        assign(path, &snapshot()).code(1).says(says);
    }
    run(&["policy", "inspect", "/nonexistent.wasm"])
        .code(1)
        .says("/nonexistent.wasm")
        .says("balanced");
    run(&["policy", "inspect", dir.path().to_str().expect("UTF-8")])
        .code(1)
        .says("directory");
}

#[test]
fn a_plan_is_printed_judged_and_as_the_schemas_say() {
    let snapshot = snapshot();
    validate("snapshot.schema.json", &snapshot);
    for policy in ["balanced", "rendezvous"] {
        let judged = assign(policy, &snapshot).code(0).json();
        validate("plan.schema.json", &judged);
        assert_eq!(judged["accepted"], true);
        assert_eq!(judged["answer"]["plan"]["owners"].as_array().map(Vec::len), Some(12));
        let primaries: u64 = judged["balance"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|share| share["primaries"].as_u64())
            .sum();
        assert_eq!(primaries, 6, "{judged}");
    }
    // Node 3 is gone: its two primaries must move, and balanced moves no other.
    let judged = assign("balanced", &snapshot).json();
    assert_eq!(judged["moves"]["primaries"], 2, "{judged}");
}

#[test]
fn static_groups_say_whom_they_could_not_place() {
    let mut snapshot = snapshot();
    snapshot["role"]["previous"] = json!([]);
    snapshot["role"]["candidates"] = json!([1, 2, 2, 1, 4, 1, 9, 9, 1, 4]);
    snapshot["role"]["candidate-ends"] = json!([2, 4, 6, 7, 8, 10]);
    let judged = assign("static-groups", &snapshot).code(0).json();
    validate("plan.schema.json", &judged);
    let unplaced: Vec<_> = judged["answer"]["plan"]["unplaced"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|u| u["shard"].clone())
        .collect();
    assert_eq!(unplaced, [json!(3), json!(4)], "node 9 is not there: {judged}");
    assert!(judged["moves"].is_null());
}

#[test]
fn snapshots_that_make_no_sense_are_named() {
    let with = |change: &dyn Fn(&mut Value)| {
        let mut snapshot = snapshot();
        change(&mut snapshot);
        assign("balanced", &snapshot).code(1)
    };
    with(&|s| s["trigger"] = json!("whim"))
        .says("snapshot.schema.json")
        .says("whim");
    with(&|s| s["nodes"][0]["colour"] = json!("red")).says("colour");
    with(&|s| s["role"]["shards"] = json!(0)).says("role.shards");
    with(&|s| s["role"]["shards"] = json!(2_000_000_000)).says("role.shards");
    with(&|s| s["role"]["replicas"] = json!(4_000_000_000_u32)).says("role.replicas");
    with(&|s| s["role"]["previous"] = json!([1, 2])).says("role.previous");
    with(&|s| s["role"]["candidate-ends"] = json!([5])).says("candidate-ends");
    with(&|s| s["nodes"][1]["id"] = json!(1)).says("sorted by id");
    run_with_input(&["policy", "assign", "balanced", "--snapshot", "-"], "not json")
        .code(1)
        .says("stdin");
    run(&["policy", "assign", "balanced", "--snapshot", "/nonexistent"])
        .code(1)
        .says("/nonexistent");
    run(&["policy", "assign", "balanced"]).code(2).says("--snapshot");
}

#[test]
fn a_wrong_configuration_of_a_policy_is_an_error() {
    let input = snapshot().to_string();
    run_with_input(
        &[
            "policy",
            "assign",
            "balanced",
            "--snapshot",
            "-",
            "--config-json",
            "{\"nosuch\":1}",
        ],
        &input,
    )
    .code(1)
    .says("--config");
}

#[test]
fn a_long_plan_cut_off_by_its_reader_is_no_error() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("s.json");
    let mut snapshot = snapshot();
    snapshot["role"]["shards"] = json!(50_000);
    snapshot["role"]["previous"] = json!([]);
    std::fs::write(&file, snapshot.to_string()).expect("written");
    let script = "\"$0\" policy assign balanced --snapshot \"$1\" | head -n 3; test ${PIPESTATUS[0]} = 0";
    let output = std::process::Command::new("bash")
        .args(["-c", script, common::binary()])
        .arg(&file)
        .output()
        .expect("bash");
    let answer = common::Answer::from(output).code(0);
    assert_eq!(answer.err, "", "no panic, no error");
}
