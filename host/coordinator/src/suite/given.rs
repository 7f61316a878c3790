//! What the suite is given: a way to the backend, how thorough to be, and what disturbs it.

use crate::contract::Coordinator;
use crate::limits::Namespace;
use std::fmt::Display;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// A boxed future.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
/// What a [`Factory`] returns: a handle, or why there is none.
pub type Opening = BoxFuture<'static, Result<Arc<dyn Coordinator>, String>>;
/// Opens a new handle to the backend under test, as another node would.
pub type Factory = dyn Fn(Namespace) -> Opening + Send + Sync;
/// Disturbs the backend: cuts its connections, restarts it. Returns when the disturbance is over.
pub type Disturb = Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

/// The [`Factory`] of the coordinators that `open` opens.
pub fn factory<C, E, F>(open: impl Fn(Namespace) -> F + Send + Sync) -> impl Fn(Namespace) -> Opening + Send + Sync
where
    C: Coordinator + 'static,
    E: Display,
    F: Future<Output = Result<C, E>> + Send + 'static,
{
    move |namespace| {
        let opening = open(namespace);
        Box::pin(async move {
            match opening.await {
                Ok(coordinator) => Ok(Arc::new(coordinator) as Arc<dyn Coordinator>),
                Err(error) => Err(error.to_string()),
            }
        })
    }
}

/// The [`Disturb`] that does `work`, which may block its thread.
pub fn disturbance(work: impl Fn() + Send + Sync + 'static) -> Disturb {
    let work = Arc::new(work);
    Arc::new(move || {
        let work = work.clone();
        Box::pin(async move {
            let done = tokio::task::spawn_blocking(move || work()).await;
            done.expect("the disturbance does not panic");
        })
    })
}

/// How thorough the suite is.
#[derive(Clone)]
pub struct Options {
    /// Concurrent writers.
    pub writers: u64,
    /// Rounds of each writer: a read and a write each.
    pub rounds: u64,
    /// How many keys are listed at once.
    pub keys: usize,
    /// How many messages are published to a subscriber that does not listen.
    pub flood: u64,
    /// How long one check may take.
    pub patience: Duration,
    /// What the random choices come from.
    pub seed: u64,
    /// If present, the backend is disturbed in the middle of one check.
    pub disturb: Option<Disturb>,
}

opaque!(Options);

impl Default for Options {
    fn default() -> Self {
        Self {
            writers: 16,
            rounds: 12,
            keys: 10_000,
            flood: 5_000,
            patience: Duration::from_secs(60),
            seed: 1,
            disturb: None,
        }
    }
}
