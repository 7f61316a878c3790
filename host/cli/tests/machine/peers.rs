//! What a node tells of another that is killed.

use crate::common::{Cluster, OutputLine, SETTINGS, holders};

#[test]
fn a_node_that_is_killed_is_told_of_as_stale_then_left_then_inactive() {
    let hosts = ["alpha", "bravo"];
    let settings = SETTINGS.replace("stale-after = \"3s\"", "stale-after = \"3s\"\ninactive-after = \"4s\"");
    let mut cluster = Cluster::new(&settings);
    hosts.iter().for_each(|host| cluster.start(host));
    cluster.shared(&hosts);
    let joined = |told: &[OutputLine], host: &str| {
        let ready = told.iter().find(|told| told.host == host && told.event == "ready");
        ready.expect("it is").fields["node"].clone()
    };
    let bravo = joined(&cluster.told, "bravo");
    let skip = cluster.told.len();
    cluster.take("bravo").kill().expect("killed");
    let mut status = |wanted: &str| {
        cluster.until(&format!("bravo to be {wanted}"), |told| {
            let is = |told: &&OutputLine| {
                told.host == "alpha" && told.event == "peer-status" && told.fields["status"] == wanted
            };
            told.iter().skip(skip).find(is).cloned()
        })
    };
    for wanted in ["stale", "inactive"] {
        assert_eq!(status(wanted).fields["node"], bravo);
    }
    assert_eq!(cluster.event("alpha", "peer-left", skip).fields["node"], bravo);
    cluster.until("alpha to have everything", |told| {
        let held = holders(told, "fts-indexing");
        (held.len() == 9 && held.values().all(|host| host == "alpha")).then_some(())
    });
    let skip = cluster.told.len();
    cluster.start("bravo");
    assert_eq!(cluster.event("alpha", "peer-joined", skip).fields["node"], bravo);
}
