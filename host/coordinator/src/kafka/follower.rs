//! Follows the log: reads it from its beginning, then as it grows; and reads it again when it may not be the one it
//! was.

use super::client::{ClosingClient, DeliveryTag};
use super::error;
use super::load::Loader;
use super::log_view::{LogView, Verdict};
use super::outbox::{Outbox, Reader};
use super::record::Operation;
use super::state_machine::Outcome;
use crate::broker::{Backoff, BrokerError};
use bytes::Bytes;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{BorrowedMessage, Message};
use shardwright_core::store::StoreError;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// How many records are read before others get their turn.
const STRETCH: u32 = 128;

pub(super) struct Follower {
    outbox: Arc<Outbox>,
    board: Arc<LogView>,
    reader: ClosingClient<Reader>,
}

/// Why the log could not be read from its beginning.
pub(super) enum ReplayError {
    /// For now.
    Trouble(BrokerError),
    /// Because its beginning is not where it was any more: it is to be read again.
    Moved,
    /// For good.
    Over(StoreError<Bytes>),
}

impl Follower {
    /// Reads the log of the store from its beginning up to now.
    pub(super) async fn open(outbox: Arc<Outbox>) -> Result<Self, ReplayError> {
        let board = outbox.common.board.clone();
        let mut backoff = Backoff::default();
        loop {
            match load(&outbox, &board).await {
                Ok(reader) => return Ok(Self { outbox, board, reader }),
                Err(ReplayError::Moved) => sleep(backoff.next_wait()).await,
                Err(halt) => return Err(halt),
            }
        }
    }

    /// Follows until the history is lost.
    pub(super) async fn run(mut self) {
        let board = self.board.clone();
        let mut stuck: Option<Instant> = None;
        let mut stretch = 0;
        loop {
            let patience = self.outbox.common.session();
            tokio::select! {
                message = self.reader.recv() => {
                    match message {
                        Ok(message) => {
                            hand_on(&message, |offset, time, record| board.read(offset, time, record));
                            stuck = board.is_behind().then(|| Instant::now() + patience);
                        }
                        Err(error) => {
                            if let Some(why) = doubtful(&error) {
                                board.suspect(why);
                            } else if matches!(error, KafkaError::MessageConsumptionFatal(_)) {
                                self.read_on();
                            }
                        }
                    }
                    stretch += 1;
                    if stretch % STRETCH == 0 {
                        tokio::task::yield_now().await;
                    }
                }
                () = board.doubted.notified() => {
                    if !self.read_again().await {
                        return;
                    }
                }
                () = board.behind.notified() => stuck = stuck.or(Some(Instant::now() + patience)),
                () = async { sleep_until(stuck.unwrap_or_else(Instant::now)).await }, if stuck.is_some() => {
                    stuck = None;
                    if board.is_behind() {
                        tracing::warn!(
                            coordinator = self.outbox.common.location,
                            "the reader of the log stands still; it is replaced"
                        );
                        self.read_on();
                    }
                }
            }
            if board.over().is_some() {
                return;
            }
        }
    }

    /// Replaces the reader by one that goes on at the same place.
    fn read_on(&mut self) {
        let Some((next, ..)) = self.board.known() else { return };
        match self.outbox.reader(&self.outbox.common.store, next) {
            Ok(reader) => self.reader = reader,
            Err(error) => self.board.suspect(error.to_string()),
        }
    }

    /// Reads the log from its beginning, as often as it takes. False if it is another one.
    async fn read_again(&mut self) -> bool {
        let mut backoff = Backoff::default();
        loop {
            match load(&self.outbox, &self.board).await {
                Ok(reader) => {
                    self.reader = reader;
                    return true;
                }
                Err(ReplayError::Over(why)) => {
                    tracing::warn!(coordinator = self.outbox.common.location, error = %why, "the history is lost");
                    self.board.end(why);
                    return false;
                }
                Err(ReplayError::Trouble(error)) => {
                    tracing::debug!(%error, "the log cannot be read from its beginning");
                    sleep(backoff.next_wait()).await;
                }
                Err(ReplayError::Moved) => sleep(backoff.next_wait()).await,
            }
        }
    }
}

