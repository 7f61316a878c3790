//! How the server is set up, as far as it matters for what is promised.

use super::connection::{Connection, NoReply};
use super::reply::Refusal;
use super::route::text;
use super::{RedisCoordinator, bus};
use crate::broker::BrokerError;
use crate::clock;
use crate::contract::{BusError, Store};
use crate::finding::Finding;
use redis::{Cmd, Value, cmd};
use shardwright_core::human::Span;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// The oldest server that is used: older ones are no longer maintained, and nothing here was tried on them.
const OLDEST: [u32; 2] = [6, 2];
/// The oldest for a cluster: sharded publish and subscribe.
const OLDEST_CLUSTER: [u32; 2] = [7, 0];
/// How many round trips are measured.
const TRIPS: usize = 32;
/// A difference of clocks that is worth telling, in milliseconds.
const SKEW: u64 = 1000;

/// Whether the server is of the kind that it should be, and new enough.
///
/// # Errors
/// `Unsafe` if it is too old, `Invalid` if it is of another kind, `Denied` if it must not say so.
pub(super) async fn check_kind(wire: &Connection, cluster: bool, timeout: Duration) -> Result<(), BrokerError> {
    let location = wire.server().to_string();
    let info = match info(wire, "server", timeout).await {
        Ok(info) => info,
        Err(Problem::Denied(why)) => {
            let why = format!("{why}; the ACL user needs +info");
            return Err(BrokerError::Denied { location, why });
        }
        Err(Problem::Other(why)) => return Err(BrokerError::Unreachable { location, why }),
    };
    let oldest = if cluster { OLDEST_CLUSTER } else { OLDEST };
    let version = info.get("redis_version").cloned().unwrap_or_default();
    if parse_version(&version).is_some_and(|version| version < oldest) {
        let why = format!("it is Redis {version}; this needs {}.{} or newer", oldest[0], oldest[1]);
        return Err(BrokerError::Unsafe { location, why });
    }
    match (cluster, info.get("redis_mode").is_some_and(|mode| mode == "cluster")) {
        (true, false) => Err(BrokerError::Invalid(format!(
            "{location} is no node of a Redis Cluster; set redis-type single"
        ))),
        (false, true) => Err(BrokerError::Invalid(format!(
            "{location} is a node of a Redis Cluster; set redis-type cluster"
        ))),
        _ => Ok(()),
    }
}

fn parse_version(text: &str) -> Option<[u32; 2]> {
    let mut parts = text.split('.').map(|part| part.parse().ok());
    Some([parts.next()??, parts.next()??])
}

enum Problem {
    Denied(String),
    Other(String),
}

impl Problem {
    fn why(self) -> String {
        match self {
            Self::Denied(why) | Self::Other(why) => why,
        }
    }
}

async fn ask(wire: &Connection, command: &Cmd, timeout: Duration) -> Result<Value, Problem> {
    let answer = wire.ask(command, Instant::now() + timeout).await;
    match answer.map_err(NoReply::why).map(Refusal::check) {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(Refusal::Denied(why))) => Err(Problem::Denied(why)),
        Ok(Err(refusal)) => Err(Problem::Other(refusal.why())),
        Err(why) => Err(Problem::Other(why)),
    }
}

/// A section of `INFO`.
async fn info(wire: &Connection, section: &str, timeout: Duration) -> Result<HashMap<String, String>, Problem> {
    let answer = ask(wire, cmd("INFO").arg(section), timeout).await?;
    let lines = text(&answer).unwrap_or_default();
    let pairs = lines.lines().filter_map(|line| line.split_once(':'));
    Ok(pairs
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect())
}

/// A setting, if it may be read.
async fn setting(wire: &Connection, name: &str, timeout: Duration) -> Result<String, Problem> {
    let answer = ask(wire, cmd("CONFIG").arg("GET").arg(name), timeout).await?;
    let value = match &answer {
        Value::Map(pairs) => pairs.first().and_then(|(_, value)| text(value)),
        Value::Array(parts) => parts.get(1).and_then(text),
        _ => None,
    };
    value.ok_or_else(|| Problem::Other(format!("the server does not know the setting {name}")))
}

