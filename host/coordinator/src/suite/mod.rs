//! The contract suite: one named check for each promise of [`crate::contract`]. Any backend can run it; ours all do.

mod bus;
mod cause;
mod concurrent;
mod disturbed;
mod faulty;
mod given;
mod history;
mod linear;
mod list;
mod report;
mod store;

pub use cause::explain;
pub use faulty::{Faults, FaultyCoordinator};
pub use given::{BoxFuture, Disturb, Factory, Opening, Options, disturbance, factory};
pub use history::{Action, Effect, Operation, Seen};
pub use linear::{check_key_history, check_revisions};
pub use report::{Outcome, Row, SuiteReport, Unproven};

use crate::contract::{BusError, Coordinator};
use crate::limits::Namespace;
use bytes::Bytes;
use shardwright_core::store::StoreError;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::task::JoinSet;

/// How many checks there are.
pub const CHECKS: usize = 22;

/// Runs every check, one after the other, each in namespaces of its own, named `suite-…`, which the last one removes.
pub async fn run(factory: &Factory, options: Options) -> SuiteReport {
    run_some(factory, options, |_| true).await
}

/// As [`run`], but only those checks whose name is `wanted`. Only the check `erase` removes the namespaces.
pub async fn run_some(factory: &Factory, options: Options, wanted: impl Fn(&str) -> bool) -> SuiteReport {
    let mut unique = [0; 6];
    // Without randomness a second run meets the namespaces of the first, and its checks say so.
    let _ = getrandom::fill(&mut unique);
    let unique = unique.iter().map(|b| format!("{b:02x}")).collect();
    let cx = Context {
        factory,
        options,
        unique,
        spaces: Mutex::default(),
    };
    let mut report = SuiteReport {
        kind: "?".into(),
        location: "?".into(),
        rows: Vec::new(),
    };
    if let Ok(coordinator) = cx.open(&cx.space()).await {
        report.kind = coordinator.kind().into();
        report.location = coordinator.location();
    }
    for Check { name, promise, body } in checks(&cx).into_iter().filter(|check| wanted(check.name)) {
        let begun = Instant::now();
        let verdict = tokio::time::timeout(cx.options.patience, body).await;
        let (outcome, detail) = match verdict {
            Ok(Ok(detail)) => (Outcome::Passed, detail),
            Ok(Err(Flaw::Skip(reason))) => (Outcome::Skipped, reason),
            Ok(Err(Flaw::Broken(reason))) => (Outcome::Failed, reason),
            Err(_) => (
                Outcome::Failed,
                format!(
                    "not finished after {:?}: something that was promised did not come",
                    cx.options.patience
                ),
            ),
        };
        report.rows.push(Row {
            name,
            promise,
            outcome,
            detail,
            took: begun.elapsed(),
        });
    }
    report
}

struct Check<'a> {
    name: &'static str,
    promise: &'static str,
    body: BoxFuture<'a, Verdict>,
}

