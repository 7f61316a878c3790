//! Whether a history could have come from a store that does one thing after the other.
//!
//! The search of Wing and Gong with Lowe's memory, for a register with revisions: it looks for an order of the
//! operations on one key that respects real time (what was answered before another was asked comes first) and in which
//! every answer is right. An operation of unknown outcome may be put anywhere after its call, or left out.
//! Linearizability is local, so each key is searched alone; the order of revisions across keys is checked on top.

use super::history::{Action, Effect, Operation, Seen};
use shardwright_core::store::{Expected, Revision};
use std::collections::HashSet;

/// What the register holds at some point of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct State {
    /// The value, and its revision if that is known yet: a write of unknown outcome does not tell.
    entry: Option<(Option<Revision>, u64)>,
    /// The greatest revision known so far.
    last: Revision,
}

impl State {
    /// The state after a client saw `seen` in it, unless it cannot have.
    fn shows(mut self, seen: Seen) -> Option<Self> {
        match (&mut self.entry, seen) {
            (None, None) => {}
            (Some((known, value)), Some((revision, other)))
                if *value == other && known.is_none_or(|known| known == revision) =>
            {
                if known.is_none() && revision <= self.last {
                    return None;
                }
                *known = Some(revision);
                self.last = self.last.max(revision);
            }
            _ => return None,
        }
        Some(self)
    }

    fn holds(self, expected: Expected) -> bool {
        match expected {
            Expected::Absent => self.entry.is_none(),
            Expected::Revision(revision) => self.entry.is_some_and(|(known, _)| known == Some(revision)),
            Expected::Any => true,
        }
    }

    /// The state after `operation`, unless its answer would be wrong here.
    fn after(self, operation: &Operation) -> Option<Self> {
        let (value, expected) = match (operation.action, operation.effect) {
            (Action::Get, Effect::Read(seen)) => return self.shows(seen),
            (Action::Put(_, expected) | Action::Delete(expected), Effect::Conflict(seen)) => {
                return self.shows(seen).filter(|state| !state.holds(expected));
            }
            (Action::Put(value, expected), _) => (Some(value), expected),
            (Action::Delete(expected), _) => (None, expected),
            (Action::Get, _) => return None,
        };
        if !self.holds(expected) {
            return None;
        }
        match operation.effect {
            Effect::Written(revision) if revision <= self.last => None,
            Effect::Written(revision) => Some(Self {
                entry: value.map(|value| (Some(revision), value)),
                last: revision,
            }),
            _ => Some(Self {
                entry: value.map(|value| (None, value)),
                ..self
            }),
        }
    }
}

struct Search<'a> {
    operations: &'a [Operation],
    done: Vec<bool>,
    failed: HashSet<(Vec<bool>, State)>,
    /// The most operations that any attempt placed, and what it could not go on with.
    furthest: (usize, Option<Operation>),
}

impl Search<'_> {
    fn from(&mut self, state: State, placed: usize) -> bool {
        let open = || self.operations.iter().enumerate().filter(|(i, _)| !self.done[*i]);
        // Nothing may come after an operation that was answered before it was asked for.
        let Some(first) = open()
            .map(|(_, operation)| *operation)
            .filter(|operation| operation.back != u64::MAX)
            .min_by_key(|o| o.back)
        else {
            return true;
        };
        let next: Vec<usize> = open()
            .filter(|(_, operation)| operation.call < first.back)
            .map(|(i, _)| i)
            .collect();
        if placed >= self.furthest.0 {
            self.furthest = (placed, Some(first));
        }
        // What only looks, and fits now, fits here in whatever order the rest has: no other place need be tried.
        let looks = |i: &usize| {
            let operation = &self.operations[*i];
            matches!(operation.effect, Effect::Read(_) | Effect::Conflict(_)) && state.after(operation) == Some(state)
        };
        if let Some(i) = next.iter().copied().find(looks) {
            self.done[i] = true;
            let found = self.from(state, placed + 1);
            self.done[i] = false;
            return found;
        }
        if !self.failed.insert((self.done.clone(), state)) {
            return false;
        }
        next.into_iter().any(|i| {
            state.after(&self.operations[i]).is_some_and(|state| {
                self.done[i] = true;
                let found = self.from(state, placed + 1);
                self.done[i] = false;
                found
            })
        })
    }
}

/// Checks the complete history of one key that began absent.
///
/// # Errors
/// Says how far an order could be found.
pub fn check_key_history(operations: &[Operation]) -> Result<(), String> {
    let mut operations = operations.to_vec();
    operations.sort_by_key(|operation| operation.call);
    let done = vec![false; operations.len()];
    let mut search = Search {
        operations: &operations,
        done,
        failed: HashSet::new(),
        furthest: (0, None),
    };
    if search.from(
        State {
            entry: None,
            last: Revision(0),
        },
        0,
    ) {
        return Ok(());
    }
    let (placed, stuck) = search.furthest;
    Err(format!(
        "no order explains these {} operations: at most {placed} can be placed, then no answer fits before {stuck:?}",
        operations.len()
    ))
}

