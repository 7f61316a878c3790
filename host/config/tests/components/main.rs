//! Sections of type `component`: every key, in every form; what does not fit, at its place; and that nothing secret is
//! shown.

#[path = "../common/mod.rs"]
mod common;
mod hidden;
mod keys;
mod told;

use common::sound;
use shardwright_config::{ComponentSection, CoordinatorConfig, Grant, GrantScheme};

const MIB: u64 = 1 << 20;

/// A configuration whose coordinator is a section of this type with these lines.
fn with(lines: &str) -> String {
    format!("cluster.coordinator = \"main\"\n[store.main]\ntype = \"component\"\n{lines}\n")
}

fn component(lines: &str) -> ComponentSection {
    let CoordinatorConfig::Component(section) = sound(&with(lines)).0.coordinator else {
        panic!("component")
    };
    section
}

/// As [`with`], for a section that names its adapter.
fn etcd(lines: &str) -> String {
    with(&format!("adapter = \"etcd\"\n{lines}"))
}

/// The JSON that an adapter is told by these lines.
fn told(lines: &str) -> String {
    component(&format!("adapter = \"etcd\"\n{lines}"))
        .config
        .expose()
        .to_owned()
}

/// What must be masked in what an adapter with these settings says.
fn secrets(lines: &str) -> Vec<String> {
    let section = component(&format!("adapter = \"etcd\"\n{lines}"));
    section
        .secrets
        .iter()
        .map(|secret| secret.expose().to_owned())
        .collect()
}

fn connect(scheme: GrantScheme, host: &str, port: u16) -> Grant {
    let host = host.to_owned();
    Grant::Connect { scheme, host, port }
}
