//! Who holds what, from the first node to the last.

mod common;

use common::{Cluster, PATIENCE, TIMING, event, held, id, until, work};
use shardwright::{Node, NodeEvent, NodeId};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Notify;

async fn three(cluster: &Cluster) -> [Node; 3] {
    let nodes = [
        cluster.start("a").await,
        cluster.start("b").await,
        cluster.start("c").await,
    ];
    let all: Vec<_> = nodes.iter().collect();
    until("three nodes share twelve shards", &all, || held(&all) == [4, 4, 4]).await;
    nodes
}

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_share_the_work_and_agree_about_it() {
    let cluster = Cluster::new("{ shards = 12, replicas = 2 }");
    let nodes = three(&cluster).await;
    let ids: BTreeSet<_> = nodes.iter().map(|node| id(node).get()).collect();
    assert_eq!(ids, [1, 2, 3].into());
    let all: Vec<_> = nodes.iter().collect();
    until("all agree about all primaries", &all, || {
        (0..12).all(|shard| {
            let primary = nodes
                .iter()
                .find(|node| work(node).owns_shard(shard))
                .and_then(Node::id);
            primary.is_some() && nodes.iter().all(|node| work(node).primary(shard) == primary)
        })
    })
    .await;
    for shard in 0..12 {
        let owners = work(&nodes[0]).owners(shard);
        assert_eq!(owners.len(), 2, "a primary and a standby");
        assert_eq!(Some(owners[0]), work(&nodes[0]).primary(shard));
    }
    for key in 0..48_u64 {
        let claims: Vec<_> = nodes.iter().filter_map(|node| work(node).claim(key)).collect();
        assert_eq!(claims.len(), 1, "key {key}");
        assert!(claims[0].is_valid() && claims[0].token().0 > 0);
        assert_eq!(nodes.iter().filter(|node| work(node).owns(key)).count(), 1);
    }
    let registry = nodes[1].registry();
    assert_eq!(
        registry.iter().map(|node| node.hostname.as_str()).collect::<Vec<_>>(),
        ["a", "b", "c"]
    );
    assert_eq!(registry.iter().filter(|node| node.leader).count(), 1);
}

/// The contract with every server that stores something per shard: these never change.
#[tokio::test]
async fn keys_have_fixed_shards() {
    let cluster = Cluster::new("{ shards = 1000 }");
    let node = cluster.start("a").await;
    let role = work(&node);
    assert_eq!(role.shard_of(u64::MAX), 615);
    assert_eq!((role.shard_of(191_179_u64), role.shard_of(42_u32)), (179, 42));
    assert_eq!((role.shard_of(-1_i64), role.shard_of(42_i32)), (615, 42));
    // xxh3-64 of the bytes: 0x78af5f94892f3950 for "abc".
    assert_eq!(role.shard_of("abc"), (0x78af_5f94_892f_3950_u64 % 1000) as u32);
    assert_eq!(role.shard_of(&b"abc"[..]), role.shard_of("abc"));
    assert_eq!(role.shard_of(String::from("abc")), role.shard_of("abc"));
}

#[tokio::test]
async fn an_unknown_role_is_named_with_the_known_ones() {
    let cluster = Cluster::new("{ shards = 4 }");
    let node = cluster.start("a").await;
    let error = node.role("wrok").expect_err("a typo").to_string();
    assert!(
        error.contains("\"wrok\"") && error.contains("work") && !error.contains("purge.accounts"),
        "{error}"
    );
}

/// Sessions last for longer than anything is waited for.
const LONG: &str = r#"
[cluster.timing]
validity = "60s"
renew = "10s"
stale-after = "61s"
settle = "20ms"
stop-timeout = "2s"
"#;

