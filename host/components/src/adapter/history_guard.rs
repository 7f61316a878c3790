//! What the host knows of an adapter's store, and therefore does not believe.
//!
//! Revisions that go back mean that acknowledged writes are gone: the history is lost, for good. Answers that
//! contradict themselves are the adapter's own fault: the lane that gave one is ended, and nothing of the answer is
//! used. A write that was claimed and never done cannot be seen from one answer; it is seen when a later one shows
//! another entry at a revision that was acknowledged, or none and no newer store.

use super::fault::LaneFault;
use super::redact::Redactor;
use super::world::exports::shardwright::coordinator::store as wit;
use shardwright_core::store::{Entry, Expected, Listing, Reading, Revision, StoreTime, Written};
use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many of the last writes are remembered, to see a revision that is given out twice.
const WRITES: usize = 1024;
/// By how many milliseconds two lanes may differ about the backend's clock without it being called a step.
const JITTER: u64 = 100;

/// What revisions mean that do not grow.
const UNLOCKED: &str = "the store was set back, or a revision is not taken in the same indivisible step in which its \
                        write is made (one lock, one transaction or one sequence for the whole namespace)";

/// What is known of one history.
#[derive(Default)]
pub(super) struct HistoryGuard {
    known: Mutex<Known>,
    /// For what of an answer is told.
    mask: Redactor,
}

#[derive(Default)]
struct Known {
    history: Option<String>,
    /// The highest revision of any answer.
    revision: u64,
    /// The latest time of any answer.
    now: u64,
    /// The last writes that were acknowledged: the hash of the key, and the revision.
    writes: VecDeque<(u64, u64)>,
    lost: Option<String>,
}

/// Why an answer is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum HistoryViolation {
    /// The store is not the one it was.
    Lost(String),
    /// The answer contradicts itself or the contract.
    Fault(LaneFault),
}

/// What was known when a call began: whatever it answers must not be older.
#[derive(Clone, Copy, Debug)]
pub(super) struct KnownAtCall(u64);

fn lied<T>(why: String) -> Result<T, HistoryViolation> {
    Err(HistoryViolation::Fault(LaneFault::Lied(why)))
}

