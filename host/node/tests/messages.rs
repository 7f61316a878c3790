//! The server's own topics.

mod common;

use bytes::Bytes;
use common::{Cluster, PATIENCE};
use shardwright::Message;

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
        let wanted = Message::Received {
            from: a.id(),
            topic: topic.into(),
            body: Bytes::from_static(body.as_bytes()),
        };
        assert_eq!(tokio::time::timeout(PATIENCE, inbox.next()).await, Ok(Some(wanted)));
    }
    let back = Message::Received {
        from: b.id(),
        topic: "cache".into(),
        body: Bytes::from_static(b"back"),
    };
    assert_eq!(
        tokio::time::timeout(PATIENCE, own.next()).await,
        Ok(Some(back)),
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
    let (mut received, mut resync) = (0, false);
    while let Ok(Some(message)) = tokio::time::timeout(PATIENCE, inbox.next()).await {
        match message {
            Message::Received { .. } => received += 1,
            Message::Resync { .. } => {
                resync = true;
                break;
            }
        }
    }
    assert!(resync && received < 2_000, "{received} received");
}
