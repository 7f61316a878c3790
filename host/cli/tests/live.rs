//! Clusters of real processes that leave, die, come twice, or lose their store.

mod common;

use common::{Answer, Cluster, LIMIT, SETTINGS, command, holders, run_as};
use rustix::process::Signal;
use serde_json::Value;
use std::collections::BTreeSet;

const HOSTS: [&str; 3] = ["alpha", "bravo", "charlie"];

#[test]
fn sigterm_hands_over_at_once_and_the_node_can_be_forgotten() {
    let settings = SETTINGS
        .replace("2500ms", "8s")
        .replace("400ms", "1s")
        .replace("\"3s\"", "\"9s\"");
    let mut cluster = Cluster::new(&settings);
    HOSTS.iter().for_each(|host| cluster.start(host));
    cluster.shared(&HOSTS);
    let id = cluster.ready("charlie").fields["node"].to_string();
    let before = cluster.told.len();
    let mut node = cluster.take("charlie");
    node.signal(Signal::TERM).expect("it lives");
    cluster.until("the others to take over", |told| {
        let held = holders(told, "fts-indexing");
        (held.len() == 9 && held.values().all(|host| host != "charlie")).then_some(())
    });
    assert!(node.wait(LIMIT).expect("it ends").success());
    let ended = cluster.event("charlie", "ended", before);
    assert_eq!(ended.fields["reason"], Value::Null);
    let gained = cluster.told[before..]
        .iter()
        .filter(|told| told.event == "gained")
        .map(|told| told.at)
        .max();
    let losing = cluster.told[before..]
        .iter()
        .find(|told| told.event == "losing" && told.host == "charlie")
        .expect("told")
        .at;
    // Long before the session would have run out, of which most is left.
    assert!(
        gained.expect("gains") - losing < 6_000,
        "{} ms",
        gained.expect("gains") - losing
    );

    let forgotten = cluster
        .ask_until(&["nodes", "forget", &id], |answer| answer.code == Some(0))
        .says("charlie");
    assert!(forgotten.out.contains("hostname"), "{forgotten:?}");
    let left = cluster.ask(&["nodes", "-o", "json"]).code(0).json();
    assert_eq!(left.as_array().map(Vec::len), Some(2), "{left}");
    // It may come back; nobody holds that against it.
    cluster.start("charlie");
    cluster.until("charlie to work again", |told| {
        holders(told, "fts-indexing")
            .values()
            .any(|host| host == "charlie")
            .then_some(())
    });
}

/// When the session of a node was renewed, in milliseconds of CLOCK_BOOTTIME, by the store itself.
fn renewed(cluster: &Cluster, id: &str) -> u64 {
    let store = rusqlite::Connection::open(cluster.yard.store()).expect("opens");
    store.busy_timeout(LIMIT).expect("set");
    let select = "SELECT written - clock FROM entries, meta WHERE key = ?1";
    let written: i64 = store
        .query_row(select, [format!("sessions/{id}")], |row| row.get(0))
        .expect("it has a session");
    written.try_into().expect("after the machine was started")
}

#[test]
fn sigkill_is_taken_over_and_no_shard_has_two_owners() {
    let mut cluster = Cluster::of(&HOSTS);
    let id = cluster.ready("alpha").fields["node"].to_string();
    let renewed = renewed(&cluster, &id);
    let mut node = cluster.take("alpha");
    let (_, died) = node.kill().expect("killed");
    cluster.event("alpha", "eof", 0);
    let lost: BTreeSet<u32> = holders(&cluster.told, "fts-indexing")
        .into_iter()
        .filter(|(_, host)| host == "alpha")
        .map(|(shard, _)| shard)
        .collect();
    assert_eq!(lost.len(), 3);
    cluster.until("the others to take over", |told| {
        holders(told, "fts-indexing")
            .values()
            .all(|host| host != "alpha")
            .then_some(())
    });
    for told in cluster
        .told
        .iter()
        .filter(|told| told.event == "gained" && told.role() == "fts-indexing" && told.host != "alpha")
    {
        for (shard, token) in told.shards().filter(|(shard, _)| lost.contains(shard)) {
            // Alone it may have had the shard before alpha had: then it lost it again.
            if told.at >= died {
                let former = cluster
                    .told
                    .iter()
                    .filter(|t| t.at < died && t.event == "gained" && t.role() == "fts-indexing");
                let former = former
                    .flat_map(|t| t.shards())
                    .filter(|(s, _)| *s == shard)
                    .filter_map(|(_, token)| token)
                    .max();
                assert!(token > former, "shard {shard}: {token:?} after {former:?}");
            }
        }
    }
    let first = cluster
        .told
        .iter()
        .filter(|told| told.at > died && told.event == "gained" && told.role() == "fts-indexing")
        .map(|told| told.at)
        .min();
    // Validity and margin, from a renewal that was the last or one before it.
    assert!(
        first.expect("a gain") >= renewed + 2_600,
        "nobody may take over while the session holds"
    );

    cluster.start("alpha");
    cluster.until("alpha to have its own shards back", |told| {
        let held = holders(told, "fts-indexing");
        lost.iter()
            .all(|shard| held.get(shard).is_some_and(|host| host == "alpha"))
            .then_some(())
    });
}

