//! Measures the Kafka backend beside the bare client library, on a broker of its own or on the one at ADDRESS:
//! `cargo run --release -p shardwright-coordinator --features kafka --example measure_kafka [ADDRESS]`.
#![expect(clippy::print_stdout, reason = "printing figures is what it is for")]

use bytes::Bytes;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::message::Message;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use shardwright_coordinator::kafka::{KafkaCoordinator, KafkaOptions};
use shardwright_coordinator::{Bus, Coordinator, Delivery, Namespace, Store};
use shardwright_core::store::{Expected, Revision};
use shardwright_servers::KafkaServer;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// How many times each thing is measured.
const ROUNDS: usize = 2000;
/// How many records the start-up has to cope with.
const RECORDS: usize = 100_000;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Failure> {
    // On a worker, as the tasks of a node are.
    tokio::spawn(measure()).await?
}

async fn measure() -> Result<(), Failure> {
    let given = std::env::args().nth(1);
    let server = if given.is_none() {
        Some(KafkaServer::start()?)
    } else {
        None
    };
    let address = given.or(server.as_ref().map(KafkaServer::address)).ok_or("no broker")?;
    let store = open(&address, "measure").await?;
    idle(&store).await?;
    // Made by the backend, so that the topics are alike.
    let bare = open(&address, "measure-bare").await?;
    compare_and_set(&store, &address).await?;
    for size in [100, 1024] {
        bus(&store, &address, size).await?;
        throughput(&store, &address, size).await?;
    }
    start_up(&store, &address).await?;
    store.erase().await?;
    bare.erase().await?;
    Ok(())
}

async fn open(address: &str, name: &str) -> Result<Arc<KafkaCoordinator>, Failure> {
    let options = KafkaOptions {
        brokers: vec![address.into()],
        login: None,
        tls: None,
        replication: 1,
        timeout_message: Duration::from_secs(5),
        timeout_session: Duration::from_secs(5),
    };
    Ok(Arc::new(KafkaCoordinator::open(options, Namespace::new(name)?).await?))
}

/// What a handle with a subscription costs that nobody uses.
async fn idle(store: &KafkaCoordinator) -> Result<(), Failure> {
    let _subscription = store.subscribe(&[]).await?;
    let (before, begun) = (processor()?, Instant::now());
    tokio::time::sleep(Duration::from_secs(30)).await;
    let used = processor()?.saturating_sub(before).as_secs_f64() / begun.elapsed().as_secs_f64();
    println!("{:<42} {:>9.2} % of a core", "idle", used * 100.0);
    let status = std::fs::read_to_string("/proc/self/status")?;
    let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    println!("{:<42} {:>12}", "memory of this process", memory.unwrap_or("?").trim());
    Ok(())
}

/// The processor time that this process's threads have used.
fn processor() -> Result<Duration, Failure> {
    let mut sum = 0;
    for thread in std::fs::read_dir("/proc/self/task")? {
        let stat = std::fs::read_to_string(thread?.path().join("schedstat"))?;
        sum += stat.split(' ').next().ok_or("no figures")?.parse::<u64>()?;
    }
    Ok(Duration::from_nanos(sum))
}

/// A producer with the settings that the backend uses.
fn producer(address: &str) -> Result<FutureProducer, Failure> {
    Ok(ClientConfig::new()
        .set("bootstrap.servers", address)
        .set("acks", "all")
        .set("enable.idempotence", "true")
        .set("linger.ms", "0")
        .create()?)
}

async fn send(producer: &FutureProducer, topic: &str, payload: &[u8]) -> Result<(), Failure> {
    let record = FutureRecord::<(), _>::to(topic).partition(0).payload(payload);
    producer
        .send(record, Duration::ZERO)
        .await
        .map_err(|(error, _)| error)?;
    Ok(())
}

async fn compare_and_set(store: &KafkaCoordinator, address: &str) -> Result<(), Failure> {
    let bare = producer(address)?;
    let value = Bytes::from(vec![7; 300]);
    let mut revision = store.put("k", value.clone(), Expected::Any).await?.revision;
    let (mut writes, mut reads, mut sends) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        revision = store
            .put("k", value.clone(), Expected::Revision(revision))
            .await?
            .revision;
        writes.push(begun.elapsed());
        let begun = Instant::now();
        send(&bare, "shardwright.measure-bare.store", &value).await?;
        sends.push(begun.elapsed());
        let begun = Instant::now();
        store.get("k").await?;
        reads.push(begun.elapsed());
    }
    show("bare: produce, acknowledged", sends);
    show("compare-and-set", writes);
    show("get", reads);
    Ok(())
}

