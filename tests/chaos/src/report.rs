//! The summary of a run.

use std::collections::BTreeMap;
use std::fmt;

use crate::history::{Act, History, Shard};
use crate::losses::losses;

/// What a run came to, in figures.
#[derive(Clone, Debug, Default)]
pub(crate) struct Summary {
    acts: usize,
    writes: usize,
    refused: usize,
    /// Milliseconds from the last act of one node to the first of the next, for each change of owner, sorted.
    gaps: Vec<u64>,
    disturbances: BTreeMap<&'static str, u32>,
    seen: usize,
    /// For each loss of the store, how many ids had to stay with their hostnames.
    kept: Vec<usize>,
    clock_jumps: usize,
}

impl Summary {
    pub(crate) fn of(history: &History, disturbances: BTreeMap<&'static str, u32>) -> Self {
        let mut shards: BTreeMap<&Shard, Vec<&Act>> = BTreeMap::new();
        for act in &history.acts {
            shards.entry(&act.shard).or_default().push(act);
        }
        let mut gaps = Vec::new();
        for acts in shards.values_mut() {
            acts.sort_by_key(|act| act.begin);
            let pairs = acts.windows(2).filter(|pair| pair[0].token != pair[1].token);
            gaps.extend(pairs.map(|pair| pair[1].begin.saturating_sub(pair[0].end) / 1_000));
        }
        gaps.sort_unstable();
        Self {
            acts: history.acts.len(),
            writes: history.writes.len(),
            refused: history.writes.iter().filter(|write| !write.accepted).count(),
            gaps,
            disturbances,
            seen: history.listed.len() + history.owners.len(),
            kept: losses(history).iter().map(|loss| loss.kept.len()).collect(),
            clock_jumps: history.clock_jumps,
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds: Vec<_> = self
            .disturbances
            .iter()
            .map(|(kind, count)| format!("{count} {kind}"))
            .collect();
        let (half, all) = (self.gaps.get(self.gaps.len() / 2), self.gaps.last());
        let millis = |gap: Option<&u64>| gap.map_or_else(|| "-".to_owned(), |gap| format!("{gap} ms"));
        writeln!(f, "disturbances: {}", kinds.join(", "))?;
        writeln!(
            f,
            "acts: {}; writes: {}, of them refused by the fence: {}",
            self.acts, self.writes, self.refused
        )?;
        writeln!(
            f,
            "changes of owner: {}; without an act in between: p50 {}, max {}",
            self.gaps.len(),
            millis(half),
            millis(all)
        )?;
        writeln!(
            f,
            "losses of the store: {}; ids that had to outlast each: {:?}; jumps of its clock that nodes noticed: {}",
            self.kept.len(),
            self.kept,
            self.clock_jumps
        )?;
        write!(f, "answers of `nodes` and `roles show` compared: {}", self.seen)
    }
}
