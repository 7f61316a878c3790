//! Logs in memory: what handles make of them.

use super::load::Loader;
use super::log_view::{FollowUp, LogView, Prepared};
use super::record::{Guard, Head, Operation};
use super::snapshot::{self, PAGE, Pages};
use super::state_machine::{Outcome, StateMachine};
use shardwright_core::store::StoreError;
use tokio::sync::mpsc::{Receiver, channel};

/// A log, and the handles that follow it.
#[derive(Default)]
struct Log {
    records: Vec<(u64, Vec<u8>)>,
    begins: usize,
}

struct Handle {
    board: LogView,
    duties: Receiver<FollowUp>,
    read: usize,
}

impl Log {
    fn append(&mut self, record: Vec<u8>) -> usize {
        // A clock that steps back now and then.
        let time = 1_000_000 + self.records.len() as u64 * 10 - (self.records.len() as u64 % 7) * 15;
        self.records.push((time, record));
        self.records.len() - 1
    }

    /// Reads it from its beginning.
    fn load(&self) -> Option<StateMachine> {
        let mut loader = Loader::new();
        for (offset, (time, record)) in self.records.iter().enumerate().skip(self.begins) {
            loader.push(offset as u64, *time, record, |_, _| {});
        }
        match loader {
            Loader::Folding(fold) => Some(*fold),
            Loader::Searching(_) => None,
        }
    }

    /// A handle that has read it up to now.
    fn open(&self, author: u64) -> Handle {
        let (duties, waiting) = channel(4);
        let board = LogView::new(author, "log".into(), duties);
        board.loaded(self.load().expect("a beginning"), Vec::new());
        Handle {
            board,
            duties: waiting,
            read: self.records.len(),
        }
    }
}

impl Handle {
    fn prepare(&self, act: Operation<'_>, value: &[u8]) -> Prepared {
        self.board.prepare(act, value).expect("a state")
    }

    /// Appends a record and reads it; says whether it counted.
    fn write(&mut self, log: &mut Log, act: Operation<'_>, value: &[u8]) -> bool {
        let mut prepared = self.prepare(act, value);
        log.append(prepared.record);
        self.follow(log);
        let told = prepared.told.try_recv().expect("an answer").expect("no error");
        told.refused.is_none()
    }

    fn follow(&mut self, log: &Log) {
        for (offset, (time, record)) in log.records.iter().enumerate().skip(self.read) {
            self.board.read(offset as u64, *time, record);
        }
        self.read = log.records.len();
    }

    /// The state, as the pages of a snapshot would hold it.
    fn state(&self) -> Vec<u8> {
        self.board.view(digest).expect("a state")
    }

    /// Does what it has to do, until there is nothing left.
    fn keep(&mut self, log: &mut Log) {
        while let Ok(duty) = self.duties.try_recv() {
            match duty {
                FollowUp::Begin(after) => drop(self.write(log, Operation::Begin(after), &[])),
                FollowUp::Write(of, facts, entries) => {
                    for (number, page) in (0..).zip(Pages::new(&facts, entries)) {
                        let last = page.last;
                        if !self.write(log, Operation::Page { of, number, last }, &page.bytes) {
                            break;
                        }
                    }
                }
                FollowUp::Cut(before) => log.begins = log.begins.max(before as usize),
            }
        }
    }
}

fn digest(fold: &StateMachine) -> Vec<u8> {
    Pages::new(&fold.facts, fold.entries.clone())
        .flat_map(|page| page.bytes)
        .collect()
}

/// A log that has begun.
fn begun() -> Log {
    let mut log = Log::default();
    let head = Head {
        history: 77,
        author: 1,
        sequence: 0,
        seen: 0,
        chain: 0,
        act: Operation::Genesis,
    };
    log.append(head.encode(&[]));
    log
}

#[test]
fn the_first_of_two_wins() {
    let mut log = begun();
    let (mut one, mut two) = (log.open(1), log.open(2));
    let mut first = one.prepare(Operation::Put("k", Guard::Absent), b"one");
    let mut second = two.prepare(Operation::Put("k", Guard::Absent), b"two");
    log.append(second.record);
    log.append(first.record);
    one.follow(&log);
    two.follow(&log);
    let refused = first.told.try_recv().expect("an answer").expect("no error").refused;
    assert_eq!(refused.flatten().expect("what is there").value, "two");
    let won = second.told.try_recv().expect("an answer").expect("no error");
    assert!(won.refused.is_none());
    assert_eq!(won.written.revision.0, 2);
    assert_eq!(one.state(), two.state());
}

