//! Judges a history. It knows nothing of the product but what it promises.

use std::collections::BTreeMap;
use std::fmt;

use crate::history::{Act, History, Process, Shard};
use crate::losses::{excuse, is_late, losses};

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// Two processes worked on one shard at the same time.
    TwoAtOnce(Box<[Act; 2]>),
    /// The first worked under an older token after the second had begun under a newer one.
    OlderAfterNewer(Box<[Act; 2]>),
    /// One token of a shard had two nodes.
    TokenOfTwo {
        /// Of which shard.
        shard: Shard,
        /// Which token.
        token: u64,
        /// Whose, as far as is known.
        nodes: [String; 2],
    },
    /// Two processes held an id at the same time.
    TwoHolders {
        /// The id.
        node: u32,
        /// Who.
        holders: [Process; 2],
        /// When.
        at: u64,
    },
    /// An id went to another hostname within the time for which it is kept.
    IdReused {
        /// The id.
        node: u32,
        /// Whose it was, and whose it became.
        hosts: [String; 2],
    },
    /// A hostname got another id though its state directory was kept.
    IdChanged {
        /// The hostname.
        host: String,
        /// What it had, and what it got.
        ids: [u32; 2],
    },
    /// The resource refused an owner that was allowed before and after.
    OwnerRefused(Box<Act>),
    /// Something did not come back in calm.
    NotInCalm(String),
    /// A process ended in a way that is not documented.
    Ended(String),
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TwoAtOnce(both) => write!(f, "two at once: {} and {}", Told(&both[0]), Told(&both[1])),
            Self::OlderAfterNewer(both) => write!(f, "older after newer: {} though {}", Told(&both[0]), Told(&both[1])),
            Self::TokenOfTwo {
                shard: (role, shard),
                token,
                nodes: [one, other],
            } => {
                write!(
                    f,
                    "token of two: {role}/{shard} under {token} was {one}'s and {other}'s"
                )
            }
            Self::TwoHolders {
                node,
                holders: [one, other],
                at,
            } => {
                write!(f, "two holders: {one} and {other} both had the id {node} at {at}")
            }
            Self::IdReused {
                node,
                hosts: [one, other],
            } => write!(f, "id reused: {node} was {one}'s and became {other}'s"),
            Self::IdChanged {
                host,
                ids: [one, other],
            } => write!(f, "id changed: {host} had {one} and got {other}"),
            Self::OwnerRefused(act) => write!(f, "owner refused: {}", Told(act)),
            Self::NotInCalm(what) => write!(f, "not in calm: {what}"),
            Self::Ended(what) => write!(f, "ended: {what}"),
        }
    }
}

struct Told<'a>(&'a Act);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Act {
            by,
            node,
            shard: (role, shard),
            token,
            begin,
            end,
            ..
        } = self.0;
        write!(
            f,
            "{by} (id {node}) acted on {role}/{shard} under {token} from {begin} to {end} µs"
        )
    }
}

/// Every violation, one for each shard, token or id and kind, in the order of time where that is known.
#[must_use]
pub fn check(history: &History) -> Vec<Violation> {
    let mut shards: BTreeMap<&Shard, Vec<&Act>> = BTreeMap::new();
    for act in &history.acts {
        shards.entry(&act.shard).or_default().push(act);
    }
    let mut found = Vec::new();
    for acts in shards.values_mut() {
        acts.sort_by_key(|act| (act.begin, act.end));
        found.extend(two_at_once(acts));
        found.extend(older_after_newer(acts));
    }
    found.extend(tokens(history));
    found.extend(holders(history));
    found.extend(names(history));
    found.extend(
        history
            .acts
            .iter()
            .filter(|act| act.refused)
            .map(|act| Violation::OwnerRefused(Box::new(act.clone()))),
    );
    found
}

fn both(one: &Act, other: &Act) -> Box<[Act; 2]> {
    Box::new([one.clone(), other.clone()])
}

/// The first two acts of different processes that share a moment; `acts` are in the order in which they began.
fn two_at_once(acts: &[&Act]) -> Option<Violation> {
    let mut open: Vec<&Act> = Vec::new();
    for &act in acts {
        open.retain(|earlier| earlier.end > act.begin);
        if let Some(other) = open.iter().find(|other| other.by != act.by && act.end > other.begin) {
            return Some(Violation::TwoAtOnce(both(other, act)));
        }
        open.push(act);
    }
    None
}

/// The first act that was allowed at a moment when another had begun under a newer token.
fn older_after_newer(acts: &[&Act]) -> Option<Violation> {
    let mut reigns: BTreeMap<u64, [&Act; 2]> = BTreeMap::new();
    for &act in acts {
        let [first, last] = reigns.entry(act.token).or_insert([act, act]);
        if act.begin < first.begin {
            *first = act;
        }
        if act.end > last.end {
            *last = act;
        }
    }
    let mut latest: Option<&Act> = None;
    for [first, last] in reigns.into_values() {
        if let Some(older) = latest.filter(|older| older.end > first.begin) {
            return Some(Violation::OlderAfterNewer(both(older, first)));
        }
        if latest.is_none_or(|older| last.end > older.end) {
            latest = Some(last);
        }
    }
    None
}

