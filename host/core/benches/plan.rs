//! What a leader computes for 100,000 shards with three owners each: check of the plan, difference to the present one,
//! encoding.
//!
//! `cargo bench -p shardwright-core --bench plan`

use shardwright_core::check::check;
use shardwright_core::codec::encode;
use shardwright_core::handoff::{SessionState, Sessions, advance, carried};
use shardwright_core::id::{NodeId, SessionId};
use shardwright_core::native;
use shardwright_core::plan::{PART_SHARDS, PlanPart, parts};
use shardwright_core::role::{Mode, Placement, Replicas, RoleSpec};
use shardwright_core::rules::Rules;
use shardwright_core::snapshot::*;
use shardwright_core::store::Revision;
use shardwright_core::values::{Key, Value};
use std::sync::Arc;
use std::time::{Duration, Instant};

const NODES: u32 = 1_000;
const SHARDS: u32 = 100_000;
const WIDTH: u32 = 3;

fn snapshot() -> Snapshot {
    let node = |id| SnapshotNode {
        id,
        hostname: format!("node-{id}"),
        status: SnapshotStatus::Active,
        zone: String::new(),
        labels: Vec::new(),
        capacity: 100,
        joined: 0,
        assigned: 0,
    };
    let owners = (0..SHARDS).flat_map(|s| (0..WIDTH).map(move |r| (s + r * 7) % NODES + 1));
    Snapshot {
        epoch: 1,
        now: 0,
        seed: 1,
        trigger: Trigger::Leave,
        nodes: (1..=NODES).map(node).collect(),
        role: SnapshotRole {
            name: "r".to_owned(),
            shards: SHARDS,
            replicas: WIDTH,
            mode: Mode::Primary,
            candidates: Vec::new(),
            candidate_ends: Vec::new(),
            previous: owners.collect(),
            holders: Vec::new(),
            targets: Vec::new(),
            loads: Vec::new(),
        },
    }
}

fn main() {
    let snapshot = snapshot();
    let spec = RoleSpec {
        name: "r".to_owned(),
        shards: SHARDS,
        replicas: Replicas::Count(WIDTH),
        mode: Mode::Primary,
        policy: "balanced".to_owned(),
        config: "{}".to_owned(),
        placement: Placement::Anywhere,
    };
    let session = |n: u32| SessionId(u128::from(n) << 64 | 99);
    let id = |n: u32| NodeId::new(n).unwrap_or_else(|| unreachable!("ids begin at 1"));
    let live = |n: u32| {
        (
            id(n),
            SessionState {
                session: session(n),
                applied: Revision(5),
                ended: n == 500,
            },
        )
    };
    let sessions: Sessions = (1..=NODES).map(live).collect();
    // The present plan: everybody holds its own. The new one: node 500 left, its shards go to others.
    let current: Vec<PlanPart> = (0..parts(SHARDS))
        .map(|part| {
            let mut plan = PlanPart::empty(&spec, part);
            let first = (part * PART_SHARDS * WIDTH) as usize;
            let shards = plan.shards();
            plan.width = WIDTH;
            plan.rows = snapshot.role.previous[first..first + shards * WIDTH as usize].to_vec();
            plan.sessions = (1..=NODES).map(|n| (id(n), session(n))).collect();
            plan.holders = (0..shards).map(|at| plan.row(at)[0]).collect();
            plan
        })
        .collect();
    let mut gone = snapshot.clone();
    gone.nodes.retain(|n| n.id != 500);
    let plan = native::assign(&gone);

    let mut times: Vec<Duration> = Vec::new();
    let mut bytes = 0;
    let mut written = 0;
    for _ in 0..15 {
        let begin = Instant::now();
        check(&gone, &plan).unwrap_or_else(|e| unreachable!("{e}"));
        (bytes, written) = (0, 0);
        for (part, current) in (0u32..).zip(&current) {
            let first = (part * PART_SHARDS * WIDTH) as usize;
            let rows = plan.owners[first..first + current.rows.len()].to_vec();
            let base = PlanPart {
                epoch: 2,
                rows,
                ..carried(current, Revision(4))
            };
            let next = advance(
                Revision(4),
                &base,
                &sessions,
                |at| base.row(at)[0],
                &mut usize::MAX.clone(),
                Rules::default(),
            );
            if let Some(next) = next {
                let key = Key::Plan {
                    role: "r".to_owned(),
                    part,
                };
                bytes += encode(&key, &Value::Plan(Arc::new(next))).map_or(0, |b| b.len());
                written += 1;
            }
        }
        times.push(begin.elapsed());
    }
    times.sort();
    let median = times[times.len() / 2].as_secs_f64() * 1e3;
    let verdict = if median <= 20.0 { "ok" } else { "MISSED" };
    #[expect(clippy::print_stdout, reason = "this is what a benchmark is for")]
    {
        println!(
            "check + difference + encode of {SHARDS} × {WIDTH} on {NODES} nodes: {written} entries, {bytes} bytes, \
             median of 15"
        );
        println!("figure: plan check+diff+encode 100,000 × 3 | {median:.1} ms | ≤ 20 ms | {verdict}");
    }
}
