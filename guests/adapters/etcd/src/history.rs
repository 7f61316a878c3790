//! The history: one life of the namespace's data.
//!
//! It is a random name in the key `history`, with the id of the cluster that it began in. It is lost with the data, so
//! a cluster that was wiped has none. One that was restored from a backup has it too, but the backup does not have the
//! cluster: its id is another, unless it is made with the same names and token, and its raft term begins anew. So the
//! id is kept beside the name, and the term in the key `clock`, with each write; a term below it is a restored cluster.
//! Then the next lane that belongs to no history begins a new one.

use crate::api::{Compare, Op, RangeOp, TxnAnswer, txn};
use crate::clock::Clock;
use crate::codec::{self, base64};
use crate::codes::Refusal;
use crate::config::Config;
use crate::gateway::{Gateway, ONE_SECOND, SHORT};
use crate::keys::Keys;
use crate::vouch;
use crate::wire::{HttpClient, Moment};
use std::time::Duration;

/// A member may be behind in its term, for a moment after an election.
const BEHIND: Duration = Duration::from_secs(3);
const AGAIN: Duration = Duration::from_millis(100);
/// How long it may take to begin one: its member's clock must be known, and those of the others.
const BEGIN: Duration = Duration::from_secs(4);
/// Tries to begin a history, against others who do.
const TRIES: u32 = 5;

/// The history that a lane belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct History {
    pub(crate) name: String,
    /// What its key holds, in base64.
    pub(crate) record: String,
    cluster: u64,
}

impl History {
    fn of(name: &str, cluster: u64) -> Self {
        Self {
            name: name.to_owned(),
            record: base64(format!("{name} {cluster:x}").as_bytes()),
            cluster,
        }
    }

