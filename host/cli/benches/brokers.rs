//! What an idle cluster of three real processes costs on each broker: requests to it, memory and processor time of a
//! node.

mod common;

use common::{figure, percent, resident, ticks};
use shardwright_cli::process::ClusterFolder;
use shardwright_servers::{KafkaServer, NatsServer, Proxy, RedisServer};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::mpsc::channel;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);
const HOSTS: [&str; 3] = ["alpha", "bravo", "charlie"];
const SHARDS: usize = 12;
/// As most clusters are configured.
const SETTINGS: &str = "name = \"bench\"\nroles.fts-indexing = { shards = 12, replicas = 2 }\n";

fn main() -> anyhow::Result<()> {
    let redis = RedisServer::start()?;
    let proxy = Proxy::to(redis.port())?;
    idle(
        "Redis",
        &format!("type = \"redis\"\nurls = \"redis://127.0.0.1:{}\"\n", proxy.port()),
        &proxy,
    )?;
    drop(redis);

    let nats = NatsServer::start()?;
    let proxy = Proxy::to(nats.port())?;
    idle(
        "NATS",
        &format!("type = \"nats\"\naddress = \"nats://127.0.0.1:{}\"\n", proxy.port()),
        &proxy,
    )?;
    drop(nats);

    let kafka = KafkaServer::builder().proxied().start()?;
    idle(
        "Kafka",
        &format!("type = \"kafka\"\nbrokers = {:?}\n", [kafka.address()]),
        kafka.proxy(),
    )
}

/// Lets three nodes meet at `coordinator`, which they reach through `proxy`, and measures them when all work is shared.
fn idle(name: &str, coordinator: &str, proxy: &Proxy) -> anyhow::Result<()> {
    let quick = std::env::args().any(|arg| arg == "--quick");
    let time = Duration::from_secs(if quick { 5 } else { 30 });
    let yard = ClusterFolder::new(PathBuf::from(env!("CARGO_BIN_EXE_shardwright")), SETTINGS)?.meeting_at(coordinator);
    let (tell, told) = channel();
    let nodes = HOSTS
        .iter()
        .map(|host| yard.start(host, tell.clone()))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let mut held = BTreeSet::new();
    while held.len() < SHARDS {
        let told = told.recv_timeout(LIMIT)?;
        if told.event == "gained" {
            held.extend(told.shards().map(|(shard, _)| shard));
        }
    }
    // What follows a start is over when nobody has said anything for a while.
    while told.recv_timeout(Duration::from_secs(3)).is_ok() {}
    let ticks = || nodes.iter().map(ticks).collect::<anyhow::Result<Vec<_>>>();
    let (requests, before) = (proxy.requests(), ticks()?);
    // The time itself is what is measured.
    std::thread::sleep(time);
    let requests = proxy.requests() - requests;
    let used = ticks()?.iter().zip(&before).map(|(after, before)| after - before).max();
    let memory = nodes.iter().map(resident).collect::<anyhow::Result<Vec<_>>>()?;
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let requests = requests as f64 / time.as_secs_f64() / nodes.len() as f64;
    figure(&format!("{name}: idle node, requests"), requests, 2.0, "/s");
    figure(
        &format!("{name}: idle node, processor"),
        percent(used.unwrap_or(0), time),
        1.0,
        "%",
    );
    figure(
        &format!("{name}: idle node, resident memory"),
        memory.into_iter().fold(0.0, f64::max),
        60.0,
        "MB",
    );
    Ok(())
}
