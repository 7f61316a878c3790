//! Fair shares in whole numbers.

use proptest::prelude::*;
use shardwright_guest::quota::{Participant, shares, sticky};

fn claim(weight: u32, cap: u32, held: u32) -> Participant {
    Participant {
        weight,
        cap,
        held,
        tie: 0,
    }
}

#[test]
fn the_odd_one_stays_where_it_is() {
    assert_eq!(
        sticky(10, &[claim(1, 99, 3), claim(1, 99, 4), claim(1, 99, 3)]),
        [3, 4, 3]
    );
    assert_eq!(
        sticky(10, &[claim(1, 99, 0), claim(1, 99, 0), claim(1, 99, 4)]),
        [3, 3, 4]
    );
}

#[test]
fn then_the_largest_remainder_wins() {
    assert_eq!(
        sticky(10, &[claim(52, 99, 0), claim(29, 99, 0), claim(19, 99, 0)]),
        [5, 3, 2]
    );
}

#[test]
fn what_a_cap_cuts_off_goes_to_the_others() {
    assert_eq!(
        sticky(12, &[claim(100, 2, 0), claim(1, 99, 0), claim(1, 99, 0)]),
        [2, 5, 5]
    );
    assert_eq!(
        sticky(12, &[claim(1, 2, 0), claim(1, 3, 0)]),
        [2, 3],
        "all caps together are less"
    );
    assert_eq!(sticky(12, &[claim(0, 99, 0)]), [0]);
    assert_eq!(sticky(12, &[]), [0u32; 0]);
}

proptest! {
    #[test]
    fn everything_is_given_and_nobody_gets_too_much(
        total in 0u64..10_000,
        claims in prop::collection::vec((0u32..500, 0u32..2_000, 0u32..500), 1..30),
    ) {
        let claims: Vec<Participant> = claims.into_iter().map(|(weight, cap, held)| claim(weight, cap, held)).collect();
        let quotas = sticky(total, &claims);
        let most: u64 = claims.iter().filter(|c| c.weight > 0).map(|c| u64::from(c.cap)).sum();
        prop_assert_eq!(quotas.iter().map(|&q| u64::from(q)).sum::<u64>(), total.min(most));
        for ((quota, share), claim) in quotas.iter().zip(shares(total, &claims)).zip(&claims) {
            prop_assert!((share.low..=share.high).contains(quota) && *quota <= claim.cap);
        }
        // Whoever has its quota keeps it.
        let settle = |(&claim, &held): (&Participant, &u32)| Participant { held, ..claim };
        let settled: Vec<Participant> = claims.iter().zip(&quotas).map(settle).collect();
        prop_assert_eq!(sticky(total, &settled), quotas);
    }
}
