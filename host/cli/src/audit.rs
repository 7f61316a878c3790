//! Who could act on which shard when, by the nodes' own accounts; and whether that ever overlapped.

use crate::process::OutputLine;
use std::collections::{BTreeMap, BTreeSet};

/// A shard of a role.
pub type ShardName = (String, u32);

/// One node's time with one shard, in milliseconds of CLOCK_BOOTTIME.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interval {
    /// The node.
    pub host: String,
    /// Its fencing token; absent if the shard was gone before it could be told.
    pub token: Option<u64>,
    /// When it began.
    pub from: u64,
    /// When it ended; absent while it lasts.
    pub to: Option<u64>,
}

/// The accounts of all nodes about roles in which one node at a time may act.
#[derive(Debug, Default)]
pub struct Audit {
    shards: BTreeMap<ShardName, Vec<Interval>>,
}

/// What the accounts amount to.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// Times at which a shard went from one node to another.
    pub moves: usize,
    /// Moves that left a shard without anybody for a while.
    pub gaps: usize,
    /// The longest of these, in milliseconds.
    pub longest_gap_ms: u64,
    /// Times at which two nodes acted on a shard at once. Must be 0.
    pub double_owners: usize,
    /// Times at which another owner had no higher token than all before. Must be 0.
    pub bad_tokens: usize,
}

impl Audit {
    /// Takes what a node has told: gains and losses count, the rest does not.
    pub fn take(&mut self, told: &OutputLine) {
        let name = |shard| (told.role().to_owned(), shard);
        match told.event.as_str() {
            "gained" => {
                let since = told.fields["since"].as_u64().unwrap_or(told.at);
                told.shards()
                    .for_each(|(shard, token)| self.gained(&told.host, name(shard), token, since));
            }
            // Since then its claims are worth nothing; `lost` follows when the work has ended, too.
            "losing" => {
                let until = told.fields["until"].as_u64().unwrap_or(told.at);
                told.shards()
                    .for_each(|(shard, _)| self.lost(&told.host, &name(shard), until));
            }
            _ => {}
        }
    }

    /// `host` says that it acts on the shard from now on.
    pub fn gained(&mut self, host: &str, shard: ShardName, token: Option<u64>, at: u64) {
        let interval = Interval {
            host: host.to_owned(),
            token,
            from: at,
            to: None,
        };
        self.shards.entry(shard).or_default().push(interval);
    }

    /// `host` says that it does not act on the shard any more.
    pub fn lost(&mut self, host: &str, shard: &ShardName, at: u64) {
        for interval in self.shards.get_mut(shard).into_iter().flatten() {
            if interval.host == host && interval.to.is_none() {
                interval.to = Some(at);
            }
        }
    }

    /// `host` is dead, or stopped for so long that it must not go on with what it had: it acts on nothing.
    pub fn ended(&mut self, host: &str, at: u64) {
        let shards: Vec<ShardName> = self.shards.keys().cloned().collect();
        for shard in shards {
            self.lost(host, &shard, at);
        }
    }

    /// The shards on which `host` acts.
    pub fn held_by(&self, host: &str) -> BTreeSet<ShardName> {
        let acts = |list: &[Interval]| list.iter().any(|i| i.host == host && i.to.is_none());
        self.shards
            .iter()
            .filter(|(_, list)| acts(list))
            .map(|(shard, _)| shard.clone())
            .collect()
    }

    /// Who acts on the shard, if anybody says so: the newest interval.
    pub fn holder(&self, shard: &ShardName) -> Option<&Interval> {
        self.shards
            .get(shard)?
            .iter()
            .filter(|interval| interval.to.is_none())
            .max_by_key(|interval| interval.from)
    }

    /// Compares all accounts.
    pub fn verdict(&self) -> Verdict {
        let mut verdict = Verdict::default();
        for intervals in self.shards.values() {
            let mut sorted: Vec<&Interval> = intervals.iter().collect();
            sorted.sort_by_key(|interval| interval.from);
            for (at, later) in sorted.iter().enumerate() {
                // Against all earlier ones: a long one may outlast its neighbour.
                let overlaps =
                    |earlier: &&&Interval| earlier.host != later.host && earlier.to.is_none_or(|to| to > later.from);
                verdict.double_owners += sorted[..at].iter().filter(overlaps).count();
            }
            // One that was gone before its token could be told says nothing of tokens.
            let mut highest: Option<(u64, &str)> = None;
            for &interval in &sorted {
                let Some(token) = interval.token else { continue };
                // The same node may go on under the token that it had.
                let rose =
                    highest.is_none_or(|(known, host)| token > known || (token == known && interval.host == host));
                verdict.bad_tokens += usize::from(!rose);
                if highest.is_none_or(|(known, _)| token > known) {
                    highest = Some((token, &interval.host));
                }
            }
            for pair in sorted.windows(2) {
                let (earlier, later) = (pair[0], pair[1]);
                if earlier.host != later.host {
                    verdict.moves += 1;
                    let gap = later.from.saturating_sub(earlier.to.unwrap_or(later.from));
                    verdict.gaps += usize::from(gap > 0);
                    verdict.longest_gap_ms = verdict.longest_gap_ms.max(gap);
                }
            }
        }
        verdict
    }
}

#[cfg(test)]
mod test {
    use super::*;

    fn shard() -> ShardName {
        ("r".to_owned(), 0)
    }

    #[test]
    fn one_after_the_other_is_a_move_with_a_gap() {
        let mut audit = Audit::default();
        audit.gained("a", shard(), Some(1), 10);
        assert_eq!(audit.held_by("a"), BTreeSet::from([shard()]));
        audit.ended("a", 20);
        assert_eq!(audit.holder(&shard()), None);
        audit.gained("b", shard(), Some(2), 27);
        assert_eq!(audit.holder(&shard()).map(|i| i.host.as_str()), Some("b"));
        let expected = Verdict {
            moves: 1,
            gaps: 1,
            longest_gap_ms: 7,
            double_owners: 0,
            bad_tokens: 0,
        };
        assert_eq!(audit.verdict(), expected);
    }

    #[test]
    fn two_at_once_are_found_even_across_a_third() {
        let mut audit = Audit::default();
        audit.gained("a", shard(), Some(1), 10);
        audit.gained("b", shard(), Some(2), 12);
        audit.lost("b", &shard(), 13);
        audit.gained("c", shard(), Some(3), 14);
        audit.lost("a", &shard(), 15);
        assert_eq!(audit.verdict().double_owners, 2, "a with b, and a with c");
    }

    #[test]
    fn tokens_must_rise() {
        let mut audit = Audit::default();
        for (at, (host, token)) in (0..).zip([
            ("a", Some(5)),
            ("b", Some(5)),
            ("a", Some(4)),
            ("b", None),
            ("b", Some(6)),
        ]) {
            audit.gained(host, shard(), token, at * 10);
            audit.lost(host, &shard(), at * 10 + 5);
        }
        assert_eq!(audit.verdict().bad_tokens, 2);
        assert_eq!(audit.verdict().double_owners, 0);
    }
}
