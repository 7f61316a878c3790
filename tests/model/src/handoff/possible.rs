//! Situations that the ownership search must reach, so that its silence means something.

use super::state::{Owner, State};
use super::{Cluster, Possible};
use shardwright_core::role::Mode;

/// What became of a shard's last owners, `before` and `now`, where the last one acts on it.
fn changed(cluster: &Cluster, state: &State, how: impl Fn(&[Owner], &Owner, &Owner) -> bool) -> bool {
    cluster.shards(Mode::Primary).any(|(role, shard)| {
        let log = &state.owners[role][shard as usize];
        let [.., before, now] = log.as_slice() else {
            return false;
        };
        let index = now.node.get() as usize - 1;
        state.nodes[index].acts(role, shard) && before.node != now.node && how(log, before, now)
    })
}

/// A shard moved between two nodes that both live.
pub const MOVED: Possible = ("a shard moves from one live node to another", |cluster, state| {
    changed(cluster, state, |_, before, _| {
        let index = before.node.get() as usize - 1;
        state.is_in_session(index) && state.nodes[index].session == Some(before.session) && !state.nodes[index].late
    })
});

/// A dead owner's shard has another owner. For a budget of no moves: then only the end of a session frees a shard.
pub const TAKEN_OVER: Possible = ("a dead owner's shard is taken over", |cluster, state| {
    cluster.moves == 0 && changed(cluster, state, |_, _, _| true)
});

/// A shard is back with the node that had it first. For a memory of three owners.
pub const RETURNED: Possible = ("a shard returns to its first owner", |cluster, state| {
    changed(
        cluster,
        state,
        |log, _, now| matches!(log, [first, _, _] if first.node == now.node),
    )
});
