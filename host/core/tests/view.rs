//! The mirrored store: what is taken in, what a full listing forgets, and the registry that follows.

use shardwright_core::clock::BackendClock;
use shardwright_core::engine::{Ending, Status};
use shardwright_core::handoff::SessionState;
use shardwright_core::id::{HistoryId, InstanceId, NodeId, SessionId};
use shardwright_core::plan::PlanPart;
use shardwright_core::store::{Entry, Listing, Revision, StoreTime};
use shardwright_core::time::{Instant, Timing};
use shardwright_core::values::{IdOwner, Leader, Meta, NodeInfo, Policies, Session, SharedSettings, Value};
use shardwright_core::view::View;
use std::sync::Arc;

fn id(n: u32) -> NodeId {
    NodeId::new(n).unwrap()
}

/// Its session is its revision.
fn session(n: u32, revision: u64, ended: Option<u64>) -> (String, Entry<Value>) {
    let value = Session {
        hostname: format!("host-{n}"),
        instance: InstanceId(u128::from(n)),
        session: SessionId(u128::from(revision)),
        applied: Revision(revision),
        began: StoreTime(0),
        away: 0,
        ended: ended.map(StoreTime),
    };
    entry(&format!("sessions/{n}"), revision, Value::Session(value))
}

fn leader(node: Option<u32>, session: u64, revision: u64) -> (String, Entry<Value>) {
    let value = Leader {
        node: node.map(id),
        session: SessionId(u128::from(session)),
        settings: 0,
    };
    entry("leader", revision, Value::Leader(value))
}

fn plan(epoch: u64, revision: u64) -> (String, Entry<Value>) {
    let value = PlanPart {
        shape: 0,
        epoch,
        inputs: 0,
        width: 1,
        rows: Vec::new(),
        sessions: Vec::new(),
        holders: Vec::new(),
        granted: Vec::new(),
        targets: Vec::new(),
    };
    entry("plan/r/0", revision, Value::Plan(Arc::new(value)))
}

fn info(n: u32, capacity: u32, revision: u64) -> (String, Entry<Value>) {
    let value = NodeInfo {
        capacity,
        ..NodeInfo::default()
    };
    entry(&format!("nodes/{n}"), revision, Value::Node(Arc::new(value)))
}

fn owner(n: u32, hostname: &str, revision: u64) -> (String, Entry<Value>) {
    let value = IdOwner {
        hostname: hostname.to_owned(),
    };
    entry(&format!("ids/{n}"), revision, Value::Id(value))
}

fn entry(key: &str, revision: u64, value: Value) -> (String, Entry<Value>) {
    let entry = Entry {
        revision: Revision(revision),
        written: StoreTime(1_000_000 + revision),
        value,
    };
    (key.to_owned(), entry)
}

fn listing(revision: u64, entries: Vec<(String, Entry<Value>)>) -> Listing<Value> {
    Listing {
        entries,
        revision: Revision(revision),
        now: StoreTime(2_000_000),
        unsure_before: StoreTime(0),
    }
}

/// A view of these entries, listed in full at `now`.
fn view(now: u64, revision: u64, entries: Vec<(String, Entry<Value>)>) -> View {
    let mut view = View::default();
    view.apply(listing(revision, entries), true, Instant(now), Instant(now));
    view
}

#[test]
fn an_entry_is_taken_in_unless_a_newer_one_is_known() {
    let all = vec![
        session(1, 5, None),
        leader(Some(1), 5, 5),
        plan(5, 5),
        owner(1, "five", 5),
        info(1, 5, 5),
    ];
    let mut seen = view(10, 5, all);
    let told = |view: &View| {
        let plan = &view.plans[&("r".to_owned(), 0)];
        let leader = view.leader.as_ref().map(|l| l.value.session.0);
        (
            view.sessions[&id(1)].entry.value.session.0,
            leader,
            plan.0.0,
            plan.1.epoch,
            view.ids[&id(1)].value.hostname.clone(),
        )
    };
    let five = (5, Some(5), 5, 5, "five".to_owned());
    assert_eq!(told(&seen), five);
    for old in [4, 5] {
        for (key, entry) in [
            session(1, old, Some(1)),
            leader(None, 9, old),
            plan(9, old),
            owner(1, "old", old),
        ] {
            seen.put(&key, entry, Instant(20));
        }
        assert_eq!(told(&seen), five, "at {old}");
    }
    assert!(seen.is_live(id(1)));
    for (key, entry) in [
        session(1, 6, None),
        leader(Some(1), 6, 6),
        plan(6, 6),
        owner(1, "six", 6),
        info(1, 6, 6),
    ] {
        seen.put(&key, entry, Instant(20));
    }
    assert_eq!(told(&seen), (6, Some(6), 6, 6, "six".to_owned()));
    assert_eq!(seen.info(id(1)).capacity, 6);
    assert_eq!(seen.sessions[&id(1)].since, Instant(20));
}

