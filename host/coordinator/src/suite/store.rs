//! The store's promises, one client at a time.

use super::{Context, Verdict, ensure};
use crate::contract::{BusError, Coordinator};
use crate::limits::MAX_VALUE;
use bytes::Bytes;
use shardwright_core::store::{Expected, Revision, StoreError, StoreTime};

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
                    at = store.put(&key, Bytes::from_static(b"old"), Expected::Any).await?.revision;
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
                let what = format!("{} of a key ({start:?}) expecting {case}", if remove { "delete" } else { "put" });
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
                        ensure!(entry.is_some() != remove, "{what} succeeded, but then {entry:?} was there");
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
    let (one, two) = (cx.open(&space).await?, cx.open(&space).await?);
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
        ensure!(matches!(write, Err(StoreError::Invalid(_))), "put under {key:?} answered {write:?}");
        let read = store.get(key).await;
        ensure!(matches!(read, Err(StoreError::Invalid(_))), "get of {key:?} answered {read:?}");
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
        ensure!(value.as_deref() == Some(key.as_bytes()), "under {key:?} there is {value:?}");
    }
    let all = store.list("", Revision(0)).await?.entries.len();
    ensure!(all == good.len(), "{all} entries instead of {}", good.len());
    Ok(format!("{} refused, {} accepted", bad.len(), good.len()))
}

pub(super) async fn sizes(cx: &Context<'_>) -> Verdict {
    let store = cx.open(&cx.space()).await?;
    let pattern = |size: usize| Bytes::from((0..size).map(|i| (i * 31 % 251) as u8).collect::<Vec<_>>());
    let Err(StoreError::TooLarge { limit, .. }) = store.put("huge", pattern(4 * MAX_VALUE), Expected::Any).await else {
        return Err(super::Flaw::Broken("4 MiB were not refused as too large".into()));
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
        ensure!(value == Some(pattern(size)), "a value of {size} bytes came back otherwise");
    }
    Ok(format!("limit {limit} bytes"))
}

pub(super) async fn namespaces(cx: &Context<'_>) -> Verdict {
    let (one, two) = (cx.open(&cx.space()).await?, cx.open(&cx.space()).await?);
    one.put("k", Bytes::from_static(b"one"), Expected::Absent).await?;
    ensure!(two.get("k").await?.entry.is_none(), "the other namespace shows the entry");
    ensure!(
        two.list("", Revision(0)).await?.entries.is_empty(),
        "the other namespace lists the entry"
    );
    two.put("k", Bytes::from_static(b"two"), Expected::Absent).await?;
    two.delete("k", Expected::Any).await?;
    let value = one.get("k").await?.entry.map(|entry| entry.value);
    ensure!(value.as_deref() == Some(b"one"), "the other namespace's delete left {value:?}");
    Ok("neither sees the other".into())
}

pub(super) async fn time(cx: &Context<'_>) -> Verdict {
    let space = cx.space();
    let handles: [std::sync::Arc<dyn Coordinator>; 2] = [cx.open(&space).await?, cx.open(&space).await?];
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

/// Also cleans up after the other checks.
pub(super) async fn erase(cx: &Context<'_>) -> Verdict {
    let (space, other) = (cx.space(), cx.space());
    let (doomed, bystander) = (cx.open(&space).await?, cx.open(&other).await?);
    for key in ["a", "b/c"] {
        doomed.put(key, Bytes::from_static(b"x"), Expected::Absent).await?;
        bystander.put(key, Bytes::from_static(b"x"), Expected::Absent).await?;
    }
    doomed.erase().await?;
    let listing = cx.open(&space).await?.list("", Revision(0)).await?;
    ensure!(listing.entries.is_empty(), "left behind: {:?}", listing.entries);
    let spared = bystander.list("", Revision(0)).await?.entries.len();
    ensure!(spared == 2, "another namespace was left with {spared} entries of 2");
    let spaces = cx.spaces();
    for space in &spaces {
        cx.open(space).await?.erase().await?;
    }
    Ok(format!("{} namespaces removed", spaces.len()))
}
