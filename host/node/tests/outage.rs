//! A node that is cut off from the coordinator: it stops in time, others take over, it comes back by itself.

mod common;

use async_trait::async_trait;
use bytes::Bytes;
use common::{Cluster, PATIENCE, event, held, until, work};
use shardwright::{BackendError, Coordinator, Message, NodeEvent, StartError};
use shardwright_coordinator::{Bus, BusError, MemoryCoordinator, Namespace, PutRequest, Store, Subscription};
use shardwright_core::store::{Expected, Listing, Reading, Revision, StoreError, Written};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A store that can be cut off.
struct Cable {
    inner: MemoryCoordinator,
    cut: Arc<AtomicBool>,
    uncertainty: Duration,
}

impl Cable {
    fn check(&self) -> Result<(), StoreError<Bytes>> {
        let cut = self.cut.load(Ordering::SeqCst);
        if cut {
            Err(StoreError::Unavailable("the cable is cut".into()))
        } else {
            Ok(())
        }
    }
}

#[async_trait]
impl Store for Cable {
    async fn get(&self, key: &str) -> Result<Reading<Bytes>, StoreError<Bytes>> {
        self.check()?;
        self.inner.get(key).await
    }
    async fn list(&self, prefix: &str, since: Revision) -> Result<Listing<Bytes>, StoreError<Bytes>> {
        self.check()?;
        self.inner.list(prefix, since).await
    }
    async fn put_with(&self, request: PutRequest<'_>) -> Result<Written, StoreError<Bytes>> {
        self.check()?;
        self.inner.put_with(request).await
    }
    async fn delete(&self, key: &str, expected: Expected) -> Result<Written, StoreError<Bytes>> {
        self.check()?;
        self.inner.delete(key, expected).await
    }
}

#[async_trait]
impl Bus for Cable {
    async fn publish(&self, topic: &str, payload: Bytes) -> Result<(), BusError> {
        self.inner.publish(topic, payload).await
    }
    async fn subscribe(&self, topics: &[&str]) -> Result<Box<dyn Subscription>, BusError> {
        self.inner.subscribe(topics).await
    }
}

#[async_trait]
impl Coordinator for Cable {
    fn kind(&self) -> &str {
        self.inner.kind()
    }
    fn location(&self) -> String {
        self.inner.location()
    }
    fn fresh_is_safe(&self) -> bool {
        true
    }
    fn clock_uncertainty(&self) -> Duration {
        self.uncertainty
    }
    async fn erase(&self) -> Result<(), StoreError<Bytes>> {
        self.inner.erase().await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_cut_off_stops_in_time_and_comes_back() {
    let cluster = Cluster::new("{ shards = 4, replicas = 2 }");
    let cut = Arc::new(AtomicBool::new(false));
    let inner = cluster.broker.open(Namespace::new("test").expect("a name"));
    let cable = Cable {
        inner,
        cut: cut.clone(),
        uncertainty: Duration::ZERO,
    };
    let a = cluster
        .builder("a")
        .coordinator(Arc::new(cable))
        .start()
        .await
        .expect("a");
    let b = cluster.start("b").await;
    until("both work", &[&a, &b], || held(&[&a, &b]) == [2, 2]).await;
    let mut events = a.events();
    let mut messages = a.subscribe(&["t"]).await.expect("subscribed");
    let claim = work(&a)
        .claim_shard(work(&a).shards().next().expect("two"))
        .expect("held");
    let shard = claim.shard();

    cut.store(true, Ordering::SeqCst);
    let work_ended = async {
        claim.cancelled().await;
        assert!(!a.is_live() && !claim.is_valid());
        claim.token()
    };
    let token = tokio::time::timeout(PATIENCE, work_ended)
        .await
        .expect("the deadline is kept");
    drop(claim);
    let mut told = Vec::new();
    event("it is fenced", &mut events, |event| {
        told.push(event.clone());
        matches!(event, NodeEvent::Fenced { .. }).then_some(())
    })
    .await;
    assert!(
        told.iter()
            .any(|event| matches!(event, NodeEvent::CoordinatorDown { reason, .. } if reason.contains("cable"))),
        "{told:?}"
    );
    until("b takes over", &[&b], || held(&[&b]) == [4]).await;
    assert!(work(&b).token(shard) > Some(token));

    cut.store(false, Ordering::SeqCst);
    event("it learns that it was replaced", &mut events, |event| {
        (event == NodeEvent::SessionLost).then_some(())
    })
    .await;
    event("it joins again", &mut events, |event| {
        matches!(event, NodeEvent::Joined { node, .. } if Some(node) == a.id()).then_some(())
    })
    .await;
    until("it gets its own shards back", &[&a, &b], || {
        held(&[&a, &b]) == [2, 2] && work(&a).owns_shard(shard)
    })
    .await;

    let seam = tokio::time::timeout(PATIENCE, messages.next()).await.expect("in time");
    assert!(
        matches!(seam, Some(Message::Resync { .. })),
        "messages may have been missed: {seam:?}"
    );
    b.publish("t", "hello again").await.expect("sent");
    let next = tokio::time::timeout(PATIENCE, messages.next()).await.expect("in time");
    assert!(
        matches!(next, Some(Message::Received { from, .. }) if Some(from) == b.id()),
        "{next:?}"
    );
}

/// The margin of these tests is 50 ms.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_may_be_wrong_by_more_than_the_margin_is_refused() {
    let cluster = Cluster::new("{ shards = 4, replicas = 2 }");
    for (millis, fits) in [(50, true), (51, false)] {
        let cable = Cable {
            inner: cluster.broker.open(Namespace::new("test").expect("a name")),
            cut: Arc::default(),
            uncertainty: Duration::from_millis(millis),
        };
        let started = cluster.builder("a").coordinator(Arc::new(cable)).start().await;
        match started {
            Ok(node) => {
                assert!(fits);
                node.shutdown().await;
            }
            Err(error) => {
                assert!(
                    !fits && matches!(error, StartError::Backend(BackendError::Margin(_))),
                    "{error}"
                );
                let text = error.to_string();
                assert!(text.contains("50 ms") && text.contains("margin = \"51ms\""), "{text}");
            }
        }
    }
}
