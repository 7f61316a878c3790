//! The sections of brokers: every key, in every spelling; what does not fit; what has no effect.

#[path = "../common/mod.rs"]
mod common;
mod each;
mod kafka;
mod nats;
mod redis;
mod tls;

use common::{error, sound, warning};
use shardwright_config::{Code, CoordinatorConfig, KafkaSection, NatsSection, RedisSection, Secret};
use std::time::Duration;

const SEED: &str = "SUABCDEFGHIJKLMNOPQRSTUVWXYZ234567ABCDEFGHIJKLMNOPQRSTUVWX";
const CREDENTIALS: &str =
    "-----BEGIN NATS USER JWT-----\nx\n------END NATS USER JWT------\n-----BEGIN USER NKEY SEED-----\nSUx\n";

/// A configuration whose coordinator is a section with these lines.
fn with(section: &str) -> String {
    format!("cluster.coordinator = \"main\"\n[store.main]\n{section}\n")
}

fn redis(lines: &str) -> RedisSection {
    let CoordinatorConfig::Redis(section) = sound(&with(&format!("type = \"redis\"\n{lines}"))).0.coordinator else {
        panic!("redis")
    };
    section
}

fn nats(lines: &str) -> NatsSection {
    let CoordinatorConfig::Nats(section) = sound(&with(&format!("type = \"nats\"\n{lines}"))).0.coordinator else {
        panic!("nats")
    };
    section
}

fn kafka(lines: &str) -> KafkaSection {
    let CoordinatorConfig::Kafka(section) = sound(&with(&format!("type = \"kafka\"\n{lines}"))).0.coordinator else {
        panic!("kafka")
    };
    section
}

fn refused(kind: &str, lines: &str, code: Code, says: &str) {
    error(&with(&format!("type = \"{kind}\"\n{lines}")), code, says);
}

fn warned(kind: &str, lines: &str, code: Code, says: &str) {
    warning(&with(&format!("type = \"{kind}\"\n{lines}")), code, says);
}

fn secrets(texts: &[&str]) -> Vec<Secret> {
    texts.iter().map(|text| Secret::new(*text)).collect()
}

const SECOND: Duration = Duration::from_secs(1);
