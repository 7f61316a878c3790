//! What a policy is asked about: who counts, who may own what, how it is now, and what is new.

use shardwright_core::clock::BackendClock;
use shardwright_core::id::{HistoryId, InstanceId, NodeId, SessionId};
use shardwright_core::inputs::{candidates, digest, members, snapshot};
use shardwright_core::plan::{PlanPart, RELEASE};
use shardwright_core::role::{Member, Mode, Placement, Replicas, RoleSpec};
use shardwright_core::snapshot::{Snapshot, SnapshotNode, SnapshotStatus, Trigger};
use shardwright_core::store::{Entry, Revision, StoreTime};
use shardwright_core::time::{Instant, Timing};
use shardwright_core::values::{Meta, NodeInfo, Session};
use shardwright_core::view::{SeenSession, View};
use std::sync::Arc;

const SETTINGS: u128 = 7;
const POLICY: u64 = 3;
/// What the backend's clock says at local instant 0.
const EPOCH: u64 = 1_000_000;

fn id(n: u32) -> NodeId {
    NodeId::new(n).unwrap()
}

fn role(placement: Placement) -> RoleSpec {
    RoleSpec {
        name: "mail".to_owned(),
        shards: 2,
        replicas: Replicas::Count(1),
        mode: Mode::Primary,
        policy: "native".to_owned(),
        config: "{}".to_owned(),
        placement,
    }
}

fn node(id: u32, status: SnapshotStatus, zone: &str) -> SnapshotNode {
    SnapshotNode {
        id,
        hostname: format!("host-{id}"),
        status,
        zone: zone.to_owned(),
        labels: Vec::new(),
        capacity: 100,
        joined: 0,
        assigned: 0,
    }
}

fn entry<T>(value: T) -> Entry<T> {
    Entry {
        revision: Revision(1),
        written: StoreTime(EPOCH),
        value,
    }
}

/// Adds a node that said this of itself in a session which ended then.
fn add(view: &mut View, n: u32, ended: Option<u64>, info: NodeInfo) {
    let session = Session {
        hostname: format!("host-{n}"),
        instance: InstanceId(u128::from(n)),
        session: SessionId(u128::from(n)),
        applied: Revision(0),
        began: StoreTime(EPOCH),
        away: 0,
        ended: ended.map(StoreTime),
    };
    let since = Instant(0);
    view.sessions.insert(
        id(n),
        SeenSession {
            entry: entry(session),
            since,
            after: since,
        },
    );
    view.nodes.insert(id(n), Arc::new(info));
}

fn said() -> NodeInfo {
    NodeInfo {
        settings: SETTINGS,
        capacity: 100,
        ..NodeInfo::default()
    }
}

/// Who counts at `now`, and when that changes by itself.
fn counted(view: &View, now: u64) -> (Vec<(u32, SnapshotStatus)>, Option<Instant>) {
    let mut clock = BackendClock::default();
    clock.learn(Instant(0), Instant(0), StoreTime(EPOCH), 0, 0);
    let timing = Timing {
        rejoin_delay: 500,
        ..Timing::default()
    };
    let (members, next) = members(view, SETTINGS, &timing, &clock, Instant(now));
    (members.into_iter().map(|node| (node.id, node.status)).collect(), next)
}

#[test]
fn whoever_lives_counts_by_its_orders_and_its_settings() {
    let mut view = View::default();
    add(&mut view, 1, None, said());
    add(&mut view, 2, None, NodeInfo { cordon: true, ..said() });
    let both = NodeInfo {
        drain: true,
        cordon: true,
        ..said()
    };
    add(&mut view, 3, None, both);
    add(&mut view, 4, None, NodeInfo { settings: 8, ..said() });
    let expected = [
        (1, SnapshotStatus::Active),
        (2, SnapshotStatus::Cordoned),
        (3, SnapshotStatus::Draining),
    ];
    assert_eq!(counted(&view, 100), (expected.to_vec(), None));
}

#[test]
fn whoever_is_away_counts_until_the_rejoin_delay_is_over() {
    let mut view = View::default();
    add(&mut view, 1, Some(EPOCH + 200), said());
    add(&mut view, 2, Some(EPOCH + 100), said());
    add(&mut view, 3, Some(EPOCH + 300), said());
    let away = |ids: &[u32]| -> Vec<_> { ids.iter().map(|&id| (id, SnapshotStatus::Away)).collect() };
    assert_eq!(
        counted(&view, 599),
        (away(&[1, 2, 3]), Some(Instant(600))),
        "the second goes first"
    );
    assert_eq!(counted(&view, 600), (away(&[1, 3]), Some(Instant(700))));
    assert_eq!(counted(&view, 800), (Vec::new(), None));
}

