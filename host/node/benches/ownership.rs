//! "Is it mine?" at a million shards, with one and two threads, beside a map behind a lock.
//!
//! The role is granted by a real node: half of its shards here, half on a second node.
#![allow(clippy::print_stdout, reason = "the figures are what it is for")]

use shardwright::{Node, Role};
use shardwright_coordinator::{MemoryBroker, Namespace};
use std::collections::HashMap;
use std::hint::black_box;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

const SHARDS: u32 = 1_000_000;
const LIMIT: f64 = 10.0;

/// Keys without a pattern that a prefetcher could learn.
fn keys(n: usize, mut state: u64) -> Vec<u64> {
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..n).map(|_| next()).collect()
}

/// Nanoseconds for one question, on each of `threads` threads at once: the best of five rounds.
fn measure(threads: u64, questions: usize, ask: impl Fn(u64) -> bool + Sync) -> f64 {
    let round = |_| {
        std::thread::scope(|scope| {
            let ask = &ask;
            let spawn = |seed| {
                scope.spawn(move || {
                    let keys = keys(1 << 16, seed + 1);
                    let began = Instant::now();
                    for key in keys.iter().cycle().take(questions) {
                        black_box(ask(black_box(*key)));
                    }
                    began.elapsed().as_nanos() as f64 / questions as f64
                })
            };
            let running: Vec<_> = (0..threads).map(spawn).collect();
            running
                .into_iter()
                .map(|thread| thread.join().expect("no panic"))
                .fold(0.0, f64::max)
        })
    };
    (0..5).map(round).fold(f64::INFINITY, f64::min)
}

async fn cluster(temp: &std::path::Path) -> [Node; 2] {
    let config = format!(
        "[cluster]\nname = \"bench\"\n[cluster.roles]\nwork = {{ shards = {SHARDS} }}\n[cluster.timing]\nsettle = \
         \"20ms\"\n"
    );
    let broker = MemoryBroker::new();
    let start = async |host: &str| {
        let backend = Arc::new(broker.open(Namespace::new("bench").expect("a name")));
        let node = Node::builder()
            .config_str(config.clone())
            .hostname(host)
            .state_dir(temp.join(host))
            .cache_dir(temp.join("cache"));
        node.coordinator(backend).start().await.expect("it starts")
    };
    [start("a").await, start("b").await]
}

fn work(node: &Node) -> Role {
    node.role("work").expect("it is configured")
}

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let questions = if quick { 2_000_000 } else { 20_000_000 };
    let temp = tempfile::tempdir().expect("a folder");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let nodes = runtime.block_on(cluster(temp.path()));
    let held = || nodes.iter().map(|node| work(node).shards().count()).collect::<Vec<_>>();
    let began = Instant::now();
    while held() != [SHARDS as usize / 2; 2] {
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "the shards are not shared after a minute: {:?}",
            held()
        );
        std::thread::sleep(Duration::from_millis(50));
    }

    let role = work(&nodes[0]);
    let map: RwLock<HashMap<u32, u64>> = RwLock::new(role.shards().map(|shard| (shard, 1)).collect());
    for threads in [1, 2] {
        let owns = measure(threads, questions, |key| role.owns(key));
        let verdict = if owns <= LIMIT { "ok" } else { "MISSED" };
        println!("figure: owns(key), {SHARDS} shards, {threads} thread(s) | {owns:.1} ns | ≤ {LIMIT} ns | {verdict}");
        let locked = measure(threads, questions / 10, |key| {
            map.read()
                .expect("no panic")
                .contains_key(&((key % u64::from(SHARDS)) as u32))
        });
        println!(
            "RwLock<HashMap> beside it, {threads} thread(s): {locked:.1} ns, {:.1} times as long",
            locked / owns
        );
    }
}
