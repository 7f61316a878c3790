//! Measures the file backend on this machine: `cargo run --release -p shardwright-coordinator --example measure
//! [FOLDER]`.
//!
//! The bus is measured between two processes: this one publishes, a second one receives and says how old each message
//! is.
#![expect(clippy::print_stdout, reason = "printing figures is what it is for")]

use bytes::Bytes;
use rustix::time::{ClockId, clock_gettime};
use shardwright_coordinator::{Bus, Delivery, Namespace, SqliteCoordinator, Store};
use shardwright_core::store::Expected;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

type Failure = Box<dyn std::error::Error>;

const LISTENER: &str = "--listen";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [role, path] = &arguments[..]
        && role == LISTENER
    {
        return listen(Path::new(path)).await;
    }
    let folder = arguments.first().map_or_else(tempfile::tempdir, tempfile::tempdir_in)?;
    let path = folder.path().join("store");
    let store = open(&path).await?;
    compare_and_set(&store).await?;
    let mut listener = Listener::start(&path)?;
    let outcome = bus(&store, &mut listener).await;
    drop(listener.child.stdin.take());
    listener.child.wait()?;
    outcome
}

async fn open(path: &Path) -> Result<SqliteCoordinator, Failure> {
    Ok(SqliteCoordinator::open(path, Namespace::new("measure")?).await?)
}

async fn compare_and_set(store: &SqliteCoordinator) -> Result<(), Failure> {
    let value = Bytes::from(vec![7; 300]);
    let mut revision = store.put("k", value.clone(), Expected::Any).await?.revision;
    let (mut writes, mut reads) = (Vec::new(), Vec::new());
    for _ in 0..2000 {
        let begun = Instant::now();
        revision = store
            .put("k", value.clone(), Expected::Revision(revision))
            .await?
            .revision;
        writes.push(begun.elapsed());
        let begun = Instant::now();
        store.get("k").await?;
        reads.push(begun.elapsed());
    }
    show("compare-and-set, durable", writes);
    show("get", reads);
    Ok(())
}

struct Listener {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Listener {
    fn start(path: &Path) -> Result<Self, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut child = command
            .arg(LISTENER)
            .arg(path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let lines = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
        let mut listener = Self { child, lines };
        listener.line()?;
        Ok(listener)
    }

    fn line(&mut self) -> Result<String, Failure> {
        Ok(self.lines.next().ok_or("the listener ended")??)
    }
}

async fn bus(store: &SqliteCoordinator, listener: &mut Listener) -> Result<(), Failure> {
    let (mut ages, mut publishes) = (Vec::new(), Vec::new());
    for _ in 0..2000 {
        let begun = Instant::now();
        store.publish("t", Bytes::copy_from_slice(&now().to_le_bytes())).await?;
        publishes.push(begun.elapsed());
        ages.push(Duration::from_nanos(listener.line()?.parse()?));
    }
    show("publish", publishes);
    show("publish to receive in another process", ages);
    let (before, begun) = (cpu(listener.child.id())?, Instant::now());
    tokio::time::sleep(Duration::from_secs(10)).await;
    let used = cpu(listener.child.id())?.saturating_sub(before);
    println!(
        "{:<42} {:.3} % of one core",
        "idle listener",
        used.as_secs_f64() / begun.elapsed().as_secs_f64() * 100.0
    );
    Ok(())
}

async fn listen(path: &Path) -> Result<(), Failure> {
    let store = open(path).await?;
    let mut subscription = store.subscribe(&["t"]).await?;
    println!("ready");
    // The end of the input is the end of the measurement.
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_line(&mut String::new());
        std::process::exit(0);
    });
    loop {
        for delivery in subscription.next(100).await? {
            if let Delivery::Message { payload, .. } = delivery {
                println!("{}", now().saturating_sub(u64::from_le_bytes(payload[..].try_into()?)));
                std::io::stdout().flush()?;
            }
        }
    }
}

/// Nanoseconds on a clock that all processes share.
fn now() -> u64 {
    let t = clock_gettime(ClockId::Monotonic);
    u64::try_from(t.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(t.tv_nsec).unwrap_or(0)
}

/// The processor time that a process's threads have used, as the scheduler accounts it.
fn cpu(process: u32) -> Result<Duration, Failure> {
    let mut sum = 0;
    for thread in std::fs::read_dir(format!("/proc/{process}/task"))? {
        let stat = std::fs::read_to_string(thread?.path().join("schedstat"))?;
        sum += stat.split(' ').next().ok_or("no figures")?.parse::<u64>()?;
    }
    Ok(Duration::from_nanos(sum))
}

fn show(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |part: usize| times[times.len() * part / 100];
    println!("{what:<42} {:>9.1?} p50 {:>9.1?} p99", at(50), at(99));
}
