//! Situations that the identity search must reach, so that its silence means something.

use super::{Cluster, Possible, Stage, State};
use shardwright_core::join::{Held, JoinError};
use shardwright_core::values::{Key, Value};

/// Two hostnames hold an id at the same time.
pub const TWO_LIVE: Possible = ("two live holders", |_, state| Cluster::holders(state).count() == 2);

/// A hostname holds an id that another hostname's entry still claims.
pub const ID_REUSED: Possible = ("an id is used again", |cluster, state| {
    let claimed = |name: &str, held: &Held| {
        state
            .store
            .list("hosts/")
            .any(|(key, entry)| match (key, &entry.value) {
                (Key::Host(other), Value::Host(host)) => other != name && host.id == Some(held.id),
                _ => false,
            })
    };
    Cluster::holders(state).any(|(n, held)| claimed(cluster.hostname(n), held))
});

/// An instance holds the id of a hostname whose former holder is past its deadline and does not know yet that it was
/// replaced.
pub const RIVAL_REPLACED: Possible = ("a dead rival is replaced", |cluster, state| {
    let superseded = |name: &str| {
        let mut late = state.processes.iter().enumerate().filter(|(_, p)| p.late);
        late.any(|(n, p)| matches!(p.stage, Stage::Held(_)) && cluster.hostname(n) == name)
    };
    Cluster::holders(state).any(|(n, _)| superseded(cluster.hostname(n)))
});

/// A second instance of a hostname is refused.
pub const HOSTNAME_CONFLICT: Possible = ("a second instance is refused", |_, state| {
    refused(state, |error| matches!(error, JoinError::HostnameConflict { .. }))
});

/// No id is left for somebody.
pub const EXHAUSTED: Possible = ("ids run out", |_, state| {
    refused(state, |error| matches!(error, JoinError::Exhausted { .. }))
});

fn refused(state: &State, why: impl Fn(&JoinError) -> bool) -> bool {
    state
        .processes
        .iter()
        .any(|p| matches!(&p.stage, Stage::Refused(error) if why(error)))
}
