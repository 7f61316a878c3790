//! Weighted rendezvous hashing: every key ranks the nodes, and a node's place in it depends on that node and key alone.
//!
//! Node `n` of weight `w` costs key `k` −ln(h(k, n)) / w, h evenly spread in (0, 1); the cheapest wins. So a node is
//! first for its share of the keys, and when it leaves, nothing moves but its own. The logarithm comes from `libm`, in
//! software, so all machines agree to the last bit.

use crate::hash::{mix, pair};

/// A node among which keys choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its id.
    pub id: u32,
    /// Its share relative to others; 0 is never chosen.
    pub weight: u32,
    /// The number of its zone.
    pub zone: u32,
}

/// What `node` costs a key whose hash with it is `hash`: less is better.
#[must_use]
pub fn cost(hash: u64, weight: u32) -> f64 {
    // The upper 53 bits and a half: inside (0, 1), never on its ends.
    let unit = ((hash >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    -libm::log(unit) / f64::from(weight)
}

/// Chooses owners for many keys among the same nodes.
///
/// Costs one hash for each node and key. Logarithms are rare: within nodes of one weight and zone, a higher hash is a
/// lower cost, so only the best few of each such class are compared by it.
#[derive(Clone, Debug)]
pub struct Chooser {
    /// Nodes of one weight and zone each.
    classes: Vec<Class>,
    /// How many owners may share a zone at first.
    zones: u32,
    best: Vec<(u64, u32)>,
    ranked: Vec<Ranked>,
}

#[derive(Clone, Debug)]
struct Class {
    weight: u32,
    zone: u32,
    /// Mixed id and id.
    nodes: Vec<(u64, u32)>,
}

#[derive(Clone, Copy, Debug)]
struct Ranked {
    cost: f64,
    id: u32,
    zone: u32,
}

impl Chooser {
    /// A chooser among `nodes`, in any order, that ranks them by `seed`.
    #[must_use]
    pub fn new(seed: u64, nodes: impl IntoIterator<Item = Node>) -> Self {
        let mut nodes: Vec<Node> = nodes.into_iter().filter(|node| node.weight > 0).collect();
        nodes.sort_unstable_by_key(|node| (node.zone, node.weight, node.id));
        let classes: Vec<Class> = nodes
            .chunk_by(|a, b| (a.zone, a.weight) == (b.zone, b.weight))
            .map(|same| Class {
                weight: same[0].weight,
                zone: same[0].zone,
                nodes: same
                    .iter()
                    .map(|node| (mix(seed ^ mix(u64::from(node.id))), node.id))
                    .collect(),
            })
            .collect();
        let zones = classes.chunk_by(|a, b| a.zone == b.zone).count() as u32;
        Self {
            classes,
            zones,
            best: Vec::new(),
            ranked: Vec::new(),
        }
    }

    /// The `count` best nodes for `key`, best first, spread over zones: no zone has two before every zone has one, and
    /// so on. Fewer if there are fewer.
    pub fn choose(&mut self, key: u64, count: usize) -> impl Iterator<Item = u32> + '_ {
        let key = mix(key);
        self.ranked.clear();
        for class in &self.classes {
            best_of(&class.nodes, key, count, &mut self.best);
            let ranked = self.best.iter().map(|&(hash, id)| Ranked {
                cost: cost(hash, class.weight),
                id,
                zone: class.zone,
            });
            self.ranked.extend(ranked);
        }
        self.ranked
            .sort_unstable_by(|a, b| a.cost.total_cmp(&b.cost).then(a.id.cmp(&b.id)));
        let chosen = self.spread(count);
        self.ranked[..chosen].iter().map(|ranked| ranked.id)
    }

    /// Brings the chosen ones to the front of `ranked`, in the order of choice, and answers how many they are.
    fn spread(&mut self, count: usize) -> usize {
        let count = count.min(self.ranked.len());
        if self.zones <= 1 {
            return count;
        }
        let mut per_zone = 1;
        let mut chosen = 0;
        while chosen < count {
            let rest = chosen;
            for at in rest..self.ranked.len() {
                let zone = self.ranked[at].zone;
                if chosen < count && self.ranked[..chosen].iter().filter(|other| other.zone == zone).count() < per_zone
                {
                    // Keeps the order of those not chosen.
                    self.ranked[chosen..=at].rotate_right(1);
                    chosen += 1;
                }
            }
            per_zone += 1;
        }
        chosen
    }
}

/// Nodes that are hashed before any of them is compared with the best: most blocks hold none of these, and a loop of
/// few instructions costs a component more than native code.
const BLOCK: usize = 8;

/// The `count` highest hashes of `key` with one of `nodes`, highest first.
fn best_of(nodes: &[(u64, u32)], key: u64, count: usize, best: &mut Vec<(u64, u32)>) {
    best.clear();
    let (blocks, rest) = nodes.as_chunks::<BLOCK>();
    // Up to this nothing is among the best.
    let mut least = None;
    for block in blocks {
        let hashes = block.map(|(node, _)| pair(key, node));
        if least < Some(hashes.into_iter().fold(0, u64::max)) {
            for (hash, (_, id)) in hashes.into_iter().zip(block) {
                least = consider(hash, *id, count, least, best);
            }
        }
    }
    for &(node, id) in rest {
        least = consider(pair(key, node), id, count, least, best);
    }
}

/// Puts a node among the best, if it is. Answers the least hash of these once they are `count`.
fn consider(hash: u64, id: u32, count: usize, least: Option<u64>, best: &mut Vec<(u64, u32)>) -> Option<u64> {
    if least >= Some(hash) {
        return least;
    }
    let at = best.partition_point(|&(other, _)| other >= hash);
    best.insert(at, (hash, id));
    best.truncate(count);
    if best.len() == count {
        best.last().map(|&(hash, _)| hash)
    } else {
        None
    }
}