/// What an error of the reader says about the log, if anything.
fn doubtful(error: &KafkaError) -> Option<String> {
    error::is_elsewhere(error).then(|| format!("the broker does not have it where it was ({error})"))
}

fn hand_on(message: &BorrowedMessage<'_>, take: impl FnOnce(u64, u64, &[u8])) {
    if let Ok(offset) = u64::try_from(message.offset()) {
        let time = message
            .timestamp()
            .to_millis()
            .and_then(|time| u64::try_from(time).ok());
        take(offset, time.unwrap_or_default(), message.payload().unwrap_or_default());
    }
}

/// Reads the log from its beginning to a record that is written now, and gives its state to the board.
async fn load(outbox: &Outbox, board: &LogView) -> Result<ClosingClient<Reader>, ReplayError> {
    let (topic, patience) = (
        outbox.common.store.as_str(),
        outbox.common.patience() + outbox.common.session(),
    );
    let (low, high) = range(outbox).await?;
    let known = board.known();
    if low == high {
        if known.is_some() {
            return Err(lost("the log is empty"));
        }
        begin(outbox, board)?;
    }
    let reader = outbox.reader(topic, low).map_err(ReplayError::Trouble)?;
    let mut hello = board.prepare(Operation::Tick, &[]).map_err(ReplayError::Over)?;
    outbox
        .send(topic, &hello.record, DeliveryTag::Store(hello.sequence))
        .map_err(|error| unreachable(outbox, &error))?;
    let _hello = ForgetOnDrop(board, hello.sequence);
    let mut load = Replay {
        board,
        known,
        loader: Loader::new(),
        verdicts: Vec::new(),
        flaw: None,
    };
    loop {
        let message = tokio::select! {
            message = timeout(patience, reader.recv()) => message,
            // It is not told of success before all is read.
            told = &mut hello.told => {
                let why = told.ok().and_then(Result::err).map_or("a record vanished".into(), |error| error.to_string());
                return Err(ReplayError::Trouble(outbox.common.reports.why(&why)));
            }
        };
        let done = match message {
            Ok(Ok(message)) => {
                let mut done = false;
                hand_on(&message, |offset, time, record| {
                    load.push(offset, time, record);
                    done = board.is_own(record, hello.sequence);
                });
                done
            }
            Ok(Err(error)) if error::code(&error) == Some(Code::TopicAuthorizationFailed) => {
                return Err(ReplayError::Trouble(denied(outbox, "Read")));
            }
            Ok(Err(error)) if error::is_elsewhere(&error) => return Err(ReplayError::Moved),
            Ok(Err(_)) => false,
            Err(_) => {
                return Err(ReplayError::Trouble(
                    outbox.common.reports.why("the log could not be read in time"),
                ));
            }
        };
        if let Some(flaw) = load.flaw {
            return Err(ReplayError::Over(flaw));
        }
        if done {
            load.finish(outbox, low)?;
            return Ok(reader);
        }
    }
}

/// Whatever comes of reading, nobody waits for this record afterwards.
struct ForgetOnDrop<'a>(&'a LogView, u64);

impl Drop for ForgetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.forget(self.1);
    }
}

/// A log that is being read from its beginning.
struct Replay<'a> {
    board: &'a LogView,
    /// Where it had been read to before, with which hash, in which history.
    known: Option<(u64, u64, u64)>,
    loader: Loader,
    /// What became of own records.
    verdicts: Vec<(u64, Verdict)>,
    /// Why it is of no use.
    flaw: Option<StoreError<Bytes>>,
}

