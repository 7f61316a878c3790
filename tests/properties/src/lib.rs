//! What must hold of whatever comes from outside: properties over bytes.
//!
//! libFuzzer calls them with what it makes up (`fuzz/`, docs/fuzzing.md), the tests with what it has found
//! (`fuzz/corpus`). A property panics if it does not hold. Those of formats that nobody else sees stand beside them,
//! behind the feature `fuzzing` of their crates.

mod answer;
mod config;
mod engine;
mod envelope;
mod grammar;
mod guest;
mod sealed;
mod secrets;
mod snapshot;
mod values;

use shardwright::properties as state_dir;
use shardwright_adapter_etcd::properties as etcd;
use shardwright_adapter_postgresql::properties as postgresql;
use shardwright_cli::properties as addresses;
use shardwright_components::adapter::properties as component;
use shardwright_coordinator::{kafka, nats, redis};

/// A property of bytes: it panics if it does not hold.
pub type Property = fn(&[u8]);

/// A group of properties that one fuzz target looks for an exception to, and whose corpus is the folder of its name.
#[derive(Clone, Copy)]
pub struct Target {
    /// As in `cargo xtask fuzz NAME`.
    pub name: &'static str,
    /// All of them are tried with the same bytes.
    pub properties: &'static [Property],
}

impl Target {
    /// The target of this name. Known when a program is compiled, so that nothing else becomes a part of it.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub const fn named(name: &str) -> Self {
        let mut at = 0;
        while at < TARGETS.len() {
            let target = TARGETS[at];
            if is_same(target.name.as_bytes(), name.as_bytes()) {
                return target;
            }
            at += 1;
        }
        panic!("there is no target of this name")
    }

    /// Tries its properties.
    pub fn hold(&self, data: &[u8]) {
        for property in self.properties {
            property(data);
        }
    }
}

/// Every target.
pub const TARGETS: &[Target] = &[
    target("address", &[addresses::address, addresses::password]),
    target("answer", &[answer::answer]),
    target("component", &[component::answers, component::words, component::about]),
    target("config", &[config::config]),
    target("engine", &[engine::engine]),
    target("envelope", &[envelope::envelope]),
    target("etcd", &[etcd::gateway]),
    target("etcd_parts", &[etcd::parts, etcd::config]),
    target("grammar", &[grammar::grammar]),
    target("kafka", &[kafka::properties::record]),
    target("kafka_log", &[kafka::properties::log]),
    target("nats", &[nats::properties::record, nats::properties::api]),
    target("nats_mirror", &[nats::properties::mirror]),
    target("postgresql", &[postgresql::server]),
    target("postgresql_parts", &[postgresql::config, postgresql::notes]),
    target("redis", &[redis::properties::answer, redis::properties::address]),
    target("sealed", &[sealed::sealed]),
    target("secrets", &[secrets::secrets]),
    target("snapshot", &[snapshot::snapshot]),
    target("state_dir", &[state_dir::files, engine::memory]),
    target("values", &[values::values, values::keys]),
];

const fn target(name: &'static str, properties: &'static [Property]) -> Target {
    Target { name, properties }
}

const fn is_same(a: &[u8], b: &[u8]) -> bool {
    let mut at = 0;
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    at == a.len() && at == b.len()
}
