//! What a node may act on: gained once, stopped before it is released, refused under another shape, session or token.

use shardwright_core::duty::{Change, Duty, PartId, StopId};
use shardwright_core::id::{NodeId, SessionId, Token};
use shardwright_core::plan::{PART_SHARDS, PlanPart};
use shardwright_core::rules::Rules;
use shardwright_core::store::Revision;
use std::sync::Arc;

const SHAPE: u64 = 7;
const BASE: u64 = 1_000;
const PART: PartId = PartId { role: 0, part: 0 };

fn id(n: u32) -> NodeId {
    NodeId::new(n).unwrap()
}

fn session(n: u32) -> SessionId {
    SessionId(u128::from(n) * 100)
}

/// Node 1 in its first session.
fn duty() -> Duty {
    let mut duty = Duty::new(vec![SHAPE], Rules::default());
    duty.begin(id(1), session(1), BASE);
    duty
}

/// One primary for each shard, granted at the revisions given: (holder or 0, granted, target).
fn primaries(shards: &[(u32, u64, u32)]) -> PlanPart {
    PlanPart {
        shape: SHAPE,
        epoch: 3,
        inputs: 0,
        width: 1,
        rows: shards.iter().map(|&(holder, ..)| holder).collect(),
        sessions: vec![(id(1), session(1)), (id(2), session(2))],
        holders: shards.iter().map(|&(holder, ..)| holder).collect(),
        granted: shards.iter().map(|&(_, granted, _)| granted).collect(),
        targets: shards.iter().map(|&(.., target)| target).collect(),
    }
}

/// A part of a role in which all owners act.
fn everybody(rows: &[u32], width: u32) -> PlanPart {
    PlanPart {
        width,
        rows: rows.to_vec(),
        holders: Vec::new(),
        granted: Vec::new(),
        targets: Vec::new(),
        ..primaries(&[])
    }
}

fn learn(duty: &mut Duty, revision: u64, part: PlanPart) -> Vec<Change> {
    learn_part(duty, PART, revision, part)
}

fn learn_part(duty: &mut Duty, id: PartId, revision: u64, part: PlanPart) -> Vec<Change> {
    duty.learn(Revision(revision), [(id, Revision(revision), Arc::new(part))])
}

fn gain(shards: &[(u32, u64)]) -> Change {
    Change::Gain {
        role: 0,
        epoch: 3,
        shards: tokens(shards),
    }
}

fn stop(stop: u64, shards: &[(u32, u64)]) -> Change {
    Change::Stop {
        stop: StopId(stop),
        role: 0,
        shards: tokens(shards),
    }
}

fn tokens(shards: &[(u32, u64)]) -> Vec<(u32, Token)> {
    shards
        .iter()
        .map(|&(shard, revision)| (shard, Token(BASE + revision)))
        .collect()
}

#[test]
fn a_grant_is_gained_once_under_the_token_of_its_revision() {
    let mut duty = duty();
    assert_eq!(duty.applied(), Revision(0));
    assert_eq!(
        learn(&mut duty, 5, primaries(&[(1, 0, 0), (2, 0, 0), (1, 4, 0)])),
        [gain(&[(0, 5), (2, 4)])]
    );
    assert_eq!(duty.applied(), Revision(5));
    let of = |shard| duty.token(0, shard);
    assert_eq!(
        (of(0), of(1), of(2)),
        (Some(Token(BASE + 5)), None, Some(Token(BASE + 4)))
    );
    assert_eq!((of(3), duty.token(1, 0)), (None, None), "no such shard, no such role");
    let active = |shard| duty.is_active(0, shard);
    assert_eq!((active(0), active(1), active(2), active(3)), (true, false, true, false));
    assert!(!duty.is_active(1, 0) && !duty.is_idle());
    let rewritten = primaries(&[(1, 5, 0), (2, 5, 0), (1, 4, 0)]);
    assert_eq!(
        learn(&mut duty, 6, rewritten),
        [],
        "the same grants in a rewritten entry"
    );
    assert_eq!(duty.applied(), Revision(6));
}

#[test]
fn what_is_no_newer_is_not_learned() {
    let mut duty = duty();
    learn(&mut duty, 5, primaries(&[(1, 0, 0)]));
    for old in [4, 5] {
        assert_eq!(learn(&mut duty, old, primaries(&[(2, 0, 0)])), [], "at {old}");
        assert_eq!(duty.token(0, 0), Some(Token(BASE + 5)));
        assert_eq!(duty.applied(), Revision(5), "a listing never takes back");
    }
}

