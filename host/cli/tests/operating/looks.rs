//! What commands show of a cluster that lives: nodes, roles, owners; and of none.

use crate::HOSTS;
use crate::common::{Answer, Cluster, SETTINGS, command, run};
use std::collections::BTreeSet;

#[test]
fn nodes_roles_and_owners_of_a_living_cluster() {
    let cluster = Cluster::of(&HOSTS);

    let nodes = cluster.ask(&["nodes", "-o", "json"]).code(0).json();
    let nodes = nodes.as_array().expect("an array");
    assert_eq!(nodes.len(), 3);
    for node in nodes {
        let keys: BTreeSet<_> = node
            .as_object()
            .expect("an object")
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(
            keys,
            BTreeSet::from(["nodeId", "hostname", "lastRenewal", "status"]),
            "exactly what operators know"
        );
        assert!((1..=3).contains(&node["nodeId"].as_u64().expect("a number")));
        assert_eq!(node["status"], "active");
        let time = node["lastRenewal"].as_str().expect("a text");
        assert!(
            time.len() == 20 && time.starts_with("20") && time.ends_with('Z'),
            "{time}"
        );
    }
    let all = cluster.ask(&["nodes", "-o", "json", "--all"]).code(0).json();
    assert_eq!(
        all.as_array()
            .expect("an array")
            .iter()
            .filter(|node| node["leader"] == true)
            .count(),
        1
    );
    cluster
        .ask(&["nodes"])
        .code(0)
        .says("HOSTNAME")
        .says("charlie")
        .says("leader");
    cluster.ask(&["nodes", "-o", "wide"]).code(0).says("CAPACITY");

    let roles = cluster
        .ask_until(&["roles", "-o", "json"], |answer| answer.code == Some(0))
        .json();
    let role = |name: &str| {
        roles
            .as_array()
            .expect("an array")
            .iter()
            .find(|role| role["role"] == name)
            .expect("a role")
            .clone()
    };
    assert_eq!(
        (
            role("fts-indexing")["held"].as_u64(),
            role("fts-indexing")["mode"].as_str()
        ),
        (Some(9), Some("primary"))
    );
    assert_eq!(role("fts-indexing")["policy"], "balanced");
    let everywhere = cluster.ask_until(&["roles", "show", "purge.accounts", "-o", "json"], |answer| {
        answer.code == Some(0)
            && answer.json()["shards"][0]["standbys"]
                .as_array()
                .is_some_and(|others| others.len() == 2)
    });
    assert_eq!(everywhere.json()["mode"], "all");

    let shown = cluster
        .ask(&["roles", "show", "fts-indexing", "-o", "json"])
        .code(0)
        .json();
    let shards = shown["shards"].as_array().expect("a list");
    assert_eq!(shards.len(), 9);
    for shard in shards {
        assert_eq!(shard["state"], "held");
        let token = shard["token"].as_str().expect("a text");
        assert!(
            token.len() == 20 && token.parse::<u64>().is_ok_and(|token| token > 1 << 40),
            "{shard}"
        );
        assert_eq!(
            shard["standbys"].as_array().map(Vec::len),
            Some(1),
            "two owners: {shard}"
        );
        assert!(
            !shard["standbys"]
                .as_array()
                .expect("a list")
                .contains(&shard["primary"])
        );
    }
    cluster
        .ask(&["roles", "show", "fts-indexing"])
        .code(0)
        .says("STANDBYS")
        .says("alpha");
    cluster
        .ask(&["roles", "show", "nosuch"])
        .code(1)
        .says("nosuch")
        .says("fts-indexing");

    // 191179 % 9 = 1; the node's own word on who has it agrees.
    let owner = cluster
        .ask(&["owner", "fts-indexing", "191179", "-o", "json"])
        .code(0)
        .json();
    assert_eq!(owner["shard"], 1);
    assert_eq!(owner["primary"], shards[1]["primary"]);
    assert_eq!(owner["token"], shards[1]["token"]);
    let text = cluster
        .ask(&["owner", "fts-indexing", "191179", "--text", "-o", "json"])
        .code(0)
        .json();
    assert_eq!(text["shard"], shardwright_core::shard::shard_of("191179", 9));
    // As signed 64 bits have it: (2^64 - 1) % 9 = 6.
    let signed = cluster
        .ask(&["owner", "fts-indexing", "-1", "-o", "json"])
        .code(0)
        .json();
    assert_eq!(signed["shard"], 6);
    cluster
        .ask(&["owner", "fts-indexing", "example.org"])
        .code(0)
        .says("(text)")
        .says("token");

    // The same without a configuration.
    let store = cluster.yard.store();
    let args = [
        "--store",
        store.to_str().expect("UTF-8"),
        "--cluster",
        "test",
        "-o",
        "json",
    ];
    assert_eq!(
        run(&[&["nodes"], &args[..]].concat())
            .code(0)
            .json()
            .as_array()
            .map(Vec::len),
        Some(3)
    );
    assert_eq!(
        run(&[&["roles", "show", "fts-indexing"], &args[..]].concat())
            .code(0)
            .json()["shards"],
        shown["shards"]
    );
    run(&["nodes", "--store", args[1], "--cluster", "nosuch"])
        .code(1)
        .says("nosuch")
        .says("--cluster");
}

#[test]
fn nothing_to_look_at_is_said_plainly_and_nothing_is_made() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = dir.path().join("none.db");
    run(&["nodes", "--store", store.to_str().expect("UTF-8")])
        .code(1)
        .says("none.db")
        .says("shardwright run");
    assert!(!store.exists());
    let nowhere = command()
        .arg("nodes")
        .current_dir(dir.path())
        .output()
        .expect("it runs");
    Answer::from(nowhere).code(1).says("--config").says("--store");
    run(&["nodes", "drain", "0"]).code(2);
}

#[test]
fn colours_only_on_a_terminal() {
    let cluster = Cluster::of(&["alpha"]);
    assert!(!cluster.ask(&["nodes"]).code(0).out.contains('\x1b'));
}

/// Roles that nobody has mentioned do not exist.
#[test]
fn a_cluster_with_one_role_of_its_own_shows_one_role() {
    let mut cluster = Cluster::new(&SETTINGS.replace("fts-indexing", "nightly"));
    cluster.start("alpha");
    cluster.ready("alpha");
    let held = |answer: &Answer| answer.code == Some(0) && answer.json()[0]["held"] == 9;
    let roles = cluster.ask_until(&["roles", "-o", "json"], held).json();
    let names: Vec<_> = roles
        .as_array()
        .expect("an array")
        .iter()
        .map(|role| &role["role"])
        .collect();
    assert_eq!(names, ["nightly"]);
    cluster
        .ask_until(&["status"], |answer| answer.code == Some(0))
        .says("9 in 1 role: 9 held");
    cluster
        .ask(&["roles", "show", "purge.accounts"])
        .code(1)
        .says("purge.accounts");
}
