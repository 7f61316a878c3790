//! The configuration of the cluster: its times, its roles, and what is promised with them.

use std::time::Duration;

/// The roles and how many shards each has.
pub(crate) const ROLES: [(&str, u32); 3] = [("index", 6), ("sweep", 3), ("alerts", 2)];

/// How long a session holds, and the safety distance: what etcd's dates need.
const VALIDITY: Duration = Duration::from_secs(4);
const MARGIN: Duration = Duration::from_millis(500);
const REJOIN: Duration = Duration::from_secs(3);
const STOP: Duration = Duration::from_secs(1);

/// How long whoever held an id may go on at most after its store was lost, and how long nobody new acts in a new one,
/// in milliseconds.
pub(crate) const HOLD: u64 = (VALIDITY.as_millis() + MARGIN.as_millis()) as u64;

/// How long a new store counts as one from when its server serves, in milliseconds: somebody must find it, and then its
/// grace period lasts.
pub(crate) const NEW: u64 = HOLD + 3_000;

/// What stands in `[cluster]` of every node, after its coordinator.
pub(crate) fn cluster() -> String {
    let millis = |span: Duration| span.as_millis();
    format!(
        "name = \"chaos\"\n\n[cluster.timing]\nvalidity = \"{}ms\"\nrenew = \"1s\"\nmargin = \"{}ms\"\nsettle = \
         \"50ms\"\nstale-after = \"5s\"\nrejoin-delay = \"{}ms\"\nstop-timeout = \"{}ms\"\n\n[cluster.roles]\nindex = \
         {{ shards = 6, replicas = 2 }}\nsweep = {{ shards = 3, policy = \"rendezvous\" }}\nalerts = {{ groups = \
         [\"1-4\", \"4,3,2,1\"], mode = \"primary\" }}\n",
        millis(VALIDITY),
        millis(MARGIN),
        millis(REJOIN),
        millis(STOP),
    )
}

/// Within which every shard is owned again when all disturbances are over, on a machine that has time: what was lost is
/// waited out (one validity and margin), a session of whoever was killed last, too; shards of a node that is away may
/// wait for the rejoin delay, and move with the stop time-out.
pub(crate) const CALM: Duration = Duration::from_millis(
    (2 * (VALIDITY.as_millis() + MARGIN.as_millis()) + REJOIN.as_millis() + 2 * STOP.as_millis()) as u64,
);