#[test]
fn a_target_stops_the_work_and_is_applied_when_it_has_ended() {
    let mut duty = duty();
    learn(&mut duty, 5, primaries(&[(1, 0, 0), (1, 0, 0)]));
    assert_eq!(
        learn(&mut duty, 6, primaries(&[(1, 5, 2), (1, 5, 0)])),
        [stop(1, &[(0, 5)])]
    );
    assert_eq!(duty.token(0, 0), None, "not acted on any more");
    assert!(duty.is_active(0, 0) && duty.is_active(0, 1), "but not stopped yet");
    assert_eq!(duty.applied(), Revision(5), "so nothing later is applied");
    assert!(!duty.owes_release(Revision(5)));
    assert_eq!(duty.stopped(StopId(9)), [], "another stop says nothing");
    assert_eq!(duty.applied(), Revision(5));
    assert_eq!(duty.stopped(StopId(1)), []);
    assert_eq!(duty.applied(), Revision(6));
    assert!(!duty.is_active(0, 0) && duty.is_active(0, 1));
    assert!(duty.owes_release(Revision(5)), "the store does not know yet");
    assert!(!duty.owes_release(Revision(6)), "now it does");
}

#[test]
fn only_the_holder_of_a_shard_that_moves_owes_a_release() {
    let mut duty = duty();
    learn(&mut duty, 6, primaries(&[(2, 0, 1), (1, 0, 0)]));
    assert!(!duty.owes_release(Revision(5)), "another's move");
    learn(&mut duty, 7, primaries(&[(2, 6, 1), (1, 6, 2)]));
    duty.stopped(StopId(1));
    assert!(duty.owes_release(Revision(6)));
    duty.end();
    assert!(!duty.owes_release(Revision(6)), "without a session nothing is reported");
}

#[test]
fn an_older_entry_that_asked_for_a_release_is_told_even_when_later_ones_were_applied() {
    let mut duty = duty();
    let other = PartId { role: 0, part: 1 };
    learn(&mut duty, 6, primaries(&[(1, 0, 2)]));
    learn_part(&mut duty, other, 9, primaries(&[(1, 0, 0)]));
    assert_eq!(duty.applied(), Revision(9));
    assert!(duty.owes_release(Revision(5)));
    assert!(!duty.owes_release(Revision(6)), "what was reported covers it");
    assert!(!duty.owes_release(Revision(8)));
}

#[test]
fn a_shard_given_back_while_it_stops_is_gained_only_after_the_stop() {
    let mut duty = duty();
    learn(&mut duty, 5, primaries(&[(1, 0, 0), (1, 0, 0)]));
    learn(&mut duty, 6, primaries(&[(1, 5, 2), (1, 5, 0)]));
    assert_eq!(learn(&mut duty, 7, primaries(&[(1, 5, 0), (1, 5, 0)])), []);
    assert_eq!((duty.token(0, 0), duty.applied()), (None, Revision(5)));
    assert_eq!(duty.stopped(StopId(1)), [gain(&[(0, 5)])]);
    assert_eq!((duty.token(0, 0), duty.applied()), (Some(Token(BASE + 5)), Revision(7)));
}

#[test]
fn a_later_grant_stops_the_former_and_begins_after_it() {
    let mut duty = duty();
    learn(&mut duty, 5, primaries(&[(1, 0, 0)]));
    assert_eq!(learn(&mut duty, 6, primaries(&[(1, 0, 0)])), [stop(1, &[(0, 5)])]);
    assert_eq!(duty.token(0, 0), None);
    assert_eq!(duty.stopped(StopId(1)), [gain(&[(0, 6)])]);
}

#[test]
fn several_stops_are_told_apart() {
    let mut duty = duty();
    learn(&mut duty, 5, primaries(&[(1, 0, 0), (1, 0, 0)]));
    assert_eq!(
        learn(&mut duty, 6, primaries(&[(1, 5, 2), (1, 5, 0)])),
        [stop(1, &[(0, 5)])]
    );
    assert_eq!(
        learn(&mut duty, 7, primaries(&[(1, 5, 2), (1, 5, 2)])),
        [stop(2, &[(1, 5)])]
    );
    duty.stopped(StopId(2));
    assert_eq!(duty.applied(), Revision(5), "one is still stopping");
    assert!(duty.is_active(0, 0) && !duty.is_active(0, 1));
    duty.stopped(StopId(1));
    assert_eq!(duty.applied(), Revision(7));
    assert!(duty.is_idle());
}

