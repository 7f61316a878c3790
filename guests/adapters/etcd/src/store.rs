//! The store: every operation is one transaction.

use crate::api::{Compare, Op, RangeOp, txn};
use crate::clock::UNCERTAINTY;
use crate::codec::{self, base64};
use crate::codes::Refusal;
use crate::config::Config;
use crate::examine;
use crate::lane::{LONG, Lane};
use crate::list;
use crate::open::Open;
use crate::vouch::{self, Verdict};
use crate::wire::{HttpClient, Moment};
use shardwright_guest::adapter::{self, Expected, Finding, Listing, Reading, StoreError, TooLarge, Written};
use std::time::Duration;

/// The largest value: that of the contract, which etcd's default of 1.5 MiB for a request has room for.
const VALUE: usize = 1024 * 1024 + 64;
/// Tries of one write against others whose stamps are later.
const TRIES: u32 = 64;

/// A lane of the store.
pub struct Store<W> {
    pub(crate) lane: Lane<W>,
    pub(crate) config: Config,
    /// Whether it was said that the stored time is ahead.
    warned: bool,
}

impl<W: HttpClient> Store<W> {
    pub(crate) fn new(open: Open<W>) -> Self {
        Self {
            lane: open.lane,
            config: open.config,
            warned: false,
        }
    }

    /// Looks whether it is time to look at the member's clock, and whether that may still be used.
    pub(crate) fn settle(&mut self, until: Moment) -> Result<(), Refusal> {
        let Lane { gateway, keys, .. } = &mut self.lane;
        gateway.settle(&keys.clock, until)?;
        let vouched = gateway.clock.vouched().is_some();
        if vouch::look(gateway, keys, &self.config, until)? == Verdict::Unknown && !vouched {
            return Err(Refusal::Untimely(format!(
                "the clock of {} was set, and too few members answer to tell whether it is right",
                self.lane.gateway.url()
            )));
        }
        vouch::caught_up(&mut self.lane, &self.config)
    }

    /// Takes note of the time that was stored in `found`, the key `clock`.
    pub(crate) fn saw(&mut self, found: Option<&crate::api::Pair<'_>>) -> Result<u64, Refusal> {
        let time = found.and_then(|pair| codec::read_clock(&pair.value()?));
        let Some((time, _)) = time else {
            let root = self.lane.keys.root();
            let why = format!("{root}: the key `clock` is gone or holds something else");
            return Err(self.lane.lose(why));
        };
        let gateway = &mut self.lane.gateway;
        let now = gateway.wire.now();
        let ahead = gateway.clock.ahead(now, time);
        gateway.clock.saw(time, now);
        vouch::caught_up(&mut self.lane, &self.config)?;
        let (gateway, limit) = (&self.lane.gateway, UNCERTAINTY.as_millis());
        if u128::from(ahead) > limit && !std::mem::replace(&mut self.warned, true) {
            gateway.wire.warn(&format!(
                "the stored time is {ahead} ms ahead of the clock of {}, and stands still for so long: was a clock \
                 set?",
                gateway.url()
            ));
        }
        Ok(time)
    }

    fn look(&mut self, key: &str) -> Result<Reading, Refusal> {
        let until = self.lane.until();
        self.settle(until)?;
        let asked = self.asked();
        let lane = &mut self.lane;
        let (entry, keys) = (lane.keys.entry(key), lane.keys.clone());
        let body = txn(
            &[lane.same()],
            &[Op::Range(RangeOp::one(&keys.clock)), Op::Range(RangeOp::one(&entry))],
            &[Op::Range(RangeOp::one(&keys.history))],
        );
        let answer = lane.txn(&body, LONG, until)?;
        let read = lane.read(&answer)?;
        if !read.succeeded {
            return Err(lane.changed(read.pair(0)));
        }
        let stored = self.saw(read.pair(0))?;
        let entry = read
            .pair(1)
            .map(crate::api::Pair::entry)
            .transpose()
            .map_err(|flaw| odd(key, &flaw))?;
        let (revision, now) = (read.header.revision, self.reading(stored, asked, until)?);
        Ok(Reading {
            entry,
            revision,
            now,
            unsure_before: 0,
        })
    }

    /// The least that the time may be called in an answer to what is asked now.
    pub(crate) fn asked(&self) -> u64 {
        let gateway = &self.lane.gateway;
        gateway.clock.asked(gateway.wire.now())
    }

    /// What to call the time in an answer with `stored` in the key `clock`; it returns when that may be said.
    pub(crate) fn reading(&mut self, stored: u64, asked: u64, until: Moment) -> Result<u64, Refusal> {
        // If this very answer showed that the clock was set, it is not known now.
        self.settle(until)?;
        let gateway = &self.lane.gateway;
        let now = gateway.wire.now();
        let (time, wait) = gateway.clock.reading(now, stored, asked);
        if !wait.is_zero() {
            gateway.wire.sleep(now.plus(wait));
        }
        Ok(time)
    }

