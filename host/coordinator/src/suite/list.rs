//! The promises of listings.

use super::history::{decode, encode};
use super::{Context, Flaw, Random, Verdict, ensure};
use bytes::Bytes;
use shardwright_core::store::{Entry, Expected, Listing, Revision};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::task::JoinSet;

fn keys(listing: &Listing<Bytes>) -> Vec<&str> {
    listing.entries.iter().map(|(key, _)| key.as_str()).collect()
}

pub(super) async fn ranges(cx: &Context<'_>) -> Verdict {
    let store = cx.open(&cx.space()).await?;
    let empty = store.list("", Revision(0)).await?;
    ensure!(empty.entries.is_empty(), "a fresh namespace lists {:?}", keys(&empty));
    // Sorted as bytes: neither as words of a language, nor with a character that stands for any other.
    let names = [
        "B", "a", "a/", "a/1", "a/10", "a/2", "a0", "a_", "a_1", "ab", "b", "z:", "zz",
    ];
    let mut revisions = BTreeMap::new();
    for key in names.iter().rev() {
        revisions.insert(
            *key,
            store.put(key, Bytes::from(*key), Expected::Absent).await?.revision,
        );
    }
    for prefix in ["", "a", "a/", "a/1", "a_", "z", "zz", "zzz", "b", "B", "-", "+", "."] {
        let listing = store.list(prefix, Revision(0)).await?;
        let mut expected: Vec<_> = names.iter().copied().filter(|key| key.starts_with(prefix)).collect();
        expected.sort_unstable();
        ensure!(
            keys(&listing) == expected,
            "prefix {prefix:?} lists {:?} instead of {expected:?}",
            keys(&listing)
        );
        let wrong = listing
            .entries
            .iter()
            .find(|(key, entry)| entry.value != key.as_str() || entry.revision != revisions[key.as_str()]);
        ensure!(wrong.is_none(), "prefix {prefix:?} lists {wrong:?}");
    }
    for (from, since) in &revisions {
        let listing = store.list("a", *since).await?;
        let expected: Vec<_> = revisions
            .iter()
            .filter(|(key, revision)| key.starts_with('a') && *revision > since)
            .map(|(key, _)| *key)
            .collect();
        ensure!(
            keys(&listing) == expected,
            "since the write of {from} there are {:?} instead of {expected:?}",
            keys(&listing)
        );
    }
    let removed = store.delete("a/1", Expected::Any).await?;
    let listing = store.list("a/", Revision(0)).await?;
    ensure!(
        keys(&listing) == ["a/", "a/10", "a/2"],
        "after a delete: {:?}",
        keys(&listing)
    );
    ensure!(
        listing.revision >= removed.revision,
        "the listing's revision {} is before the delete {}",
        listing.revision.0,
        removed.revision.0
    );
    let news = store.list("", listing.revision).await?;
    ensure!(
        news.entries.is_empty(),
        "nothing was written since, but {:?} are listed",
        keys(&news)
    );
    Ok(format!("{} keys, 13 prefixes, every revision", names.len()))
}

pub(super) async fn many(cx: &Context<'_>) -> Verdict {
    let space = cx.space();
    let count = cx.options.keys;
    let mut writers = JoinSet::new();
    let lanes = 64;
    for (lane, store) in (0..lanes).zip(cx.open_all::<4>(&space).await?.into_iter().cycle()) {
        writers.spawn(async move {
            for i in (lane..count).step_by(lanes) {
                store
                    .put(&format!("many/{i:06}"), encode(i as u64), Expected::Absent)
                    .await?;
            }
            Ok::<_, Flaw>(())
        });
    }
    while let Some(done) = writers.join_next().await {
        done??;
    }
    let store = cx.open(&space).await?;
    let begun = std::time::Instant::now();
    let listing = store.list("many/", Revision(0)).await?;
    let took = begun.elapsed();
    ensure!(
        listing.entries.len() == count,
        "{} of {count} keys are listed",
        listing.entries.len()
    );
    for (i, (key, entry)) in listing.entries.iter().enumerate() {
        ensure!(
            *key == format!("many/{i:06}") && entry.value == encode(i as u64),
            "at place {i}: {key} with {:?}",
            entry.value
        );
    }
    Ok(format!("{count} keys listed in {} ms", took.as_millis()))
}