async fn bus(store: &KafkaCoordinator, address: &str, size: usize) -> Result<(), Failure> {
    let (bare, reader) = (producer(address)?, reader(address)?);
    let mut subscription = store.subscribe(&["t"]).await?;
    let payload = Bytes::from(vec![7; size]);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let (sent, received) = tokio::join!(send(&bare, "shardwright.measure-bare.bus", &payload), reader.recv());
        theirs.push(begun.elapsed());
        sent?;
        received?;
        let begun = Instant::now();
        let (sent, received) = tokio::join!(store.publish("t", payload.clone()), subscription.next(1));
        ours.push(begun.elapsed());
        sent?;
        received?;
    }
    show(&format!("bare: publish to receive, {size} bytes"), theirs);
    show(&format!("publish to receive, {size} bytes"), ours);
    Ok(())
}

/// A consumer of the bare topic from its end, ready to receive.
fn reader(address: &str) -> Result<StreamConsumer, Failure> {
    let reader: StreamConsumer = ClientConfig::new()
        .set("bootstrap.servers", address)
        .set("group.id", "measure")
        .set("enable.auto.commit", "false")
        .create()?;
    let topic = "shardwright.measure-bare.bus";
    let (_, end) = reader.fetch_watermarks(topic, 0, Duration::from_secs(5))?;
    let mut place = TopicPartitionList::new();
    place.add_partition_offset(topic, 0, Offset::Offset(end))?;
    reader.assign(&place)?;
    Ok(reader)
}

async fn throughput(store: &Arc<KafkaCoordinator>, address: &str, size: usize) -> Result<(), Failure> {
    let (bare, reader) = (producer(address)?, reader(address)?);
    let payload = Bytes::from(vec![7; size]);
    let (lanes, each) = (64, 500);
    let begun = Instant::now();
    let mut senders = JoinSet::new();
    for _ in 0..lanes {
        let (bare, payload) = (bare.clone(), payload.clone());
        senders.spawn(async move {
            for _ in 0..each {
                send(&bare, "shardwright.measure-bare.bus", &payload).await?;
            }
            Ok::<_, Failure>(())
        });
    }
    for _ in 0..lanes * each {
        std::hint::black_box(reader.recv().await?.payload().map(<[u8]>::len));
    }
    rate(
        &format!("bare: 64 publishers, {size} bytes"),
        lanes * each,
        begun.elapsed(),
    );
    let mut subscription = store.subscribe(&["t"]).await?;
    let begun = Instant::now();
    for _ in 0..lanes {
        let (store, payload) = (store.clone(), payload.clone());
        senders.spawn(async move {
            for _ in 0..each {
                store.publish("t", payload.clone()).await?;
            }
            Ok::<_, Failure>(())
        });
    }
    let (mut received, mut missed) = (0, 0);
    while received + missed < lanes * each {
        for delivery in subscription.next(1024).await? {
            match delivery {
                Delivery::Message { .. } => received += 1,
                // This process could not keep up with itself.
                Delivery::Gap { lost } => missed += usize::try_from(lost)?,
            }
        }
    }
    rate(
        &format!("64 publishers, {size} bytes, {missed} missed"),
        lanes * each,
        begun.elapsed(),
    );
    Ok(())
}

async fn start_up(store: &Arc<KafkaCoordinator>, address: &str) -> Result<(), Failure> {
    let lanes = 256;
    let begun = Instant::now();
    let mut writers = JoinSet::new();
    for lane in 0..lanes {
        let store = store.clone();
        writers.spawn(async move {
            for i in (lane..RECORDS).step_by(lanes) {
                let value = Bytes::from(vec![7; 300]);
                store.put(&format!("key/{}", i % 10_000), value, Expected::Any).await?;
            }
            Ok::<_, Failure>(())
        });
    }
    while let Some(done) = writers.join_next().await {
        done??;
    }
    rate("256 writers, 300 bytes", RECORDS, begun.elapsed());
    let mut opens = Vec::new();
    for _ in 0..10 {
        let begun = Instant::now();
        let fresh = open(address, "measure").await?;
        let listing = fresh.list("key/", Revision(0)).await?;
        opens.push(begun.elapsed());
        assert_eq!(listing.entries.len(), 10_000);
    }
    show("open and list, after 100,000 records", opens);
    Ok(())
}

fn rate(what: &str, count: usize, took: Duration) {
    println!("{what:<42} {:>9.0} per second", count as f64 / took.as_secs_f64());
}

fn show(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |part: usize| times[times.len() * part / 100];
    println!("{what:<42} {:>9.1?} p50 {:>9.1?} p99", at(50), at(99));
}
