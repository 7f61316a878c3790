//! Hashes and costs never change: a change would move shards of running clusters.

use shardwright_guest::Members;
use shardwright_guest::hash::{below, mix, pair, text};
use shardwright_guest::rendezvous::{Chooser, Node, cost};

#[test]
fn ids_are_found_whatever_their_size() {
    let ids = [3, 70_000, 1, u32::MAX, 65_535, 65_536];
    let members = Members::new(ids);
    for (position, id) in (0..).zip(ids) {
        assert_eq!(members.position(id), position);
    }
    for id in [0, 2, 65_534, 70_001] {
        assert_eq!(members.position(id), Members::NONE, "{id}");
    }
}

#[test]
fn below_is_below() {
    for i in 0..1000 {
        assert!(below(mix(i), 7) < 7);
    }
    assert_eq!(below(u64::MAX, 5), 4);
    assert_eq!(below(0, 5), 0);
}

/// The shortcut by classes chooses whom the definition chooses.
#[test]
fn the_chooser_agrees_with_the_definition() {
    let nodes: Vec<Node> = (1..=60)
        .map(|id| Node {
            id,
            weight: [0, 50, 100, 175][id as usize % 4],
            zone: 0,
        })
        .collect();
    let mut chooser = Chooser::new(99, nodes.iter().copied());
    for key in 0..500 {
        let mut ranked: Vec<(f64, u32)> = nodes
            .iter()
            .filter(|node| node.weight > 0)
            .map(|node| {
                (
                    cost(pair(mix(key), mix(99 ^ mix(u64::from(node.id)))), node.weight),
                    node.id,
                )
            })
            .collect();
        ranked.sort_by(|a, b| a.0.total_cmp(&b.0));
        let best: Vec<u32> = ranked.iter().take(3).map(|&(_, id)| id).collect();
        assert_eq!(chooser.choose(key, 3).collect::<Vec<_>>(), best, "key {key}");
    }
}

#[test]
fn fixed_vectors() {
    assert_eq!(mix(1), 0x5692_161d_100b_05e5);
    assert_eq!(pair(mix(1), mix(2)), 0xf461_59b8_0835_278c);
    assert_eq!(text(0, "purge.accounts"), 0x558f_9d0d_f677_a54b);
    assert_eq!(cost(pair(mix(1), mix(2)), 100).to_bits(), 0x3f3e_7157_159e_e9af);
}
