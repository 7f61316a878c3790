//! `shardwright coordinator` on the local file; on servers, see `brokers`.

mod common;

use common::{Cluster, Following, SETTINGS, run};

#[test]
fn the_local_file_keeps_the_contract_and_is_looked_at() {
    let cluster = Cluster::of(&["alpha"]);
    let found = cluster.ask(&["coordinator", "doctor", "-o", "json"]).code(0).json();
    assert_eq!(
        (found["kind"].as_str(), found["ok"].as_bool()),
        (Some("sqlite"), Some(true)),
        "{found}"
    );
    let names: Vec<_> = found["findings"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|finding| &finding["name"])
        .collect();
    assert_eq!(
        names,
        ["file system", "free space", "journal", "clock", "lock", "margin"],
        "{found}"
    );

    let found = cluster
        .ask(&["coordinator", "check", "--quick", "-o", "json"])
        .code(0)
        .json();
    assert_eq!(
        (found["kind"].as_str(), found["ok"].as_bool()),
        (Some("sqlite"), Some(true)),
        "{found}"
    );
    assert_eq!(found["latencies"].as_array().map(Vec::len), Some(3), "{found}");
    let store = cluster.yard.store();
    let table = run(&[
        "coordinator",
        "check",
        "--quick",
        "--store",
        store.to_str().expect("UTF-8"),
    ])
    .code(0);
    table
        .says("cas-one-key")
        .says("publish to receive")
        .says("Every promise that was checked is kept");
    cluster.ask(&["nodes"]).code(0).says("alpha");
}

#[test]
fn messages_that_the_secret_does_not_open_are_counted() {
    let secret = |text: &str| SETTINGS.replacen("name = \"test\"", &format!("name = \"test\"\nsecret = \"{text}\""), 1);
    let mut cluster = Cluster::new(&secret("the secret of these nodes"));
    cluster.start("alpha");
    let id = cluster.ready("alpha").fields["node"].to_string();
    let config = cluster.yard.config("stranger").expect("written");
    let text = std::fs::read_to_string(&config).expect("read");
    std::fs::write(
        &config,
        text.replace("the secret of these nodes", "some other secret, longer"),
    )
    .expect("written");
    let watching = Following::start(&["coordinator", "watch", "-o", "json"], &config);
    watching.until("beginning", |line| line["event"] == "watching");
    cluster.ask(&["nodes", "cordon", &id]).code(0);
    watching.until("what cannot be read", |line| {
        line["event"] == "unreadable" && line["count"].as_u64() > Some(0)
    });
    let (code, rest) = watching.interrupt();
    assert_eq!(
        (code, rest.last().expect("the sums")["messages"].as_u64()),
        (Some(0), Some(0)),
        "{rest:?}"
    );
}

#[test]
fn what_nobody_else_can_reach_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("memory.toml");
    std::fs::write(&file, "[store.m]\ntype = \"memory\"\n[cluster]\ncoordinator = \"m\"\n").expect("written");
    let file = file.to_str().expect("UTF-8");
    for task in ["check", "doctor", "watch"] {
        run(&["coordinator", task, "--config", file])
            .code(1)
            .says("memory")
            .says("one process");
        run(&["coordinator", task, "--store", "/nonexistent/x.db"])
            .code(1)
            .says("no store at");
        run(&["coordinator", task, "--store", "http://x"])
            .code(1)
            .says("redis://");
    }
}