impl HistoryGuard {
    pub(super) fn new(mask: Redactor) -> Self {
        Self {
            known: Mutex::default(),
            mask,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The history, once one is known.
    pub(super) fn history(&self) -> Option<String> {
        self.lock().history.clone()
    }

    /// Learns or checks the history that a lane was opened in.
    pub(super) fn opened(&self, history: &str) -> Result<(), HistoryViolation> {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        if !(1..=64).contains(&history.len()) || !history.bytes().all(fits) {
            return lied("its history is not 1 to 64 letters, digits and '-'".into());
        }
        let mut known = self.lock();
        let ours = known.history.get_or_insert_with(|| history.to_owned());
        if ours == history {
            return Ok(());
        }
        let why = format!(
            "the store's history is {}, and was {}",
            self.mask.line(history),
            self.mask.line(ours)
        );
        Err(known.lose(why))
    }

    /// The beginning of a call; the reason why there is no further call, if the history is lost.
    pub(super) fn begin(&self) -> Result<KnownAtCall, String> {
        let known = self.lock();
        match &known.lost {
            Some(why) => Err(why.clone()),
            None => Ok(KnownAtCall(known.revision)),
        }
    }

    /// The history is lost: no call will be made any more.
    pub(super) fn lose(&self, why: String) {
        self.lock().lose(why);
    }

    pub(super) fn reading(
        &self,
        before: KnownAtCall,
        answer: wit::Reading,
    ) -> Result<Reading<bytes::Bytes>, HistoryViolation> {
        let wit::Reading {
            entry,
            revision,
            now,
            unsure_before,
        } = answer;
        let entry = entry.map(|entry| checked(entry, revision)).transpose()?;
        let now = self.lock().read(before, revision, now)?;
        let unsure_before = StoreTime(unsure_before);
        Ok(Reading {
            entry,
            now,
            unsure_before,
        })
    }

    pub(super) fn listing(
        &self,
        before: KnownAtCall,
        prefix: &str,
        since: u64,
        answer: wit::Listing,
    ) -> Result<Listing<bytes::Bytes>, HistoryViolation> {
        let wit::Listing {
            entries,
            revision,
            now,
            unsure_before,
        } = answer;
        let mut checked_entries: Vec<(String, Entry<bytes::Bytes>)> = Vec::with_capacity(entries.len());
        for wit::Listed {
            key,
            revision: at,
            written,
            value,
        } in entries
        {
            if !key.starts_with(prefix) {
                return lied(format!(
                    "a listing of {prefix:?} has the key {:?}",
                    self.mask.beginning(&key)
                ));
            }
            if checked_entries
                .last()
                .is_some_and(|(last, _)| last.as_bytes() >= key.as_bytes())
            {
                return lied(format!(
                    "a listing has {:?} out of order or twice",
                    self.mask.beginning(&key)
                ));
            }
            if at <= since {
                return lied(format!(
                    "a listing since revision {since} has {:?} of revision {at}",
                    self.mask.beginning(&key)
                ));
            }
            let entry = checked(
                wit::Entry {
                    revision: at,
                    written,
                    value,
                },
                u64::MAX,
            )?;
            checked_entries.push((key, entry));
        }
        let newest = checked_entries
            .iter()
            .map(|(_, entry)| entry.revision.0)
            .max()
            .unwrap_or(0);
        let mut known = self.lock();
        let now = known.read(before, revision, now)?;
        known.revision = known.revision.max(newest);
        Ok(Listing {
            entries: checked_entries,
            revision: Revision(revision),
            now,
            unsure_before: StoreTime(unsure_before),
        })
    }

    /// The answer to a write under `key`.
    pub(super) fn written(
        &self,
        before: KnownAtCall,
        key: &str,
        answer: wit::Written,
    ) -> Result<Written, HistoryViolation> {
        let wit::Written { revision, now } = answer;
        let mut known = self.lock();
        known.check()?;
        if revision <= before.0 {
            let why = format!(
                "a write was given revision {revision}, and the store was at {} before it: {UNLOCKED}",
                before.0
            );
            return Err(known.lose(why));
        }
        if known.writes.iter().any(|(_, given)| *given == revision) {
            let why = format!("two writes were both given revision {revision}: {UNLOCKED}");
            return Err(known.lose(why));
        }
        known.writes.push_back((hash(key), revision));
        if known.writes.len() > WRITES {
            known.writes.pop_front();
        }
        known.revision = known.revision.max(revision);
        // An entry's time is what was stored with it, and is passed on as it is.
        known.now = known.now.max(now);
        Ok(Written {
            revision: Revision(revision),
            now: StoreTime(now),
        })
    }

    /// What stands in the way of a write under `key` that expected something else.
    pub(super) fn conflict(
        &self,
        key: &str,
        expected: Expected,
        found: Option<wit::Entry>,
    ) -> Result<Option<Entry<bytes::Bytes>>, HistoryViolation> {
        let holds = match (expected, &found) {
            (Expected::Any, _) | (Expected::Absent, None) => true,
            (Expected::Revision(revision), Some(entry)) => entry.revision == revision.0,
            _ => false,
        };
        if holds {
            return lied("a write was refused though what it expected is there".into());
        }
        let found = found.map(|entry| checked(entry, u64::MAX)).transpose()?;
        let mut known = self.lock();
        known.check()?;
        if let (Expected::Revision(Revision(wanted)), Some(found)) = (expected, &found)
            && found.revision.0 < wanted
            && known.writes.contains(&(hash(key), wanted))
        {
            let why = format!(
                "{key} was written at revision {wanted}, and is as it was at {} before",
                found.revision.0
            );
            return Err(known.lose(why));
        }
        known.revision = known.revision.max(found.as_ref().map_or(0, |entry| entry.revision.0));
        Ok(found)
    }
}

impl Known {
    fn lose(&mut self, why: String) -> HistoryViolation {
        HistoryViolation::Lost(self.lost.get_or_insert(why).clone())
    }

    /// Nothing that a lane still says counts once the history is lost.
    fn check(&self) -> Result<(), HistoryViolation> {
        self.lost.clone().map_or(Ok(()), |why| Err(HistoryViolation::Lost(why)))
    }

    /// A reading at `revision` and `now`; returns the time to pass on.
    fn read(&mut self, before: KnownAtCall, revision: u64, now: u64) -> Result<StoreTime, HistoryViolation> {
        self.check()?;
        if revision < before.0 {
            let why = format!("the store is at revision {revision}, and was at {} before", before.0);
            return Err(self.lose(why));
        }
        self.revision = self.revision.max(revision);
        // Another lane has seen the clock there already.
        let now = if now < self.now && self.now - now <= JITTER {
            self.now
        } else {
            now
        };
        self.now = now;
        Ok(StoreTime(now))
    }
}

fn hash(key: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

fn checked(entry: wit::Entry, most: u64) -> Result<Entry<bytes::Bytes>, HistoryViolation> {
    let wit::Entry {
        revision,
        written,
        value,
    } = entry;
    if revision == 0 || revision > most {
        return lied(format!("an entry has revision {revision} in a store at {most}"));
    }
    Ok(Entry {
        revision: Revision(revision),
        written: StoreTime(written),
        value: value.into(),
    })
}

#[cfg(test)]
mod test {
    use super::*;
    use shardwright_coordinator::broker::Password;

    fn reading(entry: Option<u64>, revision: u64) -> wit::Reading {
        let entry = entry.map(|revision| wit::Entry {
            revision,
            written: 1,
            value: Vec::new(),
        });
        wit::Reading {
            entry,
            revision,
            now: 1,
            unsure_before: 0,
        }
    }

    #[test]
    fn nothing_of_an_answer_that_contradicts_itself_is_believed() {
        let belief = HistoryGuard::default();
        let before = belief.begin().expect("nothing is lost");
        belief.reading(before, reading(Some(3), 3)).expect("a proper answer");
        for entry in [0, u64::MAX] {
            let before = belief.begin().expect("nothing is lost");
            let outcome = belief.reading(before, reading(Some(entry), u64::MAX - 1));
            assert!(
                matches!(outcome, Err(HistoryViolation::Fault(LaneFault::Lied(_)))),
                "{outcome:?}"
            );
        }
        let before = belief.begin().expect("nothing is lost");
        belief
            .reading(before, reading(None, 3))
            .expect("the store is as it was");
    }

    #[test]
    fn what_is_told_of_an_answer_shows_no_part_of_a_secret() {
        let secret = "0123456789abcdef".repeat(3);
        let belief = HistoryGuard::new(Redactor::new(&[Password::new(secret.as_str())]));
        let before = belief.begin().expect("nothing is lost");
        let listed = wit::Listed {
            key: format!("a key like any other, with {secret} in it"),
            revision: 1,
            written: 1,
            value: Vec::new(),
        };
        let listing = wit::Listing {
            entries: vec![listed],
            revision: 1,
            now: 1,
            unsure_before: 0,
        };
        let told = format!(
            "{:?}",
            belief
                .listing(before, "hosts/", 0, listing)
                .expect_err("another prefix")
        );
        assert!(told.contains("with *** in it") && !told.contains("0123"), "{told}");
        belief.opened("h1").expect("the first");
        let told = format!("{:?}", belief.opened(&secret).expect_err("another"));
        assert!(told.contains("is ***, and was h1"), "{told}");
    }
}
