//! Small clusters to start from.

use shardwright_core::role::{Mode, Placement, Replicas, RoleSpec};
use shardwright_core::rules::Rules;
use shardwright_model::{handoff, identity};
use std::io::Write;

/// A line that is shown even when the test passes.
pub(crate) fn say(line: &str) {
    writeln!(std::io::stderr(), "{line}").expect("standard error takes a line");
}

/// One role.
pub(crate) fn role(name: &str, shards: u32, mode: Mode) -> RoleSpec {
    RoleSpec {
        name: name.to_owned(),
        shards,
        mode,
        replicas: Replicas::Count(1),
        policy: String::new(),
        config: "{}".to_owned(),
        placement: Placement::Anywhere,
    }
}

/// Two nodes, one shard, one leader at a time, no bound on moves.
pub(crate) fn pair() -> handoff::Cluster {
    handoff::Cluster {
        nodes: 2,
        roles: vec![role("r", 1, Mode::Primary)],
        leaders: 1,
        writes: 3,
        lives: 1,
        moves: usize::MAX,
        slow_reads: false,
        hasty_looks: false,
        memory: 1,
        rules: Rules::default(),
        possible: Vec::new(),
    }
}

/// Hostnames and static ids of processes, in a cluster of `max_id` ids that is empty at first.
pub(crate) fn processes(max_id: u32, each: &[(&str, Option<u32>)]) -> identity::Cluster {
    let all = (1..)
        .zip(each)
        .map(|(n, (hostname, id))| identity::process(n, hostname, *id, max_id));
    identity::Cluster {
        processes: all.collect(),
        joined: Vec::new(),
        writes: 0,
        rules: Rules::default(),
        possible: Vec::new(),
    }
}

/// The first of these processes, and one in a copy of its state directory.
pub(crate) fn copies(cluster: identity::Cluster) -> identity::Cluster {
    let first = cluster.processes[0].clone();
    let others = cluster.processes[1..].iter().cloned();
    identity::Cluster {
        processes: [first.clone(), identity::copy(&first)]
            .into_iter()
            .chain(others)
            .collect(),
        ..cluster
    }
}
