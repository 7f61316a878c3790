//! How a reader learns how far the stream is: it writes a message that says nothing, and takes its place in the stream.
//!
//! Only the leader can give it a place, and only with a majority behind it: a leader that was deposed without knowing
//! cannot. So whoever then waits for the mirror to be as far has seen all that was acknowledged before. The server's
//! time of the message tells its clock. Those who ask while a tick is under way share the next one.

use super::record::{Body, Record};
use super::shared::Shared;
use bytes::Bytes;
use shardwright_core::store::StoreError;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// How many readers may wait to ask.
const QUEUE: usize = 1024;

/// How many subjects ticks are spread over, so that one is rarely replaced before all mirrors have it.
const SUBJECTS: usize = 256;

/// What a reader learns.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tick {
    /// How far the stream is.
    pub(super) sequence: u64,
    /// How many holes the mirror had seen before anybody asked.
    pub(super) holes: u64,
}

type Answer = Result<Tick, StoreError<Bytes>>;

/// Asks how far the stream is.
pub(super) struct Ticker(mpsc::Sender<oneshot::Sender<Answer>>);

impl Ticker {
    /// A ticker, and the work that must be done for it to answer.
    pub(super) fn new(shared: Arc<Shared>) -> (Self, impl Future<Output = ()>) {
        let (sender, waiting) = mpsc::channel(QUEUE);
        (Self(sender), serve(shared, waiting))
    }

    /// How far the stream is now.
    ///
    /// # Errors
    /// `Unavailable`, `Denied` or `HistoryLost`.
    pub(super) async fn tick(&self) -> Answer {
        let ended = |_| StoreError::Unavailable("the handle is closed".into());
        let (sender, answer) = oneshot::channel();
        self.0.send(sender).await.map_err(|_| ended(()))?;
        answer.await.map_err(|_| ended(()))?
    }
}

async fn serve(shared: Arc<Shared>, mut waiting: mpsc::Receiver<oneshot::Sender<Answer>>) {
    let mut together = Vec::new();
    let mut subject = [0; 1];
    // Where it begins is no matter, as long as handles differ.
    let _ = getrandom::fill(&mut subject);
    let mut subject = usize::from(subject[0]);
    while waiting.recv_many(&mut together, QUEUE).await > 0 {
        subject = (subject + 1) % SUBJECTS;
        let answer = tick(&shared, subject).await;
        for asker in together.drain(..) {
            // Who gave up waiting is not interested.
            let _ = asker.send(answer.clone());
        }
    }
}

async fn tick(shared: &Shared, subject: usize) -> Answer {
    let holes = shared.mirror.holes();
    let record = Record {
        known: shared.mirror.now().0,
        body: Body::Tick,
    };
    match shared.publish(shared.subjects.tick(subject), None, &record).await {
        Ok(sequence) => Ok(Tick { sequence, holes }),
        Err(failed) => Err(match failed.into_error() {
            // Whether a tick was written is no matter.
            StoreError::Indeterminate(why) => StoreError::Unavailable(why),
            error => error,
        }),
    }
}
