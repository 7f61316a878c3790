//! Which nodes have other settings than those under which the cluster acts, and in what.

use crate::cluster::ClusterSnapshot;
use serde::Serialize;
use shardwright_config::{Difference, differences, told};
use shardwright_core::id::NodeId;

/// How many nodes are named in one text.
const NAMED: usize = 6;

/// A node that does not act, for its settings are not those that prevail.
#[derive(Serialize)]
pub(super) struct Differing {
    pub(super) node: u32,
    /// The nodes whose settings prevail.
    pub(super) from: Vec<u32>,
    /// In what it differs: `here` is its value, `there` is theirs. Empty where the settings of one side are not
    /// stored.
    pub(super) keys: Vec<Difference>,
    /// The same for people, with what to do.
    pub(super) text: String,
}

/// The nodes that differ, by id. Nothing secret is in what nodes store of their settings.
pub(super) fn differing(sight: &ClusterSnapshot) -> Vec<Differing> {
    let Some(prevailing) = sight.view.prevailing() else {
        return Vec::new();
    };
    let agrees = |id: &NodeId| sight.view.settings_of(*id) == Some(prevailing);
    let from: Vec<u32> = sight.view.live().filter(agrees).map(NodeId::get).collect();
    let theirs = sight.view.settings(prevailing);
    let of = |id: &NodeId| {
        let own = sight
            .view
            .settings_of(*id)
            .and_then(|settings| sight.view.settings(settings));
        let keys = own
            .zip(theirs.as_ref())
            .map_or_else(Vec::new, |(own, theirs)| differences(&own, theirs));
        Differing {
            node: id.get(),
            text: text(sight, *id, &from, &keys),
            from: from.clone(),
            keys,
        }
    };
    sight.differing.iter().map(of).collect()
}

fn text(sight: &ClusterSnapshot, id: NodeId, from: &[u32], keys: &[Difference]) -> String {
    let mut others: Vec<String> = from.iter().take(NAMED).map(|id| sight.label(*id)).collect();
    if from.len() > NAMED {
        others.push(format!("and {} more", from.len() - NAMED));
    }
    let what = match keys {
        [] => "in what is not stored, compare their files with `shardwright check FILE FILE`".to_owned(),
        keys => told(keys, "there", "on the others"),
    };
    format!(
        "node {} does not act, for its settings are not those under which the cluster acts, of {} {}: {what}. Correct \
         its configuration and restart it; or, if it is the one that is right, restart the others with its \
         configuration, one after another",
        sight.label(id.get()),
        if from.len() == 1 { "node" } else { "nodes" },
        others.join(", ")
    )
}
