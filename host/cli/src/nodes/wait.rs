//! Waiting until drained nodes are empty, and saying how far that is.

use super::load::Load;
use crate::cluster::{Cluster, ClusterSnapshot};
use crate::output::{Format, line, plain};
use crate::owners::Owners;
use crate::shards::{self, RoleView};
use shardwright_core::human::Span;
use shardwright_core::id::NodeId;
use shardwright_core::role::Mode;
use std::collections::BTreeMap;
use std::io::Write;
use std::time::{Duration, Instant};

/// How often is looked.
const LOOK: Duration = Duration::from_millis(250);
/// How often it is said that nothing has changed.
const SAY: Duration = Duration::from_secs(5);

/// Waits until nothing is left on the nodes. False if something stays there, or the time is over.
pub(super) async fn until_empty(
    cluster: &Cluster,
    nodes: &[NodeId],
    limit: Option<Duration>,
    format: Format,
) -> anyhow::Result<bool> {
    let begun = Instant::now();
    let mut said: Option<(String, Instant)> = None;
    loop {
        let sight = cluster.look().await?;
        let roles = shards::roles(cluster, &sight);
        let left = left(&sight, &roles, nodes);
        let took = Span(u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX));
        if left.is_empty() {
            say(format, &format!("nothing is left there, after {took}"))?;
            return Ok(true);
        }
        let text = describe(&sight, &left);
        if said
            .as_ref()
            .is_none_or(|(before, at)| *before != text || at.elapsed() >= SAY)
        {
            say(format, &format!("{text}, after {took}"))?;
            said = Some((text.clone(), Instant::now()));
        }
        if stays(&sight, &roles, nodes) {
            say(
                format,
                "what is left nobody else may take: it stays there. The order stands",
            )?;
            return Ok(false);
        }
        if limit.is_some_and(|limit| begun.elapsed() >= limit) {
            say(format, "the time to wait is over. The order stands")?;
            return Ok(false);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// How many shards each node has of each role.
type Left = BTreeMap<u32, BTreeMap<String, u32>>;

fn left(sight: &ClusterSnapshot, roles: &[RoleView<'_>], nodes: &[NodeId]) -> Left {
    let mut left = Left::new();
    for role in roles {
        let loads = Load::of(std::slice::from_ref(role), sight);
        for id in nodes.iter().filter(|id| sight.view.is_live(**id)) {
            let load = loads.get(&id.get()).copied().unwrap_or_default();
            if !load.is_empty() {
                left.entry(id.get())
                    .or_default()
                    .insert(role.name.clone(), load.acting + load.taking);
            }
        }
    }
    left
}

fn describe(sight: &ClusterSnapshot, left: &Left) -> String {
    let nodes = left.iter().map(|(id, roles)| {
        let each: Vec<_> = roles
            .iter()
            .map(|(role, count)| format!("{} {count}", plain(role)))
            .collect();
        let all: u32 = roles.values().sum();
        format!("node {}: {all} left: {}", plain(&sight.label(*id)), each.join(", "))
    });
    nodes.collect::<Vec<_>>().join("; ")
}

/// Whether all that is left are shards that nobody else may take, so that waiting is in vain.
fn stays(sight: &ClusterSnapshot, roles: &[RoleView<'_>], nodes: &[NodeId]) -> bool {
    let here = |id: &u32| nodes.iter().any(|node| node.get() == *id && sight.view.is_live(*node));
    roles.iter().filter(|role| role.mode() == Mode::Primary).all(|role| {
        let owners = Owners::of(role, sight);
        role.shards()
            .iter()
            .filter(|shard| shard.primary.iter().chain(&shard.target).any(here))
            .all(|shard| shard.target.is_none() && !owners.any(shard, &[]))
    }) && roles.iter().filter(|role| role.mode() == Mode::All).all(|role| {
        role.shards()
            .iter()
            .all(|shard| !shard.primary.iter().chain(&shard.standbys).any(here))
    })
}

/// Where JSON is the answer, progress is told beside it.
fn say(format: Format, text: &str) -> std::io::Result<()> {
    match format {
        Format::Json => writeln!(std::io::stderr(), "{text}"),
        Format::Table | Format::Wide => line(text),
    }
}
