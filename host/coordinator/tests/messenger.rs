//! Numbers given by senders and judged by receivers.

use bytes::Bytes;
use shardwright_coordinator::{
    Bus, Envelope, Inbox, Incoming, MemoryBroker, Messenger, MessengerStats, Namespace, Own, REMEMBERED, Resync,
};
use shardwright_core::id::{NodeId, Token};
use std::sync::Arc;

fn namespace() -> Namespace {
    Namespace::new("prod").expect("valid")
}

fn id(n: u32) -> NodeId {
    NodeId::new(n).expect("not zero")
}

fn messenger(broker: &MemoryBroker, node: u32, token: u64) -> Messenger {
    Messenger::new(Arc::new(broker.open(namespace())), namespace(), id(node), Token(token))
}

fn message(node: u32, body: &str) -> Incoming {
    Incoming::Message {
        origin: id(node),
        topic: "t".into(),
        body: Bytes::from(body.to_owned()),
    }
}

/// An envelope as a sender would make it, with any numbers.
async fn send(broker: &MemoryBroker, node: u32, token: u64, sequence: u64, body: &str) {
    let envelope = Envelope {
        namespace: namespace(),
        origin: id(node),
        token: Token(token),
        sequence,
        topic: "t".into(),
        body: Bytes::from(body.to_owned()),
    };
    broker
        .open(namespace())
        .publish("t", envelope.encode())
        .await
        .expect("publishes");
}

/// Everything until the message `last`.
async fn until(inbox: &mut Inbox, last: &Incoming) -> Vec<Incoming> {
    let mut all = Vec::new();
    while all.last() != Some(last) {
        all.extend(inbox.next(1).await.expect("news"));
    }
    all
}

/// So many messages of node 2 to `t` are missing.
fn missing(lost: u64) -> Incoming {
    Incoming::Resync {
        reason: Resync::Missing {
            origin: id(2),
            topic: "t".into(),
            lost,
        },
    }
}

#[tokio::test]
async fn messages_arrive_with_their_origin() {
    let broker = MemoryBroker::new();
    let (one, two) = (messenger(&broker, 1, 10), messenger(&broker, 2, 11));
    let mut all = one.subscribe(&["t"], Own::Receive).await.expect("subscribes");
    let mut others = one.subscribe(&["t"], Own::Skip).await.expect("subscribes");
    one.publish("t", Bytes::from_static(b"a")).await.expect("publishes");
    two.publish("t", Bytes::from_static(b"b")).await.expect("publishes");
    assert_eq!(
        until(&mut all, &message(2, "b")).await,
        [message(1, "a"), message(2, "b")]
    );
    assert_eq!(until(&mut others, &message(2, "b")).await, [message(2, "b")]);
    assert_eq!(
        one.stats(),
        MessengerStats {
            published: 1,
            delivered: 3,
            own: 1,
            ..MessengerStats::default()
        }
    );
}

#[tokio::test]
async fn a_hole_in_the_numbers_is_told_once_and_in_its_place() {
    let broker = MemoryBroker::new();
    let ear = messenger(&broker, 1, 1);
    let mut inbox = ear.subscribe(&["t"], Own::Skip).await.expect("subscribes");
    for (sequence, body) in [(5, "first"), (6, "next"), (9, "later"), (10, "end")] {
        send(&broker, 2, 7, sequence, body).await;
    }
    let expected = [
        message(2, "first"),
        message(2, "next"),
        missing(2),
        message(2, "later"),
        message(2, "end"),
    ];
    assert_eq!(until(&mut inbox, &message(2, "end")).await, expected);
    assert_eq!(ear.stats().gaps, 1);
}

#[tokio::test]
async fn a_new_life_begins_at_one_and_an_old_one_is_not_heard() {
    let broker = MemoryBroker::new();
    let ear = messenger(&broker, 1, 1);
    let mut inbox = ear.subscribe(&["t"], Own::Skip).await.expect("subscribes");
    for (token, sequence, body) in [
        (7, 3, "old"),
        (7, 3, "replayed"),
        (9, 1, "new"),
        (7, 4, "straggler"),
        (9, 2, "on"),
        (12, 3, "third"),
    ] {
        send(&broker, 2, token, sequence, body).await;
    }
    let expected = [
        message(2, "old"),
        message(2, "new"),
        message(2, "on"),
        missing(2),
        message(2, "third"),
    ];
    assert_eq!(until(&mut inbox, &message(2, "third")).await, expected);
    assert_eq!(ear.stats().stale, 2);
}

#[tokio::test]
async fn what_is_foreign_or_malformed_is_counted_and_dropped() {
    let broker = MemoryBroker::new();
    let ear = messenger(&broker, 1, 1);
    let mut inbox = ear.subscribe(&["t"], Own::Skip).await.expect("subscribes");
    let raw = broker.open(namespace());
    let envelope = |name: &str, topic: &str| {
        let namespace = Namespace::new(name).expect("valid");
        Envelope {
            namespace,
            origin: id(2),
            token: Token(1),
            sequence: 1,
            topic: topic.into(),
            body: Bytes::new(),
        }
        .encode()
    };
    for bytes in [
        envelope("other", "t"),
        envelope("prod", "u"),
        Bytes::from_static(b"\x07from the future"),
        Bytes::from_static(b"\x01junk"),
        Bytes::new(),
    ] {
        raw.publish("t", bytes).await.expect("publishes");
    }
    send(&broker, 2, 1, 1, "true").await;
    assert_eq!(until(&mut inbox, &message(2, "true")).await, [message(2, "true")]);
    assert_eq!(
        ear.stats(),
        MessengerStats {
            foreign: 1,
            malformed: 3,
            version: 1,
            delivered: 1,
            ..MessengerStats::default()
        }
    );
}

