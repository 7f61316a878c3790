//! A map that does not grow for ever.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

/// At most so many entries: when it is full, the half that was used longest ago is let go.
#[derive(Debug)]
pub(crate) struct Recent<K, V> {
    entries: HashMap<K, (u64, V)>,
    limit: usize,
    uses: u64,
}

impl<K: Eq + Hash, V> Recent<K, V> {
    /// An empty one for `limit` entries.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            entries: HashMap::new(),
            limit,
            uses: 0,
        }
    }

    /// The value of `key`, which is used by that.
    pub(crate) fn get<Q>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.uses += 1;
        let (used, value) = self.entries.get_mut(key)?;
        *used = self.uses;
        Some(value)
    }

    /// Enters `value`. What must be let go for that is shown to `let_go`, which says whether it may.
    pub(crate) fn insert(&mut self, key: K, value: V, mut let_go: impl FnMut(&mut V) -> bool) {
        if self.entries.len() >= self.limit && !self.entries.contains_key(&key) {
            let mut uses: Vec<_> = self.entries.values().map(|(used, _)| *used).collect();
            let middle = uses.len() / 2;
            let (_, last, _) = uses.select_nth_unstable(middle);
            let last = *last;
            self.entries.retain(|_, (used, value)| *used > last || !let_go(value));
        }
        self.uses += 1;
        self.entries.insert(key, (self.uses, value));
    }
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let mut recent = Recent::new(8);
        let mut gone = Vec::new();
        for n in 0..1000 {
            recent.get(&0);
            recent.insert(n, n, |value| {
                gone.push(*value);
                true
            });
            assert!(recent.entries.len() <= 8, "{}", recent.entries.len());
        }
        assert_eq!(recent.get(&0), Some(&mut 0), "it was used all the time");
        let oldest_left = recent.entries.keys().filter(|key| **key != 0).min();
        assert!(gone.iter().max() < oldest_left, "{gone:?} went, {oldest_left:?} stayed");
    }

    #[test]
    fn what_must_stay_stays() {
        let mut recent = Recent::new(4);
        for n in 0..100 {
            recent.insert(n, n, |value| *value != 7);
        }
        assert_eq!(recent.get(&7), Some(&mut 7));
        recent.insert(7, 8, |_| true);
        assert_eq!(recent.get(&7), Some(&mut 8));
    }
}
