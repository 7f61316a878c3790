//! Listings: page by page, all at the revision of the first, and small enough that none fills the memory.

use crate::api::{Op, Pair, RangeOp, txn};
use crate::codes::Refusal;
use crate::store::{Store, odd};
use crate::wire::HttpClient;
use shardwright_guest::adapter::{Entry, Listed, Listing};

/// The entries of the first page: few, since each may have a mebibyte.
const FIRST: u64 = 8;
/// The most entries of one page. What follows may be larger than all before, and etcd holds a page in its memory.
const MOST: u64 = 512;
/// What a page should have, in bytes of JSON, and what it may have.
const PAGE: usize = 2 * 1024 * 1024;
const LIMIT: usize = 12 * 1024 * 1024;
/// The entries of the first page and of any, when a listing is begun again because its revision was compacted away:
/// larger and larger, until one page is enough.
const TRIES: [(u64, u64); 5] = [(FIRST, MOST), (64, MOST), (512, MOST), (4096, 4096), (32_768, 32_768)];

/// The entries whose key begins with `prefix` and that were written after revision `since`.
pub(crate) fn list<W: HttpClient>(store: &mut Store<W>, prefix: &str, since: u64) -> Result<Listing, Refusal> {
    let until = store.lane.until();
    store.settle(until)?;
    let mut last = None;
    for (first, most) in TRIES {
        match once(store, prefix, since, first, most) {
            Err(Refusal::Compacted(why)) => last = Some(why),
            done => return done,
        }
    }
    let why = last.unwrap_or_default();
    Err(Refusal::Unavailable(format!(
        "{why}, again and again while listing: let etcd keep more (--auto-compaction-retention)"
    )))
}

fn once<W: HttpClient>(
    store: &mut Store<W>,
    prefix: &str,
    since: u64,
    first: u64,
    most: u64,
) -> Result<Listing, Refusal> {
    let (keys, range) = (store.lane.keys.clone(), store.lane.keys.entries(prefix));
    let mut entries = Vec::new();
    let (mut from, mut limit, mut at) = (range.from, first, None);
    loop {
        // Each page has its own time to come.
        let until = store.lane.until();
        let page = RangeOp {
            key: &from,
            to: Some(&range.to),
            limit,
            revision: at.map_or(0, |(revision, _)| revision),
            since,
            keys_only: false,
        };
        let asked = store.asked();
        let body = txn(
            &[store.lane.same()],
            &[Op::Range(RangeOp::one(&keys.clock)), Op::Range(page)],
            &[Op::Range(RangeOp::one(&keys.history))],
        );
        let answer = match store.lane.txn(&body, LIMIT, until) {
            Err(Refusal::TooLong) if limit > 1 => {
                limit = (limit / 8).max(1);
                continue;
            }
            answer => answer?,
        };
        let read = store.lane.read(&answer)?;
        if !read.succeeded {
            return Err(store.lane.changed(read.pair(0)));
        }
        let stored = store.saw(read.pair(0))?;
        let (revision, _) = *at.get_or_insert((read.header.revision, stored));
        let found = read
            .range(1)
            .ok_or_else(|| Refusal::Indeterminate(format!("{}: a page without a range", store.lane.gateway.url())))?;
        for pair in &found.kvs {
            entries.push(listed(&keys, pair)?);
        }
        match entries.last() {
            Some(last) if found.more && !found.kvs.is_empty() => from = keys.after(&last.key),
            _ => {
                let now = store.reading(stored, asked, until)?;
                return Ok(Listing {
                    entries,
                    revision,
                    now,
                    unsure_before: 0,
                });
            }
        }
        limit = next(limit, most, found.kvs.len(), answer.body.len());
    }
}

fn listed(keys: &crate::keys::Keys, pair: &Pair<'_>) -> Result<Listed, Refusal> {
    let stored = pair.key().unwrap_or_default();
    let key = keys
        .key_of(&stored)
        .ok_or_else(|| Refusal::Indeterminate("a listing with a key that was not asked for".into()))?;
    let Entry {
        revision,
        written,
        value,
    } = pair.entry().map_err(|flaw| odd(key, &flaw))?;
    Ok(Listed {
        key: key.to_owned(),
        revision,
        written,
        value,
    })
}

/// How many entries to ask for after a page of `limit`, of which `count` came in `size` bytes.
fn next(limit: u64, most: u64, count: usize, size: usize) -> u64 {
    let fits = PAGE / (size / count.max(1)).max(1);
    u64::try_from(fits).unwrap_or(most).clamp(1, (limit * 8).min(most))
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn pages_grow_with_small_entries_and_shrink_with_large_ones() {
        assert_eq!(next(8, MOST, 8, 8 * 300), 64);
        assert_eq!(next(64, MOST, 64, 64 * 300), 512);
        assert_eq!(next(512, MOST, 512, 512 * 300), 512, "never more");
        assert_eq!(next(512, MOST, 512, 512 * 16 * 1024), 128);
        assert_eq!(next(8, MOST, 8, 8 * 1_400_000), 1);
        assert_eq!(next(1, MOST, 0, 0), 8, "an empty page harms nothing");
    }
}
