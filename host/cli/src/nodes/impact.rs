//! What an order would leave without an owner, said before it is given.

use crate::cluster::{Cluster, ClusterSnapshot};
use crate::exit::Exit;
use crate::output::{self, Format, line, plain, ranges};
use crate::owners::Owners;
use crate::shards;
use serde::Serialize;
use serde_json::json;
use shardwright_core::id::NodeId;

/// Shards of a role that nobody could take any more.
#[derive(Serialize)]
pub(super) struct Stranded {
    role: String,
    /// As ranges, `0-3,7`.
    shards: String,
    count: usize,
    of: u32,
}

/// The shards that somebody may have now, and nobody once these nodes are drained.
pub(super) fn of_drain(cluster: &Cluster, sight: &ClusterSnapshot, nodes: &[NodeId]) -> Vec<Stranded> {
    let drained: Vec<u32> = nodes.iter().map(|id| id.get()).collect();
    let stranded = shards::roles(cluster, sight).into_iter().filter_map(|role| {
        let owners = Owners::of(&role, sight);
        let lost = |shard: &&shards::Shard| owners.any(shard, &[]) && !owners.any(shard, &drained);
        let shards: Vec<u32> = role
            .every_shard()
            .iter()
            .filter(lost)
            .map(|shard| shard.shard)
            .collect();
        (!shards.is_empty()).then(|| Stranded {
            shards: ranges(&shards),
            count: shards.len(),
            of: role.count(),
            role: role.name.clone(),
        })
    });
    stranded.collect()
}

/// Says that the order is not given, and what would have been.
pub(super) fn refuse(cluster: &Cluster, stranded: &[Stranded], format: Format) -> anyhow::Result<Exit> {
    if format == Format::Json {
        output::json(&json!({ "order": "drain", "refused": true, "stranded": stranded }))?;
    } else {
        tell(cluster, stranded)?;
        line("Nothing was ordered. Let another node have these shards first, or use --force.")?;
    }
    Ok(Exit::Refused)
}

/// Says it, and no more.
pub(super) fn warn(cluster: &Cluster, stranded: &[Stranded], format: Format) -> anyhow::Result<()> {
    match format {
        Format::Table | Format::Wide if !stranded.is_empty() => tell(cluster, stranded),
        _ => Ok(()),
    }
}

fn tell(cluster: &Cluster, stranded: &[Stranded]) -> anyhow::Result<()> {
    line(
        "Nobody else may take these shards: they stay where they are, and nobody acts on them once that node is \
         stopped:",
    )?;
    for Stranded {
        role,
        shards,
        count,
        of,
    } in stranded
    {
        line(&format!("  {}: {shards} ({count} of {of})", plain(role)))?;
    }
    if !cluster.configured {
        line("Without a configuration it is not known which nodes a role is limited to: there may be more.")?;
    }
    Ok(())
}
