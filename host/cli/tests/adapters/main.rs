//! Nodes on a real adapter, as processes: their status, and another version in its place while they run.

#[path = "../common/mod.rs"]
mod common;
mod margin;
mod relay;
mod status;
mod upgrade;

use common::{Cluster, SETTINGS, yard};
use relay::{BUILT, Relay, adapter};
use rustix::process::Signal;
use serde_json::Value;
use shardwright_cli::process::OutputLine;
use std::path::PathBuf;

/// Nodes that meet at a [`Relay`], and the file of their adapter.
struct Stage {
    // First: nodes end before their server.
    cluster: Cluster,
    relay: Relay,
}

impl Stage {
    /// Without nodes.
    fn new() -> Self {
        Self::set(SETTINGS)
    }

    /// Without nodes, which are going to have these settings.
    fn set(settings: &str) -> Self {
        let relay = Relay::start();
        let mut cluster = Cluster::new(settings);
        let yard = yard(settings);
        let at = relay.address();
        let section = format!(
            "type = \"component\"\npath = {:?}\nallow = [\"tcp://{at}\", \"env:MORE\"]\nconfig = {{ at = \"{at}\" }}\n",
            yard.path().join("relay.wasm")
        );
        cluster.yard = yard.meeting_at(section);
        let stage = Self { cluster, relay };
        stage.put(&adapter(BUILT));
        stage
    }

    /// With these nodes, each with its share.
    fn of(hosts: &[&str]) -> Self {
        Self::new().with(hosts)
    }

    /// And these nodes, each with its share.
    fn with(mut self, hosts: &[&str]) -> Self {
        for host in hosts {
            self.cluster.start(host);
        }
        self.cluster.shared(hosts);
        self
    }

    fn file(&self) -> PathBuf {
        self.cluster.yard.path().join("relay.wasm")
    }

    /// Replaces the file of the adapter in one step.
    fn put(&self, bytes: &[u8]) {
        let new = self.file().with_extension("fresh");
        std::fs::write(&new, bytes).expect("written");
        std::fs::rename(new, self.file()).expect("renamed");
    }

    /// Has a node read the file again, and waits for what comes of it.
    fn hang_up(&mut self, host: &str, event: &str) -> OutputLine {
        let skip = self.cluster.told.len();
        self.cluster.node(host).signal(Signal::HUP).expect("it lives");
        // It is compiled, and plays a part of the contract suite.
        self.cluster.patient(&format!("{event} of {host}"), |told| {
            let is = |told: &&OutputLine| told.host == host && told.event == event;
            told.iter().skip(skip).find(is).cloned()
        })
    }

    fn report(&self, host: &str) -> PathBuf {
        self.cluster.yard.path().join(format!("state-{host}/coordinator.json"))
    }

    /// What `coordinator status` says of a node, with this exit code, once `done` likes it.
    fn status(&self, host: &str, code: i32, done: impl Fn(&Value) -> bool) -> Value {
        let dir = self.cluster.yard.path().join(format!("state-{host}"));
        let dir = dir.to_str().expect("UTF-8");
        let args = ["coordinator", "status", "-o", "json", "--state-dir", dir];
        self.cluster
            .ask_until(&args, |answer| answer.code == Some(code) && done(&answer.json()))
            .json()
    }
}
