//! What is behind a violation, in words: the error of a step that should have succeeded, or a history that no order
//! explains.

use super::history::{Action, Effect, Operation};
use bytes::Bytes;
use shardwright_core::store::{Entry, Expected, Revision, StoreError};

/// What it means that a step of a check failed though nothing was disturbed and nobody else writes there.
#[must_use]
pub fn explain(error: &StoreError<Bytes>) -> String {
    match error {
        StoreError::Conflict(Some(entry)) => format!(
            "a write was refused because of an entry that should not be there: {}; either something that was erased \
             or deleted is left, or two namespaces meet, or the expectation is judged wrongly",
            brief(entry)
        ),
        StoreError::Conflict(None) => "a write was refused because there is no entry where one should be: either it \
                                       was never stored, or somebody removed it"
            .into(),
        StoreError::HistoryLost(why) => {
            format!("the store is said to have lost what it had acknowledged, and nothing was disturbed: {why}")
        }
        StoreError::Indeterminate(why) => format!("a write came to no known end, and nothing was disturbed: {why}"),
        StoreError::Unavailable(why) => format!("the store was unavailable, and nothing was disturbed: {why}"),
        error => format!("unexpected error: {error}"),
    }
}

fn brief(entry: &Entry<Bytes>) -> String {
    let text = String::from_utf8_lossy(&entry.value[..entry.value.len().min(40)]).into_owned();
    format!("revision {}, {} bytes, {text:?}", entry.revision.0, entry.value.len())
}

/// The usual cause of a history of one key that no order explains, if it shows in single operations.
pub(super) fn of_key(operations: &[Operation]) -> Option<String> {
    two_winners(operations)
        .or_else(|| groundless(operations))
        .or_else(|| stale(operations))
}

/// Two writes over the same revision, or two that both began a key that nobody removed.
fn two_winners(operations: &[Operation]) -> Option<String> {
    let over = |operation: &Operation| match (operation.action, operation.effect) {
        (Action::Put(_, Expected::Revision(over)) | Action::Delete(Expected::Revision(over)), Effect::Written(at)) => {
            Some((over, at))
        }
        _ => None,
    };
    let mut won: Vec<_> = operations.iter().filter_map(over).collect();
    won.sort_unstable();
    let pair = won.windows(2).find(|pair| pair[0].0 == pair[1].0)?;
    Some(format!(
        "two writes that both expected revision {} were done, as revisions {} and {}: the expectation is checked in \
         one step and the write made in another, with room for a second writer between them. One statement, one \
         transaction or one lock must hold both",
        pair[0].0.0, pair[0].1.0, pair[1].1.0
    ))
}

/// A refusal by an entry that is just what was expected.
fn groundless(operations: &[Operation]) -> Option<String> {
    operations
        .iter()
        .find_map(|operation| match (operation.action, operation.effect) {
            (
                Action::Put(_, Expected::Revision(wanted)) | Action::Delete(Expected::Revision(wanted)),
                Effect::Conflict(Some((found, _))),
            ) if wanted == found => Some(format!(
                "a write that expected revision {} was refused with a conflict that carries that revision: what is \
                 there was read in another step than the one in which the expectation was judged",
                wanted.0
            )),
            _ => None,
        })
}

/// A read that shows less than was acknowledged before it was asked.
fn stale(operations: &[Operation]) -> Option<String> {
    operations.iter().find_map(|read| {
        let Effect::Read(seen) = read.effect else { return None };
        let seen = seen.map_or(Revision(0), |(revision, _)| revision);
        let before = operations.iter().filter(|write| write.back < read.call);
        let newest = before
            .filter_map(|write| match (write.action, write.effect) {
                (Action::Put(..), Effect::Written(at)) => Some(at),
                _ => None,
            })
            .max()?;
        let removed = operations.iter().any(|other| matches!(other.action, Action::Delete(_)));
        (seen < newest && (seen.0 > 0 || !removed)).then(|| {
            format!(
                "a read that was asked for after revision {} had been acknowledged shows revision {}: it was answered \
                 from a copy that is behind, or from memory. Reads must see every acknowledged write",
                newest.0, seen.0
            )
        })
    })
}

#[cfg(test)]
mod test {
    use super::super::history::op;
    use super::*;

    #[test]
    fn causes_are_named() {
        let by = |r| Expected::Revision(Revision(r));
        let first = op(0, 1, Action::Put(1, Expected::Absent), Effect::Written(Revision(5)));
        let second = op(2, 5, Action::Put(2, by(5)), Effect::Written(Revision(6)));
        let third = op(3, 4, Action::Put(3, by(5)), Effect::Written(Revision(7)));
        let says = |operations: &[Operation]| of_key(operations).unwrap_or_default();
        assert!(says(&[first, second, third]).contains("both expected revision 5"));
        let behind = op(8, 9, Action::Get, Effect::Read(Some((Revision(5), 1))));
        assert!(says(&[first, second, behind]).contains("a copy that is behind"));
        let refused = op(8, 9, Action::Put(4, by(6)), Effect::Conflict(Some((Revision(6), 2))));
        assert!(says(&[first, second, refused]).contains("refused"));
        assert_eq!(of_key(&[first, second]), None);
    }

    #[test]
    fn errors_say_what_they_mean() {
        let entry = Entry {
            revision: Revision(3),
            written: Default::default(),
            value: Bytes::from(vec![b'x'; 100]),
        };
        let told = explain(&StoreError::Conflict(Some(entry)));
        assert!(
            told.contains("should not be there") && told.contains("revision 3") && told.len() < 400,
            "{told}"
        );
    }
}