/// Tokens that two hosts acted or wrote under, or that were said to be another's.
fn tokens(history: &History) -> Vec<Violation> {
    let mut owners: BTreeMap<(&Shard, u64), &str> = BTreeMap::new();
    let mut ids: BTreeMap<(&Shard, u64), u32> = BTreeMap::new();
    let mut found = BTreeMap::new();
    let acts = history.acts.iter().map(|act| (&act.shard, act.token, &act.by));
    let writes = history
        .writes
        .iter()
        .map(|write| (&write.shard, write.token, &write.by));
    for (shard, token, by) in acts.chain(writes) {
        let owner = *owners.entry((shard, token)).or_insert(&by.host);
        if owner != by.host {
            found.insert((shard, token), [owner.to_owned(), by.host.clone()]);
        }
    }
    let acts = history.acts.iter().map(|act| (&act.shard, act.token, act.node));
    let said = history
        .owners
        .iter()
        .map(|owner| (&owner.shard, owner.token, owner.node));
    for (shard, token, node) in acts.chain(said) {
        let owner = *ids.entry((shard, token)).or_insert(node);
        if owner != node {
            found.insert((shard, token), [format!("node {owner}"), format!("node {node}")]);
        }
    }
    let violation = |((shard, token), nodes): ((&Shard, u64), _)| Violation::TokenOfTwo {
        shard: shard.clone(),
        token,
        nodes,
    };
    found.into_iter().map(violation).collect()
}

/// Every span in which a process certainly held an id.
fn held(history: &History) -> BTreeMap<u32, Vec<(u64, u64, &Process)>> {
    let mut ids: BTreeMap<u32, Vec<_>> = BTreeMap::new();
    let acts = history.acts.iter().map(|act| (act.node, (act.begin, act.end, &act.by)));
    let lives = history
        .lives
        .iter()
        .map(|live| (live.node, (live.at, live.at, &live.by)));
    for (node, span) in acts.chain(lives) {
        ids.entry(node).or_default().push(span);
    }
    ids.values_mut().for_each(|spans| spans.sort());
    ids
}

/// Ids that two processes held at the same time.
fn holders(history: &History) -> Vec<Violation> {
    let mut found = Vec::new();
    for (node, spans) in held(history) {
        let mut open: Vec<(u64, u64, &Process)> = Vec::new();
        for (begin, end, by) in spans {
            open.retain(|(_, other, _)| *other > begin);
            let other = open.iter().find(|(other, _, holder)| *holder != by && end > *other);
            if let Some((_, _, other)) = other {
                found.push(Violation::TwoHolders {
                    node,
                    holders: [(*other).clone(), by.clone()],
                    at: begin,
                });
                break;
            }
            open.push((begin, end, by));
        }
    }
    found
}

/// Notes what is seen, and when: what it was before, if it has become another without an excuse. What is seen `late`
/// does not count as seen: it may be of a store that is lost.
fn replaced<T: Copy + PartialEq>(
    noted: &mut (T, u64),
    seen: (T, u64),
    late: bool,
    excused: impl FnOnce(T, u64) -> bool,
) -> Option<T> {
    let (before, last) = *noted;
    if before == seen.0 {
        noted.1 = if late { last } else { seen.1 };
    } else if excused(before, last) {
        *noted = seen;
    } else {
        return Some(before);
    }
    None
}

/// Ids whose hostname changed, and hostnames whose id did, though no loss of the store excuses it.
fn names(history: &History) -> Vec<Violation> {
    let acts = history
        .acts
        .iter()
        .map(|act| (act.begin, act.node, act.by.host.as_str()));
    let lives = history
        .lives
        .iter()
        .map(|live| (live.at, live.node, live.by.host.as_str()));
    let listed = history
        .listed
        .iter()
        .map(|listed| (listed.at, listed.node, listed.host.as_str()));
    let mut all: Vec<_> = acts.chain(lives).chain(listed).collect();
    all.sort_unstable();
    let losses = losses(history);
    // Each with when it was last seen, not counting what may be of a store that is lost.
    let (mut hosts, mut ids) = (BTreeMap::new(), BTreeMap::new());
    let (mut reused, mut changed) = (BTreeMap::new(), BTreeMap::new());
    for (at, node, host) in all {
        let late = is_late(&losses, at);
        let before = hosts.entry(node).or_insert((host, at));
        let excused = |before, seen| excuse(&losses, (node, before), seen, at);
        if let Some(before) = replaced(before, (host, at), late, excused) {
            reused.entry(node).or_insert([before.to_owned(), host.to_owned()]);
        }
        let before = ids.entry(host).or_insert((node, at));
        let excused = |before, seen| excuse(&losses, (before, host), seen, at);
        if let Some(before) = replaced(before, (node, at), late, excused) {
            changed.entry(host).or_insert([before, node]);
        }
    }
    let reused = reused
        .into_iter()
        .map(|(node, hosts)| Violation::IdReused { node, hosts });
    let changed = changed.into_iter().map(|(host, ids)| Violation::IdChanged {
        host: host.to_owned(),
        ids,
    });
    reused.chain(changed).collect()
}
