//! Policies that fail, and policies that are replaced while the cluster runs.

mod common;

use common::{Cluster, event, held, until, work};
use shardwright::NodeEvent;
use shardwright_components::bundled::{BALANCED, RENDEZVOUS};

/// A real component that cannot answer: its budget of output is enough to describe itself, and not enough for the plan.
fn starved() -> Cluster {
    let mut cluster = Cluster::new("{ shards = 600, policy = \"balanced\" }");
    cluster
        .config
        .push_str("\n[policy.\"balanced\"]\nbudget = { output = \"1KiB\" }\n");
    cluster
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_fails_three_times_is_replaced_by_the_native_one() {
    let cluster = starved();
    let node = cluster.start("a").await;
    let mut events = node.events();
    let mut failures = Vec::new();
    event("the policy is suspended", &mut events, |event| match event {
        NodeEvent::PlanRefused {
            role,
            reason,
            failures: count,
            ..
        } if role == "work" => {
            assert!(reason.contains("output"), "{reason}");
            failures.push(count);
            None
        }
        NodeEvent::PolicySuspended { role, .. } if role == "work" => Some(()),
        _ => None,
    })
    .await;
    assert_eq!(failures, [1, 2, 3]);
    let native = event("a native plan", &mut events, |event| match event {
        NodeEvent::PlanAccepted { role, native, .. } if role == "work" => Some(native),
        _ => None,
    })
    .await;
    assert!(native);
    until("every shard is held", &[&node], || held(&[&node]) == [600]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_is_tried_and_then_replaces_the_old_policy() {
    let mut cluster = Cluster::new("{ shards = 12, policy = \"own\" }");
    let file = cluster.temp.path().join("own.wasm");
    std::fs::write(&file, BALANCED.bytes).expect("written");
    cluster
        .config
        .push_str(&format!("\n[policy.\"own\"]\npath = {file:?}\n"));
    let node = cluster.start("a").await;
    until("the first policy works", &[&node], || held(&[&node]) == [12]).await;
    assert_eq!(node.reload_policies().await, Ok(vec![]), "nothing has changed");

    std::fs::write(&file, &BALANCED.bytes[..1000]).expect("written");
    let error = node.reload_policies().await.expect_err("half a file").to_string();
    assert!(error.contains("own.wasm"), "{error}");
    assert_eq!(held(&[&node]), [12], "the old one goes on");

    let mut events = node.events();
    std::fs::write(&file, RENDEZVOUS.bytes).expect("written");
    assert_eq!(node.reload_policies().await, Ok(vec!["own".to_owned()]));
    event("it was replaced", &mut events, |event| {
        matches!(event, NodeEvent::PolicyReplaced { role, .. } if role == "work").then_some(())
    })
    .await;
    event("the new one was asked", &mut events, |event| {
        matches!(event, NodeEvent::PlanAccepted { role, native: false, .. } if role == "work").then_some(())
    })
    .await;
    assert!(work(&node).claim(1_u64).is_some());
}
