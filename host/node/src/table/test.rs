use super::*;
use crate::clock;
use shardwright_core::id::SessionId;
use shardwright_core::role::{Placement, Replicas};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

fn table(shards: u32) -> Arc<Table> {
    let fence = Arc::new(Fence::default());
    fence.set(Some(clock::now().plus(600_000)));
    let spec = RoleSpec {
        name: "r".into(),
        shards,
        replicas: Replicas::Count(1),
        mode: Mode::Primary,
        policy: "balanced".into(),
        config: "{}".into(),
        placement: Placement::Anywhere,
    };
    Arc::new(Table::new(spec, fence, tokio::sync::broadcast::Sender::new(1)))
}

#[test]
fn held_is_what_was_granted_and_not_revoked() {
    let table = table(10);
    table.grant(&[(3, Token(7)), (9, Token(8)), (10, Token(9))]);
    assert_eq!(
        table.held().collect::<Vec<_>>(),
        [3, 9],
        "a shard that does not exist is ignored"
    );
    assert_eq!(
        (table.token(3), table.token(4), table.token(10)),
        (Some(Token(7)), None, None)
    );
    assert!(table.claim(4).is_none() && table.claim(99).is_none());
    table.revoke(&[3]);
    assert!(!table.owns(3) && table.owns(9));
    table.fence.set(None);
    assert!(!table.owns(9) && table.claim(9).is_none(), "fenced");
    assert_eq!(table.remaining(), [9], "fenced is not given back");
}

#[test]
fn revoking_cancels_and_lists_the_claims_until_they_are_dropped() {
    let table = table(2);
    table.grant(&[(0, Token(1)), (1, Token(1))]);
    let (first, second, other) = (
        table.claim(0).expect("held"),
        table.claim(0).expect("held"),
        table.claim(1).expect("held"),
    );
    let revoked = table.revoke(&[0]);
    assert!(!first.is_valid() && !second.is_valid() && other.is_valid());
    assert_eq!(revoked.len(), 1, "both claims work under one grant");
    drop(first);
    assert!(!revoked[0].is_closed());
    drop(second);
    assert!(revoked[0].is_closed());
}

#[test]
fn an_old_claim_does_not_forget_a_new_grant() {
    let table = table(1);
    table.grant(&[(0, Token(5))]);
    let old = table.claim(0).expect("held");
    table.revoke(&[0]);
    table.grant(&[(0, Token(5))]);
    let new = table.claim(0).expect("held again, under the same token");
    drop(old);
    assert_eq!(table.revoke(&[0]).len(), 1, "the new claim is still listed");
    assert!(!new.is_valid());
}

#[test]
fn after_the_deadline_new_claims_wait_for_the_old_ones_to_end() {
    let table = table(1);
    table.grant(&[(0, Token(5))]);
    let old = table.claim(0).expect("held");
    table.cancel_all();
    assert!(!old.is_valid());
    assert!(table.claim(0).is_none(), "the old work has not ended");
    drop(old);
    assert!(table.claim(0).expect("nothing is left of the old work").is_valid());
    assert!(table.grants().is_empty(), "a dropped claim leaves nothing behind");
}

/// Two claims that are dropped at once each see the receiver of the other, and leave their grant behind.
#[test]
fn a_cancelled_grant_that_nobody_works_under_any_more_hinders_nobody() {
    let table = table(1);
    table.grant(&[(0, Token(5))]);
    table.grants().insert(0, Grant::new(watch::Sender::new(true)));
    assert!(table.claim(0).expect("nobody works").is_valid());
}

