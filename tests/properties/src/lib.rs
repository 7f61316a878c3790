//! What must hold of whatever comes from outside: properties over bytes.
//!
//! libFuzzer calls them with what it makes up (`fuzz/`, docs/fuzzing.md), the tests with what it has found (`fuzz/corpus`). A property panics if it
//! does not hold. Those of formats that nobody else sees stand beside them, behind the feature `fuzzing` of their crates.

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

use shardwright_adapter_etcd::properties as etcd;
use shardwright_adapter_postgresql::properties as postgresql;
use shardwright_coordinator::{kafka, nats, redis};

/// A property of bytes: it panics if it does not hold.
pub type Property = fn(&[u8]);

/// A group of properties that one fuzz target looks for an exception to, and whose corpus is the folder of its name.
pub struct Target {
    /// As in `cargo xtask fuzz NAME`.
    pub name: &'static str,
    /// All of them are tried with the same bytes.
    pub properties: &'static [Property],
}

impl Target {
    /// The target of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        TARGETS.iter().find(|target| target.name == name)
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
    target("answer", &[answer::answer]),
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
    target("values", &[values::values, values::keys]),
];

const fn target(name: &'static str, properties: &'static [Property]) -> Target {
    Target { name, properties }
}
