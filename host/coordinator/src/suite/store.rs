//! The store's promises, one client at a time.

use super::{Context, Flaw, Verdict, ensure, unopened};
use crate::contract::{BusError, Coordinator};
use crate::limits::{MAX_VALUE, Namespace};
use bytes::Bytes;
use shardwright_core::store::{Expected, Revision, StoreError, StoreTime};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;
use tokio::task::JoinSet;

/// How many namespaces are removed beside each other.
const ERASED_AT_ONCE: usize = 8;

/// The three states a key can be in, and how a fourth, a deleted one, equals the first.
#[derive(Clone, Copy, Debug)]
enum Start {
    Never,
    Present,
    Deleted,
}

pub(super) async fn expectations(cx: &Context<'_>) -> Verdict {
    let store = cx.open(&cx.space()).await?;
    let (mut tried, mut last) = (0, Revision(0));
    for start in [Start::Never, Start::Present, Start::Deleted] {
        for remove in [false, true] {
            for case in ["absent", "its revision", "an older revision", "a newer revision", "any"] {
                let key = format!("k{tried}");
                let mut at = Revision(0);
                if !matches!(start, Start::Never) {
                    store.put(&key, Bytes::from_static(b"older"), Expected::Absent).await?;
                    at = store
                        .put(&key, Bytes::from_static(b"old"), Expected::Any)
                        .await?
                        .revision;
                }
                if matches!(start, Start::Deleted) {
                    store.delete(&key, Expected::Revision(at)).await?;
                }
                let expected = match case {
                    "absent" => Expected::Absent,
                    "its revision" => Expected::Revision(at),
                    "an older revision" => Expected::Revision(Revision(at.0.saturating_sub(1))),
                    "a newer revision" => Expected::Revision(Revision(at.0 + 1)),
                    _ => Expected::Any,
                };
                let there = matches!(start, Start::Present);
                let should = match case {
                    "absent" => !there,
                    "its revision" => there,
                    "any" => true,
                    _ => false,
                };
                let outcome = if remove {
                    store.delete(&key, expected).await
                } else {
                    store.put(&key, Bytes::from_static(b"new"), expected).await
                };
                let what = format!(
                    "{} of a key ({start:?}) expecting {case}",
                    if remove { "delete" } else { "put" }
                );
                let entry = store.get(&key).await?.entry;
                match outcome {
                    Ok(written) => {
                        ensure!(should, "{what} succeeded");
                        ensure!(
                            written.revision > last.max(at),
                            "{what}: revision {} after {}",
                            written.revision.0,
                            last.max(at).0
                        );
                        last = written.revision;
                        ensure!(
                            entry.is_some() != remove,
                            "{what} succeeded, but then {entry:?} was there"
                        );
                        if let Some(entry) = entry {
                            ensure!(
                                entry.value == "new" && entry.revision == written.revision,
                                "{what}: read back {entry:?}, wrote {written:?}"
                            );
                        }
                    }
                    Err(StoreError::Conflict(found)) => {
                        ensure!(!should, "{what} met a conflict");
                        ensure!(
                            found == entry && entry.is_some() == there,
                            "{what}: conflict with {found:?}, then {entry:?} was there"
                        );
                    }
                    Err(error) => return Err(error.into()),
                }
                tried += 1;
            }
        }
    }
    Ok(format!("{tried} cases"))
}

pub(super) async fn conflict(cx: &Context<'_>) -> Verdict {
    let space = cx.space();
    let [one, two] = cx.open_all(&space).await?;
    let written = one.put("k", Bytes::from_static(b"one"), Expected::Absent).await?;
    for outcome in [
        two.put("k", Bytes::from_static(b"two"), Expected::Absent).await,
        two.delete("k", Expected::Absent).await,
    ] {
        let Err(StoreError::Conflict(Some(entry))) = outcome else {
            ensure!(false, "a write expecting absence answered {outcome:?}");
            continue;
        };
        let same = entry.value == "one" && entry.revision == written.revision && entry.written == written.now;
        ensure!(same, "the conflict carried {entry:?}, there was {written:?}");
    }
    Ok("the other handle's entry, with its revision and time".into())
}

