//! The leader's next write to one part: what it may do on which evidence. The order of steps is searched in
//! `tests/model`.

use shardwright_core::handoff::{SessionState, Sessions, advance};
use shardwright_core::id::{NodeId, SessionId, Token};
use shardwright_core::plan::{PlanPart, RELEASE};
use shardwright_core::role::{Mode, Placement, Replicas, RoleSpec};
use shardwright_core::rules::Rules;
use shardwright_core::store::Revision;

const SHARDS: usize = 6;

fn id(n: u32) -> NodeId {
    NodeId::new(n).unwrap()
}

fn session(n: u32) -> SessionId {
    SessionId(u128::from(n) * 100)
}

fn sessions(applied: u64) -> Sessions {
    let live = |n| {
        (
            id(n),
            SessionState {
                session: session(n),
                applied: Revision(applied),
                ended: false,
            },
        )
    };
    (1..=3).map(live).collect()
}

fn part() -> PlanPart {
    let role = RoleSpec {
        name: "r".to_owned(),
        shards: SHARDS as u32,
        replicas: Replicas::Count(1),
        mode: Mode::Primary,
        policy: "native".to_owned(),
        config: "{}".to_owned(),
        placement: Placement::Anywhere,
    };
    let empty = PlanPart {
        epoch: 1,
        ..PlanPart::empty(&role, 0)
    };
    step(1, &empty, &sessions(0), |_| 1).expect("free shards are granted")
}

fn step(revision: u64, part: &PlanPart, sessions: &Sessions, wanted: impl Fn(usize) -> u32) -> Option<PlanPart> {
    advance(
        Revision(revision),
        part,
        sessions,
        wanted,
        &mut usize::MAX.clone(),
        Rules::default(),
    )
}

#[test]
fn what_is_as_wanted_is_left_alone() {
    assert_eq!(step(2, &part(), &sessions(0), |_| 1), None);
}

#[test]
fn a_live_holder_is_asked_first_and_followed_only_on_its_release() {
    let part = part();
    let asked = step(2, &part, &sessions(2), |at| if at == 0 { 2 } else { 1 }).expect("a target");
    assert_eq!((asked.target(0), asked.holder(0)), (2, Some((id(1), session(1)))));
    assert_eq!(
        step(3, &asked, &sessions(2), |at| if at == 0 { 2 } else { 1 }),
        None,
        "an older release is none"
    );
    let moved = step(3, &asked, &sessions(3), |at| if at == 0 { 2 } else { 1 }).expect("a grant");
    assert_eq!((moved.target(0), moved.holder(0)), (0, Some((id(2), session(2)))));
    assert!(
        moved.token(0, Revision(4), 0) > asked.token(0, Revision(3), 0),
        "under a higher token"
    );
    assert_eq!(moved.token(1, Revision(4), 0), Token(2), "the others keep theirs");
}

#[test]
fn a_move_can_be_turned_back_and_redirected() {
    let asked = step(2, &part(), &sessions(0), |_| 2).expect("targets");
    let back = step(3, &asked, &sessions(0), |_| 1).expect("cancelled");
    assert!((0..SHARDS).all(|at| back.target(at) == 0 && back.holder(at) == Some((id(1), session(1)))));
    assert_eq!(back.token(0, Revision(4), 0), Token(2), "the same grant goes on");
    let elsewhere = step(3, &asked, &sessions(0), |_| 3).expect("redirected");
    assert!((0..SHARDS).all(|at| elsewhere.target(at) == 3));
    let released = step(3, &asked, &sessions(0), |_| 0).expect("to nobody");
    assert!((0..SHARDS).all(|at| released.target(at) == RELEASE));
    let vacant = step(4, &released, &sessions(4), |_| 0).expect("vacant");
    assert!((0..SHARDS).all(|at| vacant.holder(at).is_none() && vacant.target(at) == 0));
}

#[test]
fn a_session_that_is_over_needs_no_release() {
    for over in ["ended", "replaced", "deleted"] {
        let mut sessions = sessions(0);
        match over {
            "ended" => sessions.get_mut(&id(1)).unwrap().ended = true,
            "replaced" => sessions.get_mut(&id(1)).unwrap().session = SessionId(7),
            _ => drop(sessions.remove(&id(1))),
        }
        let mut none = 0;
        let next = advance(Revision(2), &part(), &sessions, |_| 2, &mut none, Rules::default()).expect(over);
        assert!(
            (0..SHARDS).all(|at| next.holder(at) == Some((id(2), session(2)))),
            "{over}: at once and beyond the movement budget"
        );
    }
}

#[test]
fn a_restarted_owner_is_granted_anew_under_its_new_session() {
    let mut sessions = sessions(0);
    sessions.get_mut(&id(1)).unwrap().session = SessionId(7);
    let next = step(2, &part(), &sessions, |_| 1).expect("a grant");
    assert_eq!(next.holder(0), Some((id(1), SessionId(7))));
    assert_eq!(next.sessions.len(), 1, "the former session is forgotten");
}

#[test]
fn planned_moves_stay_within_the_budget() {
    let mut moves = 2;
    let next = advance(Revision(2), &part(), &sessions(0), |_| 2, &mut moves, Rules::default()).expect("two moves");
    assert_eq!((0..SHARDS).filter(|&at| next.target(at) != 0).count(), 2);
    assert_eq!(moves, 0);
}

#[test]
fn nobody_is_granted_a_shard_without_a_live_session() {
    let mut sessions = sessions(0);
    sessions.get_mut(&id(2)).unwrap().ended = true;
    let next = step(2, &part(), &sessions, |_| 2).expect("the shards are to be released");
    assert!(
        (0..SHARDS).all(|at| next.target(at) == RELEASE),
        "an ended session is no target"
    );
    assert_eq!(step(2, &part(), &sessions, |at| if at == 9 { 2 } else { 1 }), None);
}
