//! A lane of the store: each call is one statement, and one round trip.

use crate::client::{Client, Failure};
use crate::login::Place;
use crate::row::Cells;
use crate::session::Begun;
use crate::statement::Value;
use crate::wire::Transport;
use shardwright_guest::adapter::{
    Entry, Expected, Finding, Listed, Listing, Reading, Store, StoreError, TooLarge, Written,
};

/// The largest value: what the contract promises to store, and what it adds around that.
const LARGEST: usize = 1024 * 1024 + 64;
/// The most that the entries of one listing may take here, of the memory of a lane.
const LISTED: usize = 40 * 1024 * 1024;
/// Follows every key.
const AFTER_ALL: &str = "\u{7f}";

/// The store of one namespace.
pub struct Space<W> {
    pub(crate) client: Client<W>,
    pub(crate) place: Place,
    pub(crate) history: String,
    /// The latest time that was told here. The server's clock may be put back between two writes.
    time: u64,
    lost: Option<String>,
}

impl<W: Transport> Space<W> {
    pub(crate) fn new(begun: Begun<W>) -> Self {
        Self {
            client: begun.client,
            place: begun.place,
            history: begun.history,
            time: 0,
            lost: None,
        }
    }

    /// One execution of a statement about this namespace and history.
    fn ask(
        &mut self,
        name: &str,
        values: &[Value<'_>],
        row: impl FnMut(&mut Cells<'_>) -> Result<(), String>,
    ) -> Result<(), StoreError> {
        if let Some(why) = &self.lost {
            return Err(StoreError::HistoryLost(why.clone()));
        }
        let mut all = vec![Value::Text(&self.place.namespace), Value::Text(&self.history)];
        all.extend_from_slice(values);
        let writes = matches!(name, "write" | "erase");
        self.client
            .ask(name, &all, row)
            .map_err(|failure| match failing(failure, writes) {
                StoreError::HistoryLost(why) => self.lose(why),
                error => error,
            })
    }

    fn lose(&mut self, why: String) -> StoreError {
        StoreError::HistoryLost(self.lost.get_or_insert(why).clone())
    }

    /// There is no row for this namespace and history.
    fn gone(&mut self) -> StoreError {
        let Self { place, history, .. } = self;
        let why = format!(
            "the namespace {} at {place} has no longer the history {history}",
            place.namespace
        );
        self.lose(why)
    }

    /// The answer made no sense, so the next would not either.
    fn strange(&mut self, writes: bool) -> StoreError {
        failing(
            Failure::Lost(self.client.give_up("the server's answer makes no sense")),
            writes,
        )
    }

    /// The time to tell: never one before another.
    fn tell(&mut self, now: u64) -> u64 {
        self.time = self.time.max(now);
        self.time
    }

    fn write(&mut self, key: &str, value: Option<&[u8]>, expected: Expected) -> Result<Written, StoreError> {
        let expected = match expected {
            Expected::Any => -1,
            Expected::Absent => 0,
            // Nothing has a revision of 0, which would mean absence here.
            Expected::Revision(revision) => i64::try_from(revision)
                .ok()
                .filter(|revision| *revision > 0)
                .unwrap_or(i64::MAX),
        };
        let value = value.map_or(Value::Null, Value::Bytes);
        let mut answer = None;
        self.ask("write", &[Value::Text(key), value, Value::Number(expected)], |row| {
            answer = Some(match Cells::there(row.number()?)? {
                0 => Outcome::Done(Written {
                    revision: Cells::there(row.number()?)?,
                    now: Cells::there(row.number()?)?,
                }),
                1 => Outcome::Conflict(Some(Entry {
                    revision: Cells::there(row.number()?)?,
                    written: Cells::there(row.number()?)?,
                    value: Cells::there(row.bytes()?)?.to_vec(),
                })),
                2 => Outcome::Conflict(None),
                _ => Outcome::Lost,
            });
            Ok(())
        })?;
        match answer {
            Some(Outcome::Done(written)) => {
                self.tell(written.now);
                Ok(written)
            }
            Some(Outcome::Conflict(found)) => Err(StoreError::Conflict(found)),
            Some(Outcome::Lost) => Err(self.gone()),
            None => Err(self.strange(true)),
        }
    }
}

/// What a write came to.
enum Outcome {
    Done(Written),
    Conflict(Option<Entry>),
    Lost,
}

/// What a failure means for a call that `writes`, or only reads.
fn failing(failure: Failure, writes: bool) -> StoreError {
    match failure {
        Failure::Refused(refusal) => refusal.storing(writes),
        Failure::Lost(why) if writes => StoreError::Indeterminate(why),
        Failure::Unsent(why) | Failure::Lost(why) => StoreError::Unavailable(why),
    }
}

/// The least text that is greater than all that begin with `prefix`, whose letters are those of keys.
fn after(prefix: &str) -> String {
    let mut bytes = prefix.as_bytes().to_vec();
    match bytes.last_mut() {
        Some(last) if *last < 0x7f => *last += 1,
        _ => return AFTER_ALL.into(),
    }
    String::from_utf8(bytes).unwrap_or_else(|_| AFTER_ALL.into())
}

impl<W: Transport + 'static> Store for Space<W> {
    fn get(&mut self, key: &str) -> Result<Reading, StoreError> {
        let mut answer = None;
        self.ask("get", &[Value::Text(key)], |row| {
            let (revision, now, unsure_before) = (row.number()?, row.number()?, row.number()?);
            let entry = match row.number()? {
                None => None,
                Some(revision) => Some(Entry {
                    revision,
                    written: Cells::there(row.number()?)?,
                    value: Cells::there(row.bytes()?)?.to_vec(),
                }),
            };
            answer = Some(Reading {
                entry,
                revision: Cells::there(revision)?,
                now: Cells::there(now)?,
                unsure_before: Cells::there(unsure_before)?,
            });
            Ok(())
        })?;
        let mut reading = answer.ok_or_else(|| self.gone())?;
        reading.now = self.tell(reading.now);
        Ok(reading)
    }

    fn list(&mut self, prefix: &str, since: u64) -> Result<Listing, StoreError> {
        let end = after(prefix);
        let (name, last) = match i64::try_from(since) {
            Ok(0) => ("all", Value::Text(&end)),
            Ok(since) => ("news", Value::Number(since)),
            Err(_) => ("news", Value::Number(i64::MAX)),
        };
        let (mut answer, mut size) = (None, 0);
        self.ask(name, &[Value::Text(prefix), last], |row| {
            let (key, revision, time) = (row.text()?, Cells::there(row.number()?)?, Cells::there(row.number()?)?);
            let value = row.bytes()?;
            let Some(listing) = &mut answer else {
                answer = Some(Listing {
                    entries: Vec::new(),
                    revision,
                    now: time,
                    unsure_before: Cells::there(row.number()?)?,
                });
                return Ok(());
            };
            let (key, value) = (Cells::there(key)?, Cells::there(value)?);
            size += key.len() + value.len();
            if size > LISTED {
                return Err(format!(
                    "the entries of one listing have more than {} MiB",
                    LISTED / (1024 * 1024)
                ));
            }
            listing.entries.push(Listed {
                key: key.to_owned(),
                revision,
                written: time,
                value: value.to_vec(),
            });
            Ok(())
        })?;
        let mut listing = answer.ok_or_else(|| self.gone())?;
        listing.now = self.tell(listing.now);
        Ok(listing)
    }

    fn put(&mut self, key: &str, value: Vec<u8>, expected: Expected) -> Result<Written, StoreError> {
        if value.len() > LARGEST {
            return Err(StoreError::TooLarge(TooLarge {
                size: value.len() as u64,
                limit: LARGEST as u64,
            }));
        }
        self.write(key, Some(&value), expected)
    }

    fn delete(&mut self, key: &str, expected: Expected) -> Result<Written, StoreError> {
        self.write(key, None, expected)
    }

    fn examine(&mut self) -> Vec<Finding> {
        crate::examine::examine(self)
    }

    fn erase(&mut self) -> Result<(), StoreError> {
        let mut done = None;
        self.ask("erase", &[], |row| {
            done = row.flag()?;
            Ok(())
        })?;
        match done {
            Some(true) => Ok(()),
            Some(false) => Err(self.gone()),
            None => Err(self.strange(true)),
        }
    }
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_follows_all_that_begin_with_it() {
        for (prefix, end) in [("a", "b"), ("a/", "a0"), ("az", "a{"), ("Z", "["), ("", "\u{7f}")] {
            assert_eq!(after(prefix), end);
        }
        let longest = "a".to_owned() + &"z".repeat(511);
        assert!(after("a").as_bytes() > longest.as_bytes());
    }
}
