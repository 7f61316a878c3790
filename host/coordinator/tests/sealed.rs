//! Who has which `cluster.secret`, and what that lets them see.

use bytes::Bytes;
use shardwright_coordinator::limits::{MAX_MESSAGE, MAX_VALUE};
use shardwright_coordinator::{
    Bus, BusError, Coordinator, Delivery, Finding, MemoryBroker, Namespace, Protected, Secret, SqliteCoordinator,
    Store, protect,
};
use shardwright_core::store::{Expected, Revision, StoreError};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Waker};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

fn prod() -> Namespace {
    Namespace::new("prod").expect("valid")
}

fn node(broker: &MemoryBroker, secret: Option<&str>) -> Arc<Protected> {
    sealed(Arc::new(broker.open(prod())), secret)
}

fn sealed(coordinator: Arc<dyn Coordinator>, secret: Option<&str>) -> Arc<Protected> {
    let secret = secret.map(|text| Secret::new(text).expect("long enough"));
    protect(coordinator, &prod(), secret.as_ref())
}

const OURS: Option<&str> = Some("the secret that we all share");
const THEIRS: Option<&str> = Some("a secret that nobody shares");

/// Counts warnings.
#[derive(Clone, Default)]
struct Warnings(Arc<AtomicU64>);

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

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
    let raw = broker.open(prod());
    raw.put("k", Bytes::from_static(b"{\"json\":1}"), Expected::Any)
        .await
        .expect("writes");
    assert!(matches!(node(&broker, OURS).get("k").await, Err(StoreError::Invalid(text)) if text.contains("under k")));
}

#[tokio::test]
async fn forged_messages_are_counted_and_dropped() {
    let warnings = Warnings::default();
    let _told = tracing::subscriber::set_default(warnings.clone());
    let broker = MemoryBroker::new();
    let (us, them, bare) = (node(&broker, OURS), node(&broker, THEIRS), node(&broker, None));
    let mut subscription = us.subscribe(&["t", "u"]).await.expect("subscribes");
    let raw = broker.open(prod());
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
    assert_eq!(warnings.0.load(Ordering::Relaxed), 1, "the first is worth a line");
}

#[tokio::test]
async fn sizes_are_limited_without_the_frame_and_are_the_same_with_a_secret_and_without() {
    for secret in [OURS, None] {
        let node = node(&MemoryBroker::new(), secret);
        let put = async |size| node.put("k", vec![0; size].into(), Expected::Any).await;
        put(MAX_VALUE).await.expect("as large as it may be");
        let (size, limit) = (MAX_VALUE + 1, MAX_VALUE);
        assert_eq!(put(size).await, Err(StoreError::TooLarge { size, limit }));
        let publish = async |size| node.publish("t", vec![0; size].into()).await;
        publish(MAX_MESSAGE).await.expect("as large as it may be");
        let (size, limit) = (MAX_MESSAGE + 1, MAX_MESSAGE);
        assert_eq!(publish(size).await, Err(BusError::TooLarge { size, limit }));
    }
}

async fn says_what_its_backend_says(backend: Arc<dyn Coordinator>) {
    let node = sealed(backend.clone(), OURS);
    assert_eq!((node.kind(), node.location()), (backend.kind(), backend.location()));
    assert_eq!(node.fresh_is_safe(), backend.fresh_is_safe());
    assert_eq!(node.clock_uncertainty(), backend.clock_uncertainty());
    let names = |found: Vec<Finding>| found.into_iter().map(|found| found.name).collect::<Vec<_>>();
    assert_eq!(names(node.examine().await), names(backend.examine().await));
    let ended = pin!(node.ended()).poll(&mut Context::from_waker(Waker::noop()));
    assert!(ended.is_pending(), "{ended:?}, while its backend goes on");
    node.put("k", Bytes::new(), Expected::Absent).await.expect("writes");
    node.erase().await.expect("erases");
    assert_eq!(backend.get("k").await.expect("reads").entry, None);
}

#[tokio::test]
async fn what_is_neither_value_nor_message_is_as_the_backend_has_it() {
    says_what_its_backend_says(Arc::new(MemoryBroker::new().open(prod()))).await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = SqliteCoordinator::open(folder.path().join("prod.db"), prod()).await;
    says_what_its_backend_says(Arc::new(file.expect("a file"))).await;
}

#[test]
fn a_secret_is_never_shown() {
    let secret = Secret::new("the secret that we all share").expect("long enough");
    assert_eq!(format!("{secret:?} {:?}", Some(&secret)), "*** Some(***)");
    let error = Secret::new("too short").expect_err("too short").to_string();
    assert!(error.contains("9 bytes") && !error.contains("too short"), "{error}");
}