/// What is looked at when a coordinator is opened, too.
pub(super) async fn settings(wire: &Connection, min_replicas: u32, timeout: Duration) -> Vec<Finding> {
    vec![
        eviction(wire, timeout)
            .await
            .unwrap_or_else(|problem| unread("eviction", problem)),
        persistence(wire, timeout)
            .await
            .unwrap_or_else(|problem| unread("persistence", problem)),
        replicas(wire, min_replicas, timeout)
            .await
            .unwrap_or_else(|problem| unread("replicas", problem)),
    ]
}

fn unread(name: &'static str, problem: Problem) -> Finding {
    Finding::warning(
        name,
        format!("could not be looked at: {}", problem.why()),
        "allow the user +info, or check the setting by hand",
    )
}

async fn eviction(wire: &Connection, timeout: Duration) -> Result<Finding, Problem> {
    let memory = info(wire, "memory", timeout).await?;
    let read = |name: &str| {
        memory
            .get(name)
            .ok_or_else(|| Problem::Other(format!("the server does not tell {name}")))
    };
    let (policy, limit) = (read("maxmemory_policy")?, read("maxmemory")?);
    let detail = format!("maxmemory-policy {policy}, maxmemory {limit}");
    let remedy = "set maxmemory-policy noeviction, or give the coordinator a server of its own";
    Ok(match (policy.starts_with("allkeys"), limit.as_str()) {
        (false, _) => Finding::good("eviction", detail),
        (true, "0") => Finding::warning(
            "eviction",
            format!("{detail}: with a limit, the server would throw the data away"),
            remedy,
        ),
        (true, _) => Finding::bad(
            "eviction",
            format!("{detail}: the server throws the data away when memory is short"),
            remedy,
        ),
    })
}

async fn persistence(wire: &Connection, timeout: Duration) -> Result<Finding, Problem> {
    let state = info(wire, "persistence", timeout).await?;
    if state.get("aof_enabled").is_none_or(|on| on != "1") {
        return Ok(Finding::warning(
            "persistence",
            "appendonly no: after a restart of the server the data of up to minutes, or all, is gone, and the cluster \
             waits out a grace period",
            "set appendonly yes and appendfsync everysec, or always to lose nothing",
        ));
    }
    Ok(match setting(wire, "appendfsync", timeout).await {
        Ok(fsync) if fsync == "always" => Finding::good("persistence", "appendonly yes, appendfsync always"),
        Ok(fsync) if fsync == "everysec" => Finding::good(
            "persistence",
            "appendonly yes, appendfsync everysec: a crash of the machine loses up to two seconds, which is noticed",
        ),
        Ok(fsync) => Finding::warning(
            "persistence",
            format!(
                "appendonly yes, appendfsync {fsync}: a crash of the machine loses what the system had not written yet"
            ),
            "set appendfsync everysec, or always to lose nothing",
        ),
        Err(problem) => Finding::good(
            "persistence",
            format!("appendonly yes; appendfsync could not be read ({})", problem.why()),
        ),
    })
}

async fn replicas(wire: &Connection, min_replicas: u32, timeout: Duration) -> Result<Finding, Problem> {
    let state = info(wire, "replication", timeout).await?;
    let count: u32 = state
        .get("connected_slaves")
        .and_then(|count| count.parse().ok())
        .unwrap_or(0);
    let detail = format!("{count} connected, min-replicas {min_replicas}");
    Ok(if count < min_replicas {
        let remedy = "start or reconnect replicas, or lower min-replicas: until then no write is acknowledged";
        Finding::bad("replicas", detail, remedy)
    } else if 2 * min_replicas < count {
        let remedy = format!(
            "set min-replicas to {} or more: at least half of the replicas",
            count.div_ceil(2)
        );
        Finding::warning(
            "replicas",
            format!("{detail}: after a failover acknowledged writes may be missing, which is noticed"),
            remedy,
        )
    } else {
        Finding::good("replicas", detail)
    })
}

