//! Members whose clocks differ: a proxy dates the answers of one wrongly.

use super::{VALUE, etcd, eventually, fresh, open, options};
use shardwright_components::adapter::{AdapterCoordinator, AdapterOptions};
use shardwright_coordinator::broker::BrokerError;
use shardwright_coordinator::clock::boottime;
use shardwright_coordinator::{Coordinator, Store};
use shardwright_core::store::{Expected, StoreError};
use shardwright_servers::{EtcdCluster, Proxy};
use std::time::Duration;

/// What an adapter for a cluster declares.
const UNCERTAINTY: u64 = 500;

/// Three members, and a proxy before each.
struct Three {
    cluster: EtcdCluster,
    proxies: Vec<Proxy>,
}

impl Three {
    fn start() -> Self {
        let cluster = EtcdCluster::start().expect("a cluster");
        let proxies = cluster
            .nodes()
            .map(|node| Proxy::to(node.port()).expect("a proxy"))
            .collect();
        Self { cluster, proxies }
    }

    /// The way to these members, in this order.
    fn through(&self, members: &[usize]) -> AdapterOptions {
        let url = |at: &usize| format!("http://127.0.0.1:{}", self.proxies[*at].port());
        options(&members.iter().map(url).collect::<Vec<_>>(), "")
    }

    fn is_at(&self, handle: &AdapterCoordinator, member: usize) -> bool {
        handle.location() == format!("http://127.0.0.1:{}", self.proxies[member].port())
    }
}

/// The age of `k`, and what it can be at most: the time since `asked`, on this machine's clock.
async fn age(handle: &AdapterCoordinator, asked: u64) -> Result<(u64, u64), StoreError<bytes::Bytes>> {
    let reading = handle.get("k").await?;
    let entry = reading.entry.expect("there");
    Ok((reading.now.0.saturating_sub(entry.written.0), boottime() - asked))
}

/// The node that renews uses a right clock; one that comes later has only a wrong one, 6 s ahead. Its ages would be 6 s
/// too large.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_node_that_reaches_only_a_clock_that_is_ahead_is_refused() {
    let three = Three::start();
    three.proxies[2].shift_dates(6);
    let namespace = fresh();
    let right = open(&three.through(&[0, 1]), &namespace).await;
    let renewing = async {
        loop {
            right.put("k", VALUE, Expected::Any).await.expect("written");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let opened = tokio::select! {
        never = renewing => never,
        opened = AdapterCoordinator::open(etcd().await, three.through(&[2]), namespace.clone()) => opened,
    };
    let refused = opened.expect_err("refused");
    assert!(
        matches!(&refused, BrokerError::Unsafe { why, .. } if why.contains("ms ahead")),
        "{refused:?}"
    );
    // It left no stamp behind: the other goes on as before.
    let asked = boottime();
    right.put("k", VALUE, Expected::Any).await.expect("written");
    let (old, most) = age(&right, asked).await.expect("read");
    assert!(old <= most + UNCERTAINTY, "{old} ms after {most} ms");
}

/// Of three members one is 6 s ahead, or behind: nodes that prefer it go to another, and agree with all others.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_clock_of_which_two_are_is_used() {
    let three = Three::start();
    for by in [6, -6] {
        three.proxies[0].shift_dates(by);
        let namespace = fresh();
        let (one, two) = (
            open(&three.through(&[0, 1, 2]), &namespace).await,
            open(&three.through(&[2, 1, 0]), &namespace).await,
        );
        assert!(
            three.is_at(&one, 1) && three.is_at(&two, 2),
            "{} {}",
            one.location(),
            two.location()
        );
        for (writer, reader) in [(&one, &two), (&two, &one)] {
            let asked = boottime();
            writer.put("k", VALUE, Expected::Any).await.expect("written");
            let (old, most) = age(reader, asked).await.expect("read");
            assert!(old <= most + UNCERTAINTY, "{old} ms after {most} ms, {by} s");
        }
        assert_eq!(one.clock_uncertainty(), Duration::from_millis(UNCERTAINTY));
    }
}

/// The member in use goes, and the next one has a wrong clock: no age is too large, and another one is found.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_lane_that_moves_to_a_wrong_clock_moves_on() {
    let three = Three::start();
    let namespace = fresh();
    let handle = open(&three.through(&[0, 1, 2]), &namespace).await;
    assert!(three.is_at(&handle, 0));
    let asked = boottime();
    handle.put("k", VALUE, Expected::Any).await.expect("written");
    three.proxies[1].shift_dates(6);
    three.proxies[0].cut();
    three.cluster.node(0).kill().expect("killed");
    let (old, most) = eventually("a reading", async || age(&handle, asked).await.ok()).await;
    assert!(old <= most + UNCERTAINTY, "{old} ms after {most} ms");
    assert!(three.is_at(&handle, 2), "{}", handle.location());
}

/// The clock of the member in use is set while it is used: it is given up with the next answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_clock_that_is_set_under_a_lane_is_given_up() {
    let three = Three::start();
    for by in [6, -6] {
        let namespace = fresh();
        let (handle, other) = (
            open(&three.through(&[0, 1, 2]), &namespace).await,
            open(&three.through(&[1, 2]), &namespace).await,
        );
        let asked = boottime();
        other.put("k", VALUE, Expected::Any).await.expect("written");
        three.proxies[0].shift_dates(by);
        let (old, most) = eventually("a reading", async || age(&handle, asked).await.ok()).await;
        assert!(old <= most + UNCERTAINTY, "{old} ms after {most} ms");
        assert!(!three.is_at(&handle, 0), "{}", handle.location());
        // Nor did it leave a wrong stamp.
        let asked = boottime();
        eventually("a write", async || handle.put("k", VALUE, Expected::Any).await.ok()).await;
        let (old, most) = age(&other, asked).await.expect("read");
        assert!(old <= most + UNCERTAINTY, "{old} ms after {most} ms");
        three.proxies[0].shift_dates(0);
    }
}

/// Where none of two agrees with another, nobody can tell which is right.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn without_a_clock_that_others_share_nothing_is_done() {
    let three = Three::start();
    three.proxies[1].shift_dates(6);
    three.proxies[2].shift_dates(-6);
    let refused = super::refused(three.through(&[0, 1, 2])).await;
    assert!(
        matches!(&refused, BrokerError::Unsafe { why, .. } if why.contains("run NTP")),
        "{refused:?}"
    );
}