#[tokio::test]
async fn a_gap_of_the_backend_is_told_once() {
    let broker = MemoryBroker::new();
    let (ear, voice) = (messenger(&broker, 1, 1), messenger(&broker, 2, 2));
    let mut inbox = ear.subscribe(&["t"], Own::Skip).await.expect("subscribes");
    for n in 0..1100 {
        voice.publish("t", Bytes::from(n.to_string())).await.expect("publishes");
    }
    // The queue is full: the rest was lost. What follows is heard again.
    assert_eq!(inbox.next(100).await.expect("news").len(), 100);
    voice
        .publish("t", Bytes::from_static(b"after"))
        .await
        .expect("publishes");
    let news = until(&mut inbox, &message(2, "after")).await;
    let told: Vec<_> = news.iter().filter(|n| matches!(n, Incoming::Resync { .. })).collect();
    assert_eq!(
        told,
        [&Incoming::Resync {
            reason: Resync::Gap { lost: 76 }
        }]
    );
    assert_eq!(Resync::Gap { lost: 76 }.to_string(), "the bus lost 76 messages");
    assert_eq!(news.len(), 924 + 2);
}

/// More topics than are remembered: memory stays bounded, and what is lost is seen all the same.
#[tokio::test]
async fn a_hole_is_seen_though_its_topic_was_forgotten() {
    let broker = MemoryBroker::new();
    let ear = messenger(&broker, 1, 1);
    let mut inbox = ear.subscribe(&[], Own::Skip).await.expect("subscribes");
    let many = |first: usize| (first..first + REMEMBERED).map(|n| format!("many/{n}"));
    send(&broker, 2, 7, 1, "first").await;
    assert_eq!(inbox.next(1).await.expect("news"), [message(2, "first")]);
    let raw = broker.open(namespace());
    for topic in many(0) {
        let envelope = Envelope {
            namespace: namespace(),
            origin: id(2),
            token: Token(7),
            sequence: 1,
            topic: topic.clone(),
            body: Bytes::new(),
        };
        raw.publish(&topic, envelope.encode()).await.expect("publishes");
        let news = inbox.next(2).await.expect("news");
        assert!(
            matches!(news[..], [Incoming::Message { .. }]),
            "who is new has lost nothing: {news:?}"
        );
    }
    send(&broker, 2, 7, 3, "after a hole").await;
    let reason = Resync::Gap { lost: 0 };
    assert_eq!(reason.to_string(), "the bus lost messages, and cannot tell how many");
    let lost = Incoming::Resync { reason };
    assert_eq!(
        until(&mut inbox, &message(2, "after a hole")).await,
        [lost, message(2, "after a hole")]
    );
}

/// A sender that has forgotten a topic gives no number again: receivers would take it for a straggler.
#[tokio::test]
async fn a_sender_of_many_topics_is_heard_to_the_end() {
    let broker = MemoryBroker::new();
    let (ear, voice) = (messenger(&broker, 1, 1), messenger(&broker, 2, 2));
    let mut inbox = ear.subscribe(&["t"], Own::Skip).await.expect("subscribes");
    for body in ["one", "two", "three"] {
        voice.publish("t", Bytes::from(body)).await.expect("publishes");
    }
    for n in 0..REMEMBERED {
        voice
            .publish(&format!("many/{n}"), Bytes::new())
            .await
            .expect("publishes");
    }
    for body in ["four", "five"] {
        voice.publish("t", Bytes::from(body)).await.expect("publishes");
    }
    let news = tokio::time::timeout(
        std::time::Duration::from_secs(60),
        until(&mut inbox, &message(2, "five")),
    )
    .await;
    let news = news.expect("the last one");
    assert_eq!(news.len(), 5, "{news:?}");
    assert_eq!(ear.stats().stale, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_publishers_of_one_node_make_no_holes() {
    let broker = MemoryBroker::new();
    let (ear, voice) = (messenger(&broker, 1, 1), Arc::new(messenger(&broker, 2, 2)));
    let mut inbox = ear.subscribe(&["t"], Own::Skip).await.expect("subscribes");
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..500 {
        let voice = voice.clone();
        tasks.spawn(async move { voice.publish("t", Bytes::from(n.to_string())).await });
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("no panic").expect("publishes");
    }
    let mut got = 0;
    while got < 500 {
        got += inbox
            .next(64)
            .await
            .expect("news")
            .iter()
            .filter(|n| matches!(n, Incoming::Message { .. }))
            .count();
    }
    assert_eq!((ear.stats().gaps, ear.stats().stale), (0, 0));
}
