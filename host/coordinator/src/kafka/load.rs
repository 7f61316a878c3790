//! Reading the log from its beginning: from its first record, or from the oldest complete snapshot that is left.

use super::record::{Head, Operation};
use super::snapshot;
use super::state_machine::{Applied, StateMachine};
use std::collections::BTreeMap;

/// What has been read so far.
pub(super) enum Loader {
    /// The state is not known yet.
    Searching(Search),
    /// From here on it is.
    Folding(Box<StateMachine>),
}

/// A record with its offset and append time.
type Stored = (u64, u64, Vec<u8>);

/// Records that wait for a snapshot to be complete.
#[derive(Default)]
pub(super) struct Search {
    waiting: Vec<Stored>,
    /// The pages so far of each snapshot that was begun, by its offset.
    begun: BTreeMap<u64, Vec<u8>>,
}

impl Loader {
    pub(super) fn new() -> Self {
        Self::Searching(Search::default())
    }

    /// Takes the next record. `each` is told of every state: the first one that is known, and that after each record
    /// from there on.
    pub(super) fn push(
        &mut self,
        offset: u64,
        time: u64,
        record: &[u8],
        mut each: impl FnMut(&StateMachine, Option<Applied>),
    ) {
        let search = match self {
            Self::Folding(fold) => {
                let folded = fold.apply(offset, time, record);
                return each(fold, Some(folded));
            }
            Self::Searching(search) => search,
        };
        let Some((mut fold, rest)) = search.push(offset, time, record) else {
            return;
        };
        each(&fold, None);
        for (offset, time, record) in rest {
            let folded = fold.apply(offset, time, &record);
            each(&fold, Some(folded));
        }
        *self = Self::Folding(Box::new(fold));
    }
}

impl Search {
    /// Takes the next record; if it makes the state known, says it and which records come after.
    fn push(&mut self, offset: u64, time: u64, record: &[u8]) -> Option<(StateMachine, Vec<Stored>)> {
        let mut found = None;
        match Head::decode(record) {
            Ok((head, _)) if head.act == Operation::Genesis && self.begun.is_empty() => {
                return Some((StateMachine::genesis(head.history, offset, time, record), Vec::new()));
            }
            Ok((
                Head {
                    act: Operation::Begin(_),
                    ..
                },
                _,
            )) => {
                self.begun.insert(offset, Vec::new());
            }
            Ok((
                Head {
                    act: Operation::Page { of, last, .. },
                    ..
                },
                page,
            )) => {
                if let Some(pages) = self.begun.get_mut(&of) {
                    pages.extend_from_slice(page);
                    found = last.and_then(|hash| snapshot::read(pages, hash));
                    if last.is_some() {
                        self.begun.remove(&of);
                    }
                }
            }
            _ => {}
        }
        if !self.begun.is_empty() || found.is_some() {
            self.waiting.push((offset, time, record.to_vec()));
        }
        let fold = found?;
        let mut rest = std::mem::take(&mut self.waiting);
        rest.retain(|(offset, ..)| *offset >= fold.facts.next);
        Some((fold, rest))
    }
}
