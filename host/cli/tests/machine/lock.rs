//! Another process that does not let go of the file in which nodes meet.

use crate::common::Cluster;
use crate::{owned_again, stopped, unharmed};

#[test]
fn nodes_whose_file_is_locked_for_long_stop_and_go_on_when_it_is_free() {
    let hosts = ["alpha", "bravo"];
    let mut cluster = Cluster::of(&hosts);
    let skip = cluster.told.len();
    let other = rusqlite::Connection::open(cluster.yard.store()).expect("opens");
    other.busy_timeout(crate::common::LIMIT).expect("set");
    other.execute_batch("BEGIN IMMEDIATE").expect("locks");
    stopped(&mut cluster, &hosts, skip);
    cluster
        .ask(&["status"])
        .code(3)
        .says("no answer within 10 s: another process may hold the lock of ")
        .says("`fuser ");
    // An operator who asks is told who is in the way. That takes as long as the lock is waited for.
    let node = ["nodes", "drain", "1"];
    cluster
        .ask(&node)
        .code(1)
        .says("locked by another process for more than 20 s")
        .says("fuser");
    let skip = cluster.told.len();
    other.execute_batch("ROLLBACK").expect("lets go");
    owned_again(&mut cluster, skip);
    unharmed(&cluster);
}