fn checks<'a>(cx: &'a Context<'a>) -> Vec<Check<'a>> {
    let check = |name, promise, body| Check { name, promise, body };
    vec![
        check(
            "expectations",
            "a write happens exactly when its expectation holds, in every state",
            Box::pin(store::expectations(cx)),
        ),
        check(
            "conflict",
            "a conflict carries the entry that is there",
            Box::pin(store::conflict(cx)),
        ),
        check(
            "names",
            "malformed keys and topics are invalid, and nothing happens",
            Box::pin(store::names(cx)),
        ),
        check(
            "sizes",
            "values of 1 MiB are stored, larger ones than the limit refused and not written",
            Box::pin(store::sizes(cx)),
        ),
        check(
            "namespaces",
            "two namespaces of one backend do not meet in the store, though the name of one begins that of the other",
            Box::pin(store::namespaces(cx)),
        ),
        check(
            "time",
            "the backend's clock never goes back, and no entry is younger than it",
            Box::pin(store::time(cx)),
        ),
        check(
            "ages",
            "the clock of a reading is not later than what was read: no entry looks older than it was",
            Box::pin(store::ages(cx)),
        ),
        check(
            "list",
            "a listing has the prefix, is sorted, and leaves out what is not newer than asked for",
            Box::pin(list::ranges(cx)),
        ),
        check(
            "list-many",
            "thousands of keys are listed completely",
            Box::pin(list::many(cx)),
        ),
        check(
            "list-live",
            "a listing shows every write up to its revision while others write",
            Box::pin(list::live(cx)),
        ),
        check(
            "cas-one-key",
            "concurrent compare-and-set on one key is linearizable",
            Box::pin(concurrent::one_key(cx)),
        ),
        check(
            "cas-many-keys",
            "concurrent writes to several keys are linearizable, revisions increase across keys",
            Box::pin(concurrent::many_keys(cx)),
        ),
        check(
            "indeterminate",
            "after an indeterminate write the outcome can be read back",
            Box::pin(concurrent::indeterminate(cx)),
        ),
        check(
            "bus-order",
            "messages arrive in order for each publisher and topic, the sender's own included",
            Box::pin(bus::order(cx)),
        ),
        check(
            "bus-slow",
            "a slow subscriber gets every message or is told of a gap where they are missing",
            Box::pin(bus::slow(cx)),
        ),
        check(
            "bus-subscribe",
            "what is published after subscribe returns arrives",
            Box::pin(bus::subscribe(cx)),
        ),
        check(
            "bus-topics",
            "a subscriber gets the topics that it asked for, and no others",
            Box::pin(bus::topics(cx)),
        ),
        check(
            "bus-cancel",
            "giving up on next loses nothing",
            Box::pin(bus::cancel(cx)),
        ),
        check(
            "bus-sizes",
            "messages of 256 KiB arrive, larger ones than the limit are refused",
            Box::pin(bus::sizes(cx)),
        ),
        check(
            "bus-namespaces",
            "two namespaces of one backend do not meet on the bus; publishing to nobody succeeds",
            Box::pin(bus::namespaces(cx)),
        ),
        check(
            "reconnect",
            "through a disturbance no write is done that was called unavailable; then the store works again, and lost \
             messages are told",
            Box::pin(disturbed::reconnect(cx)),
        ),
        check(
            "erase",
            "a namespace can be removed: then nothing of it is left, and others are as they were",
            Box::pin(store::erase(cx)),
        ),
    ]
}

/// What the checks work with.
struct Context<'a> {
    factory: &'a Factory,
    options: Options,
    unique: String,
    /// The namespaces that were given out so far.
    spaces: Mutex<Vec<Namespace>>,
}

impl Context<'_> {
    /// A namespace that nobody else uses.
    fn space(&self) -> Namespace {
        let mut spaces = self.spaces();
        let name = format!("suite-{}-{}", self.unique, spaces.len());
        let space = Namespace::new(&name).expect("lowercase letters, digits and dashes");
        spaces.push(space.clone());
        space
    }

    /// Another namespace, whose name begins with all of that of `space`.
    fn beside(&self, space: &Namespace) -> Namespace {
        let beside = Namespace::new(&format!("{space}-b")).expect("lowercase letters, digits and dashes");
        self.spaces().push(beside.clone());
        beside
    }

    // One insertion: sound at any moment.
    fn spaces(&self) -> MutexGuard<'_, Vec<Namespace>> {
        self.spaces.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new handle.
    async fn open(&self, space: &Namespace) -> Result<Arc<dyn Coordinator>, Flaw> {
        (self.factory)(space.clone()).await.map_err(unopened)
    }

    /// So many new handles, opened beside each other.
    async fn open_all<const COUNT: usize>(&self, space: &Namespace) -> Result<[Arc<dyn Coordinator>; COUNT], Flaw> {
        let mut opening = JoinSet::from_iter((0..COUNT).map(|_| (self.factory)(space.clone())));
        let mut handles = Vec::new();
        while let Some(opened) = opening.join_next().await {
            handles.push(opened?.map_err(unopened)?);
        }
        handles
            .try_into()
            .map_err(|_| Flaw::Broken("a handle is missing".into()))
    }
}

fn unopened(error: String) -> Flaw {
    Flaw::Broken(format!("cannot open a handle: {error}"))
}

/// What a passed check saw, or why it did not pass.
type Verdict = Result<String, Flaw>;

enum Flaw {
    Broken(String),
    Skip(String),
}

impl From<StoreError<Bytes>> for Flaw {
    fn from(error: StoreError<Bytes>) -> Self {
        Self::Broken(explain(&error))
    }
}

impl From<BusError> for Flaw {
    fn from(error: BusError) -> Self {
        Self::Broken(format!("unexpected error: {error}"))
    }
}

impl From<tokio::task::JoinError> for Flaw {
    fn from(error: tokio::task::JoinError) -> Self {
        Self::Broken(format!("a task ended: {error}"))
    }
}

/// Ends the check with a description of the violation unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($text:tt)+) => {
        if !$condition {
            return Err($crate::suite::Flaw::Broken(format!($($text)+)));
        }
    };
}
use ensure;

/// A small seeded generator (SplitMix64): the same choices for the same seed, everywhere.
#[derive(Clone, Debug)]
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}
