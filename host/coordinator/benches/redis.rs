//! The Redis coordinator beside the raw client: publish and subscribe, and the same script called by hand.
#![allow(clippy::print_stdout, reason = "the figures are what it is for")]

mod common;

use async_trait::async_trait;
use bytes::Bytes;
use common::{Failure, Publish, Receive, Side, Write};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, PushInfo, PushKind, Script, Value, cmd};
use shardwright_coordinator::Namespace;
use shardwright_coordinator::broker::Password;
use shardwright_coordinator::redis::{RedisCoordinator, RedisOptions, RedisTopology};
use shardwright_servers::RedisServer;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

const CHANNEL: &str = "raw:bus";
const KEYS: [&str; 3] = ["raw:meta", "raw:index", "raw:entries"];

fn main() -> Result<(), Failure> {
    common::run(measure())
}

async fn measure() -> Result<(), Failure> {
    let server = RedisServer::start()?;
    let open = async || {
        let options = RedisOptions {
            topology: RedisTopology::Single,
            urls: vec![Password::new(server.url())],
            user: None,
            password: None,
            timeout: Duration::from_secs(10),
            min_replicas: 0,
            tls: None,
        };
        Ok::<_, Failure>(RedisCoordinator::open(options, Namespace::new("bench")?).await?)
    };
    let ours = Side::ours(open().await?, open().await?).await?;
    common::compare("Redis", raw(&server).await?, ours).await
}

async fn raw(server: &RedisServer) -> Result<Side, Failure> {
    let client = Client::open(format!("{}/?protocol=resp3", server.url()))?;
    let config = || AsyncConnectionConfig::new().set_response_timeout(None);
    let connection = client.get_multiplexed_async_connection_with_config(&config()).await?;
    let (pushed, messages) = unbounded_channel();
    let mut ear = client
        .get_multiplexed_async_connection_with_config(&config().set_push_sender(pushed))
        .await?;
    ear.subscribe(CHANNEL).await?;
    let mut script = RawScript {
        connection: connection.clone(),
        hash: Script::new(SCRIPT).get_hash().to_owned(),
        revision: 0,
    };
    script.load().await?;
    Ok(Side {
        publisher: Arc::new(RawPublisher(connection)),
        receiver: Box::new(RawReceiver { messages, _ear: ear }),
        writer: Box::new(script),
    })
}

struct RawPublisher(MultiplexedConnection);

#[async_trait]
impl Publish for RawPublisher {
    async fn publish(&self, payload: Bytes) -> Result<(), Failure> {
        let mut connection = self.0.clone();
        cmd("PUBLISH")
            .arg(CHANNEL)
            .arg(&payload[..])
            .exec_async(&mut connection)
            .await?;
        Ok(())
    }
}

struct RawReceiver {
    messages: UnboundedReceiver<PushInfo>,
    _ear: MultiplexedConnection,
}

#[async_trait]
impl Receive for RawReceiver {
    async fn receive(&mut self) -> Result<usize, Failure> {
        loop {
            let push = self.messages.recv().await.ok_or("the connection ended")?;
            if push.kind == PushKind::Message {
                return Ok(1);
            }
        }
    }
}

/// The backend's own script, called without the backend.
struct RawScript {
    connection: MultiplexedConnection,
    hash: String,
    revision: i64,
}

const SCRIPT: &str = include_str!("../src/redis/script.lua");

impl RawScript {
    async fn load(&mut self) -> Result<(), Failure> {
        cmd("SCRIPT")
            .arg("LOAD")
            .arg(SCRIPT)
            .exec_async(&mut self.connection)
            .await?;
        self.call(&[b"open", b"", b"", b"0", b"0", b"raw"]).await?;
        self.revision = self.call(&[b"put", b"", b"", b"0", b"0", b"key", b"any", b""]).await?;
        Ok(())
    }

    /// Calls it and gives the revision in its answer.
    async fn call(&mut self, arguments: &[&[u8]]) -> Result<i64, Failure> {
        let mut call = cmd("EVALSHA");
        call.arg(&self.hash).arg(KEYS.len()).arg(&KEYS).arg(arguments);
        let answer: Vec<Value> = call.query_async(&mut self.connection).await?;
        match &answer[..] {
            [Value::BulkString(status), Value::Int(revision), ..] if status == b"ok" => Ok(*revision),
            other => Err(format!("the script answered {other:?}").into()),
        }
    }
}

#[async_trait]
impl Write for RawScript {
    async fn write(&mut self, value: Bytes) -> Result<(), Failure> {
        let expected = self.revision.to_string();
        let arguments: [&[u8]; 8] = [b"put", b"", b"", b"0", b"0", b"key", expected.as_bytes(), &value];
        self.revision = self.call(&arguments).await?;
        Ok(())
    }
}
