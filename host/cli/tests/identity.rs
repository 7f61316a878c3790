//! Which node is which: ids that outlast their store, copies of state directories, hosts that change their names.

mod common;

use common::{Cluster, LIMIT, SETTINGS, holders, run_as};
use rustix::process::Signal;
use std::path::{Path, PathBuf};

const HOSTS: [&str; 3] = ["alpha", "bravo", "charlie"];

fn state(cluster: &Cluster, host: &str) -> PathBuf {
    cluster.yard.path().join(format!("state-{host}"))
}

fn stated(id: u32) -> String {
    SETTINGS.replacen("name = \"test\"", &format!("name = \"test\"\nnode-id = {id}"), 1)
}

#[test]
fn ids_outlast_the_store() {
    let mut cluster = Cluster::of(&HOSTS);
    let ids = HOSTS.map(|host| cluster.ready(host).fields["node"].clone());
    let mut charlie = cluster.take("charlie");
    charlie.signal(Signal::KILL).expect("it lives");
    charlie.wait(LIMIT).expect("it ends");
    // What the others remember is what they have seen of a living cluster.
    cluster.until("the others to take over", |told| {
        let held = holders(told, "fts-indexing");
        (held.len() == 9 && held.values().all(|host| host != "charlie")).then_some(())
    });

    let before = cluster.told.len();
    cluster.remove_store();
    for host in ["alpha", "bravo"] {
        cluster.event(host, "history-lost", before);
    }
    cluster.start("able");
    let able = cluster.ready("able");
    assert!(!ids.contains(&able.fields["node"]), "{able:?} has an id of {ids:?}");
    for (host, id) in HOSTS.iter().zip(&ids).take(2) {
        assert_eq!(&cluster.event(host, "joined", before).fields["node"], id, "{host}");
    }
    let before = cluster.told.len();
    cluster.start("charlie");
    assert_eq!(cluster.event("charlie", "ready", before).fields["node"], ids[2]);
}

/// Only the instance id is copied, as where a copy has everything else of the original too: the number of the folder,
/// its birth and its file system.
fn copy_instance(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    let text = std::fs::read_to_string(from.join("instance")).expect("read");
    let instance = text.lines().next().expect("a line");
    std::fs::write(to.join("instance"), format!("{instance}\n")).expect("written");
}

#[test]
fn a_copy_of_a_state_directory_that_cannot_be_told_from_it_is_refused_while_the_other_lives() {
    let mut cluster = Cluster::of(&["alpha"]);
    copy_instance(&state(&cluster, "alpha"), &state(&cluster, "twin"));
    let before = cluster.told.len();
    let config = cluster.yard.config("twin").expect("written");
    run_as("alpha", &config)
        .code(1)
        .says("copy of this node's state directory");
    assert_eq!(holders(&cluster.told, "fts-indexing").len(), 9);
    assert!(common::is_running(cluster.node("alpha").pid()));
    let mut alpha = cluster.take("alpha");
    alpha.signal(Signal::TERM).expect("it lives");
    assert!(alpha.wait(LIMIT).expect("it ends").success());
    cluster.event("alpha", "ended", before);
    let lost = |told: &&common::OutputLine| ["session-lost", "fenced", "refused"].contains(&told.event.as_str());
    assert_eq!(
        cluster.told.iter().skip(before).find(lost),
        None,
        "the holder noticed nothing"
    );
}

#[test]
fn a_restart_after_a_kill_waits_for_nobody() {
    let mut cluster = Cluster::of(&["alpha"]);
    let mut alpha = cluster.take("alpha");
    alpha.signal(Signal::KILL).expect("it lives");
    alpha.wait(LIMIT).expect("it ends");
    let before = cluster.told.len();
    cluster.start("alpha");
    cluster.event("alpha", "ready", before);
    // Its session would have had to be ended first, had it been taken for somebody else's.
    let log = cluster.yard.log("alpha");
    assert!(!log.contains("is in use by"), "{log}");
    cluster.until("its shards", |told| {
        let mut held = holders(&told[before..], "fts-indexing");
        held.retain(|_, host| host == "alpha");
        (held.len() == 9).then_some(())
    });
}

#[test]
fn a_stated_id_goes_to_the_next_host_when_the_session_is_over() {
    let mut cluster = Cluster::new(&stated(7));
    for (host, signal) in [
        ("pod-a", Signal::TERM),
        ("pod-b", Signal::KILL),
        ("pod-c", Signal::TERM),
    ] {
        cluster.start(host);
        assert_eq!(cluster.ready(host).fields["node"], 7, "{host}");
        let mut pod = cluster.take(host);
        pod.signal(signal).expect("it lives");
        pod.wait(LIMIT).expect("it ends");
    }
    cluster.start("pod-d");
    cluster.ready("pod-d");
    let config = cluster.yard.config("pod-e").expect("written");
    run_as("pod-e", &config)
        .code(1)
        .says("pod-d")
        .says("cluster.node-id = 7");
}

#[test]
fn a_host_whose_name_changed_keeps_its_id() {
    let mut cluster = Cluster::of(&["alpha", "bravo"]);
    let id = cluster.ready("alpha").fields["node"].clone();
    let mut alpha = cluster.take("alpha");
    alpha.signal(Signal::TERM).expect("it lives");
    assert!(alpha.wait(LIMIT).expect("it ends").success());
    std::fs::rename(state(&cluster, "alpha"), state(&cluster, "omega")).expect("renamed");
    cluster.start("omega");
    assert_eq!(cluster.ready("omega").fields["node"], id);
    // It works only after it has told that.
    cluster.shared(&["omega", "bravo"]);
    let log = cluster.yard.log("omega");
    assert!(
        log.contains("another hostname before") && log.contains("alpha"),
        "{log}"
    );
}

#[test]
fn a_state_directory_that_vanishes_is_told() {
    let mut cluster = Cluster::of(&["alpha"]);
    let (here, there) = (state(&cluster, "alpha"), state(&cluster, "elsewhere"));
    let before = cluster.told.len();
    std::fs::rename(&here, &there).expect("renamed");
    let lost = cluster.event("alpha", "state-dir-lost", before);
    assert!(
        lost.fields["reason"]
            .as_str()
            .is_some_and(|reason| reason.contains("is gone")),
        "{lost:?}"
    );
    std::fs::create_dir(&here).expect("a folder");
    std::fs::write(here.join("lock"), "").expect("written");
    std::fs::remove_dir_all(&here).expect("removed");
    std::fs::rename(&there, &here).expect("renamed");
    cluster.event("alpha", "state-dir-back", before);
    assert!(common::is_running(cluster.node("alpha").pid()));
}
