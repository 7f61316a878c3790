//! How long the operations that nodes live by take.

use anyhow::{Context, bail};
use bytes::Bytes;
use serde::Serialize;
use shardwright_coordinator::{Coordinator, Delivery};
use shardwright_core::store::Expected;
use std::time::{Duration, Instant};

/// How many of each are made before they count: connections warm up.
const WARM_UP: usize = 10;
/// The longest that a message may take to come.
const PATIENCE: Duration = Duration::from_secs(10);

/// One operation, measured.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Latency {
    pub(super) operation: &'static str,
    pub(super) times: usize,
    pub(super) p50_us: u64,
    pub(super) p99_us: u64,
}

impl Latency {
    fn of(operation: &'static str, mut took: Vec<Duration>) -> Self {
        took.drain(..WARM_UP.min(took.len()));
        took.sort_unstable();
        let at = |part: usize| {
            let index = (took.len() * part / 100).min(took.len().saturating_sub(1));
            let found = took.get(index).copied().unwrap_or_default();
            u64::try_from(found.as_micros()).unwrap_or(u64::MAX)
        };
        Self {
            operation,
            times: took.len(),
            p50_us: at(50),
            p99_us: at(99),
        }
    }
}

/// Measures reading, writing and telling, `times` each, one after the other. `far` is another handle to the same
/// namespace.
pub(super) async fn measure(
    coordinator: &dyn Coordinator,
    far: &dyn Coordinator,
    times: usize,
) -> anyhow::Result<Vec<Latency>> {
    let (times, value) = (times + WARM_UP, Bytes::from_static(&[7; 200]));
    let mut revision = coordinator.put("latency", value.clone(), Expected::Any).await?.revision;
    let (mut reads, mut writes, mut messages) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..times {
        let begun = Instant::now();
        coordinator.get("latency").await?;
        reads.push(begun.elapsed());
    }
    for _ in 0..times {
        let begun = Instant::now();
        let written = coordinator
            .put("latency", value.clone(), Expected::Revision(revision))
            .await?;
        writes.push(begun.elapsed());
        revision = written.revision;
    }
    let mut subscription = far.subscribe(&["latency"]).await?;
    for number in 0..times {
        let payload = Bytes::from(number.to_string());
        let begun = Instant::now();
        coordinator.publish("latency", payload.clone()).await?;
        let news = tokio::time::timeout(PATIENCE, subscription.next(1)).await;
        let news = news.with_context(|| format!("message {number} has not come within {PATIENCE:?}"))??;
        messages.push(begun.elapsed());
        let expected = Delivery::Message {
            topic: "latency".into(),
            payload,
        };
        if news != [expected] {
            bail!("message {number} was not what came next");
        }
    }
    Ok(vec![
        Latency::of("get", reads),
        Latency::of("compare-and-set", writes),
        Latency::of("publish to receive", messages),
    ])
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn percentiles_leave_the_warm_up_out() {
        let took = (0..110_u64).map(|n| Duration::from_micros(if n < 10 { 1_000_000 } else { n }));
        let latency = Latency::of("x", took.collect());
        assert_eq!((latency.times, latency.p50_us, latency.p99_us), (100, 60, 109));
        assert_eq!(Latency::of("x", Vec::new()).p99_us, 0);
    }
}