#[test]
fn all_make_the_same_of_it_from_wherever_they_begin() {
    let mut log = begun();
    let mut handles = [log.open(1), log.open(2), log.open(3)];
    let value = vec![7; 3000];
    let mut cuts = 0;
    for i in 0..6000_usize {
        let key = format!("k{}", i * i % 40);
        let act = match i % 5 {
            0 => Operation::Put(&key, Guard::Absent),
            1 => Operation::Delete(&key, Guard::Any),
            2 => Operation::Tick,
            _ => Operation::Put(&key, Guard::Any),
        };
        let handle = &mut handles[i % 3];
        let prepared = handle.prepare(act, if matches!(act, Operation::Put(..)) { &value } else { &[] });
        log.append(prepared.record);
        if i % 250 == 0 {
            log.append(b"a stranger's".to_vec());
        }
        let before = log.begins;
        for handle in &mut handles {
            handle.follow(&log);
            handle.keep(&mut log);
        }
        cuts += usize::from(log.begins > before);
    }
    for handle in &mut handles {
        handle.follow(&log);
    }
    assert!(cuts > 2, "{cuts} cuts");
    assert!(
        log.records.len() - log.begins < 3000,
        "{} of {}",
        log.begins,
        log.records.len()
    );
    let state = handles[0].state();
    for handle in &handles {
        assert_eq!(handle.state(), state);
    }
    let from_snapshot = log.load().expect("a snapshot");
    let from_first = Log { begins: 0, ..log }.load().expect("a beginning");
    assert!(digest(&from_snapshot) == state && digest(&from_first) == state);
}

#[test]
fn a_snapshot_is_cut_into_pages_and_read_again() {
    let mut log = begun();
    let mut handle = log.open(1);
    for i in 0..5 {
        handle.write(
            &mut log,
            Operation::Put(&format!("k{i}"), Guard::Any),
            &vec![i; PAGE - 100 + usize::from(i) * 50],
        );
    }
    let fold = log.load().expect("a state");
    let pages: Vec<_> = Pages::new(&fold.facts, fold.entries.clone()).collect();
    assert!(pages.len() > 5 && pages.iter().all(|page| page.bytes.len() <= PAGE));
    let hash = pages.last().and_then(|page| page.last).expect("a hash");
    assert!(pages.iter().rev().skip(1).all(|page| page.last.is_none()));
    let mut bytes = pages.into_iter().flat_map(|page| page.bytes).collect::<Vec<_>>();
    let restored = snapshot::read(&bytes, hash).expect("a state");
    assert_eq!((&restored.facts, &restored.entries), (&fold.facts, &fold.entries));
    bytes[PAGE] ^= 1;
    assert!(snapshot::read(&bytes, hash).is_none());
}

#[test]
fn two_snapshots_at_once_do_no_harm() {
    let mut log = begun();
    let (mut one, mut two) = (log.open(1), log.open(2));
    one.write(&mut log, Operation::Put("k", Guard::Any), b"v");
    two.follow(&log);
    let (first, second) = (
        one.prepare(Operation::Begin(0), &[]),
        two.prepare(Operation::Begin(0), &[]),
    );
    log.append(first.record);
    log.append(second.record);
    one.follow(&log);
    two.follow(&log);
    assert!(matches!(one.duties.try_recv(), Ok(FollowUp::Write(2, ..))));
    assert!(two.duties.try_recv().is_err(), "the second one did not begin");
    // The first one dies. The next that begins is another's; what the first still writes does not count.
    let begun = two.board.view(StateMachine::last_begun).expect("a state");
    let late = one.prepare(Operation::Begin(begun), &[]);
    assert!(two.write(&mut log, Operation::Begin(begun), &[]));
    two.keep(&mut log);
    log.append(late.record);
    one.follow(&log);
    let page = Operation::Page {
        of: 2,
        number: 0,
        last: Some(1),
    };
    assert!(!one.write(&mut log, page, b"late"));
    two.follow(&log);
    assert_eq!(one.state(), two.state());
    log.begins = 3;
    assert_eq!(digest(&log.load().expect("the second snapshot")), one.state());
}

#[test]
fn a_log_without_beginning_is_not_guessed() {
    let mut log = begun();
    let mut handle = log.open(1);
    for _ in 0..10 {
        handle.write(&mut log, Operation::Put("k", Guard::Any), b"v");
    }
    log.begins = 1;
    assert!(log.load().is_none());
}

#[test]
fn a_stranger_to_the_history_is_doubted_and_does_not_count() {
    let mut log = begun();
    let mut handle = log.open(1);
    handle.write(&mut log, Operation::Put("k", Guard::Any), b"v");
    let head = Head {
        history: 78,
        author: 9,
        sequence: 1,
        seen: 0,
        chain: 0,
        act: Operation::Delete("k", Guard::Any),
    };
    log.append(head.encode(&[]));
    let fold = log.load().expect("a state");
    assert!(fold.entries.contains_key("k"));
    handle.follow(&log);
    assert!(matches!(handle.board.view(|_| ()), Err(StoreError::Unavailable(_))));
    let write = handle.board.prepare(Operation::Put("k", Guard::Any), b"");
    assert!(
        matches!(write, Err(StoreError::Unavailable(_))),
        "it would count for no history"
    );
    handle.board.loaded(fold, Vec::new());
    assert!(
        handle
            .board
            .view(|fold| fold.entries.contains_key("k"))
            .expect("a state")
    );
}

