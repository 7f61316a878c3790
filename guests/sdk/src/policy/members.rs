//! From node ids to positions.

/// Ids are looked up in a table of at most this many entries; larger ids by binary search.
const TABLE: u32 = 1 << 16;

/// Finds the position of a node id in a list.
#[derive(Clone, Debug)]
pub struct Members {
    /// Position by id, `NONE` where there is no such node.
    table: Vec<u32>,
    /// The ids too large for the table, sorted, with their positions.
    large: Vec<(u32, u32)>,
}

impl Members {
    /// What [`position`](Self::position) answers for an id that is not in the list.
    pub const NONE: u32 = u32::MAX;

    /// A lookup for `ids`, which are distinct and not 0.
    #[must_use]
    pub fn new(ids: impl IntoIterator<Item = u32>) -> Self {
        let mut found = Self {
            table: vec![Self::NONE],
            large: Vec::new(),
        };
        for (position, id) in (0..).zip(ids) {
            if id < TABLE {
                if found.table.len() <= id as usize {
                    found.table.resize(id as usize + 1, Self::NONE);
                }
                found.table[id as usize] = position;
            } else {
                found.large.push((id, position));
            }
        }
        found.large.sort_unstable();
        found
    }

    /// The position of `id`, or [`NONE`](Self::NONE). 0 is never found.
    #[must_use]
    #[inline]
    pub fn position(&self, id: u32) -> u32 {
        match self.table.get(id as usize) {
            Some(&position) => position,
            None => self.search(id),
        }
    }

    #[cold]
    fn search(&self, id: u32) -> u32 {
        self.large
            .binary_search_by_key(&id, |&(id, _)| id)
            .map_or(Self::NONE, |at| self.large[at].1)
    }
}
