//! Situations that people who run clusters have met, played with real processes and real signals.

mod common;

use common::handoffs::{CALM, followed_at_once};
use common::{Answer, Cluster, LIMIT, SETTINGS, command, is_running, run, run_as, yard};
use rustix::process::Signal;
use serde_json::Value;
use shardwright_cli::process::{ClusterFolder, OutputLine};
use shardwright_coordinator::clock::boottime;
use std::time::{Duration, Instant};

/// SIGTERM to one of two nodes, in turn to the one that leads.
#[test]
fn sigterm_is_followed_at_once_whoever_leads() {
    followed_at_once(yard(CALM));
}

/// A process that was stopped for longer than its session is valid tells when its time was over, not when it woke up;
/// and what it has again, it has under tokens that it tells.
#[test]
fn what_was_stopped_tells_until_when_it_was_allowed_and_its_tokens_when_it_goes_on() {
    let mut cluster = Cluster::of(&["alpha"]);
    let before = cluster.told.len();
    cluster.node("alpha").signal(Signal::STOP).expect("it lives");
    let stopped = boottime();
    while boottime() < stopped + 3_000 {
        std::thread::sleep(Duration::from_millis(50));
    }
    let woken = boottime();
    cluster.node("alpha").signal(Signal::CONT).expect("it lives");
    let fenced = cluster.event("alpha", "fenced", before);
    let losing = cluster.event("alpha", "losing", before);
    let until = losing.fields["until"].as_u64().expect("a moment");
    assert_eq!(fenced.fields["deadline"], until);
    assert!(until < woken && until >= stopped, "{stopped}..{woken}: {losing:?}");
    assert!(losing.at >= woken);
    let resumed = cluster.event("alpha", "resumed", before);
    assert!(resumed.fields["deadline"].as_u64() > Some(woken));
    // What was gained before, of another role, may be told only now.
    let anew = |told: &&OutputLine| told.event == "gained" && told.fields["since"].as_u64() >= Some(woken);
    let again = |told: &[OutputLine]| told.iter().find(anew).cloned();
    let gained = cluster.until("alpha to have its shards again", again);
    assert!(
        gained.shards().count() > 0 && gained.shards().all(|(_, token)| token.is_some()),
        "{gained:?}"
    );
    for told in [&gained, &losing] {
        for token in told.fields["tokens"].as_array().expect("a list") {
            let digits = token.as_str().expect("a text");
            assert!(
                digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit()),
                "{digits}"
            );
        }
    }
    assert!(gained.fields["epoch"].as_u64() > Some(0), "{gained:?}");
}

#[test]
fn names_that_differ_in_case_or_by_a_dot_are_one_host() {
    let mut cluster = Cluster::of(&["mail-1"]);
    for (n, name) in ["MAIL-1", "Mail-1."].into_iter().enumerate() {
        let config = cluster.yard.config(&format!("twin-{n}")).expect("written");
        let answer = run_as(name, &config)
            .code(1)
            .says("\"mail-1\"")
            .says("last renewed at 20")
            .says("Z, its lease ends");
        assert!(!answer.err.contains("since 1970"), "{answer:?}");
    }
    let pid = cluster.node("mail-1").pid();
    assert!(is_running(pid), "the first goes on");
}

#[test]
fn what_every_machine_is_called_is_no_hostname() {
    let cluster = Cluster::new(SETTINGS);
    for (name, says) in [
        ("localhost", "every machine"),
        ("10.0.0.5", "an address"),
        ("fe80::1", "an address"),
    ] {
        let config = cluster.yard.config("odd").expect("written");
        let odd = command()
            .args(["run", "--config"])
            .arg(config)
            .env("STALWART_HOSTNAME", name)
            .output()
            .expect("it runs");
        Answer::from(odd)
            .code(1)
            .says(says)
            .says(name)
            .says("SHARDWRIGHT_HOSTNAME");
    }
}