#[test]
fn who_has_read_another_log_is_doubted() {
    let (mut log, mut other) = (begun(), begun());
    let (mut one, mut two) = (log.open(1), other.open(2));
    one.write(&mut log, Operation::Put("k", Guard::Any), b"here");
    two.write(&mut other, Operation::Put("k", Guard::Any), b"there");
    // The same history up to the first record, as after a restored backup.
    let strange = two.prepare(Operation::Tick, &[]).record;
    log.append(strange);
    one.follow(&log);
    assert!(one.board.view(|_| ()).is_err());
    // One that knows more than there is.
    let mut fold = log.load().expect("a state");
    let head = Head {
        history: 77,
        author: 3,
        sequence: 1,
        seen: 1000,
        chain: 0,
        act: Operation::Tick,
    };
    assert!(fold.apply(3, 0, &head.encode(&[])).doubt.is_some());
}

#[test]
fn a_hole_and_a_record_that_stands_too_early_are_doubted() {
    let mut log = begun();
    let mut handle = log.open(1);
    handle.write(&mut log, Operation::Put("k", Guard::Any), b"v");
    handle.board.read(5, 0, b"");
    assert!(handle.board.view(|_| ()).is_err());
    let handle = log.open(1);
    let prepared = handle.prepare(Operation::Tick, &[]);
    handle.board.stored(prepared.sequence, Some((0, 0)), &prepared.record);
    assert!(handle.board.view(|_| ()).is_err());
}

#[test]
fn an_own_record_that_comes_next_need_not_be_read() {
    let mut log = begun();
    let mut handle = log.open(1);
    let mut prepared = handle.prepare(Operation::Put("k", Guard::Absent), b"v");
    let offset = log.append(prepared.record.clone());
    let (time, record) = log.records[offset].clone();
    handle
        .board
        .stored(prepared.sequence, Some((offset as u64, time)), &record);
    assert!(prepared.told.try_recv().expect("an answer").is_ok());
    let state = handle.state();
    handle.follow(&log);
    assert_eq!(handle.state(), state);
    assert_eq!(digest(&log.load().expect("a state")), state);
}

#[test]
fn a_later_version_ends_it() {
    let mut log = begun();
    let mut handle = log.open(1);
    log.append(b"SW\x02whatever".to_vec());
    handle.follow(&log);
    assert!(matches!(handle.board.view(|_| ()), Err(StoreError::Invalid(why)) if why.contains("newer")));
    let mut fold = begun().load().expect("a state");
    assert_eq!(fold.apply(1, 0, b"SW\x02").outcome, Outcome::Newer(2));
}

/// The bytes of a snapshot are part of the format.
#[test]
fn the_format_is_what_it_was() {
    let mut log = begun();
    log.open(1).write(&mut log, Operation::Put("k", Guard::Any), b"v");
    let fold = log.load().expect("a state");
    let pages: Vec<_> = Pages::new(&fold.facts, fold.entries.clone()).collect();
    assert_eq!(pages.len(), 1);
    let expected = [
        // Which history, the next offset, the hash and the time, in variable length.
        &[77, 2, 132, 252, 250, 182, 252, 133, 180, 181, 117, 192, 132, 61][..],
        // No snapshot yet, neither begun nor complete; the weight since; how often it was enough.
        &[0, 0, 150, 2, 0],
        // One entry: key, revision, time, length of the value, value.
        &[1, 1, b'k', 2, 192, 132, 61, 1, b'v'],
    ];
    assert_eq!(pages[0].bytes, expected.concat());
    assert_eq!(pages[0].last, Some(3_519_532_225_653_125_183));
}

/// History 7, offset 9, nothing else but the greatest numbers: where the last snapshot began, how much was written
/// since, and how often that was enough.
#[test]
fn a_snapshot_may_hold_any_number() {
    let most = [&[0xff; 9][..], &[1]].concat();
    let pages = [&[7, 9, 1, 1, 1][..], &most, &[3, 0, 0], &most, &most, &[0]].concat();
    let mut fold = snapshot::read(&pages, xxhash_rust::xxh3::xxh3_64(&pages)).expect("a snapshot");
    assert_eq!(fold.last_begun(), u64::MAX);
    let folded = fold.apply(9, 1, b"");
    assert_eq!(
        (folded.outcome, folded.turn, fold.facts.next),
        (Outcome::Done, false, 10)
    );
}