#[test]
fn a_second_node_of_the_same_name_is_refused_and_harms_nobody() {
    let mut cluster = Cluster::of(&["alpha"]);
    let config = cluster.yard.config("twin").expect("written");
    run_as("alpha", &config).code(1).says("alpha").says("instance");
    // The same state directory is refused before the store is asked.
    let config = cluster.yard.config("alpha").expect("written");
    let pid = cluster.node("alpha").pid();
    run_as("alpha", &config).code(1).says("in use").says(&pid.to_string());
    assert_eq!(holders(&cluster.told, "fts-indexing").len(), 9);
    assert!(common::is_running(pid));
}

#[test]
fn two_clusters_share_a_file_without_meeting() {
    let mut one = Cluster::of(&["alpha"]);
    let config = one.yard.config("beta").expect("written");
    let text = std::fs::read_to_string(&config)
        .expect("read")
        .replace("name = \"test\"", "name = \"other\"");
    std::fs::write(&config, text).expect("written");
    let mut child = command()
        .args(["run", "--events", "text", "--until-stdin-ends", "--config"])
        .arg(&config)
        .env("SHARDWRIGHT_HOSTNAME", "beta")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("it runs");
    let mut lines =
        std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().expect("a pipe"))).map_while(Result::ok);
    assert_eq!(
        lines.next().expect("a line"),
        "ready node=1 hostname=beta cluster=other",
        "ids are each cluster's own"
    );
    assert!(lines.any(|line| line.starts_with("gained ")), "events as text");
    let other = Answer::from(
        command()
            .args(["nodes", "-o", "json", "--config"])
            .arg(&config)
            .output()
            .expect("it runs"),
    );
    assert_eq!(other.code(0).json()[0]["hostname"], "beta");
    let own = one.ask(&["nodes", "-o", "json"]).code(0).json();
    assert_eq!(
        (own.as_array().map(Vec::len), own[0]["hostname"].as_str()),
        (Some(1), Some("alpha"))
    );
    // Its stdin ends: it goes, in good order.
    drop(child.stdin.take());
    lines.by_ref().for_each(drop);
    assert!(child.wait().expect("it ends").success());
    assert!(common::is_running(one.node("alpha").pid()));
}

#[test]
fn a_wrong_secret_is_named() {
    let secret = |text: &str| SETTINGS.replacen("name = \"test\"", &format!("name = \"test\"\nsecret = \"{text}\""), 1);
    let mut cluster = Cluster::new(&secret("the secret of these nodes"));
    cluster.start("alpha");
    cluster.ready("alpha");
    cluster.ask(&["nodes"]).code(0).says("alpha");
    let config = cluster.yard.config("bravo").expect("written");
    let text = std::fs::read_to_string(&config).expect("read");
    for (wrong, cause) in [
        (
            text.replace("the secret of these nodes", "some other secret, longer"),
            "secret",
        ),
        (text.replace("secret = \"the secret of these nodes\"", ""), "secret"),
    ] {
        std::fs::write(&config, wrong).expect("written");
        for command_line in [&["nodes", "--config"][..], &["run", "--config"]] {
            let output = command()
                .args(command_line)
                .arg(&config)
                .env("SHARDWRIGHT_HOSTNAME", "bravo")
                .output()
                .expect("it runs");
            let answer = Answer::from(output).code(1).says(&format!("cluster.{cause}"));
            assert!(
                !answer.err.contains("of these nodes") && !answer.err.contains("some other"),
                "{answer:?}"
            );
        }
    }
    assert!(common::is_running(cluster.node("alpha").pid()));
}

#[test]
fn a_store_that_is_removed_is_noticed_and_the_cluster_comes_back() {
    let mut cluster = Cluster::of(&["alpha", "bravo"]);
    let before = cluster.told.len();
    cluster.remove_store();
    for host in ["alpha", "bravo"] {
        cluster.event(host, "history-lost", before);
        cluster.event(host, "losing", before);
    }
    // Each joins again, after the grace period of the new store, and works.
    for host in ["alpha", "bravo"] {
        cluster.event(host, "joined", before);
    }
    let lost_at = cluster.event("alpha", "history-lost", before).at;
    cluster.until("work on the new store", |told| {
        let gains = told
            .iter()
            .filter(|t| t.event == "gained" && t.at > lost_at && t.role() == "fts-indexing");
        (gains
            .flat_map(|t| t.shards())
            .map(|(shard, _)| shard)
            .collect::<BTreeSet<_>>()
            .len()
            == 9)
            .then_some(())
    });
    let gained = |host: &str| {
        cluster
            .told
            .iter()
            .skip(before)
            .find(|t| t.event == "joined" && t.host == host)
            .map(|t| t.at)
    };
    assert!(gained("alpha") > Some(lost_at));
    cluster.shared(&["alpha", "bravo"]);
}
