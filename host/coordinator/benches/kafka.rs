//! The Kafka coordinator beside the raw client with the same settings: produce and consume, and a record that is stored
//! and read back.
#![allow(clippy::print_stdout, reason = "the figures are what it is for")]

mod common;

use async_trait::async_trait;
use bytes::Bytes;
use common::{Failure, Publish, Receive, Side, Write};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use shardwright_coordinator::Namespace;
use shardwright_coordinator::kafka::{KafkaCoordinator, KafkaOptions};
use shardwright_servers::KafkaServer;
use std::sync::Arc;
use std::time::Duration;

const BUS: &str = "raw.bus";
const STORE: &str = "raw.store";

fn main() -> Result<(), Failure> {
    common::run(measure())
}

async fn measure() -> Result<(), Failure> {
    let server = KafkaServer::start()?;
    let open = async || {
        let options = KafkaOptions {
            brokers: vec![server.address()],
            login: None,
            tls: None,
            replication: 1,
            timeout_message: Duration::from_secs(10),
            timeout_session: Duration::from_secs(10),
        };
        Ok::<_, Failure>(KafkaCoordinator::open(options, Namespace::new("bench")?).await?)
    };
    let ours = Side::ours(open().await?, open().await?).await?;
    common::compare("Kafka", raw(&server).await?, ours).await
}

async fn raw(server: &KafkaServer) -> Result<Side, Failure> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", server.address());
    let admin: AdminClient<DefaultClientContext> = config.create()?;
    let topic =
        |name| NewTopic::new(name, 1, TopicReplication::Fixed(1)).set("message.timestamp.type", "LogAppendTime");
    // The store's records are written to the disk one by one, as the backend's own are.
    let topics = [topic(BUS), topic(STORE).set("flush.messages", "1")];
    for made in admin.create_topics(&topics, &AdminOptions::new()).await? {
        made.map_err(|(name, code)| format!("the topic {name} was not made: {code}"))?;
    }
    let writer = RawWriter {
        producer: producer(&config)?,
        consumer: RawReceiver(consumer(&config, STORE)?),
    };
    let side = Side {
        publisher: Arc::new(RawPublisher(producer(&config)?)),
        receiver: Box::new(RawReceiver(consumer(&config, BUS)?)),
        writer: Box::new(writer),
    };
    Ok(side)
}

/// With the backend's settings.
fn producer(config: &ClientConfig) -> Result<FutureProducer, Failure> {
    let mut config = config.clone();
    config
        .set("acks", "all")
        .set("enable.idempotence", "true")
        .set("linger.ms", "0");
    Ok(config.create()?)
}

/// With the backend's settings, from the beginning.
fn consumer(config: &ClientConfig, topic: &str) -> Result<StreamConsumer, Failure> {
    let mut config = config.clone();
    config
        .set("group.id", "raw")
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_uncommitted")
        .set("check.crcs", "true")
        .set("fetch.wait.max.ms", "5000");
    let consumer: StreamConsumer = config.create()?;
    let mut place = TopicPartitionList::new();
    place.add_partition_offset(topic, 0, Offset::Beginning)?;
    consumer.assign(&place)?;
    Ok(consumer)
}

struct RawPublisher(FutureProducer);

#[async_trait]
impl Publish for RawPublisher {
    async fn publish(&self, payload: Bytes) -> Result<(), Failure> {
        send(&self.0, BUS, &payload).await.map(drop)
    }
}

/// Sends a record and waits until it is stored: at which offset.
async fn send(producer: &FutureProducer, topic: &str, payload: &[u8]) -> Result<i64, Failure> {
    let record = FutureRecord::<(), [u8]>::to(topic).partition(0).payload(payload);
    let stored = producer
        .send(record, Duration::from_secs(10))
        .await
        .map_err(|(error, _)| error)?;
    Ok(stored.offset)
}

struct RawReceiver(StreamConsumer);

#[async_trait]
impl Receive for RawReceiver {
    async fn receive(&mut self) -> Result<usize, Failure> {
        self.0.recv().await?;
        Ok(1)
    }
}

struct RawWriter {
    producer: FutureProducer,
    consumer: RawReceiver,
}

#[async_trait]
impl Write for RawWriter {
    /// A record counts when its place in the log is known and everything before it has been read.
    async fn write(&mut self, value: Bytes) -> Result<(), Failure> {
        let read = async { Ok::<_, Failure>(self.consumer.0.recv().await?.offset()) };
        let (stored, read) = tokio::try_join!(send(&self.producer, STORE, &value), read)?;
        if stored == read {
            Ok(())
        } else {
            Err(format!("record {stored} was written and {read} was read").into())
        }
    }
}
