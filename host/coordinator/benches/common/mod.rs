//! A backend beside its raw client library, on the same server in the same run.
//!
//! Both sides are measured in turns, one short block after the other, and compared block by block: whatever else the
//! machine does, and however that changes, it does to both. The figure is the median of the comparisons.

use async_trait::async_trait;
use bytes::Bytes;
use shardwright_coordinator::{Coordinator, Delivery, Subscription};
use shardwright_core::store::{Expected, Revision};
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// The topic of all messages.
const TOPIC: &str = "bench";
/// The key of all writes.
const KEY: &str = "bench/key";
/// The size of a written value: about that of an entry of the engine.
const VALUE: usize = 300;
/// How many tasks publish at once where throughput is measured, and how many messages may be on their way: fewer than
/// any queue holds.
const PUBLISHERS: usize = 16;
const WINDOW: usize = 512;

/// Publishes.
#[async_trait]
pub(crate) trait Publish: Send + Sync {
    async fn publish(&self, payload: Bytes) -> Result<(), Failure>;
}

/// Receives what is published on its side.
#[async_trait]
pub(crate) trait Receive: Send {
    /// Waits for messages and says how many there were.
    async fn receive(&mut self) -> Result<usize, Failure>;
}

/// Writes a value if nobody else has written since.
#[async_trait]
pub(crate) trait Write: Send {
    async fn write(&mut self, value: Bytes) -> Result<(), Failure>;
}

/// One of the two that are compared. Publisher and receiver have connections of their own.
pub(crate) struct Side {
    pub(crate) publisher: Arc<dyn Publish>,
    pub(crate) receiver: Box<dyn Receive>,
    pub(crate) writer: Box<dyn Write>,
}

impl Side {
    /// Two handles of a backend.
    pub(crate) async fn ours<C: Coordinator + 'static>(here: C, there: C) -> Result<Self, Failure> {
        let here = Arc::new(here);
        let receiver = Box::new(Listener {
            subscription: there.subscribe(&[TOPIC]).await?,
            _handle: there,
        });
        let revision = here.put(KEY, Bytes::new(), Expected::Any).await?.revision;
        Ok(Self {
            publisher: here.clone(),
            receiver,
            writer: Box::new(Chain { store: here, revision }),
        })
    }
}

#[async_trait]
impl<C: Coordinator> Publish for C {
    async fn publish(&self, payload: Bytes) -> Result<(), Failure> {
        Ok(shardwright_coordinator::Bus::publish(self, TOPIC, payload).await?)
    }
}

/// A subscription, and the handle that it lives on.
struct Listener<C> {
    subscription: Box<dyn Subscription>,
    _handle: C,
}

#[async_trait]
impl<C: Coordinator> Receive for Listener<C> {
    async fn receive(&mut self) -> Result<usize, Failure> {
        let deliveries = self.subscription.next(WINDOW).await?;
        if deliveries
            .iter()
            .any(|delivery| matches!(delivery, Delivery::Gap { .. }))
        {
            return Err("messages were lost".into());
        }
        Ok(deliveries.len())
    }
}

/// Each write expects the one before it.
struct Chain<C> {
    store: Arc<C>,
    revision: Revision,
}

#[async_trait]
impl<C: Coordinator> Write for Chain<C> {
    async fn write(&mut self, value: Bytes) -> Result<(), Failure> {
        self.revision = self
            .store
            .put(KEY, value, Expected::Revision(self.revision))
            .await?
            .revision;
        Ok(())
    }
}

/// Runs a benchmark as a service runs: as a task among the others of a runtime, not on a thread of its own.
pub(crate) fn run(benchmark: impl Future<Output = Result<(), Failure>> + Send + 'static) -> Result<(), Failure> {
    tokio::runtime::Runtime::new()?.block_on(async { tokio::spawn(benchmark).await? })
}

