//! Whether a node notices that its coordinator does not serve it, says so, and gets over it.

mod common;

use common::wire::{Faults, Wire};
use common::{Cluster, PATIENCE, TIMING, event, greeted, held, next, until};
use shardwright::{EventStream, HealthState, Message, Node, NodeEvent};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

async fn start(cluster: &Cluster, host: &str) -> (Node, Arc<Faults>) {
    let (wire, faults) = Wire::open(&cluster.broker);
    let node = cluster.builder(host).coordinator(wire).start().await.expect(host);
    (node, faults)
}

async fn becomes(events: &mut EventStream, wanted: HealthState) {
    event(&format!("{wanted:?}"), events, |event| match event {
        NodeEvent::Health { state, .. } if state == wanted => Some(()),
        _ => None,
    })
    .await;
}

/// With the default durations: however busy the machine is, nothing is late.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_hears_itself() {
    let mut cluster = Cluster::new("{ shards = 1 }");
    cluster.config = cluster.config.replace(TIMING, "");
    let (a, b) = (cluster.start("a").await, cluster.start("b").await);
    let mut events = a.events();
    until("both hear themselves", &[&a, &b], || {
        [&a, &b]
            .iter()
            .all(|node| node.health().round_trip.is_some_and(|time| time < PATIENCE))
    })
    .await;
    let health = a.health();
    assert_eq!(health.state, HealthState::Fine);
    assert!(
        health.renewed < PATIENCE && health.heard.is_some_and(|age| age < PATIENCE),
        "{health:?}"
    );
    a.shutdown().await;
    while let Some(event) = events.next().await {
        assert!(
            !matches!(event, NodeEvent::Health { .. } | NodeEvent::Resync { .. }),
            "nothing happened: {event:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_that_fall_silent_are_made_anew() {
    let cluster = Cluster::new("{ shards = 1 }");
    let ((a, faults), b) = (start(&cluster, "a").await, cluster.start("b").await);
    let mut messages = a.subscribe(&["t"]).await.expect("subscribed");
    let mut events = a.events();
    faults.stall();
    b.publish("t", "unheard").await.expect("sent");
    becomes(&mut events, HealthState::BusSilent).await;
    assert!(a.is_live(), "it may act as before");
    becomes(&mut events, HealthState::Fine).await;
    assert!(
        matches!(next(&mut messages).await, Message::Resync { .. }),
        "something was missed"
    );
    greeted(&b, &mut messages).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_closes_and_comes_back_is_subscribed_again() {
    let cluster = Cluster::new("{ shards = 1 }");
    let ((a, faults), b) = (start(&cluster, "a").await, cluster.start("b").await);
    let mut messages = a.subscribe(&["t"]).await.expect("subscribed");
    let mut events = a.events();
    let reading = tokio::spawn(async move {
        assert!(matches!(next(&mut messages).await, Message::Resync { .. }));
        messages
    });
    faults.closed.store(true, Ordering::SeqCst);
    b.publish("t", "unheard").await.expect("sent");
    becomes(&mut events, HealthState::BusSilent).await;
    assert!(faults.refused.load(Ordering::SeqCst) > 2, "it is tried again");
    assert!(!reading.is_finished(), "there is nothing to tell yet");
    faults.closed.store(false, Ordering::SeqCst);
    becomes(&mut events, HealthState::Fine).await;
    let mut messages = reading.await.expect("the seam is told");
    greeted(&b, &mut messages).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bus_that_swallows_everything_is_noticed() {
    let cluster = Cluster::new("{ shards = 4 }");
    let (a, faults) = start(&cluster, "a").await;
    until("it works", &[&a], || held(&[&a]) == [4]).await;
    let mut messages = a.subscribe(&["t"]).await.expect("subscribed");
    let mut events = a.events();
    faults.swallow.store(true, Ordering::SeqCst);
    becomes(&mut events, HealthState::BusSilent).await;
    assert_eq!(held(&[&a]), [4], "no correctness rests on the bus");
    faults.swallow.store(false, Ordering::SeqCst);
    becomes(&mut events, HealthState::Fine).await;
    assert!(matches!(next(&mut messages).await, Message::Resync { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_does_not_answer_is_noticed_before_the_node_is_fenced() {
    let mut cluster = Cluster::new("{ shards = 4 }");
    let slower = TIMING.replace("1500ms", "6s").replace("300ms", "1s");
    cluster.config = cluster.config.replace(TIMING, &slower);
    let (a, faults) = start(&cluster, "a").await;
    until("it works", &[&a], || held(&[&a]) == [4]).await;
    let mut events = a.events();
    faults.cut.store(true, Ordering::SeqCst);
    becomes(&mut events, HealthState::StoreSilent).await;
    becomes(&mut events, HealthState::Fenced).await;
    assert!(!a.is_live() && a.health().state == HealthState::Fenced);
    faults.cut.store(false, Ordering::SeqCst);
    becomes(&mut events, HealthState::Fine).await;
    until("it works again", &[&a], || held(&[&a]) == [4]).await;
}

/// With the default durations.
#[tokio::test(flavor = "multi_thread")]
async fn an_idle_cluster_costs_its_coordinator_little() {
    const SPAN: u32 = 5;
    let mut cluster = Cluster::new("{ shards = 6 }");
    cluster.config = cluster.config.replace(TIMING, "");
    let nodes = [
        start(&cluster, "a").await,
        start(&cluster, "b").await,
        start(&cluster, "c").await,
    ];
    let [a, b, c] = &nodes;
    until("all work", &[&a.0, &b.0, &c.0], || {
        held(&[&a.0, &b.0, &c.0]) == [2, 2, 2]
    })
    .await;
    let count = || {
        nodes
            .iter()
            .map(|(_, faults)| faults.operations.load(Ordering::SeqCst))
            .sum::<u64>()
    };
    let before = count();
    // What is measured is a time in which nothing happens.
    tokio::time::sleep(Duration::from_secs(u64::from(SPAN))).await;
    let rate = (count() - before) as f64 / f64::from(SPAN) / nodes.len() as f64;
    assert!(rate <= 2.0, "{rate} operations for each node and second");
}
