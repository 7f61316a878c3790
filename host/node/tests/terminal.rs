//! Whatever a node needs that ends for good ends the node, which says so; or it is made anew.

mod common;

use common::wire::{Faults, Panic, Wire};
use common::{Cluster, PATIENCE, event, held, id, until};
use shardwright::{Ending, Node, NodeEvent, StartError};
use std::sync::{Arc, PoisonError};

fn plant(faults: &Faults, panic: Option<Panic>) {
    *faults.panics.lock().unwrap_or_else(PoisonError::into_inner) = panic;
}

/// Starts a node over a wire on which `panic` is planted.
async fn planted(cluster: &Cluster, panic: Panic) -> (Result<Node, StartError>, Arc<Faults>) {
    let (wire, faults) = Wire::open(&cluster.broker);
    plant(&faults, Some(panic));
    (cluster.builder("a").coordinator(wire).start().await, faults)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_panics_ends_the_node_with_its_name() {
    for (panic, names) in [
        (Panic::Subscribe("node/look"), "listens for hints"),
        (Panic::Publish("node/look"), "sends hints"),
        (Panic::Publish("node/echo/"), "listens for this node's echo"),
        (Panic::Subscribe("node/echo/"), "listens for this node's echo"),
    ] {
        let cluster = Cluster::new("{ shards = 4 }");
        let why = match planted(&cluster, panic).await.0 {
            // It held its id for a moment.
            Ok(node) => {
                let mut events = node.events();
                let why = tokio::time::timeout(PATIENCE, node.ended()).await.expect("it ends");
                let told = event("the end", &mut events, |event| match event {
                    NodeEvent::Ended { reason, .. } => Some(reason),
                    _ => None,
                })
                .await;
                assert_eq!(told.as_ref(), Some(&why));
                assert!(!node.is_live() && held(&[&node]) == [0]);
                node.shutdown().await;
                why
            }
            Err(error) => error.to_string(),
        };
        assert!(why.contains(names) && why.contains("planted"), "{panic:?}: {why}");
        // Nothing of it is left: the state directory is free, and its id is, too.
        let again = cluster.start("a").await;
        assert_eq!(id(&again).get(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_must_end_hands_over_first() {
    let cluster = Cluster::new("{ shards = 4 }");
    let (wire, faults) = Wire::open(&cluster.broker);
    let a = cluster.builder("a").coordinator(wire).start().await.expect("a");
    let b = cluster.start("b").await;
    until("both work", &[&a, &b], || held(&[&a, &b]) == [2, 2]).await;
    let leaver = id(&a);
    plant(&faults, Some(Panic::Publish("node/echo/")));
    let mut seen = b.events();
    tokio::time::timeout(PATIENCE, a.ended()).await.expect("it ends");
    event("its session has ended", &mut seen, |event| {
        let how = Some(Ending::Left);
        matches!(event, NodeEvent::PeerLeft { node, how: told, .. } if node == leaver && told == how).then_some(())
    })
    .await;
    let ended = || {
        b.registry()
            .iter()
            .any(|record| record.node_id == leaver && record.ended == Some(Ending::Left))
    };
    until("it has ended its session itself", &[&b], ended).await;
    until("the other works", &[&b], || held(&[&b]) == [4]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coordinator_that_has_ended_for_good_ends_the_node_with_its_reason() {
    let cluster = Cluster::new("{ shards = 4 }");
    let (wire, faults) = Wire::open(&cluster.broker);
    let node = cluster.builder("a").coordinator(wire).start().await.expect("a");
    until("it works", &[&node], || held(&[&node]) == [4]).await;
    faults.cut.store(true, std::sync::atomic::Ordering::SeqCst);
    faults.ended.send_replace(Some("its client gave up".into()));
    let why = tokio::time::timeout(PATIENCE, node.ended()).await.expect("it ends");
    assert!(
        why.contains("the coordinator has ended for good: its client gave up"),
        "{why}"
    );
    assert!(!node.is_live());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_panics_is_asked_again() {
    let cluster = Cluster::new("{ shards = 4 }");
    let (wire, faults) = Wire::open(&cluster.broker);
    let node = cluster.builder("a").coordinator(wire).start().await.expect("a");
    until("it works", &[&node], || held(&[&node]) == [4]).await;
    let mut events = node.events();
    plant(&faults, Some(Panic::Store));
    let reason = event("it is told", &mut events, |event| match event {
        NodeEvent::CoordinatorDown { reason, .. } => Some(reason),
        _ => None,
    })
    .await;
    assert!(reason.contains("panicked"), "{reason}");
    plant(&faults, None);
    event("it is over", &mut events, |event| {
        (event == NodeEvent::CoordinatorUp).then_some(())
    })
    .await;
    until("it works", &[&node], || held(&[&node]) == [4]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_is_given_up_is_no_failure() {
    let cluster = Cluster::new("{ shards = 4 }");
    let (wire, faults) = Wire::open(&cluster.broker);
    faults.cut.store(true, std::sync::atomic::Ordering::SeqCst);
    let start = cluster.builder("a").coordinator(wire).start();
    assert!(
        tokio::time::timeout(std::time::Duration::from_millis(50), start)
            .await
            .is_err()
    );
    // The state directory is free as soon as the runtime has dropped what was under way.
    loop {
        match cluster.builder("a").start().await {
            Ok(node) => return node.shutdown().await,
            Err(StartError::StateDir(_)) => tokio::task::yield_now().await,
            Err(other) => panic!("{other}"),
        }
    }
}
