//! The NATS coordinator beside the raw client: core publish and subscribe, and a publish to a stream that expects the
//! last sequence.
#![allow(clippy::print_stdout, reason = "the figures are what it is for")]

mod common;

use async_nats::{Client, HeaderMap, HeaderValue, Request, Subscriber};
use async_trait::async_trait;
use bytes::Bytes;
use common::{Failure, Publish, Receive, Side, Write};
use futures_util::StreamExt;
use shardwright_coordinator::Namespace;
use shardwright_coordinator::broker::Password;
use shardwright_coordinator::nats::{NatsCoordinator, NatsLogin, NatsOptions};
use shardwright_servers::NatsServer;
use std::sync::Arc;
use std::time::Duration;

const SUBJECT: &str = "raw.bus";
const KEY: &str = "raw.store.key";
/// Kept as the backend keeps its own: in a file, one replica, the last message of each subject.
const STREAM: &str = r#"{"name":"RAW","subjects":["raw.store.>"],"storage":"file","discard":"new",
    "max_msgs_per_subject":1,"num_replicas":1,"retention":"limits","allow_direct":false,"deny_purge":true}"#;

fn main() -> Result<(), Failure> {
    common::run(measure())
}

async fn measure() -> Result<(), Failure> {
    let server = NatsServer::start()?;
    let open = async || {
        let options = NatsOptions {
            addresses: vec![Password::new(server.url())],
            login: NatsLogin::None,
            tls: None,
            replicas: 1,
            timeout_connection: Duration::from_secs(10),
            timeout_request: Duration::from_secs(10),
            ping_interval: Duration::from_secs(60),
            capacity_client: 2048,
            capacity_subscription: 65_536,
            capacity_read_buffer: 65_535,
            max_reconnects: None,
        };
        Ok::<_, Failure>(NatsCoordinator::open(options, Namespace::new("bench")?).await?)
    };
    let ours = Side::ours(open().await?, open().await?).await?;
    common::compare("NATS", raw(&server).await?, ours).await
}

async fn raw(server: &NatsServer) -> Result<Side, Failure> {
    let client = async_nats::connect(server.url()).await?;
    let ear = async_nats::connect(server.url()).await?;
    let subscriber = ear.subscribe(SUBJECT).await?;
    // What is published after the answer to this is heard.
    ear.flush().await?;
    let made = client.request("$JS.API.STREAM.CREATE.RAW", STREAM.into()).await?;
    if !String::from_utf8_lossy(&made.payload).contains("\"created\"") {
        return Err(format!("the stream was not made: {made:?}").into());
    }
    let writer = RawWriter {
        client: client.clone(),
        sequence: 0,
    };
    Ok(Side {
        publisher: Arc::new(RawPublisher(client)),
        receiver: Box::new(RawReceiver { subscriber, _ear: ear }),
        writer: Box::new(writer),
    })
}

struct RawPublisher(Client);

#[async_trait]
impl Publish for RawPublisher {
    async fn publish(&self, payload: Bytes) -> Result<(), Failure> {
        Ok(self.0.publish(SUBJECT, payload).await?)
    }
}

struct RawReceiver {
    subscriber: Subscriber,
    _ear: Client,
}

#[async_trait]
impl Receive for RawReceiver {
    async fn receive(&mut self) -> Result<usize, Failure> {
        self.subscriber.next().await.ok_or("the connection ended")?;
        Ok(1)
    }
}

struct RawWriter {
    client: Client,
    sequence: u64,
}

#[async_trait]
impl Write for RawWriter {
    async fn write(&mut self, value: Bytes) -> Result<(), Failure> {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Expected-Last-Subject-Sequence", HeaderValue::from(self.sequence));
        let request = Request::new().payload(value).headers(headers);
        let answer = self.client.send_request(KEY, request).await?;
        let answer: serde_json::Value = serde_json::from_slice(&answer.payload)?;
        self.sequence = answer["seq"]
            .as_u64()
            .ok_or_else(|| format!("it was not stored: {answer}"))?;
        Ok(())
    }
}
