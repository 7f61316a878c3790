//! Tests of the sandbox for which the adapter must work: with its grants alone, broken off, for long, and with a
//! history that is over.

use super::sandbox::{Flaw, Subject, Verdict};
use bytes::Bytes;
use shardwright_components::adapter::AdapterCoordinator;
use shardwright_coordinator::{Bus, Coordinator, Delivery, Store};
use shardwright_core::store::{Entry, Expected, Revision, StoreError};
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// For how many calls a lane must last at least before its memory is so used up that the host opens another.
const LASTING: u64 = 1000;
/// What need not be told: it may have been the first calls that took the memory, and none after.
const FOREVER: u64 = 100_000;
/// How long a backend that was disturbed may be unavailable.
const RECOVERY: Duration = Duration::from_secs(20);

/// Opens with exactly what is required, does everything once, and looks for what was refused.
pub(super) async fn enough(subject: &Subject) -> Verdict {
    let mut options = subject.options.clone();
    options.grants = subject.required().await?;
    let granted = options.grants.iter().count();
    let handle = subject.open(options).await?;
    let mut heard = handle.subscribe(&["t"]).await?;
    handle.put("k", Bytes::from_static(b"v"), Expected::Absent).await?;
    handle.get("k").await?;
    handle.list("", Revision(0)).await?;
    handle.publish("t", Bytes::from_static(b"m")).await?;
    let news = heard.next(1).await?;
    if !matches!(&news[..], [Delivery::Message { .. } | Delivery::Gap { .. }]) {
        return Err(Flaw::Broken(format!("what was published came as {news:?}")));
    }
    let findings = handle.examine().await.len();
    handle.delete("k", Expected::Any).await?;
    let refused = handle.status().refused;
    if !refused.is_empty() {
        let refused: Vec<_> = refused.into_iter().collect();
        return Err(Flaw::Broken(format!(
            "it asked for what it had not required: {}",
            refused.join(", ")
        )));
    }
    Ok(format!("{granted} granted, none refused, {findings} findings"))
}

/// Breaks writes off at every stage, by which the host drops the lane, and reads back.
pub(super) async fn interrupted(subject: &Subject) -> Verdict {
    let handle = subject.open(subject.options.clone()).await?;
    let mut last = handle.put("k", value(0), Expected::Absent).await?.revision;
    let begun = Instant::now();
    for _ in 0..10 {
        last = handle.put("k", value(0), Expected::Revision(last)).await?.revision;
    }
    let usual = begun.elapsed() / 10;
    let (rounds, mut done, mut late) = (if subject.quick { 20 } else { 100 }, 0, 0);
    for round in 1..=rounds {
        let patience = usual * (round % 20) / 15;
        let (written, marker) = (value(round), value(rounds + round));
        let finished = timeout(patience, handle.put("k", written.clone(), Expected::Revision(last))).await;
        if let Ok(Ok(_)) = finished {
            done += 1;
        }
        let entry = read_back(&handle).await?;
        if entry.revision != last && entry.value != written {
            return Err(Flaw::Broken(format!(
                "after write {round} was broken off, something else was there: {entry:?}"
            )));
        }
        // It may still happen, until another write is in its place.
        last = match handle
            .put("k", marker.clone(), Expected::Revision(entry.revision))
            .await
        {
            Ok(written) => written.revision,
            Err(StoreError::Conflict(Some(found))) if found.value == written => {
                late += 1;
                found.revision
            }
            Err(StoreError::Unavailable(_) | StoreError::Indeterminate(_)) => read_back(&handle).await?.revision,
            Err(error) => return Err(error.into()),
        };
        let entry = read_back(&handle).await?;
        if entry.revision != last || ![&written, &marker].contains(&&entry.value) {
            return Err(Flaw::Broken(format!(
                "after write {round} was replaced, something else was there: revision {}",
                entry.revision.0
            )));
        }
    }
    let entries = handle.list("", Revision(0)).await?.entries.len();
    if entries != 1 {
        return Err(Flaw::Broken(format!("one key was written, and {entries} are there")));
    }
    Ok(format!("{rounds} writes, {done} were faster, {late} happened later"))
}