#[test]
fn what_is_said_of_policies_is_of_the_newest_revision() {
    let policies = |n: u64, revision| {
        let value = Policies {
            session: SessionId(u128::from(n)),
            failing: Vec::new(),
        };
        entry("policies", revision, Value::Policies(value))
    };
    let mut seen = view(10, 5, vec![policies(1, 5)]);
    let said = |view: &View| view.policies.as_ref().map(|policies| policies.value.session.0);
    for (n, revision, expected) in [(2, 4, 1), (3, 5, 1), (4, 6, 4)] {
        let (key, entry) = policies(n, revision);
        seen.put(&key, entry, Instant(20));
        assert_eq!(said(&seen), Some(expected), "at {revision}");
    }
}

#[test]
fn settings_are_known_by_their_own_fingerprint_only() {
    let shared = |text: &str| Arc::new(SharedSettings { text: text.to_owned() });
    let fingerprint = shared("a = 1").fingerprint();
    let key = format!("settings/{fingerprint:032x}");
    let stored = |text| view(10, 5, vec![entry(&key, 5, Value::Settings(shared(text)))]).settings(fingerprint);
    assert_eq!(stored("a = 1"), Some(shared("a = 1")));
    assert_eq!(stored("a = 2"), None, "damaged, or not of this version");
}

/// Live nodes 1, 2, … with these settings, under a leader that acts under `acting`.
fn prevailing(settings: &[u128], acting: u128) -> Option<u128> {
    let mut entries = vec![leader(None, 0, 1)];
    if let Value::Leader(leader) = &mut entries[0].1.value {
        leader.settings = acting;
    }
    for (n, settings) in (1u32..).zip(settings) {
        let (key, mut said) = info(n, 100, 1);
        if let Value::Node(node) = &mut said.value {
            let node = Arc::make_mut(node);
            (node.settings, node.session) = (*settings, SessionId(5));
        }
        entries.extend([session(n, 5, None), (key, said)]);
    }
    view(10, 5, entries).prevailing()
}

#[test]
fn settings_prevail_by_number_then_by_what_the_cluster_does_then_by_the_lowest_id() {
    assert_eq!(prevailing(&[], 7), None);
    assert_eq!(prevailing(&[8, 7, 7], 8), Some(7));
    assert_eq!(prevailing(&[8, 7], 7), Some(7));
    assert_eq!(prevailing(&[8, 7], 9), Some(8));
}

#[test]
fn what_a_node_said_before_its_present_session_does_not_count() {
    let said = |told: u64, ended| {
        let (key, mut said) = info(1, 100, 1);
        if let Value::Node(node) = &mut said.value {
            let node = Arc::make_mut(node);
            (node.settings, node.session) = (7, SessionId(u128::from(told)));
        }
        view(10, 5, vec![session(1, 5, ended), (key, said)]).settings_of(id(1))
    };
    assert_eq!([said(5, None), said(4, None), said(5, Some(1))], [Some(7), None, None]);
}

#[test]
fn a_first_plan_is_known_by_its_own_revision() {
    assert_eq!(view(10, 7, vec![plan(1, 7)]).plans[&("r".to_owned(), 0)].0, Revision(7));
}

#[test]
fn what_no_key_or_type_fits_is_left() {
    let mut seen = View::default();
    for (key, entry) in [
        entry(
            "sessions/none",
            5,
            Value::Id(IdOwner {
                hostname: "a".to_owned(),
            }),
        ),
        session(1, 5, None),
    ] {
        let key = if key == "sessions/1" { "ids/1".to_owned() } else { key };
        seen.put(&key, entry, Instant(0));
    }
    assert_eq!(seen, View::default());
}

#[test]
fn meta_is_what_was_read_last() {
    let meta = |history, revision| {
        let value = Meta {
            history: HistoryId(history),
            base: 0,
            coordinator: "memory".to_owned(),
        };
        entry("meta", revision, Value::Meta(value))
    };
    let mut seen = view(10, 5, vec![meta(1, 5)]);
    let (key, entry) = meta(2, 1);
    seen.put(&key, entry, Instant(20));
    assert_eq!(
        seen.meta.map(|meta| meta.value.history),
        Some(HistoryId(2)),
        "a new store counts from 1"
    );
}

