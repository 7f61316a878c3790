//! What an operator sees and orders: nodes, roles and owners, `status`, orders for nodes, and flags that are the same
//! everywhere.

#[path = "../common/mod.rs"]
mod common;
mod flags;
mod looks;
mod orders;
mod status;
mod upgrade;

use common::{Answer, Cluster, SETTINGS};
use serde_json::Value;

const HOSTS: [&str; 3] = ["alpha", "bravo", "charlie"];

/// [`SETTINGS`] with further roles, or other sections after them.
fn with(more: &str) -> String {
    format!("{SETTINGS}{more}\n")
}

fn started(settings: &str, hosts: &[&str]) -> Cluster {
    let mut cluster = Cluster::new(settings);
    hosts.iter().for_each(|host| cluster.start(host));
    for host in hosts {
        cluster.ready(host);
    }
    cluster.shared(hosts);
    cluster
}

fn id(cluster: &mut Cluster, host: &str) -> u64 {
    cluster.ready(host).fields["node"].as_u64().expect("an id")
}

/// What `nodes --all` says of a node.
fn node(cluster: &Cluster, host: &str) -> Value {
    let all = cluster.ask(&["nodes", "--all", "-o", "json"]).code(0).json();
    let mut nodes = all.as_array().expect("an array").iter();
    nodes.find(|node| node["hostname"] == host).expect("a node").clone()
}

fn line<'a>(answer: &'a Answer, host: &str) -> &'a str {
    answer.out.lines().find(|line| line.contains(host)).expect("a line")
}