    /// Writes `value`, or removes what is there.
    fn write(&mut self, key: &str, value: Option<&[u8]>, expected: &Expected) -> Result<Written, StoreError> {
        let size = value.map_or(0, <[u8]>::len);
        let until = self.lane.until();
        let (entry, keys) = (self.lane.keys.entry(key), self.lane.keys.clone());
        for _ in 0..TRIES {
            // Nothing was written yet; and the answer to the last try may have shown that the clock was set.
            self.settle(until).map_err(|refusal| certain(refusal).written(size))?;
            let gateway = &self.lane.gateway;
            let now = gateway.wire.now();
            if now >= until {
                break;
            }
            let stamp = gateway
                .clock
                .stamp(now)
                .ok_or_else(|| StoreError::Other(clock_unknown(gateway.url())))?;
            let (time, term) = (
                base64(codec::clock(stamp, gateway.identity.term).as_bytes()),
                base64(codec::after_clock(stamp).as_bytes()),
            );
            let compares = [
                self.lane.same(),
                Compare::Less(&keys.clock, &term),
                Compare::Written(&entry, revision(expected)),
            ];
            let change = value.map_or(Op::Delete(&entry, None), |value| Op::PutEntry(&entry, stamp, value));
            let failure = [
                RangeOp::one(&keys.clock),
                RangeOp::one(&keys.history),
                RangeOp::one(&entry),
            ]
            .map(Op::Range);
            // Whoever expects anything need not hear what is there.
            let asked = if matches!(expected, Expected::Any) { 2 } else { 3 };
            let body = txn(
                &compares[..asked],
                &[change, Op::Put(&keys.clock, &time)],
                &failure[..asked],
            );
            let answer = self
                .lane
                .txn(&body, LONG, until)
                .map_err(|refusal| refusal.written(size))?;
            let read = self.lane.read(&answer).map_err(|refusal| refusal.written(size))?;
            if read.succeeded {
                self.lane.gateway.clock.saw(stamp, now);
                return Ok(Written {
                    revision: read.header.revision,
                    now: stamp,
                });
            }
            if read
                .pair(1)
                .is_none_or(|found| found.text() != self.lane.history.record)
            {
                return Err(self.lane.changed(read.pair(1)).written(size));
            }
            let stored = self.saw(read.pair(0)).map_err(|refusal| refusal.written(size))?;
            let found = read.pair(2);
            let holds = match expected {
                Expected::Any => true,
                Expected::Absent => found.is_none(),
                Expected::Revision(revision) => found.is_some_and(|found| found.mod_revision == *revision),
            };
            if !holds {
                let found = found.map(crate::api::Pair::entry).transpose();
                return Err(StoreError::Conflict(
                    found.map_err(|flaw| odd(key, &flaw).written(size))?,
                ));
            }
            if stored <= stamp {
                return Err(StoreError::Other(format!(
                    "{}: refused a write whose conditions all hold",
                    self.lane.gateway.url()
                )));
            }
        }
        Err(StoreError::Unavailable(format!(
            "{}: others write so often that no time could be had for this write; nothing was written",
            self.lane.gateway.url()
        )))
    }
}

/// The revision that a key must have; 0 if it must be absent. None has the greatest.
fn revision(expected: &Expected) -> u64 {
    const NEVER: u64 = i64::MAX.unsigned_abs();
    match expected {
        Expected::Revision(revision @ 1..=NEVER) => *revision,
        Expected::Revision(_) => NEVER,
        Expected::Absent | Expected::Any => 0,
    }
}

/// A refusal before anything was written.
fn certain(refusal: Refusal) -> Refusal {
    match refusal {
        Refusal::Indeterminate(why) | Refusal::Compacted(why) => Refusal::Unavailable(why),
        Refusal::TooLong => Refusal::Unavailable(refusal.why()),
        Refusal::Barred(why) => Refusal::Denied(why),
        Refusal::Strange(why) => Refusal::Other(why),
        refusal => refusal,
    }
}

fn clock_unknown(url: &str) -> String {
    format!("{url}: its clock is not known")
}

/// An entry that this adapter did not write.
pub(crate) fn odd(key: &str, flaw: &str) -> Refusal {
    Refusal::Other(format!("under the key {key} there is {flaw}"))
}

impl<W: HttpClient> adapter::Store for Store<W> {
    fn get(&mut self, key: &str) -> Result<Reading, StoreError> {
        self.look(key).map_err(Refusal::read)
    }

    fn list(&mut self, prefix: &str, since: u64) -> Result<Listing, StoreError> {
        list::list(self, prefix, since).map_err(Refusal::read)
    }

    fn put(&mut self, key: &str, value: Vec<u8>, expected: Expected) -> Result<Written, StoreError> {
        if value.len() > VALUE {
            return Err(StoreError::TooLarge(TooLarge {
                size: value.len() as u64,
                limit: VALUE as u64,
            }));
        }
        self.write(key, Some(&value), &expected)
    }

    fn delete(&mut self, key: &str, expected: Expected) -> Result<Written, StoreError> {
        self.write(key, None, &expected)
    }

    fn uncertainty(&self) -> Duration {
        self.lane.gateway.clock.uncertainty()
    }

    fn examine(&mut self) -> Vec<Finding> {
        examine::examine(self)
    }

    fn erase(&mut self) -> Result<(), StoreError> {
        let until = self.lane.until();
        let (keys, all) = (self.lane.keys.clone(), self.lane.keys.all());
        let body = txn(
            &[self.lane.same()],
            &[Op::Delete(&all.from, Some(&all.to))],
            &[Op::Range(RangeOp::one(&keys.history))],
        );
        let answer = self
            .lane
            .txn(&body, LONG, until)
            .map_err(|refusal| refusal.written(0))?;
        let read = self.lane.read(&answer).map_err(|refusal| refusal.written(0))?;
        if read.succeeded {
            Ok(())
        } else {
            Err(self.lane.changed(read.pair(0)).written(0))
        }
    }
}