pub(super) async fn names(cx: &Context<'_>) -> Verdict {
    let store = cx.open(&cx.space()).await?;
    let long = "k".repeat(513);
    let bad = ["", "a b", "a\nb", "ключ", "a\0", "a*", "a>", &long];
    for key in bad {
        let write = store.put(key, Bytes::new(), Expected::Any).await;
        ensure!(
            matches!(write, Err(StoreError::Invalid(_))),
            "put under {key:?} answered {write:?}"
        );
        let read = store.get(key).await;
        ensure!(
            matches!(read, Err(StoreError::Invalid(_))),
            "get of {key:?} answered {read:?}"
        );
        let remove = store.delete(key, Expected::Any).await;
        ensure!(
            matches!(remove, Err(StoreError::Invalid(_))),
            "delete of {key:?} answered {remove:?}"
        );
        let publish = store.publish(key, Bytes::new()).await;
        ensure!(
            matches!(publish, Err(BusError::Invalid(_))),
            "publish to {key:?} answered {publish:?}"
        );
        ensure!(
            matches!(store.subscribe(&[key]).await, Err(BusError::Invalid(_))),
            "subscribe to {key:?} succeeded"
        );
    }
    let good = [
        "k".repeat(512),
        "a/b.c_d@e:f+g-h".into(),
        "/".into(),
        "..".into(),
        "A".into(),
        "a".into(),
    ];
    for key in &good {
        store.put(key, Bytes::from(key.clone()), Expected::Absent).await?;
    }
    for key in &good {
        let value = store.get(key).await?.entry.map(|entry| entry.value);
        ensure!(
            value.as_deref() == Some(key.as_bytes()),
            "under {key:?} there is {value:?}"
        );
    }
    let all = store.list("", Revision(0)).await?.entries.len();
    ensure!(all == good.len(), "{all} entries instead of {}", good.len());
    Ok(format!("{} refused, {} accepted", bad.len(), good.len()))
}

pub(super) async fn sizes(cx: &Context<'_>) -> Verdict {
    let store = cx.open(&cx.space()).await?;
    let pattern = |size: usize| Bytes::from((0..size).map(|i| (i * 31 % 251) as u8).collect::<Vec<_>>());
    let Err(StoreError::TooLarge { limit, .. }) = store.put("huge", pattern(4 * MAX_VALUE), Expected::Any).await else {
        return Err(Flaw::Broken("4 MiB were not refused as too large".into()));
    };
    ensure!(limit >= MAX_VALUE, "the limit is {limit} bytes, 1 MiB must fit");
    let over = store.put("huge", pattern(limit + 1), Expected::Any).await;
    ensure!(
        matches!(over, Err(StoreError::TooLarge { .. })),
        "one byte over the limit answered {over:?}"
    );
    ensure!(store.get("huge").await?.entry.is_none(), "a refused value was written");
    for size in [0, 1, 4096, MAX_VALUE, limit] {
        store.put("fits", pattern(size), Expected::Any).await?;
        let value = store.get("fits").await?.entry.map(|entry| entry.value);
        ensure!(
            value == Some(pattern(size)),
            "a value of {size} bytes came back otherwise"
        );
    }
    Ok(format!("limit {limit} bytes"))
}

pub(super) async fn namespaces(cx: &Context<'_>) -> Verdict {
    let space = cx.space();
    let (one, two) = (cx.open(&space).await?, cx.open(&cx.beside(&space)).await?);
    one.put("k", Bytes::from_static(b"one"), Expected::Absent).await?;
    ensure!(
        two.get("k").await?.entry.is_none(),
        "the other namespace shows the entry"
    );
    ensure!(
        two.list("", Revision(0)).await?.entries.is_empty(),
        "the other namespace lists the entry"
    );
    two.put("k", Bytes::from_static(b"two"), Expected::Absent).await?;
    two.delete("k", Expected::Any).await?;
    let value = one.get("k").await?.entry.map(|entry| entry.value);
    ensure!(
        value.as_deref() == Some(b"one"),
        "the other namespace's delete left {value:?}"
    );
    two.put("l", Bytes::from_static(b"two"), Expected::Absent).await?;
    let listed = keys(&*one).await?;
    ensure!(
        listed == ["k"],
        "a namespace lists {listed:?} and has \"k\": it finds what is in a namespace whose name begins with its own"
    );
    Ok("neither sees the other".into())
}

pub(super) async fn time(cx: &Context<'_>) -> Verdict {
    let space = cx.space();
    let handles: [Arc<dyn Coordinator>; 2] = cx.open_all(&space).await?;
    let mut last = StoreTime(0);
    for i in 0..40 {
        let (one, two) = (&handles[i % 2], &handles[(i + 1) % 2]);
        let written = one.put("k", Bytes::new(), Expected::Any).await?;
        let reading = two.get("k").await?;
        let listing = one.list("", Revision(0)).await?;
        for (now, what) in [(written.now, "put"), (reading.now, "get"), (listing.now, "list")] {
            ensure!(now >= last, "{what}: {} after {}", now.0, last.0);
            last = now;
        }
        let entry = reading.entry.map(|entry| entry.written);
        ensure!(
            entry == Some(written.now),
            "the entry says {entry:?}, the write said {:?}",
            written.now
        );
    }
    Ok("120 answers of two handles".into())
}

/// By how many milliseconds an entry may look older than it was. The promise is "a few"; a busy machine is given more.
const SLACK: u64 = 250;
/// How often the entry is renewed at least while others look.
const RENEWALS: u64 = 8;

