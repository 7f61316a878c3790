//! Whatever numbers a store holds, by a fault of its own or of somebody who writes to it: arithmetic on them neither
//! ends the process nor wraps around.

use shardwright_core::clock::BackendClock;
use shardwright_core::duty::{Change, Duty, PartId};
use shardwright_core::id::{HistoryId, InstanceId, NodeId, SessionId, Token};
use shardwright_core::inputs::members;
use shardwright_core::plan::PlanPart;
use shardwright_core::rules::Rules;
use shardwright_core::store::{Entry, Revision, StoreTime};
use shardwright_core::time::{Instant, Timing};
use shardwright_core::values::{Meta, NodeInfo, Session, Value};
use shardwright_core::view::View;
use std::sync::Arc;

fn part(granted: u64) -> PlanPart {
    PlanPart {
        shape: 1,
        epoch: u64::MAX,
        inputs: 3,
        width: 1,
        rows: vec![3],
        sessions: vec![(NodeId::new(3).unwrap(), SessionId(1))],
        holders: vec![1],
        granted: vec![granted],
        targets: vec![0],
    }
}

/// No token is ever below the base of its history.
#[test]
fn tokens_end_at_the_greatest_number() {
    let base = u64::MAX - 5;
    assert_eq!(part(40).token(0, Revision(7), base), Token(u64::MAX));
    assert_eq!(part(0).token(0, Revision(7), base), Token(u64::MAX));
    let everyone = PlanPart {
        holders: Vec::new(),
        granted: Vec::new(),
        targets: Vec::new(),
        ..part(0)
    };
    for part in [part(40), everyone] {
        let mut duty = Duty::new(vec![1], Rules::default());
        duty.begin(NodeId::new(3).unwrap(), SessionId(1), base);
        let changes = duty.learn(
            Revision(9),
            [(PartId { role: 0, part: 0 }, Revision(9), Arc::new(part))],
        );
        let shards = vec![(0, Token(u64::MAX))];
        let epoch = u64::MAX;
        assert_eq!(changes, [Change::Gain { role: 0, epoch, shards }]);
    }
}

/// 2⁴⁴ milliseconds are in the year 2527: a clock that says so is wrong, but a later one has no lower tokens.
#[test]
fn a_clock_far_ahead_makes_no_lower_tokens() {
    let base = |ms| Meta::create(HistoryId(1), StoreTime(ms), 0, "sqlite").base;
    let meta = Meta::create(HistoryId(1), StoreTime(0), 0, "sqlite");
    for (earlier, later) in [((1 << 44) - 1, 1 << 44), (1 << 44, u64::MAX)] {
        assert!(base(earlier) <= base(later), "{earlier} and {later}");
        assert!(meta.base_after(StoreTime(earlier)) <= meta.base_after(StoreTime(later)));
    }
}

#[test]
fn sessions_of_the_last_moment_are_registered_and_counted() {
    let id = NodeId::new(3).unwrap();
    let mut view = View::default();
    let session = Session {
        hostname: "mail-1".to_owned(),
        instance: InstanceId(9),
        session: SessionId(1),
        applied: Revision(1),
        began: StoreTime(u64::MAX),
        away: u64::MAX,
        ended: Some(StoreTime(u64::MAX)),
    };
    let entry = |value| Entry {
        revision: Revision(1),
        written: StoreTime(u64::MAX),
        value,
    };
    view.put(
        &format!("nodes/{id}"),
        entry(Value::Node(Arc::new(NodeInfo::default()))),
        Instant(1),
    );
    view.put(&format!("sessions/{id}"), entry(Value::Session(session)), Instant(1));
    for backend in [0, 1 << 62, u64::MAX] {
        let mut clock = BackendClock::default();
        clock.learn(Instant(1), Instant(2), StoreTime(backend), 1_000, 1_000);
        assert_eq!(view.registry(&clock, &Timing::default(), Instant(2)).0.len(), 1);
        assert_eq!(members(&view, 0, &Timing::default(), &clock, Instant(2)).0.len(), 1);
    }
}

#[test]
fn a_clock_may_step_from_one_end_of_time_to_the_other() {
    let mut clock = BackendClock::default();
    for (local, backend) in [(1, u64::MAX), (u64::MAX - 1, 0), (u64::MAX, u64::MAX), (3, 0)] {
        clock.learn(Instant(local), Instant(local), StoreTime(backend), u64::MAX, 1_000);
        for moment in [0, u64::MAX] {
            let _ = (clock.estimate(Instant(moment)), clock.local(StoreTime(moment)));
        }
    }
}