#[test]
fn whoever_was_drained_and_has_gone_does_not_count() {
    let mut view = View::default();
    add(&mut view, 1, Some(EPOCH), NodeInfo { drain: true, ..said() });
    assert_eq!(counted(&view, 1), (Vec::new(), None));
}

#[test]
fn a_digest_is_stored_and_so_the_same_in_every_version() {
    let nodes = [
        node(1, SnapshotStatus::Active, "a"),
        node(2, SnapshotStatus::Cordoned, "b"),
    ];
    let digests = [0, 1, 2].map(|n| digest(&role(Placement::Anywhere), POLICY, &nodes[..n]));
    assert_eq!(
        digests.map(|digest| format!("{digest:016x}")),
        ["85f014b438d394c3", "85f014b4a976b71f", "85f014b477ad6563"]
    );
}

#[test]
fn each_half_of_a_digest_tells_what_has_changed() {
    let of = |policy, status, zone| digest(&role(Placement::Anywhere), policy, &[node(1, status, zone)]);
    let first = of(1, SnapshotStatus::Active, "a");
    let (upper, lower) = (|d: u64| d >> 32, |d: u64| d & 0xffff_ffff);
    for changed in [of(1, SnapshotStatus::Draining, "a"), of(1, SnapshotStatus::Active, "b")] {
        assert_eq!(upper(changed), upper(first));
        assert_ne!(lower(changed), lower(first));
    }
    let changed = of(2, SnapshotStatus::Active, "a");
    assert_eq!(lower(changed), lower(first));
    assert_ne!(upper(changed), upper(first));
    assert_eq!(
        of(1, SnapshotStatus::Away, "a"),
        first,
        "a crash alone is no reason to ask"
    );
}

#[test]
fn candidates_are_those_that_a_group_names_in_its_order_each_once() {
    let label = |key: &str, value: &str| Member::Label {
        key: key.to_owned(),
        value: value.to_owned(),
    };
    let mut nodes = [1, 2, 3].map(|id| node(id, SnapshotStatus::Active, if id < 3 { "a" } else { "b" }));
    nodes[1].labels = vec![("disk".to_owned(), "fast".to_owned())];
    let of = |placement| candidates(&role(placement), &nodes);
    assert_eq!(of(Placement::Anywhere), (vec![], vec![]), "everybody");
    let group = vec![
        Member::Node(3),
        label("disk", "fast"),
        label("zone", "a"),
        Member::Node(9),
    ];
    assert_eq!(of(Placement::Nodes(group.clone())), (vec![3, 2, 1], vec![3]));
    assert_eq!(
        of(Placement::Groups(vec![vec![Member::Node(2)], group])),
        (vec![2, 3, 2, 1], vec![1, 4]),
        "a node may be in several groups"
    );
}

#[test]
fn a_label_called_zone_counts_before_the_zone() {
    let mut nodes = [1, 2].map(|id| node(id, SnapshotStatus::Active, "a"));
    nodes[0].labels = vec![("zone".to_owned(), "b".to_owned())];
    let of = |zone: &str| {
        let label = Member::Label {
            key: "zone".to_owned(),
            value: zone.to_owned(),
        };
        candidates(&role(Placement::Nodes(vec![label])), &nodes).0
    };
    assert_eq!([of("a"), of("b")], [[2], [1]]);
}

/// A part of a role with one row for each shard, of which the first node acts, where it is not 0.
fn part(role: &RoleSpec, inputs: u64, width: u32, rows: &[u32], targets: &[u32]) -> PlanPart {
    let firsts: Vec<u32> = rows.iter().step_by(width as usize).copied().collect();
    PlanPart {
        epoch: 1,
        inputs,
        width,
        rows: rows.to_vec(),
        sessions: (1..=9).map(|n| (id(n), SessionId(u128::from(n)))).collect(),
        granted: vec![0; firsts.len()],
        holders: firsts,
        targets: targets.to_vec(),
        ..PlanPart::empty(role, 0)
    }
}

fn asked(role: &RoleSpec, view: &View, members: &[SnapshotNode], parts: &[&PlanPart]) -> Snapshot {
    snapshot(role, POLICY, view, members.to_vec(), parts, StoreTime(EPOCH))
}

fn three() -> [SnapshotNode; 3] {
    [1, 2, 3].map(|id| node(id, SnapshotStatus::Active, "a"))
}

