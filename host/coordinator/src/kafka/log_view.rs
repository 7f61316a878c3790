//! What a handle knows of the log, and who waits for which of its own records.

use super::error;
use super::record::{Head, Operation};
use super::state_machine::{Applied, Entries, Outcome, SnapshotHeader, StateMachine};
use bytes::Bytes;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use shardwright_core::store::{Entry, Revision, StoreError, StoreTime, Written};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, mpsc, oneshot};

/// What became of an own record, as its author is told.
pub(super) type RecordOutcome = Result<Verdict, StoreError<Bytes>>;

/// What the log decided about an own record.
#[derive(Clone, Debug)]
pub(super) struct Verdict {
    pub(super) written: Written,
    /// What was there instead of what was expected.
    pub(super) refused: Option<Option<Entry<Bytes>>>,
}

/// Work that follows from what was read.
pub(super) enum FollowUp {
    /// Begin a snapshot after the one that began here.
    Begin(u64),
    /// Write the snapshot that began at this offset.
    Write(u64, SnapshotHeader, Entries),
    /// Cut the log off before this offset.
    Cut(u64),
}

/// A record that is ready to be sent.
pub(super) struct Prepared {
    pub(super) sequence: u64,
    pub(super) record: Vec<u8>,
    pub(super) told: oneshot::Receiver<RecordOutcome>,
}

pub(super) struct LogView {
    /// This handle, in its records.
    author: u64,
    topic: String,
    state: Mutex<State>,
    duties: mpsc::Sender<FollowUp>,
    /// The log must be read anew, from its beginning.
    pub(super) doubted: Notify,
    /// The log has an own record that was not read yet.
    pub(super) behind: Notify,
    /// The broker did not acknowledge in time.
    pub(super) silent: Notify,
}

#[derive(Default)]
struct State {
    /// None until the log has been read once.
    fold: Option<StateMachine>,
    /// The log is being read from its beginning: nothing is to be answered from the state.
    reading: Option<String>,
    /// Why this handle's store is of no use any more.
    over: Option<StoreError<Bytes>>,
    /// Why there is no use in trying for now.
    down: Option<String>,
    sequence: u64,
    waiting: HashMap<u64, oneshot::Sender<RecordOutcome>>,
    /// Where the last own record stands that was acknowledged, plus one.
    acknowledged: u64,
}

impl LogView {
    pub(super) fn new(author: u64, topic: String, duties: mpsc::Sender<FollowUp>) -> Self {
        let state = State {
            reading: Some("the log is being read".into()),
            ..State::default()
        };
        Self {
            author,
            topic,
            state: Mutex::new(state),
            duties,
            doubted: Notify::new(),
            behind: Notify::new(),
            silent: Notify::new(),
        }
    }

    // Each change below leaves a sound state behind before anything can panic.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails if there is no use in asking.
    pub(super) fn usable(&self) -> Result<(), StoreError<Bytes>> {
        let state = self.lock();
        match (&state.over, &state.down) {
            (Some(over), _) => Err(over.clone()),
            (None, Some(down)) => Err(StoreError::Unavailable(down.clone())),
            _ => Ok(()),
        }
    }

    /// Why this is over, if it is.
    pub(super) fn over(&self) -> Option<StoreError<Bytes>> {
        self.lock().over.clone()
    }

    /// Looks at the state.
    pub(super) fn view<T>(&self, look: impl FnOnce(&StateMachine) -> T) -> Result<T, StoreError<Bytes>> {
        let state = self.lock();
        if let Some(over) = &state.over {
            return Err(over.clone());
        }
        match (&state.fold, &state.reading) {
            (Some(fold), None) => Ok(look(fold)),
            (_, reading) => Err(StoreError::Unavailable(reading.clone().unwrap_or_default())),
        }
    }

    /// Where the log goes on, its hash there and its history, as far as it was read.
    pub(super) fn known(&self) -> Option<(u64, u64, u64)> {
        let state = self.lock();
        state
            .fold
            .as_ref()
            .map(|fold| (fold.facts.next, fold.facts.chain, fold.facts.history))
    }

