//! Who has which `cluster.secret`, and what that lets them see.

use bytes::Bytes;
use shardwright_coordinator::{Bus, Delivery, MemoryBroker, Namespace, Protected, Secret, Store, protect};
use shardwright_core::store::{Expected, Revision, StoreError};
use std::sync::Arc;

fn node(broker: &MemoryBroker, secret: Option<&str>) -> Arc<Protected> {
    let namespace = Namespace::new("prod").expect("valid");
    let secret = secret.map(|text| Secret::new(text).expect("long enough"));
    protect(Arc::new(broker.open(namespace.clone())), &namespace, secret.as_ref())
}

const OURS: Option<&str> = Some("the secret that we all share");
const THEIRS: Option<&str> = Some("a secret that nobody shares");

#[tokio::test]
async fn every_mismatch_is_denied_with_a_remedy() {
    for (writer, reader, says) in [
        (OURS, THEIRS, "does not open with this node's cluster.secret"),
        (OURS, None, "this node has none: set cluster.secret"),
        (None, OURS, "was written without cluster.secret"),
    ] {
        let broker = MemoryBroker::new();
        let (writer, reader) = (node(&broker, writer), node(&broker, reader));
        writer
            .put("meta", Bytes::from_static(b"format 1"), Expected::Absent)
            .await
            .expect("writes");
        let errors = [
            reader.get("meta").await.expect_err("get"),
            reader.list("", Revision(0)).await.expect_err("list"),
            reader
                .put("meta", Bytes::new(), Expected::Absent)
                .await
                .expect_err("put"),
            reader.delete("meta", Expected::Absent).await.expect_err("delete"),
        ];
        for error in errors {
            let StoreError::Denied(text) = error else {
                panic!("{error:?}")
            };
            assert!(text.contains("under meta") && text.contains(says), "{text}");
        }
        let value = writer.get("meta").await.expect("reads").entry.map(|entry| entry.value);
        assert_eq!(value.as_deref(), Some(&b"format 1"[..]), "nothing was harmed");
    }
}

#[tokio::test]
async fn a_value_of_something_else_is_invalid() {
    let broker = MemoryBroker::new();
    let raw = broker.open(Namespace::new("prod").expect("valid"));
    raw.put("k", Bytes::from_static(b"{\"json\":1}"), Expected::Any)
        .await
        .expect("writes");
    assert!(matches!(node(&broker, OURS).get("k").await, Err(StoreError::Invalid(text)) if text.contains("under k")));
}

#[tokio::test]
async fn forged_messages_are_counted_and_dropped() {
    let broker = MemoryBroker::new();
    let (us, them, bare) = (node(&broker, OURS), node(&broker, THEIRS), node(&broker, None));
    let mut subscription = us.subscribe(&["t", "u"]).await.expect("subscribes");
    let raw = broker.open(Namespace::new("prod").expect("valid"));
    let mut tap = raw.subscribe(&["u"]).await.expect("subscribes");
    them.publish("t", Bytes::from_static(b"forged"))
        .await
        .expect("publishes");
    bare.publish("t", Bytes::from_static(b"forged"))
        .await
        .expect("publishes");
    raw.publish("t", Bytes::new()).await.expect("publishes");
    us.publish("u", Bytes::from_static(b"for u")).await.expect("publishes");
    let [Delivery::Message { payload, .. }] = &tap.next(1).await.expect("a message")[..] else {
        panic!("no message")
    };
    assert!(!payload.windows(5).any(|w| w == b"for u"), "readable on the wire");
    raw.publish("t", payload.clone())
        .await
        .expect("the message of u, replayed to t");
    us.publish("t", Bytes::from_static(b"true")).await.expect("publishes");
    let mut got = Vec::new();
    while got.len() < 2 {
        got.extend(subscription.next(10).await.expect("a message"));
    }
    let message = |topic: &str, payload: &'static [u8]| Delivery::Message {
        topic: topic.into(),
        payload: Bytes::from_static(payload),
    };
    assert_eq!(got, [message("u", b"for u"), message("t", b"true")]);
    assert_eq!(us.rejected(), 4);
}

#[test]
fn a_secret_is_never_shown() {
    let secret = Secret::new("the secret that we all share").expect("long enough");
    assert_eq!(format!("{secret:?} {:?}", Some(&secret)), "*** Some(***)");
    let error = Secret::new("too short").expect_err("too short").to_string();
    assert!(error.contains("9 bytes") && !error.contains("too short"), "{error}");
}
