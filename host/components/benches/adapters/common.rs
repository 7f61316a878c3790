//! What the parts of the benchmark share.
//!
//! An adapter and a native client are measured in turns, one short block after the other, against the same server, and
//! compared block by block: whatever else the machine does, and however that changes, it does to both. The figure is
//! the median of the comparisons.

use bytes::Bytes;
use shardwright_components::adapter::AdapterCoordinator;
use shardwright_coordinator::{Namespace, Store};
use shardwright_core::store::{Expected, Revision};
use std::error::Error;
use std::time::{Duration, Instant};

pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// The size of a value: about that of an entry of the engine.
pub(crate) const VALUE: usize = 300;
/// The key of all calls.
pub(crate) const KEY: &str = "bench/key";

pub(crate) fn namespace() -> Result<Namespace, Failure> {
    Ok(Namespace::new("bench")?)
}

/// The component that the package `name` of this workspace builds to.
pub(crate) fn built(name: &str) -> Result<Vec<u8>, Failure> {
    Ok(std::fs::read(shardwright_servers::component(name)?)?)
}

/// A client that does the same as the adapter, natively.
pub(crate) trait Native {
    /// Reads [`KEY`].
    async fn get(&mut self) -> Result<(), Failure>;

    /// Writes [`KEY`] over the revision that it wrote last.
    async fn put(&mut self, value: &Bytes) -> Result<(), Failure>;
}

/// Compares `ours` with `native`, call by call.
pub(crate) async fn compare(
    name: &str,
    ours: &AdapterCoordinator,
    native: &mut impl Native,
    quick: bool,
) -> Result<(), Failure> {
    let (blocks, calls) = if quick { (2, 3) } else { (60, 40) };
    let value = Bytes::from(vec![7; VALUE]);
    let mut last = ours.put(KEY, value.clone(), Expected::Any).await?.revision;
    native.put(&value).await?;
    let mut pairs = [Vec::new(), Vec::new()];
    for _ in 0..blocks {
        let mut block = [const { Vec::new() }; 4];
        for _ in 0..calls {
            block[0].push(timed(async { ours.get(KEY).await.map(drop) }).await?);
        }
        for _ in 0..calls {
            block[1].push(timed(native.get()).await?);
        }
        for _ in 0..calls {
            block[2].push(timed(write(ours, &value, &mut last)).await?);
        }
        for _ in 0..calls {
            block[3].push(timed(native.put(&value)).await?);
        }
        let [a, b, c, d] = block.map(middle);
        pairs[0].push((a, b));
        pairs[1].push((c, d));
    }
    for (what, pairs) in ["get", "compare-and-set"].into_iter().zip(pairs) {
        let mut ratios: Vec<f64> = pairs
            .iter()
            .map(|(ours, native)| ours.as_secs_f64() / native.as_secs_f64())
            .collect();
        ratios.sort_by(f64::total_cmp);
        let (ours, native): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        println!(
            "{name}, {what}: adapter {:.0} µs, native {:.0} µs",
            micros(middle(ours)),
            micros(middle(native))
        );
        figure(
            &format!("adapter ÷ native, {name}, {what} p50"),
            ratios[ratios.len() / 2],
            "×",
            1.5,
        );
    }
    let status = ours.status();
    figure(
        &format!("memory of a lane, {name}"),
        status.memory as f64 / 1e6 / status.lanes_open.max(1) as f64,
        "MB",
        4.0,
    );
    Ok(())
}

async fn write(ours: &AdapterCoordinator, value: &Bytes, last: &mut Revision) -> Result<(), Failure> {
    *last = ours.put(KEY, value.clone(), Expected::Revision(*last)).await?.revision;
    Ok(())
}

async fn timed<E: Into<Failure>>(call: impl Future<Output = Result<(), E>>) -> Result<Duration, Failure> {
    let began = Instant::now();
    call.await.map_err(Into::into)?;
    Ok(began.elapsed())
}

pub(crate) fn middle(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

pub(crate) fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

pub(crate) fn figure(name: &str, value: f64, unit: &str, limit: f64) {
    let verdict = if value <= limit { "ok" } else { "MISSED" };
    println!("figure: {name} | {value:.2} {unit} | {limit} {unit} | {verdict}");
}