/// Compares both sides and prints the figures, each beginning with `name`.
pub(crate) async fn compare(name: &str, mut raw: Side, mut ours: Side) -> Result<(), Failure> {
    for size in [100, 1024] {
        let payload = Bytes::from(vec![b'x'; size]);
        let pairs = rounds(&mut raw, &mut ours, &What::Latency(payload.clone())).await?;
        let more = median(pairs.iter().map(|[raw, ours]| ours - raw));
        let value = format!("{more:+.1} µs ({})", medians(&pairs, "µs"));
        figure(
            &format!("{name}: bus, {size} B, p50"),
            &value,
            "≤ raw + 10 µs",
            more <= 10.0,
        );
        let pairs = rounds(&mut raw, &mut ours, &What::Throughput(payload)).await?;
        let share = median(pairs.iter().map(|[raw, ours]| ours / raw));
        let value = format!("{share:.2} × raw ({})", medians(&pairs, "/ms"));
        figure(
            &format!("{name}: bus, {size} B, throughput"),
            &value,
            "≥ 0.9 × raw",
            share >= 0.9,
        );
    }
    let pairs = rounds(&mut raw, &mut ours, &What::Writes).await?;
    let share = median(pairs.iter().map(|[raw, ours]| ours / raw));
    let value = format!("{share:.2} × raw ({})", medians(&pairs, "µs"));
    figure(
        &format!("{name}: compare-and-set, p50"),
        &value,
        "≤ 1.2 × raw",
        share <= 1.2,
    );
    Ok(())
}

/// What is measured.
enum What {
    Latency(Bytes),
    Throughput(Bytes),
    Writes,
}

/// Measures both sides block by block: pairs of raw and ours. Who comes first changes from block to block.
async fn rounds(raw: &mut Side, ours: &mut Side, what: &What) -> Result<Vec<[f64; 2]>, Failure> {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let (blocks, less) = if quick { (3, 5) } else { (9, 1) };
    let mut pairs = Vec::new();
    for block in 0..blocks {
        let mut pair = [0.0; 2];
        for turn in 0..2 {
            let side = (block + turn) % 2;
            let measured = if side == 0 { &mut *raw } else { &mut *ours };
            pair[side] = match what {
                What::Latency(payload) => latency(measured, payload, 600 / less).await?,
                What::Throughput(payload) => throughput(measured, payload, Duration::from_millis(300) / less).await?,
                What::Writes => writing(measured, 200 / less).await?,
            };
        }
        pairs.push(pair);
    }
    Ok(pairs)
}

/// The median time from publishing one message to receiving it, in microseconds.
async fn latency(side: &mut Side, payload: &Bytes, count: u32) -> Result<f64, Failure> {
    let mut times = Vec::new();
    for _ in 0..count {
        let begun = Instant::now();
        let published = side.publisher.publish(payload.clone());
        let received = async {
            side.receiver.receive().await?;
            Ok::<_, Failure>(begun.elapsed())
        };
        let ((), time) = tokio::try_join!(published, received)?;
        times.push(micros(time));
    }
    Ok(median(times))
}

/// How many messages go from publisher to receiver in a millisecond, measured for `time` at least.
async fn throughput(side: &mut Side, payload: &Bytes, time: Duration) -> Result<f64, Failure> {
    let begun = Instant::now();
    let mut count = 0;
    while begun.elapsed() < time {
        count += flood(side, payload).await?;
    }
    Ok(count as f64 / (micros(begun.elapsed()) / 1000.0))
}

/// Publishes as fast as it is received, and says how many messages.
async fn flood(side: &mut Side, payload: &Bytes) -> Result<usize, Failure> {
    const EACH: usize = 1000;
    let window = Arc::new(Semaphore::new(WINDOW));
    let mut publishers = tokio::task::JoinSet::new();
    for _ in 0..PUBLISHERS {
        let (publisher, window, payload) = (side.publisher.clone(), window.clone(), payload.clone());
        publishers.spawn(async move {
            for _ in 0..EACH {
                window.acquire().await?.forget();
                publisher.publish(payload.clone()).await?;
            }
            Ok::<_, Failure>(())
        });
    }
    let mut received = 0;
    while received < EACH * PUBLISHERS {
        let more = side.receiver.receive().await?;
        window.add_permits(more);
        received += more;
    }
    while let Some(ended) = publishers.join_next().await {
        ended??;
    }
    Ok(received)
}

/// The median time of a write that expects the one before it, in microseconds.
async fn writing(side: &mut Side, count: u32) -> Result<f64, Failure> {
    let value = Bytes::from(vec![7; VALUE]);
    let mut times = Vec::new();
    for _ in 0..count {
        let begun = Instant::now();
        side.writer.write(value.clone()).await?;
        times.push(micros(begun.elapsed()));
    }
    Ok(median(times))
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The medians of both sides, ours first.
fn medians(pairs: &[[f64; 2]], unit: &str) -> String {
    let of = |side: usize| median(pairs.iter().map(|pair| pair[side]));
    format!("{:.1} {unit}, raw {:.1} {unit}", of(1), of(0))
}

fn figure(name: &str, value: &str, limit: &str, met: bool) {
    println!(
        "figure: {name} | {value} | {limit} | {}",
        if met { "ok" } else { "MISSED" }
    );
}
