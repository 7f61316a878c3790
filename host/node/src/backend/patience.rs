//! Opening a coordinator again and again, until that succeeds.

use super::BackendError;
use crate::crew::failure;
use shardwright_coordinator::Coordinator;
use shardwright_coordinator::broker::{Backoff, BrokerError};
use shardwright_core::human::Span;
use std::mem::{Discriminant, discriminant};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::Instrument;

/// What an [`Opener`] is to give.
pub(crate) type Opened = Result<Arc<dyn Coordinator>, BackendError>;

/// Opens a coordinator, once for each call.
pub(crate) type Opener = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Opened> + Send>> + Send + Sync>;

/// Opens until that succeeds, or `hopeless` says so of a failure.
pub(crate) async fn persist(open: &Opener, mut hopeless: impl FnMut(&BackendError) -> bool) -> Opened {
    let mut backoff = Backoff::default();
    let mut trouble = None::<Trouble>;
    loop {
        match attempt(open).await {
            Ok(coordinator) => {
                if let Some(trouble) = trouble {
                    let after = Span(trouble.since.elapsed().as_millis().try_into().unwrap_or(u64::MAX));
                    tracing::info!(coordinator = coordinator.location(), %after, "the coordinator is open");
                }
                return Ok(coordinator);
            }
            Err(error) if hopeless(&error) => return Err(error),
            Err(error) => {
                let trouble = trouble.get_or_insert_with(Trouble::new);
                if trouble.is_news(kind(&error)) {
                    let tries = trouble.tries;
                    tracing::warn!(%error, tries, "the coordinator cannot be opened; it is tried again and again");
                }
            }
        }
        tokio::time::sleep(backoff.next_wait()).await;
    }
}

/// One try, in a task of its own: whatever panics there is an error like others, and no end of the one who waits.
async fn attempt(open: &Opener) -> Opened {
    let open = open.clone();
    let mut task = JoinSet::new();
    task.spawn(async move { open().await }.in_current_span());
    match task.join_next().await {
        Some(Ok(opened)) => opened,
        Some(Err(error)) => Err(BackendError::Panicked(failure(error))),
        None => Err(BackendError::Panicked("did not begin".to_owned())),
    }
}

/// How often something is said that does not change, at first; less and less often from then on.
const REMIND: Duration = Duration::from_secs(60);
/// The longest time between two lines about it.
const RARELY: Duration = Duration::from_secs(3_600);

/// Failures in a row, and what was said of them: each kind once, and now and then that it goes on.
struct Trouble {
    since: Instant,
    tries: u64,
    told: Vec<Kind>,
    due: Instant,
    every: Duration,
}

impl Trouble {
    fn new() -> Self {
        let since = Instant::now();
        Self {
            since,
            tries: 0,
            told: Vec::new(),
            due: since + REMIND,
            every: REMIND,
        }
    }

    /// Whether this failure is to be told.
    fn is_news(&mut self, kind: Kind) -> bool {
        self.tries += 1;
        let now = Instant::now();
        let due = now >= self.due;
        if due {
            self.every = (2 * self.every).min(RARELY);
            self.due = now + self.every;
        }
        let new = !self.told.contains(&kind);
        if new {
            self.told.push(kind);
        }
        due || new
    }
}

type Kind = (Discriminant<BackendError>, Option<Discriminant<BrokerError>>);

fn kind(error: &BackendError) -> Kind {
    let broker = match error {
        BackendError::Broker { error, .. } => Some(discriminant(error)),
        _ => None,
    };
    (discriminant(error), broker)
}

#[cfg(test)]
mod test {
    use super::*;
    use crate::fakes::{in_memory, opener, unreachable};
    use shardwright_coordinator::MemoryBroker;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    fn denied() -> BackendError {
        let (location, why) = ("the server".into(), "wrong password".into());
        BackendError::Broker {
            id: "main".into(),
            error: BrokerError::Denied { location, why },
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_tried_again_with_pauses_until_it_succeeds() {
        let tries = Arc::new(AtomicU32::new(0));
        let (counted, broker) = (tries.clone(), MemoryBroker::new());
        let open = opener(move || match counted.fetch_add(1, Ordering::Relaxed) {
            0..20 => Err(unreachable()),
            _ => Ok(in_memory(&broker)),
        });
        let began = tokio::time::Instant::now();
        persist(&open, |error| !error.is_transient())
            .await
            .expect("opens at last");
        assert_eq!(tries.load(Ordering::Relaxed), 21);
        assert!(
            began.elapsed() > Duration::from_secs(20),
            "only {:?} for 21 tries",
            began.elapsed()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_change_is_said_less_and_less_often() {
        let mut trouble = Trouble::new();
        let (one, other) = (kind(&unreachable()), kind(&denied()));
        let mut told = Vec::new();
        for second in 0..=7_500_u32 {
            // Two kinds in turn are no news either.
            let kind = if second % 2 == 0 { one } else { other };
            if trouble.is_news(kind) {
                told.push(second);
            }
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert_eq!(told, [0, 1, 60, 180, 420, 900, 1_860, 3_780, 7_380]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_is_an_error_like_others() {
        let tries = Arc::new(AtomicU32::new(0));
        let (counted, broker) = (tries.clone(), MemoryBroker::new());
        let open = opener(move || match counted.fetch_add(1, Ordering::Relaxed) {
            0..2 => panic!("planted"),
            _ => Ok(in_memory(&broker)),
        });
        let Err(error) = persist(&open, |error| !error.is_transient()).await else {
            panic!("it must end")
        };
        assert!(error.to_string().contains("planted"), "{error}");
        persist(&open, |_| false).await.expect("opens at last");
        assert_eq!(tries.load(Ordering::Relaxed), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_hopeless_ends_it_at_once() {
        let tries = Arc::new(AtomicU32::new(0));
        let counted = tries.clone();
        let open = opener(move || match counted.fetch_add(1, Ordering::Relaxed) {
            0..2 => Err(unreachable()),
            _ => Err(denied()),
        });
        let opened = persist(&open, |error| !error.is_transient()).await;
        let Err(error) = opened else { panic!("it must end") };
        assert_eq!(
            error.to_string(),
            "[store.\"main\"]: the server refuses: wrong password"
        );
        assert_eq!(tries.load(Ordering::Relaxed), 3);
    }
}
