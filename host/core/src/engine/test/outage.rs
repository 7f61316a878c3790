//! Nobody could reach the store for longer than a lease. What could not be seen is no evidence.

use super::*;

fn cluster() -> World {
    let mut w = World::new(vec![role("a", 12, Mode::Primary)]);
    for (host, instance) in [("h1", 1), ("h2", 2), ("h3", 3)] {
        w.start(host, instance);
        w.run(4_000);
    }
    w.run(15_000);
    assert_eq!(w.total(), 12);
    w
}

fn ended(w: &World) -> Vec<(&'static str, Notice)> {
    let over = |notice: &&Notice| matches!(notice, Notice::SessionLost | Notice::PeerLeft(..));
    let nodes = w.nodes.iter();
    nodes
        .flat_map(|(host, node)| node.notices.iter().filter(over).map(|n| (*host, n.clone())))
        .collect()
}

#[test]
fn the_first_node_back_leaves_its_live_peers_alone() {
    let mut w = cluster();
    let before: Vec<_> = ["h1", "h2", "h3"]
        .iter()
        .map(|host| w.nodes[host].held.clone())
        .collect();
    w.trouble.down = true;
    w.run(20_000);
    assert_eq!(w.nodes["h1"].engine.deadline(), None, "all have stopped");
    w.trouble.down = false;
    w.run(10_000);
    assert_eq!(ended(&w), [], "everybody goes on under the session he had");
    let after: Vec<_> = ["h1", "h2", "h3"]
        .iter()
        .map(|host| w.nodes[host].held.clone())
        .collect();
    assert_eq!(before, after, "with the shards he had, under their tokens");
}

#[test]
fn who_died_meanwhile_is_found_out_one_validity_after_the_outage() {
    let mut w = cluster();
    w.trouble.down = true;
    w.nodes.remove("h2");
    w.run(20_000);
    w.trouble.down = false;
    // The last renewal may have come just before, and an answer was due only one interval after the last.
    w.run(timing().taker() - 2 * timing().renew - 200);
    let left = |w: &World| {
        w.nodes["h1"]
            .notices
            .contains(&Notice::PeerLeft(NodeId::new(2).expect("an id"), Some(Ending::Expired)))
    };
    assert!(!left(&w));
    w.run(4_000);
    assert!(left(&w));
    assert_eq!(w.total(), 12);
}
