//! What the operator is told of the server: `shardwright coordinator doctor`, and the warnings when it is opened.

use super::bus::WireSubscription;
use super::shared::Shared;
use super::store::Store;
use super::stream;
use super::versions;
use crate::clock;
use crate::finding::Finding;
use shardwright_core::human::Span;
use std::time::{Duration, Instant};

/// A difference of the clocks that is worth a word.
const CLOCK: u64 = 1_000;
/// How often a round trip is measured; the middle one is told.
const ROUNDS: usize = 5;

/// What of the settings could be better.
pub(super) async fn settings(shared: &Shared) -> Vec<Finding> {
    let mut findings = vec![version(shared)];
    let info = match shared.wire.stream_info(&shared.names.stream).await {
        Ok(info) => info,
        Err(error) => {
            findings.push(Finding::bad(
                "stream",
                error.to_string(),
                "see whether JetStream is well: `nats server report jetstream`",
            ));
            return findings;
        }
    };
    let replicas = info.config.num_replicas;
    findings.push(
        match stream::flaw(&info.config, &stream::wanted(&shared.names, &shared.history, replicas)) {
            None => Finding::good(
                "settings",
                format!("the stream {} is set up as it must be", shared.names.stream),
            ),
            Some(flaw) => Finding::bad(
                "settings",
                flaw,
                format!("set it back with `nats stream edit {}`", shared.names.stream),
            ),
        },
    );
    findings.push(if shared.by_subject() {
        Finding::good("compare-and-set", "exclusive writes are guarded key by key")
    } else {
        Finding::warning(
            "compare-and-set",
            "exclusive writes are guarded by the whole stream, since not every server that keeps it is known to be \
             2.9.21 or newer: safe, but slower when many write",
            "update all servers, and let the user publish to \"$SYS.REQ.ACCOUNT.PING.CONNZ\" so that they can be asked",
        )
    });
    findings.push(persistence(shared, replicas));
    if let Some(why) = shared.clocks_differ() {
        findings.push(Finding::bad("clocks", why, "let NTP set the clocks of all servers"));
    }
    if let Some(cluster) = &info.cluster {
        let behind: Vec<_> = cluster
            .replicas
            .iter()
            .filter(|peer| peer.offline || !peer.current)
            .map(|peer| peer.name.as_str())
            .collect();
        if !behind.is_empty() {
            let detail = format!(
                "{} of {replicas} servers that keep the stream are away or behind: {}",
                behind.len(),
                behind.join(", ")
            );
            findings.push(Finding::warning(
                "replicas",
                detail,
                "see what is wrong with them: one more failure may stop all writes",
            ));
        }
    }
    findings
}

fn version(shared: &Shared) -> Finding {
    let info = shared.wire.client.server_info();
    let detail = format!("nats-server {}", info.version);
    if versions::is_atomic(&info.version) {
        Finding::good("version", detail)
    } else {
        Finding::warning("version", detail, "update to 2.10 or newer")
    }
}

fn persistence(shared: &Shared, replicas: u8) -> Finding {
    let clustered = shared.wire.client.server_info().cluster.is_some();
    match (replicas, clustered) {
        (1, true) => Finding::warning(
            "persistence",
            "one server of the cluster keeps the stream: while it is away, nothing can be written",
            "set replicas = 3, here and with `nats stream edit --replicas 3`",
        ),
        (1, false) => Finding::good(
            "persistence",
            "files on one server; set `sync_interval: always` there if it must survive a loss of power",
        ),
        _ => Finding::good("persistence", format!("files on {replicas} servers")),
    }
}

/// Everything, with round trips.
pub(super) async fn examine(shared: &Shared, store: &Store) -> Vec<Finding> {
    let mut findings = settings(shared).await;
    findings.push(clock_difference(shared, store).await);
    findings.push(store_round_trip(store).await);
    findings.push(bus_round_trip(shared).await);
    findings
}

async fn clock_difference(shared: &Shared, store: &Store) -> Finding {
    if let Err(error) = store.catch_up().await {
        return Finding::bad("clock", error.to_string(), "see whether the server is well");
    }
    let (there, here) = (shared.mirror.now().0, clock::wall());
    let detail = format!("{} between the server and this machine", Span(there.abs_diff(here)));
    if there.abs_diff(here) < CLOCK {
        Finding::good("clock", detail)
    } else {
        Finding::warning(
            "clock",
            detail,
            "let NTP set the clocks of the servers: times are shown as they say",
        )
    }
}

/// The middle one of some durations.
fn middle(mut took: Vec<Duration>) -> Duration {
    took.sort_unstable();
    took.get(took.len() / 2).copied().unwrap_or_default()
}

async fn store_round_trip(store: &Store) -> Finding {
    let mut took = Vec::new();
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        if let Err(error) = store.catch_up().await {
            return Finding::bad("store round trip", error.to_string(), "see whether the server is well");
        }
        took.push(begun.elapsed());
    }
    Finding::good("store round trip", format!("{:?}", middle(took)))
}

/// Of a message to a subscription made for it, which no subscriber sees.
async fn bus_round_trip(shared: &Shared) -> Finding {
    let mut took = Vec::new();
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        if let Err(trouble) = WireSubscription::open(&shared.wire, &shared.names).await {
            let remedy = "see whether the user may publish and subscribe to \"shardwright.>\"";
            return Finding::bad("bus round trip", trouble.to_string(), remedy);
        }
        took.push(begun.elapsed());
    }
    Finding::good("bus round trip", format!("{:?}", middle(took)))
}
