//! The etcd adapter beside a native HTTP client that sends the same requests, on one member.

use crate::common::{self, Failure, KEY, Native, compare};
use bytes::Bytes;
use data_encoding::BASE64;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use serde_json::{Value, json};
use shardwright_components::adapter::{AdapterComponent, AdapterCoordinator, AdapterEngine, AdapterOptions, Grants};
use shardwright_components::bundled;
use shardwright_coordinator::broker::Password;
use shardwright_servers::EtcdServer;
use tokio::net::TcpStream;
use wasmtime_wasi_http::io::TokioIo;

pub(crate) async fn measure(engine: &AdapterEngine, quick: bool) -> Result<(), Failure> {
    let server = EtcdServer::start()?;
    let component = AdapterComponent::load(engine, bundled::ETCD.bytes.to_vec()).await?;
    let config = json!({ "endpoints": [server.url()] }).to_string();
    let options = AdapterOptions {
        grants: Grants::parse([server.url().as_str()])?,
        ..AdapterOptions::new("bench", Password::new(config))
    };
    let ours = AdapterCoordinator::open(component, options, common::namespace()?).await?;
    let mut native = Client::connect(server.port()).await?;
    compare("etcd", &ours, &mut native, quick).await
}

/// A client of the JSON gateway, with one connection.
struct Client {
    sender: SendRequest<Full<Bytes>>,
    host: String,
    history: String,
    stamp: u64,
    revision: u64,
}

fn text(text: impl AsRef<[u8]>) -> String {
    BASE64.encode(text.as_ref())
}

fn key(name: &str) -> String {
    text(format!("native/bench/{name}"))
}

impl Client {
    async fn connect(port: u16) -> Result<Self, Failure> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let history = text("0123456789abcdef0123456789abcdef 1");
        let mut client = Self {
            sender,
            host: format!("127.0.0.1:{port}"),
            history,
            stamp: 1_000_000_000_000,
            revision: 0,
        };
        let begin = json!({ "success": [
            { "request_put": { "key": key("history"), "value": client.history } },
            { "request_put": { "key": key("clock"), "value": text("0000000000000000 1") } },
        ] });
        client.txn(&begin).await?;
        Ok(client)
    }

    async fn txn(&mut self, body: &Value) -> Result<Value, Failure> {
        let body = Bytes::from(body.to_string());
        let request = Request::post("/v3/kv/txn")
            .header("host", &self.host)
            .header("grpc-metadata-hasleader", "true");
        self.sender.ready().await?;
        let answer = self.sender.send_request(request.body(Full::new(body))?).await?;
        let bytes = answer.into_body().collect().await?.to_bytes();
        let answer: Value = serde_json::from_slice(&bytes)?;
        if answer["succeeded"] == true {
            Ok(answer)
        } else {
            Err(format!("not done: {answer}").into())
        }
    }

    fn same(&self) -> Value {
        json!({ "target": "VALUE", "key": key("history"), "result": "EQUAL", "value": self.history })
    }
}

fn range(name: &str) -> Value {
    json!({ "request_range": { "key": key(name) } })
}

impl Native for Client {
    async fn get(&mut self) -> Result<(), Failure> {
        let body = json!({
            "compare": [self.same()],
            "success": [range("clock"), range(&format!("k/{KEY}"))],
            "failure": [range("history")],
        });
        let answer = self.txn(&body).await?;
        let value = answer["responses"][1]["response_range"]["kvs"][0]["value"]
            .as_str()
            .ok_or("no entry")?;
        BASE64.decode(value.as_bytes())?;
        Ok(())
    }

    async fn put(&mut self, value: &Bytes) -> Result<(), Failure> {
        self.stamp += 1;
        let entry = key(&format!("k/{KEY}"));
        let framed = [&[1][..], &self.stamp.to_be_bytes(), value].concat();
        let body = json!({
            "compare": [
                self.same(),
                { "target": "VALUE", "key": key("clock"), "result": "LESS",
                    "value": text(format!("{:016}", self.stamp + 1)) },
                { "target": "MOD", "key": entry, "result": "EQUAL", "mod_revision": self.revision.to_string() },
            ],
            "success": [
                { "request_put": { "key": entry, "value": BASE64.encode(&framed) } },
                { "request_put": { "key": key("clock"), "value": text(format!("{:016} 1", self.stamp)) } },
            ],
            "failure": [range("clock"), range("history"), range(&format!("k/{KEY}"))],
        });
        let answer = self.txn(&body).await?;
        self.revision = answer["header"]["revision"].as_str().ok_or("no revision")?.parse()?;
        Ok(())
    }
}
