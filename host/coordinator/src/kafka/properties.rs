//! What must hold of whatever stands in the log, for `tests/properties`: functions over bytes that somebody makes up.

use super::frame;
use super::load::Loader;
use super::record::{Guard, Head, Operation, RecordError, VERSION};
use super::snapshot::{Pages, read};
use super::state_machine::{Entries, Outcome, SnapshotHeader, StateMachine};
use std::collections::BTreeMap;
use xxhash_rust::xxh3::xxh3_64;

/// The history that is played; what strangers write belongs to none.
const HISTORY: u64 = 7;
const RECORDS: usize = 64;

/// What is read as a record can be written again, and is read as the same from then on; so it is with a message of the
/// bus and a snapshot.
pub fn record(data: &[u8]) {
    match Head::decode(data) {
        Ok((head, value)) => {
            assert!(data.ends_with(value));
            let written = head.encode(value);
            assert!(written.len() <= data.len(), "nothing is added");
            assert_eq!(Head::decode(&written), Ok((head, value)));
        }
        Err(RecordError::Newer(version)) => assert!(version > VERSION && data.get(2) == Some(&version)),
        Err(RecordError::Stranger) => {}
    }
    if let Some((topic, payload)) = frame::decode(data) {
        assert_eq!(frame::encode(topic, payload), data);
    }
    if let Some(mut fold) = read(data, xxh3_64(data)) {
        assert_eq!(reread(&fold), Some((fold.facts.clone(), fold.entries.clone())));
        // Whatever it says of itself, the log goes on.
        let next = fold.facts.next.min(i64::MAX.unsigned_abs());
        fold.apply(next, 0, b"");
        fold.apply(next, u64::MAX, data);
        let _ = fold.last_begun();
    }
}

fn reread(fold: &StateMachine) -> Option<(SnapshotHeader, Entries)> {
    let (mut pages, mut hash) = (Vec::new(), None);
    for page in Pages::new(&fold.facts, fold.entries.clone()) {
        pages.extend(page.bytes);
        hash = page.last;
    }
    read(&pages, hash?).map(|fold| (fold.facts, fold.entries))
}

/// A log and everything that its records were said to do.
struct Log {
    records: Vec<(u64, u64, Vec<u8>)>,
    fold: StateMachine,
    /// The state after each record, by the offset that comes next.
    states: BTreeMap<u64, (SnapshotHeader, Entries)>,
    sequence: u64,
    time: u64,
    /// The snapshot that is being written: where it began, by whom, and its pages.
    writing: Option<(u64, u64, u32, Pages)>,
    /// Where the last complete one began.
    complete: Option<u64>,
}

impl Log {
    fn begin() -> Self {
        let genesis = head(0, 0, Operation::Genesis, (0, 0));
        let genesis = Head {
            history: HISTORY,
            ..genesis
        }
        .encode(&[]);
        let fold = StateMachine::genesis(HISTORY, 0, 1, &genesis);
        Self {
            states: BTreeMap::from([(1, (fold.facts.clone(), fold.entries.clone()))]),
            records: vec![(0, 1, genesis)],
            fold,
            sequence: 0,
            time: 1,
            writing: None,
            complete: None,
        }
    }

    /// Appends what an honest handle writes.
    fn write(&mut self, author: u64, act: Operation<'_>, value: &[u8]) -> Outcome {
        self.sequence += 1;
        let known = (self.fold.facts.next, self.fold.facts.chain);
        let record = head(author, self.sequence, act, known).encode(value);
        self.append(record)
    }

    fn append(&mut self, record: Vec<u8>) -> Outcome {
        let offset = self.fold.facts.next;
        let folded = self.fold.apply(offset, self.time, &record);
        assert_eq!(folded.doubt, None, "everybody has read this log");
        self.states
            .insert(offset + 1, (self.fold.facts.clone(), self.fold.entries.clone()));
        self.records.push((offset, self.time, record));
        folded.outcome
    }

    /// Begins a snapshot, as the handle whose turn it is does.
    fn snapshot(&mut self, author: u64) {
        let after = self.fold.last_begun();
        if self.write(author, Operation::Begin(after), &[]) == Outcome::Done {
            let at = self.fold.facts.next - 1;
            self.writing = Some((at, author, 0, Pages::new(&self.fold.facts, self.fold.entries.clone())));
        }
    }

    fn page(&mut self) {
        let Some((of, author, number, mut pages)) = self.writing.take() else {
            return;
        };
        let Some(page) = pages.next() else { return };
        let act = Operation::Page {
            of,
            number,
            last: page.last,
        };
        match self.write(author, act, &page.bytes) {
            Outcome::Completed(_) => self.complete = Some(of),
            Outcome::Done => self.writing = Some((of, author, number + 1, pages)),
            other => panic!("the next page of the last snapshot: {other:?}"),
        }
    }
}

fn head(author: u64, sequence: u64, act: Operation<'_>, (seen, chain): (u64, u64)) -> Head<'_> {
    Head {
        history: HISTORY,
        author,
        sequence,
        seen,
        chain,
        act,
    }
}

/// Whoever reads a log from its middle comes to the state of who read it from its beginning; and after a complete
/// snapshot he does come to one.
pub fn log(data: &[u8]) {
    let mut log = Log::begin();
    let mut rest = data.iter().copied();
    while let (Some(deed), true) = (rest.next(), log.records.len() < RECORDS) {
        let mut number = || rest.next().unwrap_or_default();
        let author = u64::from(deed >> 7) + 1;
        let key = ["a", "ab", "hosts/x", ""][usize::from(deed >> 5 & 3)];
        match deed & 7 {
            0 | 1 => {
                let guard = match number() {
                    0 => Guard::Absent,
                    revision @ 1..64 => Guard::At(revision.into()),
                    _ => Guard::Any,
                };
                let length = usize::from(number());
                if deed & 1 == 0 {
                    log.write(author, Operation::Put(key, guard), &vec![deed; length << (deed >> 6)]);
                } else {
                    log.write(author, Operation::Delete(key, guard), &[]);
                }
            }
            2 => drop(log.write(author, Operation::Tick, &[])),
            3 => log.snapshot(author),
            4 => log.page(),
            5 => {
                let length = number();
                let stray: Vec<u8> = rest.by_ref().take(length.into()).collect();
                if Head::decode(&stray) == Err(RecordError::Stranger) {
                    log.append(stray);
                }
            }
            // The broker's clock goes on, or back.
            6 => log.time += u64::from(number()),
            _ => log.time = log.time.saturating_sub(number().into()),
        }
    }
    for from in 0..log.records.len() {
        let mut loader = Loader::new();
        for (offset, time, record) in &log.records[from..] {
            loader.push(*offset, *time, record, |fold, folded| {
                let (facts, entries) = &log.states[&fold.facts.next];
                assert_eq!((&fold.facts, &fold.entries), (facts, entries), "read from {from}");
                assert!(folded.is_none_or(|folded| folded.doubt.is_none()), "read from {from}");
            });
        }
        let known = matches!(loader, Loader::Folding(_));
        assert!(
            known || log.complete.is_none_or(|at| at < from as u64),
            "nothing is known, read from {from}"
        );
    }
}