#[test]
fn a_row_is_as_wide_as_asked_for_or_as_the_most_candidates() {
    let width = |replicas, placement, nodes: &[SnapshotNode]| {
        let role = RoleSpec {
            replicas,
            ..role(placement)
        };
        asked(&role, &View::default(), nodes, &[]).role.replicas
    };
    assert_eq!(width(Replicas::Count(2), Placement::Anywhere, &three()), 2);
    assert_eq!(width(Replicas::Count(0), Placement::Anywhere, &three()), 1);
    assert_eq!(width(Replicas::Every, Placement::Anywhere, &three()), 3);
    assert_eq!(width(Replicas::Every, Placement::Anywhere, &[]), 1);
    let groups = [vec![1, 2], vec![3, 1, 2], vec![1]].map(|ids| ids.into_iter().map(Member::Node).collect());
    assert_eq!(width(Replicas::Every, Placement::Groups(groups.to_vec()), &three()), 3);
    assert_eq!(
        width(Replicas::Every, Placement::Nodes(vec![Member::Node(9)]), &three()),
        1
    );
}

#[test]
fn a_policy_is_told_how_it_is_now() {
    let role = RoleSpec {
        shards: 4,
        replicas: Replicas::Count(2),
        ..role(Placement::Anywhere)
    };
    let first = part(&role, 1, 1, &[1, 0], &[2, 0]);
    let second = part(&role, 1, 3, &[3, 1, 2, 2, 0, 0], &[RELEASE, 0]);
    let snapshot = asked(&role, &View::default(), &three(), &[&first, &second]);
    assert_eq!(snapshot.epoch, 1);
    assert_eq!(
        snapshot.role.previous,
        [1, 0, 0, 0, 3, 1, 2, 0],
        "in rows of today's width"
    );
    assert_eq!(snapshot.role.holders, [1, 0, 3, 2]);
    assert_eq!(
        snapshot.role.targets,
        [2, 0, 0, 0],
        "what is only released moves nowhere"
    );
    let empty = PlanPart::empty(&role, 0);
    let snapshot = asked(&role, &View::default(), &three(), &[&empty]);
    assert_eq!(snapshot.epoch, 0);
    let told = [snapshot.role.previous, snapshot.role.holders, snapshot.role.targets];
    assert_eq!(told, [const { Vec::new() }; 3], "nothing before the first plan");
}

#[test]
fn a_policy_is_told_what_each_node_holds_of_other_roles() {
    let mine = role(Placement::Anywhere);
    let mut view = View::default();
    for (name, rows) in [("mail", [1, 1]), ("purge", [2, 3]), ("tasks", [2, 0])] {
        let part = part(&mine, 1, 1, &rows, &[0, 0]);
        view.plans.insert((name.to_owned(), 0), (Revision(1), Arc::new(part)));
    }
    let assigned = asked(&mine, &view, &three(), &[])
        .nodes
        .iter()
        .map(|node| node.assigned)
        .collect::<Vec<_>>();
    assert_eq!(assigned, [0, 2, 1]);
}

#[test]
fn a_seed_is_of_the_history() {
    let seed = |history: Option<u128>| {
        let meta = |history| Meta {
            history: HistoryId(history),
            base: 0,
            coordinator: String::new(),
        };
        let view = View {
            meta: history.map(|history| entry(meta(history))),
            ..View::default()
        };
        asked(&role(Placement::Anywhere), &view, &three(), &[]).seed
    };
    assert_eq!(seed(None), 0);
    assert_eq!(seed(Some((5 << 64) + 6)), 6);
    assert_eq!(seed(Some(u128::MAX)), u64::MAX);
}

#[test]
fn a_trigger_says_what_is_new() {
    let role = role(Placement::Anywhere);
    let trigger = |inputs: &[u64], rows: [u32; 2], nodes: &[SnapshotNode]| {
        let parts: Vec<PlanPart> = inputs
            .iter()
            .map(|&inputs| part(&role, inputs, 1, &rows, &[0, 0]))
            .collect();
        asked(&role, &View::default(), nodes, &parts.iter().collect::<Vec<_>>()).trigger
    };
    let nodes = three();
    let (two, planned) = (&nodes[..2], digest(&role, POLICY, &nodes));
    let other = digest(&role, POLICY + 1, &nodes);
    assert_eq!(trigger(&[], [0, 0], two), Trigger::Start);
    assert_eq!(trigger(&[0, 0], [1, 2], two), Trigger::Start);
    assert_eq!(
        trigger(&[planned, other], [1, 3], two),
        Trigger::Config,
        "in one part is enough"
    );
    assert_eq!(trigger(&[planned, 0], [1, 2], two), Trigger::Config);
    assert_eq!(trigger(&[planned], [1, 3], two), Trigger::Leave);
    assert_eq!(trigger(&[planned], [1, 1], two), Trigger::Join);
    assert_eq!(
        trigger(&[planned], [1, 0], &nodes[..1]),
        Trigger::Orders,
        "an empty place is nobody that left"
    );
    let mut cordoned = nodes.clone();
    cordoned[2].status = SnapshotStatus::Cordoned;
    assert_eq!(
        trigger(&[planned], [1, 2], &cordoned),
        Trigger::Orders,
        "who takes nothing does not join"
    );
}