/// Checks that no two successful writes have one revision, and that what was asked for after another was answered has
/// the greater one, whatever their keys.
///
/// # Errors
/// Names two writes that contradict.
pub fn check_revisions(operations: &[Operation]) -> Result<(), String> {
    let written = |o: &Operation| {
        if let Effect::Written(revision) = o.effect {
            Some((revision, *o))
        } else {
            None
        }
    };
    let mut writes: Vec<_> = operations.iter().filter_map(written).collect();
    writes.sort_by_key(|(revision, _)| *revision);
    if let Some(pair) = writes.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(format!(
            "two writes were both given revision {}: {:?} and {:?}. Each must take a revision of its own, in the same \
             indivisible step in which it is made: one lock, one transaction or one sequence for the whole namespace",
            pair[0].0.0, pair[0].1, pair[1].1
        ));
    }
    // Along increasing revisions, nothing may have been answered before something of a smaller revision was even asked
    // for.
    let mut earliest: Option<Operation> = None;
    for (_, operation) in writes.iter().rev() {
        if let Some(later) = earliest.filter(|later| later.back < operation.call) {
            return Err(format!(
                "{later:?} was answered before {operation:?} was asked for, but has the greater revision: revisions \
                 are not taken in the order of the writes, as with a counter for each key, or numbers that are \
                 reserved beforehand"
            ));
        }
        if earliest.is_none_or(|e| operation.back < e.back) {
            earliest = Some(*operation);
        }
    }
    Ok(())
}

#[cfg(test)]
mod test {
    use super::super::history::op;
    use super::*;

    fn put(call: u64, back: u64, value: u64, expected: Expected, revision: u64) -> Operation {
        op(
            call,
            back,
            Action::Put(value, expected),
            Effect::Written(Revision(revision)),
        )
    }

    fn read(call: u64, back: u64, seen: Option<(u64, u64)>) -> Operation {
        op(
            call,
            back,
            Action::Get,
            Effect::Read(seen.map(|(r, v)| (Revision(r), v))),
        )
    }

    const NEVER: u64 = u64::MAX;

    #[test]
    fn what_can_happen_is_accepted() {
        let by = |r| Expected::Revision(Revision(r));
        let overlapping = [
            put(0, 9, 1, Expected::Absent, 5),
            read(1, 2, None),
            read(3, 4, Some((5, 1))),
            put(5, 6, 2, by(5), 7),
            read(7, 8, Some((7, 2))),
        ];
        assert_eq!(check_key_history(&overlapping), Ok(()));
        let lost = [
            op(0, NEVER, Action::Put(1, Expected::Absent), Effect::Unknown),
            read(2, 3, None),
            read(4, 5, None),
        ];
        assert_eq!(check_key_history(&lost), Ok(()));
        let late = [
            op(0, NEVER, Action::Put(1, Expected::Absent), Effect::Unknown),
            read(2, 3, None),
            read(4, 5, Some((3, 1))),
            put(6, 7, 2, by(3), 4),
        ];
        assert_eq!(check_key_history(&late), Ok(()));
    }

    #[test]
    fn what_cannot_happen_is_refused() {
        let by = |r| Expected::Revision(Revision(r));
        let first = put(0, 1, 1, Expected::Absent, 5);
        let bad: [(&str, &[Operation]); 8] = [
            ("two winners", &[first, put(2, 5, 2, by(5), 6), put(3, 4, 3, by(5), 7)]),
            (
                "a stale read",
                &[first, put(2, 3, 2, by(5), 6), read(4, 5, Some((5, 1)))],
            ),
            (
                "a read from the future",
                &[read(0, 1, Some((5, 1))), put(2, 3, 1, Expected::Absent, 5)],
            ),
            (
                "reads that go back",
                &[
                    first,
                    put(2, 9, 2, by(5), 6),
                    read(3, 4, Some((6, 2))),
                    read(5, 6, Some((5, 1))),
                ],
            ),
            ("a revision that goes back", &[first, put(2, 3, 2, by(5), 4)]),
            (
                "a conflict without reason",
                &[
                    first,
                    op(2, 3, Action::Put(2, by(5)), Effect::Conflict(Some((Revision(5), 1)))),
                ],
            ),
            ("a write that vanished", &[first, read(2, 3, None)]),
            (
                "an unknown write that took back",
                &[
                    op(0, NEVER, Action::Put(1, Expected::Absent), Effect::Unknown),
                    read(1, 2, Some((3, 1))),
                    read(4, 5, None),
                ],
            ),
        ];
        for (name, history) in bad {
            assert!(check_key_history(history).is_err(), "{name}");
        }
    }

    #[test]
    fn revisions_are_unique_and_go_with_time() {
        let any = Expected::Any;
        assert_eq!(
            check_revisions(&[put(0, 3, 1, any, 2), put(1, 2, 2, any, 1), put(4, 5, 3, any, 3)]),
            Ok(())
        );
        assert!(check_revisions(&[put(0, 1, 1, any, 2), put(2, 3, 2, any, 2)]).is_err());
        assert!(check_revisions(&[put(0, 1, 1, any, 5), put(2, 3, 2, any, 4)]).is_err());
        assert!(check_revisions(&[put(0, 1, 1, any, 5), put(0, 9, 3, any, 6), put(2, 3, 2, any, 4)]).is_err());
    }
}
