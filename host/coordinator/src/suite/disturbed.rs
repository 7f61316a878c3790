//! What must hold while the backend is disturbed: no lost message goes untold, and no write is done that was called
//! unavailable.

use super::bus::{Follower, message};
use super::history::{decode, encode};
use super::{Context, Flaw, Verdict, ensure, explain};
use crate::contract::Coordinator;
use bytes::Bytes;
use shardwright_core::store::{Entry, Expected, Revision, StoreError};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Writers that are at work when the disturbance comes, each at a key of its own.
const WRITERS: usize = 4;
/// How many writes each makes before it, and after it.
const CALM: u64 = 5;
/// Between two tries of what is unavailable.
const PAUSE: Duration = Duration::from_millis(20);

pub(super) async fn reconnect(cx: &Context<'_>) -> Verdict {
    let Some(disturb) = &cx.options.disturb else {
        return Err(Flaw::Skip("there is nothing to disturb".into()));
    };
    let space = cx.space();
    let [bus, listener] = cx.open_all(&space).await?;
    let mut subscription = listener.subscribe(&["t"]).await?;
    let mut follower = Follower::default();
    let before = bus.put("k", Bytes::from_static(b"before"), Expected::Absent).await?;
    for number in 0..50 {
        bus.publish("t", message("p", number)).await?;
    }
    let over = Arc::new(AtomicBool::new(false));
    let (mut writers, at_work) = (JoinSet::new(), Arc::new(tokio::sync::Barrier::new(WRITERS + 1)));
    for (number, handle) in (0..).zip(cx.open_all::<WRITERS>(&space).await?) {
        let writer = Writer::new(handle, format!("w{number}"), number * 1_000_000);
        writers.spawn(writer.work(over.clone(), at_work.clone()));
    }
    tokio::select! {
        _ = at_work.wait() => {}
        // One that cannot even begin says why.
        Some(ended) = writers.join_next() => {
            return Err(ended?.err().unwrap_or_else(|| Flaw::Broken("a writer ended".into())));
        }
    }
    disturb().await;
    over.store(true, Ordering::SeqCst);
    let begun = Instant::now();
    for number in 50..100 {
        // A message that could not be sent is missing to the listener, who must be told.
        let _ = bus.publish("t", message("p", number)).await;
    }
    follower.follow(&mut *subscription, &*bus, "t").await?;
    // What was not sent at all need not be told: the sender was told. So the numbers need not be complete at the end.
    loop {
        match bus.get("k").await {
            Ok(reading) => {
                let revision = reading.entry.map(|entry| entry.revision);
                ensure!(
                    revision == Some(before.revision),
                    "after the disturbance the entry of {:?} has {revision:?}",
                    before.revision
                );
                break;
            }
            Err(StoreError::Unavailable(_)) => tokio::time::sleep(Duration::from_millis(50)).await,
            Err(error) => return Err(error.into()),
        }
    }
    let whole = begun.elapsed().as_millis();
    let (mut written, mut unavailable, mut unknown) = (0, 0, 0);
    while let Some(done) = writers.join_next().await {
        let done = done??;
        written += done.written;
        unavailable += done.refused.len();
        unknown += done.unknown.len();
    }
    Ok(format!(
        "{}; {written} writes done, {unavailable} unavailable, {unknown} unknown; whole again after {whole} ms",
        follower.figures()
    ))
}

/// Writes one number after the other under one key, each over what it knows to be there.
struct Writer {
    store: Arc<dyn Coordinator>,
    key: String,
    next: u64,
    there: Option<Revision>,
    written: u64,
    /// What was said to be certainly not written.
    refused: BTreeSet<u64>,
    /// What may have been written.
    unknown: BTreeSet<u64>,
}

impl Writer {
    fn new(store: Arc<dyn Coordinator>, key: String, next: u64) -> Self {
        Self {
            store,
            key,
            next,
            there: None,
            written: 0,
            refused: BTreeSet::new(),
            unknown: BTreeSet::new(),
        }
    }

    /// Writes until it is over, and a little longer.
    async fn work(mut self, over: Arc<AtomicBool>, at_work: Arc<tokio::sync::Barrier>) -> Result<Self, Flaw> {
        while self.written < CALM {
            self.write().await?;
        }
        at_work.wait().await;
        while !over.load(Ordering::SeqCst) {
            self.write().await?;
        }
        let end = self.written + CALM;
        while self.written < end {
            self.write().await?;
        }
        self.read_back().await?;
        Ok(self)
    }

    async fn write(&mut self) -> Result<(), Flaw> {
        // However fast the store is, others shall come in between.
        tokio::task::yield_now().await;
        let value = self.next;
        self.next += 1;
        let expected = self.there.map_or(Expected::Absent, Expected::Revision);
        match self.store.put(&self.key, encode(value), expected).await {
            Ok(written) => {
                self.there = Some(written.revision);
                self.written += 1;
            }
            Err(StoreError::Unavailable(_)) => {
                self.refused.insert(value);
                tokio::time::sleep(PAUSE).await;
            }
            Err(StoreError::Indeterminate(_)) => {
                self.unknown.insert(value);
                self.read_back().await?;
            }
            Err(StoreError::Conflict(found)) => {
                let before = self.there;
                self.look(found.as_ref())?;
                ensure!(
                    self.there != before,
                    "a write under {:?} was refused though {before:?}, which it expected, is there",
                    self.key
                );
            }
            Err(error) => return Err(Flaw::Broken(explain(&error))),
        }
        Ok(())
    }

    async fn read_back(&mut self) -> Result<(), Flaw> {
        loop {
            match self.store.get(&self.key).await {
                Ok(reading) => return self.look(reading.entry.as_ref()),
                Err(StoreError::Unavailable(_)) => tokio::time::sleep(PAUSE).await,
                Err(error) => return Err(Flaw::Broken(explain(&error))),
            }
        }
    }

    /// What is there: what this writer knew of, or a write of unknown outcome that happened.
    fn look(&mut self, found: Option<&Entry<Bytes>>) -> Result<(), Flaw> {
        let revision = found.map(|entry| entry.revision);
        if revision == self.there {
            return Ok(());
        }
        let Some(entry) = found else {
            return Err(Flaw::Broken(format!(
                "under {:?} there was {:?}, acknowledged, and now there is nothing",
                self.key, self.there
            )));
        };
        let value = decode(&entry.value).map_err(Flaw::Broken)?;
        ensure!(
            !self.refused.contains(&value),
            "a write was reported as unavailable, which says that nothing was written and nothing will be; but it was \
             done, as revision {}. Whatever may have been sent when its answer was lost is `indeterminate`: a wrong \
             `unavailable` is how locks are held twice",
            entry.revision.0
        );
        ensure!(
            self.unknown.contains(&value) && revision > self.there,
            "under {:?} there was {:?}, acknowledged, and now there is {revision:?} with {value}, which nobody wrote \
             over it",
            self.key,
            self.there
        );
        self.there = revision;
        Ok(())
    }
}