/// A new store, and the node is stopped before anybody may join: a rollback within the first seconds.
#[test]
fn sigterm_during_the_grace_period_is_no_error() {
    let mut cluster = Cluster::new(CALM);
    cluster.start("alpha");
    let end = Instant::now() + LIMIT;
    while !cluster.yard.log("alpha").contains("the store is new") {
        assert!(Instant::now() < end, "{}", cluster.yard.log("alpha"));
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut node = cluster.take("alpha");
    node.signal(Signal::TERM).expect("it lives");
    assert_eq!(node.wait(LIMIT).expect("it ends").code(), Some(0));
    let log = cluster.yard.log("alpha");
    assert!(
        log.contains("asked to stop") && !log.contains("ERROR") && !log.contains("WARN"),
        "{log}"
    );
}

#[test]
fn why_history_was_lost_is_told_in_the_event_and_in_the_log() {
    let mut cluster = Cluster::of(&["alpha"]);
    let before = cluster.told.len();
    for suffix in ["", "-wal", "-shm"] {
        let mut name = cluster.yard.store().into_os_string();
        name.push(suffix);
        // Not every companion exists at every moment.
        let _ = std::fs::remove_file(name);
    }
    let lost = cluster.event("alpha", "history-lost", before);
    let reason = lost.fields["reason"].as_str().expect("a text").to_owned();
    assert!(!reason.is_empty());
    cluster.event("alpha", "joined", before);
    let log = cluster.yard.log("alpha");
    let line = log
        .lines()
        .find(|line| line.contains("lost its history"))
        .expect("it is logged");
    assert!(line.contains("reason="), "{line}");
    for line in log.lines() {
        let span = line.split_once("}: ").map_or("", |(span, _)| span);
        assert!(
            span.matches("node=").count() <= 1,
            "a line has the id of then, no other: {line}"
        );
    }
}

/// Where a node meets may have a password in it: that is in no argument and no variable of its process.
#[test]
fn no_password_shows_in_the_list_of_processes() {
    let yard = yard(SETTINGS);
    let yard = yard.meeting_at("type = \"redis\"\nurls = \"redis://user:hush-hush@127.0.0.1:1\"\n");
    let (tell, _told) = std::sync::mpsc::channel();
    let node = yard.start("alpha", tell).expect("it starts");
    for file in ["cmdline", "environ"] {
        let bytes = std::fs::read(format!("/proc/{}/{file}", node.pid())).expect("it lives");
        assert!(!String::from_utf8_lossy(&bytes).contains("hush"), "{file}");
    }
    drop(node);

    let cluster = Cluster::of(&["alpha"]);
    let store = cluster.yard.store();
    let named = cluster.yard.path().join("address");
    std::fs::write(&named, format!("{}\n", store.display())).expect("written");
    let by_file = run(&[
        "nodes",
        "--cluster",
        "test",
        "--store",
        &format!("file:{}", named.display()),
    ]);
    by_file.code(0).says("alpha");
    let by_variable = command()
        .args(["nodes", "--cluster", "test", "--store", "env:WHERE", "-o", "json"])
        .env("WHERE", &store)
        .output()
        .expect("it runs");
    let nodes = Answer::from(by_variable).code(0).json();
    assert_eq!(nodes[0]["hostname"], Value::from("alpha"));
    run(&["nodes", "--help"]).code(0).says("env:NAME").says("process list");
}

/// The answer of `run` with the configuration of `host`, under the hostname `name`.
fn refused(yard: &ClusterFolder, host: &str, name: &str) -> Answer {
    let run = command()
        .args(["run", "--config"])
        .arg(yard.config(host).expect("written"))
        .arg("--cache-dir")
        .arg(yard.path().join("cache"))
        .env("SHARDWRIGHT_HOSTNAME", name)
        .output();
    Answer::from(run.expect("it runs")).code(1)
}

/// One error, as text, that says this once; and nothing else that looks like one.
fn told_once(answer: &Answer, says: &str) {
    let errors = answer.err.lines().filter(|line| line.starts_with("error: ")).count();
    let told = answer.err.matches(says).count();
    assert!(
        errors == 1 && told == 1,
        "{says:?} is told {told} times in {errors} errors: {}",
        answer.err
    );
    let dumps = ["\\\"", "\\n", "ERROR", " { ", "Some("];
    assert!(!dumps.iter().any(|dump| answer.err.contains(dump)), "{}", answer.err);
}

/// Of whichever layer it comes: configuration, state directory, component, coordinator.
#[test]
fn what_keeps_a_node_from_starting_is_told_once_as_text() {
    let rubbish = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(rubbish.path(), "rubbish").expect("written");
    let rubbish = rubbish.path().display();
    let policy = |path: &str| {
        yard(&format!(
            "{SETTINGS}\"my.job\" = {{ policy = \"mine\" }}\n[policy.mine]\npath = \"{path}\"\n"
        ))
    };
    let at = |coordinator: &str| yard(SETTINGS).meeting_at(coordinator);
    let mut cases = vec![
        (yard("name = \"test\"\nnode-id = 0\n"), "must be from 1 to 511"),
        (policy("/nowhere/mine.wasm"), "/nowhere/mine.wasm"),
        (policy(&rubbish.to_string()), "cannot be used"),
        (at("type = \"sqlite\"\npath = \"/proc/nowhere\"\n"), "a local disk"),
        (
            at(&format!("type = \"sqlite\"\npath = \"{rubbish}\"\n")),
            "not a database",
        ),
        (at("type = \"memory\"\n"), "inside one process"),
        (at("type = \"zenoh\"\nconfig = \"{}\"\n"), "there is no backend"),
    ];
    if cfg!(feature = "adapters") {
        let adapter = format!("type = \"component\"\npath = \"{rubbish}\"\n");
        cases.push((at(&adapter), "not a WebAssembly component"));
    }
    for (yard, says) in cases {
        told_once(&refused(&yard, "alpha", "alpha"), says);
    }
    let yard = yard(SETTINGS);
    std::fs::write(yard.path().join("state-alpha"), "a file").expect("written");
    told_once(&refused(&yard, "alpha", "alpha"), "state-alpha");
}

#[test]
fn what_the_cluster_does_not_take_is_told_once_as_text() {
    let cluster = Cluster::of(&["alpha"]);
    told_once(
        &refused(&cluster.yard, "twin", "alpha"),
        "in use by another live instance",
    );
    let other = |settings: String| {
        let place = cluster.yard.store();
        let yard = yard(&settings);
        yard.meeting_at(format!("type = \"sqlite\"\npath = {place:?}\n"))
    };
    let secret = SETTINGS.replacen("name", "secret = \"correct horse battery staple\"\nname", 1);
    told_once(&refused(&other(secret), "bravo", "bravo"), "cluster.secret");
    let stated = SETTINGS.replacen("name", "node-id = 1\nname", 1);
    told_once(
        &refused(&other(stated), "bravo", "bravo"),
        "cluster.node-id = 1 is held by host \"alpha\"",
    );
}

/// What is waited for and how long, in units that people read.
#[test]
fn waits_are_told() {
    let mut cluster = Cluster::of(&["alpha"]);
    let told = |cluster: &Cluster, what: &str| -> String {
        let log = cluster.yard.log("alpha");
        log.lines()
            .find(|line| line.contains(what))
            .unwrap_or_else(|| panic!("no {what} in {log}"))
            .to_owned()
    };
    let grace = told(&cluster, "the store is new");
    assert!(grace.contains("wait=2.") && grace.trim_end().ends_with(" s"), "{grace}");
    // Once it has renewed under what it has read, its session shows that the grace period is over.
    let mut renewals = std::collections::BTreeSet::new();
    cluster.ask_until(&["nodes", "-o", "json"], |answer| {
        renewals.insert(answer.json()[0]["lastRenewal"].to_string());
        renewals.len() > 2
    });
    cluster.take("alpha").kill().expect("it lives");
    std::fs::remove_dir_all(cluster.yard.path().join("state-alpha")).expect("removed");
    let before = cluster.told.len();
    cluster.start("alpha");
    cluster.event("alpha", "ready", before);
    let line = told(&cluster, "the state directory of this node was lost");
    assert!(
        line.contains("is node 1 and may be alive") && line.contains("at_most=2."),
        "{line}"
    );
}

/// Two nodes, one of which is restarted with another file: it says in one sentence what differs, and the other goes on.
#[test]
fn what_differs_is_said_in_the_log_and_in_the_events() {
    let mut cluster = Cluster::of(&["alpha", "bravo"]);
    let [odd, keeper] = ["alpha", "bravo"].map(|host| cluster.ready(host).fields["node"].clone());
    let mut alpha = cluster.take("alpha");
    alpha.signal(Signal::TERM).expect("it lives");
    alpha.wait(LIMIT).expect("it ends");
    cluster.shared(&["bravo"]);
    let before = cluster.told.len();
    cluster.yard.set(&SETTINGS.replace("shards = 9", "shards = 8"));
    cluster.start("alpha");
    let told = cluster.event("alpha", "settings-differ", before);
    assert_eq!(told.fields["from"], serde_json::json!([keeper]));
    let key = "cluster.roles.fts-indexing.shards";
    assert_eq!(
        told.fields["keys"],
        serde_json::json!([{ "key": key, "here": "8", "there": "9" }])
    );
    let peer = cluster.event("bravo", "peer-differs", before);
    assert_eq!(peer.fields["node"], odd);
    assert_eq!(
        peer.fields["keys"],
        serde_json::json!([{ "key": key, "here": "9", "there": "8" }])
    );
    let log = cluster.yard.log("alpha");
    let sentence = format!(
        "this node's settings differ from those of node {keeper} (bravo), which prevail: `{key}` is 8 here and 9 \
         there. It does not act until they agree: correct its configuration and restart it"
    );
    assert!(log.contains(&sentence), "{log}");
    let log = cluster.yard.log("bravo");
    let sentence = format!(
        "the settings of node {odd} (alpha) differ from those that prevail: `{key}` is 9 on the others and 8 there"
    );
    assert!(log.contains(&sentence), "{log}");
    assert!(
        !cluster.told[before..]
            .iter()
            .any(|told| told.host == "bravo" && told.event == "losing"),
        "it keeps its work"
    );
}