/// No session has to expire.
#[tokio::test(flavor = "multi_thread")]
async fn shutdown_hands_the_shards_over_at_once() {
    let mut cluster = Cluster::new("{ shards = 12, replicas = 2 }");
    cluster.config = cluster.config.replace(TIMING, LONG);
    let [a, b, c] = three(&cluster).await;
    let claim = work(&c)
        .claim_shard(work(&c).shards().next().expect("it holds four"))
        .expect("held");
    let token = claim.token();
    let shard = claim.shard();
    let worker = tokio::spawn(async move { claim.run(std::future::pending::<()>()).await });
    let role = work(&c);
    c.shutdown().await;
    worker.await.expect("no panic").expect_err("the work was cancelled");
    until("the others hold everything", &[&a, &b], || {
        held(&[&a, &b]).iter().sum::<usize>() == 12
    })
    .await;
    assert!(
        role.claim_shard(shard).is_none() && role.shards().next().is_none(),
        "a role outlives its node, and holds nothing"
    );
    let next = [&a, &b]
        .into_iter()
        .find_map(|node| work(node).claim_shard(shard))
        .expect("somebody holds it");
    assert!(next.token() > token, "tokens increase with every owner");

    let again = cluster.start("c").await;
    assert_eq!(again.id(), NodeId::new(3), "the hostname keeps its id");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_dropped_without_shutdown_acts_no_more_and_is_replaced() {
    let cluster = Cluster::new("{ shards = 12, replicas = 2 }");
    let [a, b, c] = three(&cluster).await;
    let role = work(&c);
    let claim = role
        .claim_shard(role.shards().next().expect("it holds four"))
        .expect("held");
    let mut messages = c.subscribe(&["t"]).await.expect("subscribed");
    drop(c);
    assert!(!claim.is_valid() && role.shards().next().is_none());
    claim.cancelled().await;
    drop(claim);
    assert_eq!(messages.next().await, None, "its subscriptions end");
    until("the others hold everything", &[&a, &b], || {
        held(&[&a, &b]).iter().sum::<usize>() == 12
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn drain_moves_everything_and_undrain_brings_work_back() {
    let cluster = Cluster::new("{ shards = 12, replicas = 2 }");
    let [a, b, c] = three(&cluster).await;
    a.drain().await.expect("the others take it");
    assert_eq!(held(&[&a]), [0]);
    until("the others hold everything", &[&b, &c], || held(&[&b, &c]) == [6, 6]).await;
    assert!(b.registry().iter().any(|node| node.hostname == "a" && node.info.drain));
    a.undrain();
    until("work comes back", &[&a, &b, &c], || held(&[&a, &b, &c]) == [4, 4, 4]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_moves_only_after_its_work_has_ended() {
    let cluster = Cluster::new("{ shards = 2 }");
    let (called, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tell, wait) = (called.clone(), release.clone());
    let a = cluster
        .builder("a")
        .on_losing(move |losing| {
            let (tell, wait) = (tell.clone(), wait.clone());
            async move {
                if losing.role == "work" {
                    assert_eq!((losing.shards.len(), losing.tokens.len()), (1, 1));
                    tell.notify_one();
                    wait.notified().await;
                }
            }
        })
        .start()
        .await
        .expect("a");
    until("a holds both", &[&a], || held(&[&a]) == [2]).await;
    let claims = [
        work(&a).claim_shard(0).expect("held"),
        work(&a).claim_shard(1).expect("held"),
    ];
    let mut events = a.events();
    let b = cluster.start("b").await;

    called.notified().await;
    let moving = claims
        .iter()
        .position(|claim| !claim.is_valid())
        .expect("one was cancelled before the hook was called");
    assert!(work(&a).claim_shard(moving as u32).is_none() && claims[1 - moving].is_valid());
    release.notify_one();
    let [first, second] = claims;
    let (ending, _staying) = if moving == 0 { (first, second) } else { (second, first) };
    assert!(!work(&b).owns_shard(moving as u32), "its work has not ended");
    let mut told = Vec::new();
    drop(ending);
    event("the shard is lost", &mut events, |event| {
        let ours = matches!(&event, NodeEvent::Losing { role, .. } | NodeEvent::Lost { role, .. } if role == "work");
        told.extend(ours.then_some(event.clone()));
        matches!(event, NodeEvent::Lost { role, overdue: false, .. } if role == "work").then_some(())
    })
    .await;
    assert!(matches!(told[0], NodeEvent::Losing { .. }));
    until("b holds it", &[&a, &b], || work(&b).owns_shard(moving as u32)).await;
    assert_eq!(a.stats().overdue_stops, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn work_that_does_not_end_holds_its_shard_up_for_the_stop_timeout_and_no_longer() {
    let cluster = Cluster::new("{ shards = 2 }");
    let a = cluster.start("a").await;
    until("a holds both", &[&a], || held(&[&a]) == [2]).await;
    let stubborn = [
        work(&a).claim_shard(0).expect("held"),
        work(&a).claim_shard(1).expect("held"),
    ];
    let mut events = a.events();
    let b = cluster.start("b").await;
    let began = Instant::now();
    event("it is overdue", &mut events, |event| {
        matches!(event, NodeEvent::Lost { role, overdue: true, .. } if role == "work").then_some(())
    })
    .await;
    assert!(began.elapsed() < PATIENCE);
    until("b holds one", &[&a, &b], || held(&[&a, &b]) == [1, 1]).await;
    assert_eq!(
        stubborn.iter().filter(|claim| claim.is_valid()).count(),
        1,
        "the claim is worth nothing while it lives"
    );
    assert_eq!(a.stats().overdue_stops, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_all_owners_act_all_may_claim() {
    let cluster = Cluster::new("{ shards = 3, replicas = \"every\", mode = \"all\" }");
    let (a, b) = (cluster.start("a").await, cluster.start("b").await);
    until("both hold all", &[&a, &b], || held(&[&a, &b]) == [3, 3]).await;
    let (one, other) = (
        work(&a).claim(1_u64).expect("held"),
        work(&b).claim(1_u64).expect("held"),
    );
    assert!(one.is_valid() && other.is_valid());
}
