//! A read sees what was acknowledged before it began, however fast the key is overwritten while the reader's mirror
//! catches up.

use crate::common::{open, options, space};
use bytes::Bytes;
use shardwright_core::store::{Expected, Revision};
use shardwright_servers::NatsServer;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_read_sees_what_was_acknowledged_before_it() {
    let server = NatsServer::start().unwrap();
    let settings = || options([server.url().as_str()]);
    let (acknowledged, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let mut writers = JoinSet::new();
    let first = open(settings(), space("reads")).await.unwrap();
    first.put("hot", Bytes::new(), Expected::Absent).await.unwrap();
    for _ in 0..6 {
        let handle = open(settings(), space("reads")).await.unwrap();
        let (acknowledged, stop) = (acknowledged.clone(), stop.clone());
        writers.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let written = handle.put("hot", Bytes::new(), Expected::Any).await.unwrap();
                acknowledged.fetch_max(written.revision.0, Ordering::SeqCst);
            }
        });
    }
    let begun = Instant::now();
    let mut reads = 0;
    // For a while, and often enough to show something, however busy the machine is.
    while begun.elapsed() < Duration::from_secs(4) || reads < 200 {
        // Every few reads a mirror that is just being built.
        let reader = open(settings(), space("reads")).await.unwrap();
        for round in 0..40 {
            let before = acknowledged.load(Ordering::SeqCst);
            let found = if round % 2 == 0 {
                reader.get("hot").await.unwrap().entry.map(|entry| entry.revision.0)
            } else {
                let listing = reader.list("", Revision(0)).await.unwrap();
                assert!(listing.revision.0 >= before);
                listing.entries.first().map(|(_, entry)| entry.revision.0)
            };
            assert!(found >= Some(before), "read {found:?} after {before} was acknowledged");
            reads += 1;
        }
    }
    stop.store(true, Ordering::Relaxed);
    while let Some(done) = writers.join_next().await {
        done.unwrap();
    }
}
