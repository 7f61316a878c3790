//! A policy in a language that is not Rust: examples/policy-python, built as its README says, asked about a snapshot,
//! and used by real nodes.

use crate::common::{Cluster, SETTINGS, binary, holders};
use crate::workshop;
use serde_json::Value;
use shardwright_cli::process::{ClusterFolder, OutputLine};
use std::path::Path;
use std::process::{Command, Stdio};

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/policy-python");

/// The fenced blocks of the README in `language`.
fn blocks(language: &str) -> String {
    let readme = std::fs::read_to_string(Path::new(EXAMPLE).join("README.md")).expect("read");
    let fenced = readme.split("\n```").skip(1).step_by(2);
    let wanted: Vec<_> = fenced.filter_map(|block| block.strip_prefix(language)).collect();
    assert!(!wanted.is_empty(), "no block of {language}");
    wanted.concat()
}

#[test]
fn a_policy_in_python_decides_for_real_nodes() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = dir.path().join("examples/policy-python");
    std::fs::create_dir_all(&folder).expect("made");
    for file in ["app.py", "snapshot.json"] {
        std::fs::copy(Path::new(EXAMPLE).join(file), folder.join(file)).expect("copied");
    }
    let contracts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit");
    std::os::unix::fs::symlink(contracts, dir.path().join("wit")).expect("linked");
    let bin = Path::new(binary()).parent().expect("a folder").to_owned();
    let path =
        std::env::join_paths(std::iter::once(bin).chain(std::env::split_paths(&workshop::path()))).expect("a path");
    let typed = Command::new("bash")
        .args(["-ec", &blocks("sh")])
        .current_dir(&folder)
        .env("PATH", path)
        .stdin(Stdio::null())
        .output()
        .expect("bash");
    assert!(typed.status.success(), "{}", String::from_utf8_lossy(&typed.stderr));
    let verdict: Value = serde_json::from_slice(&typed.stdout).expect("JSON");
    assert_eq!(verdict["policy"]["name"], "round-python");
    // The seed is 1, and node 3 is away.
    assert_eq!(
        verdict["answer"]["plan"]["owners"],
        serde_json::json!([2, 1, 1, 2, 2, 1]),
        "{verdict}"
    );
    assert_eq!(verdict["accepted"], true);

    let role = "\nfts-indexing = { shards = 9, replicas = 2, policy = \"round\" }\n";
    let usual = "\nfts-indexing = { shards = 9, replicas = 2 }\n";
    assert!(SETTINGS.contains(usual));
    let (policy, _) = blocks("toml")
        .split_once("[cluster.roles]")
        .map(|(policy, role)| (policy.to_owned(), role.to_owned()))
        .expect("a role");
    let policy = policy.replace("round.wasm", folder.join("round.wasm").to_str().expect("UTF-8"));
    // On a machine that is busy with other tests it may take a while.
    let settings = format!(
        "{}{policy}budget = {{ wall = \"20s\" }}\n",
        SETTINGS.replace(usual, role)
    );
    let hosts = ["alpha", "bravo"];
    let mut cluster = Cluster::inside(ClusterFolder::new(binary(), &settings).expect("a folder"));
    // The first compiles it; the other finds what came of that.
    cluster.start(hosts[0]);
    cluster.patient("the first to be ready", |told| {
        told.iter().any(|told| told.event == "ready").then_some(())
    });
    cluster.start(hosts[1]);
    cluster.ready(hosts[1]);
    // Shards go round: one to each in turn.
    let in_turn = |told: &[OutputLine]| {
        let held = holders(told, "fts-indexing");
        (held.len() == 9 && (0..8).all(|shard| held[&shard] != held[&(shard + 1)])).then_some(())
    };
    cluster.patient("the shards to go round", in_turn);
    let about = |told: &&OutputLine| told.role() == "fts-indexing" && told.event.starts_with("p");
    let plans: Vec<_> = cluster.told.iter().filter(about).collect();
    assert!(plans.iter().any(|told| told.event == "plan-accepted"), "{plans:?}");
    let foreign = |told: &&OutputLine| told.event == "plan-accepted" && told.fields["native"] == false;
    assert!(
        plans.iter().all(foreign),
        "the policy decided, and was never refused: {plans:?}"
    );
}