#[test]
fn who_acts_and_who_should_is_found_in_the_part_of_the_shard() {
    let node = |n| NodeId::new(n).expect("not 0");
    let primary = table(PART_SHARDS + 9);
    let all = RoleSpec {
        mode: Mode::All,
        ..primary.spec.clone()
    };
    let all = Arc::new(Table::new(all, Arc::default(), tokio::sync::broadcast::Sender::new(1)));
    assert_eq!(
        (primary.primary(5), primary.owners(5)),
        (None, vec![]),
        "nothing was read"
    );
    for table in [&primary, &all] {
        for (part, at, row) in [(0, 5, [1, 2]), (1, 6, [3, 4]), (2, 0, [5, 6])] {
            let mut plan = PlanPart::empty(&table.spec, part);
            plan.width = 2;
            plan.rows = vec![0; 2 * PART_SHARDS as usize];
            plan.rows[2 * at..][..2].copy_from_slice(&row);
            plan.sessions = vec![(node(row[1]), SessionId(7))];
            if let Some(holder) = plan.holders.get_mut(at) {
                *holder = 1;
            }
            table.learn(part, Arc::new(plan));
        }
        let owners = [5, 6, PART_SHARDS + 5, PART_SHARDS + 6, 2 * PART_SHARDS].map(|shard| table.owners(shard));
        assert_eq!(
            owners,
            [vec![node(1), node(2)], vec![], vec![], vec![node(3), node(4)], vec![]]
        );
    }
    let acting = |table: &Table| [5, 6, PART_SHARDS + 5, PART_SHARDS + 6].map(|shard| table.primary(shard));
    assert_eq!(
        acting(&primary),
        [Some(node(2)), None, None, Some(node(4))],
        "the holder"
    );
    assert_eq!(
        acting(&all),
        [Some(node(1)), None, None, Some(node(3))],
        "the first owner"
    );
}

/// Two threads claim and work as fast as they can while a third grants and revokes: whenever a revocation has seen its
/// claims closed, nobody may be working.
#[test]
fn no_work_survives_a_revocation_unseen() {
    const ROUNDS: usize = 20_000;
    let table = table(1);
    let (working, over) = (AtomicU64::new(0), AtomicBool::new(false));
    let claims = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    if let Some(claim) = table.claim(0) {
                        working.fetch_add(1, Ordering::SeqCst);
                        claims.fetch_add(1, Ordering::Relaxed);
                        std::hint::black_box(claim.is_valid());
                        working.fetch_sub(1, Ordering::SeqCst);
                    }
                }
            });
        }
        for round in 0..ROUNDS {
            table.grant(&[(0, Token(1 + round as u64))]);
            if round % 4 == 0 {
                std::thread::yield_now();
            }
            for grant in table.revoke(&[0]) {
                while !grant.is_closed() {
                    std::hint::spin_loop();
                }
            }
            assert_eq!(working.load(Ordering::SeqCst), 0, "round {round}");
        }
        over.store(true, Ordering::Relaxed);
    });
    assert!(claims.load(Ordering::Relaxed) > 100, "the race was run: {claims:?}");
    assert!(table.grants().is_empty());
}

#[tokio::test]
async fn run_ends_the_work_when_ownership_is_lost() {
    let table = table(1);
    table.grant(&[(0, Token(5))]);
    let claim = table.claim(0).expect("held");
    assert_eq!(claim.run(async { 7 }).await, Ok(7));

    struct Noisy(Arc<AtomicBool>);
    impl Drop for Noisy {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let dropped = Arc::new(AtomicBool::new(false));
    let noisy = Noisy(dropped.clone());
    let (started, has_started) = tokio::sync::oneshot::channel();
    let work = tokio::spawn(async move {
        let endless = async move {
            let _noisy = noisy;
            started.send(()).expect("the test waits");
            std::future::pending::<()>().await;
        };
        claim.run(endless).await
    });
    has_started.await.expect("the work runs");
    let revoked = table.revoke(&[0]);
    let lost = work.await.expect("no panic").expect_err("lost");
    assert!(dropped.load(Ordering::SeqCst), "the future was dropped");
    assert_eq!((lost.shard, lost.token), (0, Token(5)));
    revoked[0].closed().await;
}

#[tokio::test]
async fn a_claim_is_worth_nothing_past_the_deadline_even_if_nobody_noticed() {
    let table = table(1);
    table.grant(&[(0, Token(5))]);
    // No watchdog runs here: as if the process had just been continued after a stop.
    table.fence.set(Some(clock::now().plus(30)));
    let claim = table.claim(0).expect("held");
    assert!(claim.is_valid());
    std::thread::sleep(Duration::from_millis(40));
    assert!(table.owns(0), "owns does not read the clock");
    assert!(!claim.is_valid() && table.claim(0).is_none());
    assert!(claim.run(async {}).await.is_err(), "no step of the work is taken");
}
