//! Real nodes, and what a machine or its operator does to what they stand on.

mod clock;
#[path = "../common/mod.rs"]
mod common;
mod disk;
mod lock;
mod peers;
mod settings;

use common::{Cluster, OutputLine, holders};

/// Waits until each of these has told, after the first `skip`, that the store fails, and why, and has stopped when its
/// time was over.
fn stopped(cluster: &mut Cluster, hosts: &[&str], skip: usize) {
    for host in hosts {
        let down = cluster.event(host, "coordinator-down", skip);
        assert!(down.fields["reason"].is_string(), "{down:?}");
        let fenced = cluster.event(host, "fenced", skip);
        assert!(
            fenced.at >= fenced.fields["deadline"].as_u64().expect("a moment"),
            "{fenced:?}"
        );
        cluster.event(host, "losing", skip);
    }
}

/// Waits until all nine shards of `fts-indexing` have an owner, by what was told after the first `skip`.
fn owned_again(cluster: &mut Cluster, skip: usize) {
    cluster.until("every shard to be owned again", |told| {
        (holders(&told[skip..], "fts-indexing").len() == 9).then_some(())
    });
}

/// No node has ended, and nothing was lost.
fn unharmed(cluster: &Cluster) {
    let harm = |told: &&OutputLine| ["history-lost", "ended", "eof"].contains(&told.event.as_str());
    assert_eq!(cluster.told.iter().find(harm), None, "{:?}", cluster.told);
}