    /// Makes a record that does `act`, and notes that somebody waits for it.
    ///
    /// Only a tick can be made while the log is being read: nothing else may count for whichever history.
    pub(super) fn prepare(&self, act: Operation<'_>, value: &[u8]) -> Result<Prepared, StoreError<Bytes>> {
        let (answer, told) = oneshot::channel();
        let mut state = self.lock();
        if let Some(over) = &state.over {
            return Err(over.clone());
        }
        let sequence = state.sequence + 1;
        let head = match (&state.fold, &state.reading) {
            (Some(fold), None) => Head {
                history: fold.facts.history,
                author: self.author,
                sequence,
                seen: fold.facts.next,
                chain: fold.facts.chain,
                act,
            },
            (_, reading) if act != Operation::Tick => {
                return Err(StoreError::Unavailable(reading.clone().unwrap_or_default()));
            }
            _ => self.blind(sequence, act),
        };
        state.sequence = sequence;
        state.waiting.insert(sequence, answer);
        drop(state);
        Ok(Prepared {
            sequence,
            record: head.encode(value),
            told,
        })
    }

    /// A head that says nothing about the log.
    fn blind<'a>(&self, sequence: u64, act: Operation<'a>) -> Head<'a> {
        Head {
            history: 0,
            author: self.author,
            sequence,
            seen: 0,
            chain: 0,
            act,
        }
    }

    /// The record that begins `history`.
    pub(super) fn genesis(&self, history: u64) -> Vec<u8> {
        let head = self.blind(0, Operation::Genesis);
        Head { history, ..head }.encode(&[])
    }

    /// Nobody waits for this one any more.
    pub(super) fn forget(&self, sequence: u64) {
        self.lock().waiting.remove(&sequence);
    }

    /// Takes a record that was read.
    pub(super) fn read(&self, offset: u64, time: u64, record: &[u8]) {
        self.take(&mut self.lock(), offset, time, record);
    }

    /// An own record was stored, with what Kafka says about it: its offset and append time.
    ///
    /// If it comes right after what was read, there is no need to wait until it is read too.
    pub(super) fn stored(&self, sequence: u64, stood: Option<(u64, u64)>, record: &[u8]) {
        let mut state = self.lock();
        // A retried record whose place Kafka does not tell is met when it is read.
        let Some((offset, time)) = stood else { return };
        state.acknowledged = state.acknowledged.max(offset + 1);
        let next = state
            .fold
            .as_ref()
            .filter(|_| state.reading.is_none())
            .map(|fold| fold.facts.next);
        match next {
            Some(next) if next == offset => self.take(&mut state, offset, time, record),
            Some(next) if next > offset && state.waiting.contains_key(&sequence) => {
                let why = format!("a record was stored at offset {offset}, before the {next} that were read");
                self.doubt(&mut state, why);
            }
            Some(next) if next < offset => self.behind.notify_one(),
            _ => {}
        }
    }

    /// An own record was not acknowledged.
    pub(super) fn failed(&self, sequence: u64, error: &KafkaError) {
        let mut state = self.lock();
        if let Some(answer) = state.waiting.remove(&sequence) {
            let _ = answer.send(Err(error::unstored(error, &self.topic)));
        }
        if error::code(error) == Some(RDKafkaErrorCode::MessageTimedOut) && state.down.is_none() {
            self.set_down(&mut state, "the broker did not acknowledge a record in time");
        }
    }

    /// No answer came in time.
    pub(super) fn timed_out(&self, sequence: u64) {
        let mut state = self.lock();
        state.waiting.remove(&sequence);
        self.set_down(&mut state, "the broker did not answer in time");
    }

    fn set_down(&self, state: &mut State, why: &str) {
        state.down.get_or_insert_with(|| why.into());
        self.silent.notify_one();
    }

    /// Whether there is no use in trying for now.
    pub(super) fn is_down(&self) -> bool {
        self.lock().down.is_some()
    }

    /// It answers again.
    pub(super) fn set_up(&self) {
        self.lock().down = None;
    }

    /// Whether own records were stored that were not read yet.
    pub(super) fn is_behind(&self) -> bool {
        let state = self.lock();
        state
            .fold
            .as_ref()
            .is_some_and(|fold| fold.facts.next < state.acknowledged)
    }

    /// This may not be the log that was read so far.
    pub(super) fn suspect(&self, why: String) {
        self.doubt(&mut self.lock(), why);
    }

    fn doubt(&self, state: &mut State, why: String) {
        if state.reading.is_none() && state.over.is_none() {
            tracing::warn!(topic = self.topic, "the log is read again: {why}");
            state.reading = Some(why);
            self.doubted.notify_one();
        }
    }

    /// The log was read from its beginning to this state, in which these own records had these verdicts.
    pub(super) fn loaded(&self, fold: StateMachine, verdicts: Vec<(u64, Verdict)>) {
        let mut state = self.lock();
        state.fold = Some(fold);
        state.reading = None;
        state.acknowledged = 0;
        for (sequence, verdict) in verdicts {
            if let Some(answer) = state.waiting.remove(&sequence) {
                let _ = answer.send(Ok(verdict));
            }
        }
    }

    /// Nothing more will come of this store.
    pub(super) fn end(&self, why: StoreError<Bytes>) {
        self.lock().end(why);
    }

    /// Whether a record is the own one of this number.
    pub(super) fn is_own(&self, record: &[u8], sequence: u64) -> bool {
        Head::decode(record).is_ok_and(|(head, _)| (head.author, head.sequence) == (self.author, sequence))
    }

    /// What the author is told, if that is this handle.
    pub(super) fn verdict(&self, fold: &StateMachine, folded: &Applied) -> Option<(u64, Verdict)> {
        let (author, sequence) = folded.by?;
        let verdict = Verdict {
            written: Written {
                revision: Revision(fold.facts.next),
                now: StoreTime(fold.facts.time),
            },
            refused: match &folded.outcome {
                Outcome::Refused(there) => Some(there.clone()),
                _ => None,
            },
        };
        (author == self.author).then_some((sequence, verdict))
    }

    fn take(&self, state: &mut State, offset: u64, time: u64, record: &[u8]) {
        let Some(fold) = state
            .fold
            .as_mut()
            .filter(|_| state.reading.is_none() && state.over.is_none())
        else {
            return;
        };
        let next = fold.facts.next;
        if offset < next {
            return;
        }
        if offset > next {
            return self.doubt(state, format!("after offset {next} comes {offset}"));
        }
        let folded = fold.apply(offset, time, record);
        let verdict = self.verdict(fold, &folded);
        if verdict.is_some() {
            self.duties(fold, &folded, record);
        }
        if let Outcome::Newer(version) = folded.outcome {
            let why = format!(
                "the record at offset {offset} of {} has version {version}: run the newer release",
                self.topic
            );
            return state.end(StoreError::Invalid(why));
        }
        if let Some(why) = folded.doubt {
            return self.doubt(state, why);
        }
        if let Some((sequence, verdict)) = verdict
            && let Some(answer) = state.waiting.remove(&sequence)
        {
            let _ = answer.send(Ok(verdict));
        }
    }

    /// What an own record makes this handle do. If there is no room for a duty it falls to the next one whose turn it
    /// is.
    fn duties(&self, fold: &StateMachine, folded: &Applied, record: &[u8]) {
        let begun = fold.last_begun();
        let began = folded.outcome == Outcome::Done && begun == fold.facts.next;
        let duty = match folded.outcome {
            Outcome::Completed(Some(before)) => FollowUp::Cut(before),
            _ if began
                && matches!(
                    Head::decode(record),
                    Ok((
                        Head {
                            act: Operation::Begin(_),
                            ..
                        },
                        _
                    ))
                ) =>
            {
                FollowUp::Write(begun - 1, fold.facts.clone(), fold.entries.clone())
            }
            _ if folded.turn => FollowUp::Begin(begun),
            _ => return,
        };
        let _ = self.duties.try_send(duty);
    }
}

impl State {
    fn end(&mut self, why: StoreError<Bytes>) {
        let why = self.over.get_or_insert(why);
        let told = match why {
            StoreError::HistoryLost(_) => why.clone(),
            // Their records may well stand in the log.
            other => StoreError::Indeterminate(other.to_string()),
        };
        for (_, answer) in self.waiting.drain() {
            let _ = answer.send(Err(told.clone()));
        }
    }
}
