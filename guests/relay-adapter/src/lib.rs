//! A coordinator adapter whose backend is a server that a test runs, `{"at": "host:port"}`: it passes every call on,
//! and traps when the server tells it to. The tests of nodes on adapters patch `VERSION` in the component, and so have
//! later versions of it: one whose version ends with 9 asks for the grant `env:MORE` too, one that ends with 8 writes
//! whatever is expected, one that ends with 7 says that its times may be wrong by two seconds more.
#![cfg_attr(
    not(target_arch = "wasm32"),
    allow(dead_code, reason = "only a component exports it")
)]

mod lanes;
mod wire;

use lanes::{Relay, connect};
use shardwright_guest::adapter::{Adapter, Context, Description, OpenError, Opened};
use std::hint::black_box;

/// Stands nowhere else in the component.
static VERSION: &str = "7.0.1000";

fn version() -> &'static str {
    black_box(VERSION)
}

struct RelayAdapter;

impl Adapter for RelayAdapter {
    type Store = Relay;
    type Publisher = Relay;
    type Subscriber = Relay;

    fn describe() -> Description {
        Description {
            name: "relay".into(),
            version: version().into(),
            summary: "Passes every call on to a server that a test runs.".into(),
            options: vec!["at: host:port".into()],
        }
    }

    fn requires(config: &str) -> Result<Vec<String>, String> {
        let mut grants = vec![format!("tcp://{}", at(config)?)];
        if version().ends_with('9') {
            grants.push("env:MORE".into());
        }
        Ok(grants)
    }

    fn open_store(context: &Context) -> Result<(Relay, Opened), OpenError> {
        connect(context)
    }

    fn open_publisher(context: &Context) -> Result<(Relay, Opened), OpenError> {
        connect(context)
    }

    fn open_subscriber(context: &Context) -> Result<(Relay, Opened), OpenError> {
        connect(context)
    }
}

/// The option `at`. It is no parser of JSON.
fn at(config: &str) -> Result<String, String> {
    let found = config.split_once("\"at\"").and_then(|(_, rest)| rest.split('"').nth(1));
    found
        .map(str::to_owned)
        .ok_or_else(|| "`at` is missing: host:port".into())
}

shardwright_guest::export_adapter!(RelayAdapter);
