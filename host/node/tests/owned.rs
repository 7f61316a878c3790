//! Work that the crate begins, ends and waits for; a start that is not waited for; the registry as it changes.

mod common;

use common::wire::Wire;
use common::{Cluster, PATIENCE, held, until};
use shardwright::{Claim, Node, StartError, StateDirError, Token};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// Who works on which shard, under which token.
#[derive(Clone, Default)]
struct Desk(Arc<Mutex<Seats>>);

#[derive(Default)]
struct Seats {
    taken: BTreeMap<u32, (&'static str, Token)>,
    /// Who came while another one was there, or after one with a greater token.
    wrong: Vec<(u32, &'static str, Token)>,
    last: BTreeMap<u32, Token>,
}

/// One at a shard.
struct Seat(Desk, Claim);

impl Desk {
    fn seats(&self) -> MutexGuard<'_, Seats> {
        self.0.lock().expect("no panic under it")
    }

    fn sit(&self, who: &'static str, claim: Claim) -> Seat {
        let (shard, token) = (claim.shard(), claim.token());
        let mut seats = self.seats();
        let before = seats.taken.insert(shard, (who, token));
        let later = seats.last.insert(shard, token).is_some_and(|last| last >= token);
        if before.is_some() || later {
            seats.wrong.push((shard, who, token));
        }
        drop(seats);
        Seat(self.clone(), claim)
    }

    fn count(&self, who: &str) -> usize {
        self.seats().taken.values().filter(|(sits, _)| *sits == who).count()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.seats().taken.remove(&self.1.shard());
    }
}

fn work(node: &Node, who: &'static str, desk: &Desk) -> tokio::task::JoinHandle<()> {
    let desk = desk.clone();
    let role = common::work(node);
    tokio::spawn(role.run_owned(move |claim| {
        let seat = desk.sit(who, claim);
        async move {
            let _seat = seat;
            std::future::pending::<()>().await;
        }
    }))
}

/// Each shard has one at work at any time, who has left before the next comes.
#[tokio::test(flavor = "multi_thread")]
async fn shards_are_worked_on_by_their_owners_through_handoffs() {
    let cluster = Cluster::new("{ shards = 8 }");
    let desk = Desk::default();
    let a = cluster.start("a").await;
    let at_a = work(&a, "a", &desk);
    until("one works on all", &[&a], || desk.count("a") == 8).await;
    let b = cluster.start("b").await;
    let at_b = work(&b, "b", &desk);
    until("both work", &[&a, &b], || (desk.count("a"), desk.count("b")) == (4, 4)).await;
    a.shutdown().await;
    tokio::time::timeout(PATIENCE, at_a)
        .await
        .expect("in time")
        .expect("it returns with its node");
    assert_eq!(desk.count("a"), 0);
    until("the other works on all", &[&b], || desk.count("b") == 8).await;
    assert_eq!(a.stats().overdue_stops, 0);
    drop(b);
    tokio::time::timeout(PATIENCE, at_b)
        .await
        .expect("in time")
        .expect("it ends with its node");
    assert_eq!(desk.count("b"), 0);
    assert_eq!(desk.seats().wrong, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_takes_too_long_is_given_up_and_leaves_nothing_behind() {
    let cluster = Cluster::new("{ shards = 1 }");
    let (wire, faults) = Wire::open(&cluster.broker);
    faults.cut.store(true, Ordering::SeqCst);
    let limit = Duration::from_millis(300);
    let starting = cluster.builder("a").coordinator(wire).start_timeout(limit).start();
    let error = starting.await.expect_err("nobody answers");
    assert!(
        matches!(error, StartError::TimedOut { waited, .. } if waited == limit),
        "{error}"
    );
    assert!(error.to_string().contains("300 ms"), "{error}");
    // The state directory is free as soon as what was begun has ended.
    let begun = Instant::now();
    let node = loop {
        match cluster.builder("a").start_timeout(PATIENCE).start().await {
            Err(StartError::StateDir(StateDirError::InUse { .. })) if begun.elapsed() < PATIENCE => {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            outcome => break outcome.expect("joined"),
        }
    };
    until("it works", &[&node], || held(&[&node]) == [1]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_registry_is_told_as_it_changes_until_the_node_ends() {
    let cluster = Cluster::new("{ shards = 1 }");
    let a = cluster.start("a").await;
    let mut registry = a.watch_registry();
    let mut names = async || {
        let told = tokio::time::timeout(PATIENCE, registry.next()).await.expect("in time");
        told.map(|nodes| nodes.iter().map(|node| node.hostname.clone()).collect::<Vec<_>>())
    };
    let _b = cluster.start("b").await;
    while names().await.expect("the node runs") != ["a", "b"] {}
    a.shutdown().await;
    while names().await.is_some() {}
}