    fn parse(stored: &[u8]) -> Option<Self> {
        let (name, cluster) = std::str::from_utf8(stored).ok()?.split_once(' ')?;
        let fits = (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let cluster = u64::from_str_radix(cluster, 16).ok().filter(|_| fits)?;
        Some(Self {
            record: base64(stored),
            ..Self::of(name, cluster)
        })
    }

    /// That the store holds this history.
    pub(crate) fn compare<'a>(&'a self, keys: &'a Keys) -> Compare<'a> {
        Compare::Is(&keys.history, &self.record)
    }
}

/// What is stored of history and clock.
struct Found {
    /// With the revision of its key.
    history: Option<(History, u64)>,
    /// Time and term, with the revision of its key.
    clock: Option<(u64, u64)>,
    clock_revision: u64,
    cluster: u64,
    term: u64,
}

impl Found {
    /// Why the data is not in the cluster in which it was written, if so.
    fn restored(&self) -> Option<String> {
        let (history, _) = self.history.as_ref()?;
        if history.cluster != self.cluster {
            return Some(format!(
                "the data was written in the cluster {:x}, and this is {:x}",
                history.cluster, self.cluster
            ));
        }
        match self.clock {
            None => Some("the key `clock` is missing".into()),
            Some((_, term)) if self.term < term => Some(format!(
                "the data was written in raft term {term}, and this cluster is in term {}",
                self.term
            )),
            Some(_) => None,
        }
    }
}

/// Finds the history, which must be `wanted` if that is given, or begins one.
///
/// # Errors
/// [`Refusal`]; `Lost` if it is another than `wanted`.
pub(crate) fn open<W: HttpClient>(
    gateway: &mut Gateway<W>,
    keys: &Keys,
    config: &Config,
    wanted: Option<&str>,
    until: Moment,
) -> Result<History, Refusal> {
    let lost = |why: String| Refusal::Lost(format!("{}: {why}", keys.root()));
    for _ in 0..TRIES {
        let found = confirmed(gateway, keys, until)?;
        gateway
            .clock
            .saw(found.clock.map_or(0, |(time, _)| time), gateway.wire.now());
        let flaw = match (&found.history, wanted, found.restored()) {
            (Some((history, _)), None, None) => return Ok(enter(gateway, history.clone())),
            (Some((history, _)), Some(wanted), None) if history.name == wanted => {
                return Ok(enter(gateway, history.clone()));
            }
            (None, Some(_), _) => return Err(lost("the key `history` is gone: the data was removed".into())),
            (Some((history, _)), Some(wanted), flaw) if history.name != wanted => {
                let also = flaw.map(|flaw| format!("; {flaw}")).unwrap_or_default();
                return Err(lost(format!("the history is {}, and was {wanted}{also}", history.name)));
            }
            (_, Some(_), flaw) => return Err(lost(flaw.unwrap_or_default())),
            (_, None, flaw) => flaw,
        };
        let until = gateway.after(BEGIN);
        // Its first stamp is one that all others go on from. Where too few members answer to know, there is nobody yet
        // whom it could harm.
        vouch::look(gateway, keys, config, until)?;
        if let Some(history) = begin(gateway, keys, &found, until)? {
            if let Some(flaw) = flaw {
                gateway
                    .wire
                    .warn(&format!("{}: {flaw}; a new history begins", keys.root()));
            }
            return Ok(enter(gateway, history));
        }
    }
    Err(Refusal::Unavailable(format!(
        "{}: others begin histories all the time",
        keys.root()
    )))
}

fn enter<W>(gateway: &mut Gateway<W>, history: History) -> History {
    gateway.identity.cluster = Some(history.cluster);
    history
}

/// What is stored, looked at again while the member's term may only be behind.
fn confirmed<W: HttpClient>(gateway: &mut Gateway<W>, keys: &Keys, until: Moment) -> Result<Found, Refusal> {
    let end = gateway.after(BEHIND).min(until);
    loop {
        let found = look(gateway, keys, until)?;
        let behind = found.clock.is_some_and(|(_, term)| found.term < term);
        if !behind || gateway.wire.now() >= end {
            return Ok(found);
        }
        gateway.wire.sleep(gateway.after(AGAIN));
    }
}

fn look<W: HttpClient>(gateway: &mut Gateway<W>, keys: &Keys, until: Moment) -> Result<Found, Refusal> {
    let (history, clock) = (
        Op::Range(RangeOp::one(&keys.history)),
        Op::Range(RangeOp::one(&keys.clock)),
    );
    let answer = gateway.ask("/v3/kv/txn", Some(&txn(&[], &[history, clock], &[])), SHORT, until)?;
    let read: TxnAnswer<'_> = gateway.read(&answer)?;
    let odd = |what: &str| {
        Refusal::Other(format!(
            "{}: the key `{what}` holds something else: another program wrote it",
            keys.root()
        ))
    };
    let stored = |at: usize| {
        read.pair(at)
            .map(|pair| (pair.value().unwrap_or_default(), pair.mod_revision))
    };
    let history = stored(0).map(|(value, revision)| History::parse(&value).map(|history| (history, revision)));
    let clock = stored(1).map(|(value, revision)| codec::read_clock(&value).map(|clock| (clock, revision)));
    let clock = clock.map(|clock| clock.ok_or_else(|| odd("clock"))).transpose()?;
    Ok(Found {
        history: history
            .map(|history| history.ok_or_else(|| odd("history")))
            .transpose()?,
        clock: clock.map(|(clock, _)| clock),
        clock_revision: clock.map_or(0, |(_, revision)| revision),
        cluster: read.header.cluster_id,
        term: read.header.raft_term,
    })
}

/// Begins a history over what was found; `None` if that is no longer there.
fn begin<W: HttpClient>(
    gateway: &mut Gateway<W>,
    keys: &Keys,
    found: &Found,
    until: Moment,
) -> Result<Option<History>, Refusal> {
    let history = History::of(&random()?, found.cluster);
    // A first stamp that is late by much of a second would let time stand still for so long.
    gateway.narrow(&keys.clock, ONE_SECOND, Clock::is_fair, until)?;
    let now = gateway.wire.now();
    let time = gateway.clock.stamp(now).ok_or_else(|| undated(gateway.url()))?;
    let clock = base64(codec::clock(time, found.term).as_bytes());
    let revision = found.history.as_ref().map_or(0, |(_, revision)| *revision);
    let body = txn(
        &[
            Compare::Written(&keys.history, revision),
            Compare::Written(&keys.clock, found.clock_revision),
        ],
        &[Op::Put(&keys.history, &history.record), Op::Put(&keys.clock, &clock)],
        &[],
    );
    let answer = gateway.ask("/v3/kv/txn", Some(&body), SHORT, until)?;
    let read: TxnAnswer<'_> = gateway.read(&answer)?;
    Ok(read.succeeded.then_some(history))
}

/// Without dates there is no time.
pub(crate) fn undated(url: &str) -> Refusal {
    Refusal::Other(format!(
        "{url} answers without a `Date`: something between removes it, or it is no etcd; connect to the members \
         themselves"
    ))
}

fn random() -> Result<String, Refusal> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|_| Refusal::Other("the host gives no random bytes".into()))?;
    Ok(data_encoding::HEXLOWER.encode(&bytes))
}

#[cfg(test)]
mod test {
    use super::*;

    fn found(history: Option<u64>, cluster: u64, clock: Option<u64>, term: u64) -> Found {
        Found {
            history: history.map(|cluster| (History::of("x", cluster), 1)),
            clock: clock.map(|term| (1, term)),
            clock_revision: 1,
            cluster,
            term,
        }
    }

    #[test]
    fn a_history_is_a_name_and_a_cluster() {
        let history = History::parse(b"0f-A a5").unwrap();
        assert_eq!(
            (&*history.name, history.cluster, history.record),
            ("0f-A", 0xa5, base64(b"0f-A a5"))
        );
        assert_eq!(random().unwrap().len(), 32);
        for bad in [&b""[..], b"x", b" 1", b"a_b 1", b"x y", b"\xff 1", &[b'x'; 100]] {
            assert_eq!(History::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_restored_backup_is_known_by_cluster_or_term() {
        assert_eq!(found(Some(1), 1, Some(5), 5).restored(), None);
        assert_eq!(found(Some(1), 1, Some(5), 9).restored(), None);
        assert_eq!(
            found(None, 1, Some(5), 2).restored(),
            None,
            "nothing is there that could be old"
        );
        for flaw in [
            found(Some(1), 2, Some(5), 5),
            found(Some(1), 1, Some(5), 2),
            found(Some(1), 1, None, 5),
        ] {
            assert!(flaw.restored().is_some());
        }
    }
}