/// A listing while others write: what it was asked for and what it said.
struct Look {
    since: Revision,
    listing: Listing<Bytes>,
    /// The greatest revision that had been answered when it was asked for.
    answered: Revision,
}

pub(super) async fn live(cx: &Context<'_>) -> Verdict {
    let space = cx.space();
    let (answered, looked) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let mut writers = JoinSet::new();
    for (writer, store) in cx.open_all::<4>(&space).await?.into_iter().enumerate() {
        let (answered, looked, mut random) = (
            answered.clone(),
            looked.clone(),
            Random(cx.options.seed ^ writer as u64),
        );
        let rounds = cx.options.rounds * 4;
        writers.spawn(async move {
            let mut writes = Vec::new();
            for round in 0.. {
                // However fast the store is, the two must meet.
                if round >= rounds && looked.load(Ordering::SeqCst) >= 20 {
                    break;
                }
                let key = format!("live/{}", random.below(20));
                let value = writer as u64 * 1_000_000 + round;
                let revision = store.put(&key, encode(value), Expected::Any).await?.revision;
                answered.fetch_max(revision.0, Ordering::SeqCst);
                writes.push(Write { revision, key, value });
                tokio::task::yield_now().await;
            }
            Ok::<_, Flaw>(writes)
        });
    }
    let store = cx.open(&space).await?;
    let (mut looks, mut writes, mut since) = (Vec::new(), Vec::new(), Revision(0));
    loop {
        let over = writers.is_empty();
        let before = Revision(answered.load(Ordering::SeqCst));
        let listing = store.list("live/", since).await?;
        let next = listing.revision;
        looks.push(Look {
            since,
            listing,
            answered: before,
        });
        since = next;
        looked.fetch_add(1, Ordering::SeqCst);
        if over {
            break;
        }
        while let Some(done) = writers.try_join_next() {
            writes.extend(done??);
        }
        tokio::task::yield_now().await;
    }
    let view = follow(&looks, &writes)?;
    let full = store.list("live/", Revision(0)).await?;
    let differs = |(key, entry): &&(String, Entry<Bytes>)| view.get(key) != Some(&entry.revision);
    if let Some((key, entry)) = full.entries.iter().find(differs) {
        ensure!(
            false,
            "following the news gave {:?} for {key}, there is {entry:?}",
            view.get(key)
        );
    }
    ensure!(
        full.entries.len() == view.len(),
        "following the news gave {} keys, there are {}",
        view.len(),
        full.entries.len()
    );
    Ok(format!("{} listings beside {} writes", looks.len(), writes.len()))
}

/// A successful write.
struct Write {
    revision: Revision,
    key: String,
    value: u64,
}

/// Checks each look against all writes, and adds them up to a view of the newest revisions.
fn follow(looks: &[Look], writes: &[Write]) -> Result<BTreeMap<String, Revision>, Flaw> {
    let mut view = BTreeMap::new();
    for Look {
        since,
        listing,
        answered,
    } in looks
    {
        ensure!(
            listing.revision >= *answered,
            "a listing of revision {} came after the answer of {}",
            listing.revision.0,
            answered.0
        );
        let old = listing.entries.iter().find(|(_, entry)| entry.revision <= *since);
        ensure!(old.is_none(), "since {} there is {old:?}", since.0);
        let shown: BTreeMap<&str, Revision> = listing
            .entries
            .iter()
            .map(|(key, entry)| (key.as_str(), entry.revision))
            .collect();
        for Write { revision, key, value } in writes
            .iter()
            .filter(|write| write.revision > *since && write.revision <= listing.revision)
        {
            let shown = shown.get(key.as_str());
            let (to, since) = (listing.revision.0, since.0);
            ensure!(
                shown >= Some(revision),
                "a listing of revision {to} since {since} shows {shown:?} for {key}, which was {value} at {}",
                revision.0
            );
        }
        for (key, entry) in &listing.entries {
            decode(&entry.value).map_err(Flaw::Broken)?;
            view.insert(key.clone(), entry.revision);
        }
    }
    Ok(view)
}