/// Everything, for the operator.
pub(super) async fn examine(coordinator: &RedisCoordinator) -> Vec<Finding> {
    let timeout = coordinator.timeout;
    let wire = match coordinator.space.main.wire(coordinator.deadline()).await {
        Ok(wire) => wire,
        Err(error) => {
            return vec![Finding::bad(
                "connection",
                error.to_string(),
                "start the server, or correct the address",
            )];
        }
    };
    let mut findings = vec![
        version(&wire, timeout)
            .await
            .unwrap_or_else(|problem| unread("version", problem)),
    ];
    findings.extend(settings(&wire, coordinator.min_replicas, timeout).await);
    findings.push(
        clock_difference(&wire, timeout)
            .await
            .unwrap_or_else(|problem| unread("clock", problem)),
    );
    findings.push(store_trip(coordinator).await);
    findings.push(bus_trip(coordinator).await);
    findings
}

async fn version(wire: &Connection, timeout: Duration) -> Result<Finding, Problem> {
    let server = info(wire, "server", timeout).await?;
    let state = info(wire, "replication", timeout).await?;
    let read = |from: &HashMap<String, String>, name: &str| from.get(name).cloned().unwrap_or_else(|| "unknown".into());
    let mode = read(&server, "redis_mode");
    let detail = format!(
        "Redis {} ({mode}), {}",
        read(&server, "redis_version"),
        read(&state, "role")
    );
    Ok(Finding::good(
        "version",
        format!("{detail}; compare-and-set is one script, atomic in every version"),
    ))
}

async fn clock_difference(wire: &Connection, timeout: Duration) -> Result<Finding, Problem> {
    let before = clock::wall();
    let answer = ask(wire, &cmd("TIME"), timeout).await?;
    let after = clock::wall();
    let Value::Array(parts) = &answer else {
        return Err(Problem::Other("TIME answered no time".into()));
    };
    let mut numbers = parts
        .iter()
        .map(|part| text(part).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0));
    let server = numbers.next().unwrap_or(0) * 1000 + numbers.next().unwrap_or(0) / 1000;
    // The moment at which the server looked lies between the two.
    let difference = server.saturating_sub(after).max(before.saturating_sub(server));
    let detail = format!("the server's differs from this machine's by {}", Span(difference));
    Ok(if difference < SKEW {
        Finding::good("clock", detail)
    } else {
        Finding::warning(
            "clock",
            format!("{detail}; nothing depends on it, but logs do not agree"),
            "run NTP on both",
        )
    })
}

fn trips(name: &'static str, mut times: Vec<Duration>) -> Finding {
    times.sort_unstable();
    let (half, most) = (times[times.len() / 2], times[times.len() - 1]);
    Finding::good(name, format!("p50 {half:.1?}, max {most:.1?} of {}", times.len()))
}

async fn store_trip(coordinator: &RedisCoordinator) -> Finding {
    let mut times = Vec::new();
    for _ in 0..TRIPS {
        let begun = Instant::now();
        if let Err(error) = coordinator.space.get("doctor").await {
            return Finding::bad("store", error.to_string(), "see the error");
        }
        times.push(begun.elapsed());
    }
    trips("store", times)
}

/// From publish to receipt, on a channel beside the namespace's own, so that nobody else hears of it.
async fn bus_trip(coordinator: &RedisCoordinator) -> Finding {
    match measure_bus(coordinator).await {
        Ok(times) => trips("bus", times),
        Err(error) => Finding::bad(
            "bus",
            error.to_string(),
            "see the error; publish and subscribe must be permitted",
        ),
    }
}

async fn measure_bus(coordinator: &RedisCoordinator) -> Result<Vec<Duration>, BusError> {
    let ear = coordinator.ear.beside("doctor");
    let mut subscription = ear.subscribe(&[]).await?;
    let mut times = Vec::new();
    for _ in 0..TRIPS {
        let begun = Instant::now();
        bus::publish(
            &coordinator.space.main,
            &ear.channel,
            "echo",
            b"",
            coordinator.deadline(),
        )
        .await?;
        let late = |_| BusError::Unavailable("a message that was published did not arrive".into());
        timeout_at(coordinator.deadline(), subscription.next(1))
            .await
            .map_err(late)??;
        times.push(begun.elapsed());
    }
    Ok(times)
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn versions_compare_by_number() {
        assert_eq!(parse_version("7.0.15"), Some([7, 0]));
        assert_eq!(parse_version("10.2"), Some([10, 2]));
        assert_eq!(parse_version("unstable"), None);
        assert!(parse_version("6.0.16").is_some_and(|version| version < OLDEST));
    }
}