#[test]
fn a_listing_of_changes_adds_and_a_full_one_also_forgets() {
    let mut seen = view(10, 6, vec![session(1, 5, None), session(2, 6, None)]);
    assert!(seen.complete);
    seen.apply(listing(8, vec![session(2, 8, None)]), false, Instant(20), Instant(20));
    assert_eq!(
        (seen.revision, seen.live().collect::<Vec<_>>()),
        (Revision(8), vec![id(1), id(2)])
    );
    assert_eq!(
        (seen.sessions[&id(1)].since, seen.sessions[&id(2)].since),
        (Instant(10), Instant(20))
    );
    seen.apply(listing(7, Vec::new()), false, Instant(30), Instant(30));
    assert_eq!(seen.revision, Revision(8), "it never goes back");
    seen.apply(listing(9, vec![session(2, 8, None)]), true, Instant(40), Instant(40));
    assert_eq!(
        (seen.revision, seen.live().collect::<Vec<_>>()),
        (Revision(9), vec![id(2)])
    );
    assert_eq!(seen.sessions[&id(2)].since, Instant(20), "seen before");
    seen.apply(listing(9, vec![session(2, 9, None)]), true, Instant(50), Instant(50));
    assert_eq!(seen.sessions[&id(2)].since, Instant(50), "renewed");
    let mut partial = View::default();
    partial.apply(listing(1, Vec::new()), false, Instant(0), Instant(0));
    assert!(!partial.complete);
}

#[test]
fn a_session_that_has_ended_is_evidence_but_not_alive() {
    let seen = view(10, 6, vec![session(1, 5, None), session(2, 6, Some(1))]);
    let state = |n: u64, ended| SessionState {
        session: SessionId(u128::from(n)),
        applied: Revision(n),
        ended,
    };
    assert_eq!(
        seen.evidence().into_iter().collect::<Vec<_>>(),
        [(id(1), state(5, false)), (id(2), state(6, true))]
    );
    assert_eq!([1, 2, 3].map(|n| seen.is_live(id(n))), [true, false, false]);
    assert_eq!(seen.live().collect::<Vec<_>>(), [id(1)]);
}

#[test]
fn a_leader_is_one_whose_own_session_goes_on() {
    let with = |leader| view(10, 9, vec![session(1, 5, None), session(2, 6, Some(1)), leader]).leader();
    assert_eq!(with(leader(Some(1), 5, 9)), Some(id(1)));
    assert_eq!(with(leader(Some(1), 4, 9)), None, "a former session");
    assert_eq!(with(leader(Some(2), 6, 9)), None, "ended");
    assert_eq!(with(leader(Some(3), 5, 9)), None, "unknown");
    assert_eq!(with(leader(None, 5, 9)), None, "resigned");
    assert_eq!(view(10, 9, vec![session(1, 5, None)]).leader(), None);
}

/// Both clocks run side by side: backend = local + 1 000 000.
fn clock() -> BackendClock {
    let mut clock = BackendClock::default();
    clock.learn(Instant(0), Instant(0), StoreTime(1_000_000), 0, 0);
    clock
}

#[test]
fn a_status_changes_when_its_time_has_come_and_not_before() {
    let timing = Timing {
        stale_after: 300,
        inactive_after: 600,
        ..Timing::default()
    };
    let seen = view(0, 100, vec![session(1, 100, None)]);
    let at = |now| {
        let (records, next) = seen.registry(&clock(), &timing, Instant(now));
        (records[0].status, next)
    };
    // It was renewed at 100.
    assert_eq!(at(399), (Status::Active, Some(Instant(401))));
    assert_eq!(at(400), (Status::Stale, Some(Instant(701))));
    assert_eq!(at(699), (Status::Stale, Some(Instant(701))));
    assert_eq!(at(700), (Status::Inactive, None));
}

#[test]
fn the_registry_says_who_each_node_is_and_when_to_look_again() {
    let timing = Timing {
        stale_after: 300,
        inactive_after: 600,
        ..Timing::default()
    };
    let entries = vec![
        session(1, 200, None),
        session(2, 100, None),
        session(3, 250, Some(1_000_050)),
        leader(Some(1), 200, 260),
        info(2, 7, 261),
    ];
    let (records, next) = view(0, 261, entries).registry(&clock(), &timing, Instant(260));
    let told: Vec<_> = records
        .iter()
        .map(|r| (r.node_id.get(), r.status, r.ended, r.leader, r.last_renewal.0))
        .collect();
    assert_eq!(
        told,
        [
            (1, Status::Active, None, true, 1_000_200),
            (2, Status::Active, None, false, 1_000_100),
            (3, Status::Stale, Some(Ending::Left), false, 1_000_050),
        ],
        "an ended session is as old as its last renewal"
    );
    assert_eq!((records[0].hostname.as_str(), records[1].info.capacity), ("host-1", 7));
    assert_eq!(
        (records[1].session, records[1].instance),
        (SessionId(100), InstanceId(2))
    );
    assert_eq!(next, Some(Instant(401)), "the first to change is the second");
}
