//! Removing nodes that are gone for good.

use super::targets;
use crate::cluster::{Cluster, ClusterSnapshot};
use crate::exit::Exit;
use crate::output::{self, Format, line, plain};
use anyhow::{Context, bail};
use serde::Serialize;
use shardwright_core::human::Span;
use shardwright_core::id::NodeId;
use shardwright_core::store::{Entry, Expected, StoreTime};
use shardwright_core::values::{Key, Session, Value};

/// What was removed, and what was not.
#[derive(Default, Serialize)]
struct Forgotten {
    forgotten: Vec<Removed>,
    left: Vec<LeftOut>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Removed {
    node_id: u32,
    hostname: String,
    /// What was stored of it.
    removed: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LeftOut {
    node_id: u32,
    hostname: String,
    reason: String,
}

/// Forgets the named nodes; all that have ended, if none is named.
pub(super) async fn run(cluster: &Cluster, names: &[String], format: Format) -> anyhow::Result<Exit> {
    let sight = cluster.look().await?;
    let every = names.is_empty();
    let nodes = match every {
        true => ended(&sight),
        false => targets::find(&sight, names)?,
    };
    let mut outcome = Forgotten::default();
    let mut free = Vec::new();
    for id in nodes {
        let record = sight.record(id)?;
        let seen = sight.view.sessions.get(&id).context("it has no session")?;
        match refusal(&sight, id, &seen.entry) {
            Some(reason) if !every => bail!("node {id} ({}) {reason}", record.hostname),
            Some(reason) => outcome.left.push(LeftOut {
                node_id: id.get(),
                hostname: record.hostname.clone(),
                reason,
            }),
            None => free.push(id),
        }
    }
    for id in free {
        let removed = remove(cluster, &sight, id).await?;
        cluster.hint(sight.now).await;
        if format != Format::Json {
            let name = plain(&removed.hostname);
            line(&format!(
                "node {id} ({name}) is forgotten; removed: {}",
                removed.removed.join("; ")
            ))?;
        }
        outcome.forgotten.push(removed);
    }
    show(&outcome, format)?;
    Ok(if outcome.left.is_empty() {
        Exit::Ok
    } else {
        Exit::Unhealthy
    })
}

fn ended(sight: &ClusterSnapshot) -> Vec<NodeId> {
    let ended = sight.records.iter().filter(|record| record.ended.is_some());
    ended.map(|record| record.node_id).collect()
}

fn show(outcome: &Forgotten, format: Format) -> anyhow::Result<()> {
    if format == Format::Json {
        return output::json(outcome);
    }
    for LeftOut {
        node_id,
        hostname,
        reason,
    } in &outcome.left
    {
        line(&format!("node {node_id} ({}) {reason}", plain(hostname)))?;
    }
    if outcome.forgotten.is_empty() && outcome.left.is_empty() {
        line("no node has ended: there is nothing to forget")?;
    }
    Ok(())
}

/// Removes what is stored about a node that is gone.
///
/// The id goes first: from then on nobody can join under it as this host. The host goes next; if it has come back
/// meanwhile, the id is given back to it. Its session goes last, since the plans are read against it.
async fn remove(cluster: &Cluster, sight: &ClusterSnapshot, id: NodeId) -> anyhow::Result<Removed> {
    let host = sight.record(id)?.hostname.clone();
    let seen = sight.view.sessions.get(&id).context("it has no session")?;
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
    let points_here =
        |entry: &Entry<Value>| matches!(&entry.value, Value::Host(host) if host.id.is_none_or(|at| at == id));
    if let Some(entry) = cluster.get(&host_key).await?.filter(points_here) {
        let resumed = matches!(&entry.value, Value::Host(host) if host.session != Some(seen.entry.value.session));
        if resumed || !cluster.remove(&host_key, entry.revision).await? {
            if let Some(entry) = freed {
                cluster.replace(&Key::Id(id), &entry.value, Expected::Absent).await?;
            }
            return Err(came_back());
        }
        removed.push(format!(
            "the hostname {}, which gets a new id if it ever comes back",
            plain(&host)
        ));
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
    Ok(Removed {
        node_id: id.get(),
        hostname: host,
        removed,
    })
}

/// Why a node cannot be forgotten now, and what to do.
fn refusal(sight: &ClusterSnapshot, id: NodeId, session: &Entry<Session>) -> Option<String> {
    let taker = sight.timing.taker();
    let age = |since: StoreTime| sight.now.since(since);
    if session.value.ended.is_none() && age(session.written) < taker {
        return Some(format!(
            "is alive, its session was renewed {} ago: stop it first, with SIGTERM to its `shardwright run`",
            Span(age(session.written))
        ));
    }
    if session.value.ended.is_none() {
        return Some(
            "does not answer, and no other node has ended its session yet: start another node, which does so in a \
             moment"
                .to_owned(),
        );
    }
    // Until then a leader that has not read of the end could still write a plan that names it.
    if age(session.written) < taker {
        return Some(format!(
            "has only just ended: try again in {}",
            Span(taker - age(session.written))
        ));
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
            "is still named as the one that acts on {}: a live node takes them over within moments, so start one that \
             may have them",
            holds.join(", ")
        ));
    }
    None
}
