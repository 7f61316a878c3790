//! An operator's orders for nodes: drain and cordon. Each is a compare-and-set on what was read.

use crate::cluster::{Cluster, ClusterSnapshot};
use crate::output::{self, Format, line, plain};
use anyhow::bail;
use serde::Serialize;
use shardwright_core::id::NodeId;
use shardwright_core::store::{Entry, Expected};
use shardwright_core::values::{Key, NodeInfo, Value};
use std::sync::Arc;

/// How often a write is tried when the node itself writes at the same moment.
const TRIES: usize = 16;

/// What is ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Empty the node, or end that.
    Drain(bool),
    /// Give it nothing more, or end that.
    Cordon(bool),
}

impl Order {
    fn apply(self, info: &mut NodeInfo) {
        match self {
            Self::Drain(drain) => info.drain = drain,
            Self::Cordon(cordon) => info.cordon = cordon,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Drain(true) => "drain",
            Self::Drain(false) => "undrain",
            Self::Cordon(true) => "cordon",
            Self::Cordon(false) => "uncordon",
        }
    }

    const fn done(self) -> &'static str {
        match self {
            Self::Drain(true) => "is draining: its shards move to other nodes, and it is given nothing until `undrain`",
            Self::Drain(false) => "is drained no more: it is given shards again",
            Self::Cordon(true) => "is cordoned: it keeps what it has, and is given nothing more until `uncordon`",
            Self::Cordon(false) => "is cordoned no more: it is given shards again",
        }
    }
}

/// What was ordered.
#[derive(Serialize)]
pub(super) struct Given {
    order: &'static str,
    nodes: Vec<GivenNode>,
    /// Whether nothing is left there, if that was waited for.
    pub(super) drained: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GivenNode {
    node_id: u32,
    hostname: String,
    /// It was ordered before.
    already: bool,
}

impl Given {
    /// As JSON; for people each order has been told when it was given.
    pub(super) fn show(&self, format: Format) -> anyhow::Result<()> {
        match format {
            Format::Json => output::json(self),
            Format::Table | Format::Wide => Ok(()),
        }
    }
}

/// Gives the order to these nodes, one after the other.
pub(super) async fn give(
    cluster: &Cluster,
    sight: &ClusterSnapshot,
    order: Order,
    nodes: &[NodeId],
    format: Format,
) -> anyhow::Result<Given> {
    let mut given = Given {
        order: order.word(),
        nodes: Vec::new(),
        drained: None,
    };
    for &id in nodes {
        let hostname = sight.record(id)?.hostname.clone();
        let already = one(cluster, order, id, &hostname).await?;
        cluster.hint(sight.now).await;
        if format != Format::Json {
            let so = if already { "already " } else { "" };
            line(&format!("node {id} ({}) {so}{}", plain(&hostname), order.done()))?;
        }
        given.nodes.push(GivenNode {
            node_id: id.get(),
            hostname,
            already,
        });
    }
    Ok(given)
}

/// Gives it to one node; true if it had it already.
async fn one(cluster: &Cluster, order: Order, id: NodeId, hostname: &str) -> anyhow::Result<bool> {
    let key = Key::Node(id);
    for _ in 0..TRIES {
        let Some(Entry {
            value: Value::Node(info),
            revision,
            ..
        }) = cluster.get(&key).await?
        else {
            bail!("node {id} ({hostname}) has not said anything of itself yet: try again in a moment");
        };
        let mut wanted = NodeInfo::clone(&info);
        order.apply(&mut wanted);
        if wanted == *info {
            return Ok(true);
        }
        let value = Value::Node(Arc::new(wanted));
        if cluster.replace(&key, &value, Expected::Revision(revision)).await? {
            return Ok(false);
        }
    }
    bail!("node {id} ({hostname}) is changed by others all the time; nothing was written: try again")
}
