//! Opening a coordinator again and again, until that succeeds.

use super::BackendError;
use shardwright_coordinator::Coordinator;
use shardwright_coordinator::broker::{Backoff, BrokerError};
use std::mem::{Discriminant, discriminant};
use std::pin::Pin;
use std::sync::Arc;

/// What an [`Opener`] is to give.
pub(crate) type Opened = Result<Arc<dyn Coordinator>, BackendError>;

/// Opens a coordinator, once for each call.
pub(crate) type Opener = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Opened> + Send>> + Send + Sync>;

/// Opens until that succeeds, or `hopeless` says so of a failure. One line in the log for each kind of trouble, not for each try.
pub(crate) async fn persist(open: &Opener, mut hopeless: impl FnMut(&BackendError) -> bool) -> Opened {
    let mut backoff = Backoff::default();
    let mut trouble = None;
    loop {
        match open().await {
            Ok(coordinator) => {
                if trouble.is_some() {
                    tracing::info!(coordinator = coordinator.location(), "the coordinator is open");
                }
                return Ok(coordinator);
            }
            Err(error) if hopeless(&error) => return Err(error),
            Err(error) => {
                let kind = Some(kind(&error));
                if trouble != kind {
                    tracing::warn!(%error, "the coordinator cannot be opened; it is tried again");
                    trouble = kind;
                }
            }
        }
        tokio::time::sleep(backoff.next_wait()).await;
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
    use crate::testing::{in_memory, opener, unreachable};
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
        persist(&open, |error| !error.is_transient()).await.expect("opens at last");
        assert_eq!(tries.load(Ordering::Relaxed), 21);
        assert!(began.elapsed() > Duration::from_secs(20), "only {:?} for 21 tries", began.elapsed());
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
        assert_eq!(error.to_string(), "[store.\"main\"]: the server refuses: wrong password");
        assert_eq!(tries.load(Ordering::Relaxed), 3);
    }
}
