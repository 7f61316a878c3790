//! The server's own topics.

mod common;

use common::{Cluster, PATIENCE, id, next, received};
use futures_util::StreamExt;
use shardwright::{Message, NodeEvent};

#[tokio::test(flavor = "multi_thread")]
async fn a_message_reaches_the_other_nodes_in_order_and_not_its_sender() {
    let cluster = Cluster::new("{ shards = 1 }");
    let (a, b) = (cluster.start("a").await, cluster.start("b").await);
    let mut own = a.subscribe(&["cache"]).await.expect("subscribed");
    let mut inbox = b.subscribe(&["cache", "other"]).await.expect("subscribed");
    for body in ["one", "two"] {
        a.publish("cache", body).await.expect("sent");
    }
    a.publish("unheard", "nobody").await.expect("sent");
    a.publish("other", "three").await.expect("sent");
    b.publish("cache", "back").await.expect("sent");
    for (topic, body) in [("cache", "one"), ("cache", "two"), ("other", "three")] {
        assert_eq!(received(next(&mut inbox).await), (id(&a), topic.into(), body.into()));
    }
    let back = received(next(&mut own).await);
    assert_eq!(
        back,
        (id(&b), "cache".into(), "back".into()),
        "its own messages do not come back"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_is_told_what_it_missed() {
    let cluster = Cluster::new("{ shards = 1 }");
    let (a, b) = (cluster.start("a").await, cluster.start("b").await);
    let mut inbox = b.subscribe(&["t"]).await.expect("subscribed");
    for n in 0..2_000_u32 {
        a.publish("t", n.to_string()).await.expect("sent");
    }
    let (mut heard, mut resync) = (0, false);
    while let Ok(Some(message)) = tokio::time::timeout(PATIENCE, inbox.next()).await {
        match message {
            Message::Received { .. } => heard += 1,
            _ => {
                resync = true;
                break;
            }
        }
    }
    assert!(resync && heard < 2_000, "{heard} received");
}

/// Both are streams: whoever has several waits for them at once.
#[tokio::test(flavor = "multi_thread")]
async fn messages_and_events_end_as_streams_with_the_node_whichever_clone_ends_it() {
    let cluster = Cluster::new("{ shards = 1 }");
    let (a, b) = (cluster.start("a").await, cluster.start("b").await);
    let (inbox, events) = (b.subscribe(&["t"]).await.expect("subscribed"), b.events());
    a.publish("t", "hello").await.expect("sent");
    let clone = b.clone();
    let both = async {
        let mut messages = std::pin::pin!(inbox.chain(futures_util::stream::pending()));
        let first = messages.next().await;
        assert_eq!(received(first.expect("the node runs")).2, "hello");
        // Two at once, and once more: whoever is second waits for the same end.
        tokio::join!(clone.shutdown(), b.shutdown());
        b.shutdown().await;
        events.collect::<Vec<_>>().await
    };
    let told = tokio::time::timeout(PATIENCE, both).await.expect("in time");
    assert!(
        matches!(told.last(), Some(NodeEvent::Ended { reason: None, .. })),
        "{told:?}"
    );
    assert_eq!((b.id(), clone.is_live(), a.is_live()), (None, false, true));
}
