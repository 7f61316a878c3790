//! Clocks: the machine's, which counts the time for which it was suspended, and the coordinator's, which an operator
//! sets.

use crate::common::{Cluster, SETTINGS, binary, holders};
use shardwright_cli::process::ClusterFolder;
use shardwright_coordinator::clock::boottime;
use std::os::unix::fs::PermissionsExt;

/// As far as CLOCK_MONOTONIC can tell, the node lives now; CLOCK_BOOTTIME has counted a million seconds more, as after
/// a long sleep of the machine.
#[test]
fn a_node_lives_by_the_clock_that_counts_suspended_time() {
    const SUSPENDED: u64 = 1_000_000;
    let folder = tempfile::tempdir().expect("a folder");
    let asleep = folder.path().join("asleep");
    let unshare = format!("unshare --user --map-root-user --time --boottime {SUSPENDED} --fork --kill-child");
    std::fs::write(&asleep, format!("#!/bin/sh\nexec {unshare} -- {:?} \"$@\"\n", binary())).expect("written");
    std::fs::set_permissions(&asleep, std::fs::Permissions::from_mode(0o755)).expect("set");
    let mut cluster = Cluster::inside(ClusterFolder::new(asleep, SETTINGS).expect("a folder"));
    let before = boottime();
    cluster.start("alpha");
    let ready = cluster.ready("alpha");
    cluster.shared(&["alpha"]);
    let shift = SUSPENDED * 1_000;
    let there = before + shift..=boottime() + shift;
    assert!(
        there.contains(&ready.at),
        "{ready:?} is not within {there:?}: this needs user and time namespaces"
    );
    // So are its deadlines.
    let gained = cluster
        .told
        .iter()
        .find(|told| told.event == "gained")
        .expect("it has some");
    let deadline = gained.fields["deadline"].as_u64().expect("a moment");
    assert!(
        deadline > before + shift && deadline <= boottime() + shift + 2_500,
        "{gained:?}"
    );
}

#[test]
fn a_coordinator_whose_clock_is_set_harms_nobody_and_is_told() {
    const HOUR: i64 = 3_600_000;
    let hosts = ["alpha", "bravo"];
    let mut cluster = Cluster::of(&hosts);
    let skip = cluster.told.len();
    let other = rusqlite::Connection::open(cluster.yard.store()).expect("opens");
    other.busy_timeout(crate::common::LIMIT).expect("set");
    let set = format!("UPDATE meta SET clock = clock + {HOUR}");
    assert_eq!(other.execute(&set, ()).expect("set"), 1);
    for host in hosts {
        let jumped = cluster.event(host, "clock-jumped", skip);
        let by = jumped.fields["by"].as_i64().expect("milliseconds");
        assert!((HOUR - 60_000..HOUR + 60_000).contains(&by), "{jumped:?}");
    }
    // Every session looks an hour old. Who ended one for that would say so.
    let ended =
        |told: &&shardwright_cli::process::OutputLine| ["peer-left", "session-lost"].contains(&told.event.as_str());
    let renewed = cluster.told.len();
    for host in hosts {
        // Renewed, hence alive, by the new clock.
        cluster.ask_until(&["nodes", "-o", "json"], |answer| {
            let nodes = answer.json();
            let node = nodes
                .as_array()
                .expect("a list")
                .iter()
                .find(|node| node["hostname"] == host);
            node.is_some_and(|node| node["status"] == "active")
        });
    }
    assert_eq!(
        cluster.told.iter().skip(skip).find(ended),
        None,
        "{:?}",
        &cluster.told[renewed..]
    );
    assert_eq!(holders(&cluster.told, "fts-indexing").len(), 9);
}
