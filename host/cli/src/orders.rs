//! An operator's orders for one node: drain, cordon, forget. Each is a compare-and-set on what was read.

use crate::cluster::{Cluster, Sight};
use crate::exit::Exit;
use crate::output::{line, plain};
use anyhow::{Context, bail};
use shardwright_core::human::Span;
use shardwright_core::id::NodeId;
use shardwright_core::store::{Entry, Expected, StoreTime};
use shardwright_core::values::{Key, NodeInfo, Session, Value};
use std::sync::Arc;

/// How often a write is tried when the node itself writes at the same moment.
const TRIES: usize = 16;

/// What is ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Empty the node, or end that.
    Drain(bool),
    /// Give it nothing more, or end that.
    Cordon(bool),
    /// Remove it.
    Forget,
}

impl Order {
    fn apply(self, info: &mut NodeInfo) {
        match self {
            Self::Drain(drain) => info.drain = drain,
            Self::Cordon(cordon) => info.cordon = cordon,
            Self::Forget => {}
        }
    }

    const fn done(self) -> &'static str {
        match self {
            Self::Drain(true) => "is draining: its shards move to other nodes, and it is given nothing until `undrain`",
            Self::Drain(false) => "is drained no more: it is given shards again",
            Self::Cordon(true) => "is cordoned: it keeps what it has, and is given nothing more until `uncordon`",
            Self::Cordon(false) => "is cordoned no more: it is given shards again",
            Self::Forget => "is forgotten",
        }
    }
}

/// Gives the order to the node `id`.
pub(crate) async fn give(cluster: &Cluster, order: Order, id: u32) -> anyhow::Result<Exit> {
    let id = NodeId::new(id).context("ids begin at 1")?;
    let sight = cluster.look().await?;
    let name = plain(&sight.record(id)?.hostname).into_owned();
    if order == Order::Forget {
        return forget(cluster, &sight, id).await;
    }
    for _ in 0..TRIES {
        let key = Key::Node(id);
        let Some(Entry {
            value: Value::Node(info),
            revision,
            ..
        }) = cluster.get(&key).await?
        else {
            bail!("node {id} ({name}) has not said anything of itself yet: try again in a moment");
        };
        let mut wanted = NodeInfo::clone(&info);
        order.apply(&mut wanted);
        let already = wanted == *info;
        if already
            || cluster
                .replace(&key, &Value::Node(Arc::new(wanted)), Expected::Revision(revision))
                .await?
        {
            cluster.hint(sight.now).await;
            line(&format!(
                "node {id} ({name}) {}{}",
                if already { "already " } else { "" },
                order.done()
            ))?;
            return Ok(Exit::Ok);
        }
    }
    bail!("node {id} ({name}) is changed by others all the time; nothing was written: try again")
}

/// Removes what is stored about a node that is gone.
///
/// The id goes first: from then on nobody can join under it as this host. The host goes next; if it has come back meanwhile, the id is
/// given back to it. Its session goes last, since the plans are read against it.
async fn forget(cluster: &Cluster, sight: &Sight, id: NodeId) -> anyhow::Result<Exit> {
    let record = sight.record(id)?;
    let host = record.hostname.clone();
    let seen = sight.view.sessions.get(&id).context("it has no session")?;
    if let Some(refusal) = refusal(cluster, sight, id, &seen.entry) {
        bail!("node {id} ({host}) {refusal}");
    }
    // As they were before the id is freed: what is written after that is about whoever has it then.
    let said = cluster.get(&Key::Node(id)).await?;
    let came_back = || anyhow::anyhow!("node {id} ({host}) came back at this moment: it was not forgotten");
    let mut removed = Vec::new();

    let owns = |entry: &Entry<Value>| matches!(&entry.value, Value::Id(owner) if owner.hostname == host);
    let freed = cluster.get(&Key::Id(id)).await?.filter(owns);
    if let Some(entry) = &freed {
        if !cluster.remove(&Key::Id(id), entry.revision).await? {
            return Err(came_back());
        }
        removed.push(format!("its claim to the id {id}, which another host may now lease"));
    }
    let host_key = Key::Host(host.clone());
    let points_here = |entry: &Entry<Value>| matches!(&entry.value, Value::Host(host) if host.id.is_none_or(|at| at == id));
    if let Some(entry) = cluster.get(&host_key).await?.filter(points_here) {
        let resumed = matches!(&entry.value, Value::Host(host) if host.session != Some(seen.entry.value.session));
        if resumed || !cluster.remove(&host_key, entry.revision).await? {
            if let Some(entry) = freed {
                cluster.replace(&Key::Id(id), &entry.value, Expected::Absent).await?;
            }
            return Err(came_back());
        }
        removed.push(format!("the hostname {}, which gets a new id if it ever comes back", plain(&host)));
    }
    if let Some(entry) = said
        && cluster.remove(&Key::Node(id), entry.revision).await?
    {
        removed.push("its labels and orders".to_owned());
    }
    if !cluster.remove(&Key::Session(id), seen.entry.revision).await? {
        return Err(came_back());
    }
    removed.push("its session".to_owned());
    cluster.hint(sight.now).await;
    line(&format!(
        "node {id} ({}) {}; removed: {}",
        plain(&host),
        Order::Forget.done(),
        removed.join("; ")
    ))?;
    Ok(Exit::Ok)
}

/// Why a node cannot be forgotten now, and what to do.
fn refusal(cluster: &Cluster, sight: &Sight, id: NodeId, session: &Entry<Session>) -> Option<String> {
    let taker = cluster.config.timing.taker();
    let age = |since: StoreTime| sight.now.since(since);
    if session.value.ended.is_none() && age(session.written) < taker {
        return Some(format!(
            "is alive, its session was renewed {} ago: stop it first, with SIGTERM to its `shardwright run`",
            Span(age(session.written))
        ));
    }
    if session.value.ended.is_none() {
        return Some(
            "does not answer, and no other node has ended its session yet: start another node, which does so in a moment".to_owned(),
        );
    }
    // Until then a leader that has not read of the end could still write a plan that names it.
    if age(session.written) < taker {
        return Some(format!("has only just ended: try again in {}", Span(taker - age(session.written))));
    }
    let holds = sight.view.plans.iter().filter_map(|((role, _), (_, part))| {
        let held = (0..part.holders.len())
            .filter(|&at| part.holder(at) == Some((id, session.value.session)))
            .count();
        (held > 0).then(|| format!("{held} shards of {role}"))
    });
    let holds: Vec<_> = holds.collect();
    if !holds.is_empty() {
        return Some(format!(
            "is still named as the one that acts on {}: a live node takes them over within moments, so start one that may have them",
            holds.join(", ")
        ));
    }
    None
}