#[test]
fn a_shard_that_is_no_longer_in_its_part_stops() {
    let mut duty = duty();
    learn(&mut duty, 5, primaries(&[(1, 0, 0), (1, 0, 0)]));
    assert_eq!(learn(&mut duty, 6, primaries(&[(1, 5, 0)])), [stop(1, &[(1, 5)])]);
}

#[test]
fn another_session_or_shape_grants_nothing() {
    let mut duty = duty();
    let former = PlanPart {
        sessions: vec![(id(1), session(9))],
        ..primaries(&[(1, 0, 0)])
    };
    assert_eq!(learn(&mut duty, 5, former), []);
    let other = PlanPart {
        shape: SHAPE + 1,
        ..primaries(&[(1, 0, 0)])
    };
    assert_eq!(learn(&mut duty, 6, other), []);
    let unknown = PartId { role: 1, part: 0 };
    assert_eq!(
        learn_part(&mut duty, unknown, 7, primaries(&[(1, 0, 0)])),
        [],
        "a role of others"
    );
    assert!(duty.is_idle());
}

#[test]
fn a_fence_stops_everything_until_the_session_is_renewed() {
    let mut duty = duty();
    learn(&mut duty, 5, primaries(&[(1, 0, 0)]));
    assert_eq!(duty.resume(), [], "not fenced");
    assert_eq!(duty.fence(), [stop(1, &[(0, 5)])]);
    assert_eq!(learn(&mut duty, 6, primaries(&[(1, 0, 0), (1, 0, 0)])), []);
    assert_eq!(duty.stopped(StopId(1)), []);
    assert_eq!(duty.resume(), [gain(&[(0, 6), (1, 6)])]);
    assert_eq!(duty.resume(), [], "once");
}

#[test]
fn tokens_of_another_base_are_other_tokens() {
    let mut duty = duty();
    learn(&mut duty, 5, primaries(&[(1, 0, 0)]));
    assert_eq!(duty.rebase(BASE), [], "the same base");
    assert_eq!(duty.rebase(2 * BASE), [stop(1, &[(0, 5)])]);
    duty.stopped(StopId(1));
    assert_eq!(duty.token(0, 0), Some(Token(2 * BASE + 5)));
}

#[test]
fn nothing_of_a_former_session_counts_in_the_next() {
    let mut duty = duty();
    learn(&mut duty, 5, primaries(&[(1, 0, 0)]));
    assert_eq!(duty.end(), [stop(1, &[(0, 5)])]);
    assert!(!duty.is_idle(), "it has not stopped yet");
    duty.stopped(StopId(1));
    assert!(duty.is_idle());
    assert_eq!(duty.fence(), []);
    duty.begin(id(1), session(1), BASE);
    assert_eq!(duty.applied(), Revision(0), "plans are read anew");
    assert_eq!(
        learn(&mut duty, 4, primaries(&[(1, 0, 0)])),
        [gain(&[(0, 4)])],
        "and nobody is fenced"
    );
}

#[test]
fn where_all_owners_act_a_rewritten_entry_changes_nothing_for_those_who_stay() {
    let mut duty = duty();
    assert_eq!(learn(&mut duty, 5, everybody(&[1, 2, 2, 3], 2)), [gain(&[(0, 5)])]);
    assert_eq!(learn(&mut duty, 6, everybody(&[3, 1, 2, 1], 2)), [gain(&[(1, 6)])]);
    assert_eq!(duty.token(0, 0), Some(Token(BASE + 5)));
    assert_eq!(learn(&mut duty, 7, everybody(&[3, 2, 2, 1], 2)), [stop(1, &[(0, 5)])]);
    assert!(!duty.owes_release(Revision(5)), "nobody waits for it");
}

#[test]
fn shards_are_counted_through_all_parts() {
    let mut duty = duty();
    let second = PartId { role: 0, part: 1 };
    assert_eq!(
        learn_part(&mut duty, second, 5, primaries(&[(2, 0, 0), (1, 0, 0)])),
        [gain(&[(PART_SHARDS + 1, 5)])]
    );
    assert_eq!(duty.token(0, PART_SHARDS + 1), Some(Token(BASE + 5)));
    assert_eq!((duty.token(0, 1), duty.token(0, PART_SHARDS)), (None, None));
    assert!(duty.is_active(0, PART_SHARDS + 1) && !duty.is_active(0, 1));
    learn_part(&mut duty, second, 6, primaries(&[(2, 0, 0), (2, 0, 0)]));
    assert!(duty.is_active(0, PART_SHARDS + 1) && !duty.is_active(0, 1) && !duty.is_active(0, PART_SHARDS));
}
