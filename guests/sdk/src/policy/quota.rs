//! Fair shares in whole numbers.

use std::cmp::Reverse;

/// One who takes part in a division.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Participant {
    /// The share relative to the others; 0 takes nothing.
    pub weight: u32,
    /// The most it can take.
    pub cap: u32,
    /// What it has at present: who has more than the whole part of its share keeps the odd one.
    pub held: u32,
    /// Decides between equals; higher wins.
    pub tie: u64,
}

/// The bounds of a fair share: the exact share, rounded down and up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// The exact share rounded down.
    pub low: u32,
    /// The exact share rounded up.
    pub high: u32,
    /// What rounding down cut off, in parts that are the same for all.
    cut: u64,
}

impl Share {
    /// A share of just this much.
    #[must_use]
    pub const fn exactly(count: u32) -> Self {
        Self {
            low: count,
            high: count,
            cut: 0,
        }
    }
}

/// Divides `total` by weight. Nobody takes more than its cap; what it cannot take goes to the others.
///
/// The answer has one share for each claim, in order. Together the lower bounds are at most `total`, and the upper
/// bounds at least `total` unless all caps together are less.
#[must_use]
pub fn shares(total: u64, claims: &[Participant]) -> Vec<Share> {
    let mut shares = vec![Share::default(); claims.len()];
    let mut open: Vec<usize> = (0..claims.len()).filter(|&i| claims[i].weight > 0).collect();
    let mut rest = total;
    loop {
        let weights: u64 = open.iter().map(|&i| u64::from(claims[i].weight)).sum();
        let (all, before) = (rest, open.len());
        let exact = |i: usize| u128::from(all) * u128::from(claims[i].weight);
        open.retain(|&i| {
            let cap = claims[i].cap;
            let within = exact(i) <= u128::from(cap) * u128::from(weights);
            if !within {
                shares[i] = Share::exactly(cap);
                rest -= u64::from(cap);
            }
            within
        });
        if open.len() == before {
            for i in open {
                let (low, cut) = (exact(i) / u128::from(weights), exact(i) % u128::from(weights));
                // At most the cap, and below the sum of the weights.
                let (low, cut) = (low as u32, cut as u64);
                shares[i] = Share {
                    low,
                    high: low + u32::from(cut > 0),
                    cut,
                };
            }
            return shares;
        }
    }
}

/// Divides `total` into whole numbers, each the lower or upper bound of its [share](shares).
///
/// The odd ones stay with those who hold one already; then by largest remainder. So what is already fair does not
/// change.
#[must_use]
pub fn sticky(total: u64, claims: &[Participant]) -> Vec<u32> {
    let shares = shares(total, claims);
    let mut quotas: Vec<u32> = shares.iter().map(|share| share.low).collect();
    let given: u64 = quotas.iter().map(|&q| u64::from(q)).sum();
    let mut odd: Vec<usize> = (0..claims.len()).filter(|&i| shares[i].cut > 0).collect();
    odd.sort_unstable_by_key(|&i| {
        Reverse((
            claims[i].held > shares[i].low,
            shares[i].cut,
            claims[i].held,
            claims[i].tie,
        ))
    });
    for &i in odd.iter().take((total - given) as usize) {
        quotas[i] += 1;
    }
    quotas
}
