//! Losses of the store, and what must outlast them: whose an id is outlasts a loss if somebody who knew it reaches the
//! new store in its grace period, and is left alone while that lasts. Otherwise nobody may remember it.

use std::collections::BTreeSet;

use crate::history::{Grace, History};
use crate::settings::HOLD;

/// How much of a grace period, in milliseconds, must be left to somebody who remembers: whose the others' ids are is
/// written down in its second half.
const ENOUGH: u64 = HOLD * 2 / 3;

/// A loss.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss<'a> {
    /// When.
    pub at: u64,
    /// The ids that must stay with their hostnames.
    pub kept: BTreeSet<(u32, &'a str)>,
}

/// Every loss, in the order of time.
#[must_use]
pub fn losses(history: &History) -> Vec<Loss<'_>> {
    let ends = history.losses.iter().skip(1).copied().chain([u64::MAX]);
    let spans = history.losses.iter().copied().zip(ends);
    spans
        .map(|(at, next)| {
            let witnesses = history
                .graces
                .iter()
                .filter(|grace| at < grace.at && end(grace) < next && is_witness(history, grace));
            let known = witnesses.filter_map(|grace| {
                let known = history
                    .known
                    .iter()
                    .filter(|known| known.by == grace.by && known.at < at);
                known.max_by_key(|known| known.at)
            });
            let kept = known.flat_map(|known| known.nodes.iter().map(|(node, host)| (*node, host.as_str())));
            Loss {
                at,
                kept: kept.collect(),
            }
        })
        .collect()
}

/// When the grace period is over of which a process was told.
fn end(grace: &Grace) -> u64 {
    grace.at + grace.wait * 1_000
}

/// Whether nothing was done to a process, to its way, or to the server, from when it was told of a grace period to when
/// that was over, and it lived on.
fn is_witness(history: &History, grace: &Grace) -> bool {
    let alone = !history.disturbed.iter().any(|disturbed| {
        (grace.at..=end(grace)).contains(&disturbed.at)
            && disturbed.host.as_ref().is_none_or(|host| *host == grace.by.host)
    });
    let lived = history
        .lives
        .iter()
        .any(|live| live.by == grace.by && live.at > end(grace));
    grace.wait >= ENOUGH && alone && lived
}

/// Whether `pair`, last seen at `seen`, may have become another by `at`: the store was lost in between, and nobody who
/// remembered that it was so can have told the new one.
#[must_use]
pub fn excuse(losses: &[Loss<'_>], pair: (u32, &str), seen: u64, at: u64) -> bool {
    losses
        .iter()
        .any(|loss| seen < loss.at && loss.at <= at && !loss.kept.contains(&pair))
}

/// Whether what is seen at `at` may still be of a store that is lost: whoever held an id may go on until then.
#[must_use]
pub fn is_late(losses: &[Loss<'_>], at: u64) -> bool {
    losses
        .iter()
        .any(|loss| (loss.at..loss.at + HOLD * 1_000).contains(&at))
}