impl Replay<'_> {
    fn push(&mut self, offset: u64, time: u64, record: &[u8]) {
        let Self {
            board,
            known,
            loader,
            verdicts,
            flaw,
        } = self;
        loader.push(offset, time, record, |fold, folded| {
            if let Some(Outcome::Newer(version)) = folded.as_ref().map(|folded| &folded.outcome) {
                let why = format!(
                    "the record before offset {} has version {version}: run the newer release",
                    fold.facts.next
                );
                flaw.get_or_insert(StoreError::Invalid(why));
            }
            if let Some((next, chain, _)) = known
                && *next == fold.facts.next
                && *chain != fold.facts.chain
            {
                flaw.get_or_insert(StoreError::HistoryLost(format!(
                    "the log was changed before offset {next}"
                )));
            }
            verdicts.extend(folded.and_then(|folded| board.verdict(fold, &folded)));
        });
    }

    fn finish(self, outbox: &Outbox, low: u64) -> Result<(), ReplayError> {
        let Loader::Folding(fold) = self.loader else {
            return Err(self.without_beginning(outbox, low));
        };
        if let Some((next, _, history)) = self.known {
            if fold.facts.history != history {
                return Err(lost("the log is another one"));
            }
            if fold.facts.next <= next {
                return Err(lost("the log is shorter than it was"));
            }
        }
        self.board.loaded(*fold, self.verdicts);
        Ok(())
    }

    /// What to do with a log in which there is neither a first record nor a complete snapshot.
    fn without_beginning(&self, outbox: &Outbox, low: u64) -> ReplayError {
        if low > 0 {
            return ReplayError::Trouble(BrokerError::Unsafe {
                location: outbox.common.location.clone(),
                why: format!(
                    "the beginning of the log in {} was deleted, and no snapshot is complete: nodes that still run \
                     write one by and by, else delete the topic",
                    outbox.common.store
                ),
            });
        }
        // Nothing was ever cut off: it is a new log, in which strangers to its history were first.
        if self.known.is_some() {
            return lost("the log is another one");
        }
        begin(outbox, self.board).err().unwrap_or(ReplayError::Moved)
    }
}

/// Begins a history, if nobody else does first. Whether it is stored is seen when it is read.
fn begin(outbox: &Outbox, board: &LogView) -> Result<(), ReplayError> {
    let sent = outbox.send(&outbox.common.store, &board.genesis(random()), DeliveryTag::Store(0));
    sent.map_err(|error| unreachable(outbox, &error))
}

/// Where the log begins and ends; that there is none must be said for a while before it is believed.
async fn range(outbox: &Outbox) -> Result<(u64, u64), ReplayError> {
    let (topic, session) = (outbox.common.store.as_str(), outbox.common.session());
    let until = Instant::now() + session;
    let mut backoff = Backoff::default();
    loop {
        match outbox.range(topic, session).await {
            Ok(range) => return Ok(range),
            Err(error) if error::is_missing(&error) => {
                if Instant::now() > until {
                    return Err(lost(&format!("the topic {topic} is gone")));
                }
                sleep(backoff.next_wait().min(Duration::from_millis(500))).await;
            }
            Err(error) if error::code(&error) == Some(Code::TopicAuthorizationFailed) => {
                return Err(ReplayError::Trouble(denied(outbox, "Describe")));
            }
            Err(error) if error::is_passing(&error) && Instant::now() < until => sleep(backoff.next_wait()).await,
            Err(error) => return Err(unreachable(outbox, &error)),
        }
    }
}

fn denied(outbox: &Outbox, operation: &str) -> BrokerError {
    BrokerError::Denied {
        location: outbox.common.location.clone(),
        why: format!(
            "reading the topic {}: grant {operation} on it (and Describe on the group of the namespace)",
            outbox.common.store
        ),
    }
}

fn unreachable(outbox: &Outbox, error: &KafkaError) -> ReplayError {
    ReplayError::Trouble(outbox.common.reports.why(&error.to_string()))
}

fn lost(why: &str) -> ReplayError {
    ReplayError::Over(StoreError::HistoryLost(why.into()))
}

/// A random number that is not 0.
pub(super) fn random() -> u64 {
    let mut bytes = [0; 8];
    // Without randomness nothing else works either; two equal numbers would be noticed as a log that differs.
    let _ = getrandom::fill(&mut bytes);
    u64::from_le_bytes(bytes).max(1)
}