/// One renews an entry all the time, as a node does its session, and another looks how old it is.
pub(super) async fn ages(cx: &Context<'_>) -> Verdict {
    let space = cx.space();
    let [writer, reader] = cx.open_all(&space).await?;
    let first = (writer.put("session", Bytes::new(), Expected::Any).await?, 0);
    let (over, renewed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let (looked, counted) = (over.clone(), renewed.clone());
    // Ends with this check, however that ends.
    let mut renewing = JoinSet::new();
    renewing.spawn(async move {
        let mut renewals = vec![first];
        while !looked.load(Ordering::SeqCst) {
            let began = Instant::now();
            let renewal = writer.put("session", Bytes::new(), Expected::Any).await;
            let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            counted.fetch_add(if renewal.is_ok() { 1 } else { RENEWALS }, Ordering::SeqCst);
            renewals.push((renewal?, took));
            tokio::task::yield_now().await;
        }
        Ok::<_, Flaw>(renewals)
    });
    let mut looks = Vec::new();
    // However fast one of the two is, they must meet.
    while looks.len() < 16 || renewed.load(Ordering::SeqCst) < RENEWALS {
        tokio::task::yield_now().await;
        let reading = reader.get("session").await?;
        looks.push(("get", reading.now, reading.entry.map(|entry| entry.revision)));
        let listing = reader.list("", Revision(0)).await?;
        let listed = listing.entries.into_iter().find(|(key, _)| key == "session");
        looks.push(("list", listing.now, listed.map(|(_, entry)| entry.revision)));
    }
    over.store(true, Ordering::SeqCst);
    let (mut renewals, mut most) = (Vec::new(), 0);
    while let Some(done) = renewing.join_next().await {
        renewals = done??;
    }
    for (what, now, seen) in looks {
        let Some(seen) = seen else {
            return Err(Flaw::Broken(format!(
                "{what}: the entry that is renewed all the time is not there"
            )));
        };
        // What came next and was not seen had not been written yet, so neither had the clock come that far. It counts
        // as written when its call ends: a busy disk may take its time between the stamp and that.
        if let Some((next, took)) = renewals.iter().find(|(written, _)| written.revision > seen) {
            let late = now.0.saturating_sub(next.now.0).saturating_sub(*took);
            ensure!(
                late <= SLACK,
                "{what} shows revision {} as of {}, but revision {} was written {late} ms before that: the clock was \
                 read after the entries, or the entries are stale; an entry that looks too old is a session taken \
                 from a node that lives. Read the clock first, or in the same step",
                seen.0,
                now.0,
                next.revision.0
            );
            most = most.max(late);
        }
    }
    Ok(format!("{} renewals; at most {most} ms too old", renewals.len()))
}

/// All keys that a handle lists.
async fn keys(handle: &dyn Coordinator) -> Result<Vec<String>, Flaw> {
    let entries = handle.list("", Revision(0)).await?.entries;
    Ok(entries.into_iter().map(|(key, _)| key).collect())
}

/// Also cleans up after the other checks.
pub(super) async fn erase(cx: &Context<'_>) -> Verdict {
    let space = cx.space();
    let other = cx.beside(&space);
    let (doomed, bystander) = (cx.open(&space).await?, cx.open(&other).await?);
    let before = doomed.put("a", Bytes::from_static(b"x"), Expected::Absent).await?;
    for key in ["b/c", "Z"] {
        doomed.put(key, Bytes::from_static(b"x"), Expected::Absent).await?;
    }
    for key in ["a", "b/c"] {
        bystander.put(key, Bytes::from_static(b"x"), Expected::Absent).await?;
    }
    doomed.erase().await?;
    let again = cx.open(&space).await?;
    let left = keys(&*again).await?;
    ensure!(
        left.is_empty(),
        "erase is incomplete: it left {left:?} of [\"Z\", \"a\", \"b/c\"]"
    );
    let entry = again.get("a").await?.entry;
    ensure!(
        entry.is_none(),
        "erase is incomplete: a listing is empty, but \"a\" is still there: {entry:?}"
    );
    match again
        .put("a", Bytes::from_static(b"y"), Expected::Revision(before.revision))
        .await
    {
        Err(StoreError::Conflict(None)) => {}
        other => ensure!(
            false,
            "erase is incomplete: a write over an entry that was erased answered {other:?}"
        ),
    }
    if let Err(StoreError::Conflict(found)) = again.put("a", Bytes::from_static(b"y"), Expected::Absent).await {
        ensure!(
            false,
            "erase is incomplete: \"a\" cannot be read, but stands in the way of a write: {found:?}"
        );
    }
    let spared = bystander.list("", Revision(0)).await?.entries.len();
    ensure!(
        spared == 2,
        "erase went too far: the namespace {other}, whose name begins with that of the erased one, is left with \
         {spared} entries of 2"
    );
    let spaces = cx.spaces().clone();
    for some in spaces.chunks(ERASED_AT_ONCE) {
        let erase = |space: &Namespace| {
            let opening = (cx.factory)(space.clone());
            async move {
                opening.await.map_err(unopened)?.erase().await?;
                Ok::<_, Flaw>(())
            }
        };
        let mut erasing = JoinSet::from_iter(some.iter().map(erase));
        while let Some(erased) = erasing.join_next().await {
            erased??;
        }
    }
    Ok(format!("{} namespaces removed", spaces.len()))
}