/// Makes many calls in one lane; or in several, where one is worn before the end.
pub(super) async fn memory(subject: &Subject) -> Verdict {
    let mut options = subject.options.clone();
    options.lanes = 1;
    let handle = subject.open(options).await?;
    let rounds: u64 = if subject.quick { 200 } else { 2000 };
    let (fresh, _) = measure(&handle);
    for _ in 0..rounds {
        handle.put("k", Bytes::from(vec![7; 2000]), Expected::Any).await?;
        handle.get("k").await?;
        handle.list("k", Revision(0)).await?;
    }
    let (calls, (end, lanes)) = (3 * rounds, measure(&handle));
    let lasts = match lanes {
        0 | 1 => {
            let grown = end.saturating_sub(fresh);
            let left = (subject.options.budget.memory as u64).saturating_sub(end) / 2;
            (left * calls).checked_div(grown).map_or(u64::MAX, |more| calls + more)
        }
        lanes => calls / (lanes - 1),
    };
    let figures = format!("{} KiB at first, {} KiB after {calls} calls", fresh >> 10, end >> 10);
    match lasts {
        ..LASTING => Err(Flaw::Broken(format!("{figures}; a lane lasts for {lasts} calls"))),
        LASTING..FOREVER => Ok(format!("{figures}; a lane lasts for some {lasts} calls")),
        FOREVER.. => Ok(figures),
    }
}

/// Erases the namespace under a handle, and begins it anew.
pub(super) async fn history(subject: &Subject) -> Verdict {
    let space = subject.scratch.space()?;
    let open = || AdapterCoordinator::open(subject.component(), subject.options.clone(), space.clone());
    let (old, other) = (open().await?, open().await?);
    old.put("k", Bytes::from_static(b"old"), Expected::Absent).await?;
    other.erase().await?;
    let new = open().await?;
    let left: Vec<_> = new
        .list("", Revision(0))
        .await?
        .entries
        .into_iter()
        .map(|(key, _)| key)
        .collect();
    if !left.is_empty() {
        return Err(Flaw::Broken(format!("erase is incomplete: it left {left:?}")));
    }
    let written = new.put("k", Bytes::from_static(b"new"), Expected::Absent).await?;
    for attempt in ["a first", "a second"] {
        let read = old.get("k").await;
        let write = old.put("k", Bytes::from_static(b"late"), Expected::Any).await;
        for (what, lost) in [
            ("read", matches!(read, Err(StoreError::HistoryLost(_)))),
            ("write", matches!(write, Err(StoreError::HistoryLost(_)))),
        ] {
            if !lost {
                let seen = if what == "read" {
                    format!("{read:?}")
                } else {
                    format!("{write:?}")
                };
                return Err(Flaw::Broken(format!(
                    "{attempt} {what} of the older handle answered {seen}"
                )));
            }
        }
    }
    let entry = new.get("k").await?.entry;
    if entry
        .as_ref()
        .is_none_or(|entry| entry.value != "new" || entry.revision != written.revision)
    {
        return Err(Flaw::Broken(format!("the new handle wrote, and now finds {entry:?}")));
    }
    Ok("the older handle is over, the new one works".into())
}

fn value(number: u32) -> Bytes {
    // Long enough to take a while, and to be sent in several pieces.
    Bytes::from(format!("{number:08} ").repeat(40_000))
}

/// Bytes of memory, and how many lanes were opened so far.
fn measure(handle: &AdapterCoordinator) -> (u64, u64) {
    let status = handle.status();
    (status.memory, status.totals.lanes_opened)
}

/// What is under the key, once the backend answers again.
async fn read_back(handle: &AdapterCoordinator) -> Result<Entry<Bytes>, Flaw> {
    let until = Instant::now() + RECOVERY;
    loop {
        match handle.get("k").await {
            Ok(reading) => return reading.entry.ok_or_else(|| Flaw::Broken("the entry is gone".into())),
            Err(StoreError::Unavailable(_)) if Instant::now() < until => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}
