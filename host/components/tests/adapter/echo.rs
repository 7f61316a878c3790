//! An adapter that does as it should, without any backend.

use crate::common::{hostile, open, options};
use bytes::Bytes;
use shardwright_coordinator::{Coordinator, Store};
use shardwright_core::store::{Expected, Revision, StoreError};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_reach_the_component_and_answers_come_back() {
    let one_lane = shardwright_components::adapter::AdapterOptions {
        lanes: 1,
        ..options("{}", &[])
    };
    let coordinator = open(&hostile().await, one_lane).await.expect("it opens");
    assert_eq!(
        (coordinator.kind(), coordinator.location().as_str()),
        ("hostile", "here")
    );
    let written = coordinator
        .put("a/b", Bytes::from_static(b"x"), Expected::Absent)
        .await
        .expect("written");
    let read = coordinator.get("a/b").await.expect("read").entry.expect("there");
    assert_eq!(
        (read.revision, read.written, &read.value[..]),
        (written.revision, written.now, &b"x"[..])
    );
    let conflict = coordinator.put("a/b", Bytes::new(), Expected::Absent).await;
    assert_eq!(conflict, Err(StoreError::Conflict(Some(read))));
    let listing = coordinator.list("a/", Revision(0)).await.expect("listed");
    assert_eq!((listing.entries.len(), listing.revision), (1, written.revision));
    coordinator
        .delete("a/b", Expected::Revision(written.revision))
        .await
        .expect("deleted");
    assert_eq!(coordinator.get("a/b").await.expect("read").entry, None);
    let status = coordinator.status();
    assert_eq!(
        (status.lanes_open, status.totals.lanes_opened, status.totals.calls),
        (1, 1, 6),
        "{status:?}"
    );
    assert!(status.memory < 4 << 20, "{} bytes for one lane", status.memory);
}
