//! Nodes that are set otherwise than most.

use crate::common::{Cluster, LIMIT, SETTINGS, yard};
use rustix::process::Signal;

#[test]
fn a_node_that_is_set_otherwise_waits_and_acts_when_the_others_have_gone() {
    let hosts = ["alpha", "bravo"];
    let mut cluster = Cluster::of(&hosts);
    let store = format!("type = \"sqlite\"\npath = {:?}\n", cluster.yard.store());
    let settings = SETTINGS.replace("stop-timeout = \"2s\"", "stop-timeout = \"3s\"");
    assert_ne!(settings, SETTINGS);
    let yard = yard(&settings).meeting_at(store);
    let mut odd = Cluster::inside(yard);
    odd.start("charlie");
    let differs = odd.event("charlie", "settings-differ", 0);
    assert!(differs.fields["from"].is_array(), "{differs:?}");
    let named = cluster.event("alpha", "peer-differs", 0);
    let charlie = odd.ready("charlie").fields["node"].clone();
    assert_eq!(named.fields["node"], charlie);

    for host in hosts {
        let mut node = cluster.take(host);
        node.signal(Signal::TERM).expect("it lives");
        assert!(
            node.wait(LIMIT).expect("it ends").success(),
            "{}",
            cluster.yard.log(host)
        );
    }
    odd.event("charlie", "settings-agree", 0);
    odd.shared(&["charlie"]);
    let acts = |event: &str| {
        odd.told
            .iter()
            .position(|told| told.event == event && told.fields["role"] != "")
    };
    assert!(
        acts("gained") > acts("settings-agree"),
        "it acts only then: {:?}",
        odd.told
    );
}
