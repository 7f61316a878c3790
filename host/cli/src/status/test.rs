//! Each reason why nobody acts, and each state of a handoff, on a store that is made up.

use super::why::{Moving, Reason, Unowned, moving, unowned};
use crate::cluster::ClusterSnapshot;
use crate::shards;
use shardwright_core::id::{HistoryId, InstanceId, NodeId, SessionId};
use shardwright_core::plan::{PlanPart, RELEASE};
use shardwright_core::role::{Member, Mode, Placement, Replicas, RoleSpec};
use shardwright_core::store::{Entry, Listing, Revision, StoreTime};
use shardwright_core::time::Timing;
use shardwright_core::values::{Key, Leader, Meta, NodeInfo, Session, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

const NOW: u64 = 1_000_000;

/// A cluster of two nodes, and one role of two shards that node 2 holds.
struct Stage {
    role: RoleSpec,
    plan: PlanPart,
    /// How long ago the plan was written.
    planned: u64,
    /// How long ago the store was made, and each session renewed.
    founded: u64,
    renewed: [u64; 2],
    infos: [NodeInfo; 2],
    leader: bool,
    ended: bool,
}

impl Default for Stage {
    fn default() -> Self {
        let role = RoleSpec {
            name: "r".to_owned(),
            shards: 2,
            replicas: Replicas::Count(1),
            mode: Mode::Primary,
            policy: "balanced".to_owned(),
            config: "{}".to_owned(),
            placement: Placement::Anywhere,
        };
        let info = NodeInfo {
            capacity: 100,
            settings: 7,
            ..NodeInfo::default()
        };
        Self {
            plan: PlanPart {
                epoch: 1,
                rows: vec![2, 2],
                sessions: vec![(id(2), SessionId(2))],
                holders: vec![1, 1],
                ..PlanPart::empty(&role, 0)
            },
            role,
            planned: 0,
            founded: NOW,
            renewed: [0, 0],
            infos: [info.clone(), info],
            leader: true,
            ended: false,
        }
    }
}

fn id(n: u32) -> NodeId {
    NodeId::new(n).expect("not 0")
}

impl Stage {
    fn sight(&self) -> ClusterSnapshot {
        let at = |ago: u64| StoreTime(NOW - ago);
        let mut entries = Vec::new();
        let mut put = |key: Key, value, written| {
            let entry = Entry {
                value,
                revision: Revision(1),
                written,
            };
            entries.push((key.to_string(), entry));
        };
        put(
            Key::Meta,
            Value::Meta(Meta::create(HistoryId(1), at(self.founded), 0, "test")),
            at(self.founded),
        );
        for (n, info) in (1..).zip(&self.infos) {
            let renewed = at(self.renewed[n as usize - 1]);
            let session = Session {
                hostname: format!("mail-{n}"),
                instance: InstanceId(n.into()),
                session: SessionId(n.into()),
                applied: Revision(1),
                began: StoreTime(0),
                away: 0,
                ended: Some(renewed).filter(|_| self.ended && n == 2),
            };
            put(Key::Session(id(n)), Value::Session(session), renewed);
            let info = NodeInfo {
                session: SessionId(n.into()),
                ..info.clone()
            };
            put(Key::Node(id(n)), Value::Node(Arc::new(info)), at(NOW));
        }
        let leader = Leader {
            node: Some(id(1)).filter(|_| self.leader),
            session: SessionId(1),
            settings: 0,
        };
        put(Key::Leader, Value::Leader(leader), at(5));
        let plan = Key::Plan {
            role: "r".to_owned(),
            part: 0,
        };
        put(plan, Value::Plan(Arc::new(self.plan.clone())), at(self.planned));
        let listing = Listing {
            entries,
            revision: Revision(1),
            now: StoreTime(NOW),
            unsure_before: StoreTime(0),
        };
        let planned = BTreeMap::from([(("r".to_owned(), 0), at(self.planned))]);
        ClusterSnapshot::of(listing, planned, Timing::default())
    }

    fn unowned(&self, failing: Option<&str>) -> Vec<Unowned> {
        let sight = self.sight();
        let role = shards::views(std::slice::from_ref(&self.role), &sight).remove(0);
        unowned(&role, &role.every_shard(), &sight, failing)
    }

    fn moving(&self) -> Vec<Moving> {
        let sight = self.sight();
        let role = shards::views(std::slice::from_ref(&self.role), &sight).remove(0);
        moving(&role, &role.every_shard(), &sight)
    }

    /// The only reason, for both shards.
    fn why(&self, failing: Option<&str>) -> (Reason, String, Option<u64>) {
        let mut found = self.unowned(failing);
        assert_eq!(found.len(), 1, "one reason");
        let Unowned {
            shards,
            count,
            reason,
            text,
            left_ms,
            ..
        } = found.remove(0);
        assert_eq!((shards.as_str(), count), ("0-1", 2));
        (reason, text, left_ms)
    }

    /// With nobody as the holder.
    fn vacant() -> Self {
        let mut stage = Self::default();
        stage.plan.holders = vec![0, 0];
        stage
    }
}

#[test]
fn whoever_acts_needs_no_reason() {
    assert!(Stage::default().unowned(Some("it fails")).is_empty());
    let mut everywhere = Stage::default();
    everywhere.role.mode = Mode::All;
    everywhere.plan = PlanPart {
        epoch: 1,
        width: 2,
        rows: vec![1, 2, 1, 2],
        ..PlanPart::empty(&everywhere.role, 0)
    };
    everywhere.renewed[0] = 20_000;
    assert!(everywhere.unowned(None).is_empty(), "the other one acts");
    everywhere.renewed[1] = 14_900;
    assert_eq!(everywhere.why(None).0, Reason::OwnerSilent);
}

#[test]
fn an_owner_that_must_have_stopped_is_awaited_until_others_may_end_its_session() {
    let mut stage = Stage::default();
    stage.renewed[1] = 14_000;
    assert!(stage.unowned(None).is_empty(), "it may act for half a second yet");
    stage.renewed[1] = 14_600;
    let text =
        "its owner 2 (mail-2) has not renewed its session for 14.6 s, and has stopped: others may take over in 900 ms";
    assert_eq!(stage.why(None), (Reason::OwnerSilent, text.to_owned(), Some(900)));
    stage.ended = true;
    let text = "the session of its owner 2 (mail-2) is over: the leader grants it in a moment";
    assert_eq!(stage.why(None), (Reason::Pending, text.to_owned(), None));
}

#[test]
fn an_owner_that_stopped_for_a_store_that_lost_something_is_awaited_until_the_grace_is_over() {
    let mut stage = Stage {
        founded: 5_500,
        ..Stage::default()
    };
    stage.renewed[1] = 30_000;
    let text = "its owner 2 (mail-2) has stopped, and nothing is granted for another 10 s";
    assert_eq!(stage.why(None), (Reason::Grace, text.to_owned(), Some(10_000)));
    stage.founded = NOW;
    let text = "its owner 2 (mail-2) has not renewed its session for 30 s, and has stopped: others may take over now";
    assert_eq!(stage.why(None), (Reason::OwnerSilent, text.to_owned(), Some(0)));
}

#[test]
fn a_node_is_late_when_two_renewals_are_missing() {
    let mut stage = Stage::default();
    for (renewed, late) in [(10_900, None), (11_000, Some(11_000))] {
        stage.renewed[1] = renewed;
        assert_eq!((stage.sight().late(id(2)), stage.sight().late(id(1))), (late, None));
    }
    stage.ended = true;
    assert_eq!(stage.sight().late(id(2)), None, "it is gone");
}

#[test]
fn an_owner_with_other_settings_refuses_to_act() {
    let mut stage = Stage::default();
    stage.infos[1].settings = 8;
    assert_eq!(stage.why(None).0, Reason::OwnerDiffers);
}

#[test]
fn without_an_owner_the_first_thing_that_is_missing_is_named() {
    assert_eq!(Stage::vacant().why(None).0, Reason::Pending);
    let leaderless = Stage {
        leader: false,
        ..Stage::vacant()
    };
    assert_eq!(leaderless.why(None).0, Reason::NoLeader);
    let young = Stage {
        founded: 5_500,
        ..Stage::vacant()
    };
    assert_eq!(
        young.why(None),
        (
            Reason::Grace,
            "nothing is granted for another 10 s".to_owned(),
            Some(10_000)
        )
    );

    let mut unplanned = Stage::vacant();
    unplanned.plan = PlanPart::empty(&unplanned.role, 0);
    assert_eq!(unplanned.why(None).0, Reason::Pending);
    let (reason, text, _) = unplanned.why(Some("it trapped"));
    assert_eq!(
        (reason, text.as_str()),
        (
            Reason::PolicyFails,
            "there is no plan yet, and the policy fails: it trapped"
        )
    );

    let mut nobody = Stage::vacant();
    nobody.plan.rows = vec![0, 0];
    nobody.role.placement = Placement::Nodes(vec![Member::Node(2)]);
    assert_eq!(nobody.why(None).0, Reason::Pending);
    for (order, why) in [
        ("drain", "2 (mail-2) is draining"),
        ("cordon", "2 (mail-2) is cordoned"),
        ("capacity", "2 (mail-2) has capacity 0"),
    ] {
        let info = &mut nobody.infos[1];
        (info.drain, info.cordon) = (order == "drain", order == "cordon");
        info.capacity = if order == "capacity" { 0 } else { 100 };
        let text = format!("no node may take it: it is for node 2 only, and {why}");
        assert_eq!(nobody.why(None), (Reason::NoEligibleNode, text, None));
    }
}

#[test]
fn a_handoff_is_awaited_from_somebody_until_its_work_must_have_stopped() {
    let mut stage = Stage::default();
    assert!(stage.moving().is_empty());
    stage.plan.targets = vec![1, RELEASE];
    stage.planned = 500;
    let found = stage.moving();
    let seen: Vec<_> = found
        .iter()
        .map(|m| (m.shards.as_str(), m.from, m.to, m.left_ms))
        .collect();
    // A renewal, the stop time-out and the margin.
    assert_eq!(seen, [("1", 2, None, 15_000), ("0", 2, Some(1), 15_000)]);
    assert_eq!(
        found[1].text,
        "going from 2 (mail-2) to 1 (mail-1): the work there has 15 s to stop"
    );
    assert!(stage.unowned(None).is_empty());
    stage.planned = 15_500;
    let found = stage.moving();
    assert!(found.iter().all(|moving| moving.left_ms == 0), "overdue");
    assert!(
        found[0]
            .text
            .ends_with("to nobody yet: the work there should have stopped by now, and has not told so"),
        "{}",
        found[0].text
    );
}
