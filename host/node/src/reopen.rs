//! A coordinator that is opened anew after it lost its history.
//!
//! A handle whose store was wiped, replaced or set back is lost for good: every operation fails with `HistoryLost`, so
//! nothing that was decided on the old store can reach the new one. The engine then drops everything and begins again
//! by reading [`Key::Meta`], which tells it whose history it has before it. That reading, and no other operation, has
//! what is there now opened. Until that succeeds — the server may be down, or refuse us — every operation goes on
//! failing, so the node is fenced as in any outage.

use crate::backend::{Opener, persist};
use async_trait::async_trait;
use bytes::Bytes;
use shardwright_coordinator::{Bus, BusError, Coordinator, Delivery, Finding, PutRequest, Store, Subscription};
use shardwright_core::store::{Expected, Listing, Reading, Revision, StoreError, Written};
use shardwright_core::values::Key;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::Instrument;

/// A coordinator, for as long as the node lives.
pub(crate) struct Reopening {
    /// Whatever is opened anew is of the same kind: the configuration says it.
    kind: String,
    inner: Arc<Inner>,
    /// The task that opens anew. Ends with this handle.
    work: Mutex<JoinSet<()>>,
}

struct Inner {
    open: Opener,
    present: watch::Sender<Handle>,
    state: watch::Sender<State>,
}

/// What is open, and how many were before.
#[derive(Clone)]
struct Handle {
    number: u64,
    coordinator: Arc<dyn Coordinator>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// As far as known, what is open is good.
    Open,
    /// It lost its history.
    Lost,
    /// It is being opened anew.
    Opening,
    /// That failed, for this reason, and is tried again.
    Failing(String),
}

impl Reopening {
    /// Goes on from `first`; `open` is for later.
    pub(crate) fn new(first: Arc<dyn Coordinator>, open: Opener) -> Self {
        let kind = first.kind().to_owned();
        let first = Handle {
            number: 0,
            coordinator: first,
        };
        Self {
            kind,
            inner: Arc::new(Inner {
                open,
                present: watch::Sender::new(first),
                state: watch::Sender::new(State::Open),
            }),
            work: Mutex::default(),
        }
    }

    fn present(&self) -> Handle {
        self.inner.present.borrow().clone()
    }

    /// Has what is there now opened, if what is open is lost.
    async fn renew(&self) -> Result<(), StoreError<Bytes>> {
        let mut state = self.inner.state.subscribe();
        let begin = |state: &mut State| {
            let lost = *state == State::Lost;
            if lost {
                *state = State::Opening;
            }
            lost
        };
        if self.inner.state.send_if_modified(begin) {
            let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
            // What has ended is done with.
            while work.try_join_next().is_some() {}
            work.spawn(reopen(self.inner.clone()).in_current_span());
        }
        let settled = state.wait_for(|state| !matches!(state, State::Opening)).await;
        match settled.as_deref() {
            Ok(State::Failing(why)) => Err(StoreError::Unavailable(why.clone())),
            _ => Ok(()),
        }
    }

    fn note<T>(&self, of: &Handle, outcome: Result<T, StoreError<Bytes>>) -> Result<T, StoreError<Bytes>> {
        // A late word about a handle that was replaced is no news of the present one.
        if matches!(outcome, Err(StoreError::HistoryLost(_))) && of.number == self.inner.present.borrow().number {
            self.inner.state.send_if_modified(|state| {
                let news = *state == State::Open;
                if news {
                    *state = State::Lost;
                }
                news
            });
        }
        outcome
    }
}

/// Opens what is there now, however often that takes, and puts it in the place of what is lost.
async fn reopen(inner: Arc<Inner>) {
    let opened = persist(&inner.open, |error| {
        inner.state.send_replace(State::Failing(error.to_string()));
        false
    });
    if let Ok(coordinator) = opened.await {
        tracing::info!(coordinator = coordinator.location(), "opened the coordinator anew");
        inner.present.send_modify(|present| {
            *present = Handle {
                number: present.number + 1,
                coordinator,
            };
        });
        inner.state.send_replace(State::Open);
    }
}

#[async_trait]
impl Store for Reopening {
    async fn get(&self, key: &str) -> Result<Reading<Bytes>, StoreError<Bytes>> {
        if Key::parse(key) == Some(Key::Meta) {
            self.renew().await?;
        }
        let handle = self.present();
        self.note(&handle, handle.coordinator.get(key).await)
    }

    async fn list(&self, prefix: &str, since: Revision) -> Result<Listing<Bytes>, StoreError<Bytes>> {
        let handle = self.present();
        self.note(&handle, handle.coordinator.list(prefix, since).await)
    }

    async fn put_with(&self, request: PutRequest<'_>) -> Result<Written, StoreError<Bytes>> {
        let handle = self.present();
        self.note(&handle, handle.coordinator.put_with(request).await)
    }

    async fn delete(&self, key: &str, expected: Expected) -> Result<Written, StoreError<Bytes>> {
        let handle = self.present();
        self.note(&handle, handle.coordinator.delete(key, expected).await)
    }
}

#[async_trait]
impl Bus for Reopening {
    async fn publish(&self, topic: &str, payload: Bytes) -> Result<(), BusError> {
        self.present().coordinator.publish(topic, payload).await
    }

    async fn subscribe(&self, topics: &[&str]) -> Result<Box<dyn Subscription>, BusError> {
        let mut present = self.inner.present.subscribe();
        let handle = present.borrow_and_update().clone();
        Ok(Box::new(Tied {
            inner: handle.coordinator.subscribe(topics).await?,
            number: handle.number,
            present,
        }))
    }
}

/// A subscription that ends when the handle that it belongs to is replaced: its bus may be silent for ever.
struct Tied {
    inner: Box<dyn Subscription>,
    number: u64,
    present: watch::Receiver<Handle>,
}

#[async_trait]
impl Subscription for Tied {
    async fn next(&mut self, max: usize) -> Result<Vec<Delivery>, BusError> {
        tokio::select! {
            news = self.inner.next(max) => news,
            replaced = self.present.wait_for(|present| present.number != self.number) => Err(match replaced {
                Ok(_) => BusError::Unavailable("the coordinator was opened anew: subscribe again".into()),
                Err(_) => BusError::Closed,
            }),
        }
    }
}

#[async_trait]
impl Coordinator for Reopening {
    fn kind(&self) -> &str {
        &self.kind
    }

    fn location(&self) -> String {
        self.present().coordinator.location()
    }

    fn fresh_is_safe(&self) -> bool {
        self.present().coordinator.fresh_is_safe()
    }

    /// The end of what is open now: that of a handle which was replaced is no news.
    async fn ended(&self) -> String {
        let mut present = self.inner.present.subscribe();
        loop {
            let handle = present.borrow_and_update().clone();
            tokio::select! {
                why = handle.coordinator.ended() => return why,
                // The sender lives as long as this.
                _ = present.changed() => {}
            }
        }
    }

    fn clock_uncertainty(&self) -> Duration {
        self.present().coordinator.clock_uncertainty()
    }

    async fn examine(&self) -> Vec<Finding> {
        self.present().coordinator.examine().await
    }

    async fn erase(&self) -> Result<(), StoreError<Bytes>> {
        self.present().coordinator.erase().await
    }
}

#[cfg(test)]
mod test {
    use super::*;
    use crate::fakes::{in_memory, lossy, opener, unreachable};
    use shardwright_coordinator::{MemoryBroker, Namespace, SqliteCoordinator};
    use std::sync::atomic::{AtomicBool, Ordering};

    const PATIENCE: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn only_reading_meta_opens_what_is_there_now() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("store");
        let open: Opener = {
            let path = path.clone();
            Arc::new(move || {
                let path = path.clone();
                Box::pin(async move {
                    let namespace = Namespace::new("test").expect("a name");
                    let file = SqliteCoordinator::open(&path, namespace).await?;
                    Ok(Arc::new(file) as Arc<dyn Coordinator>)
                })
            })
        };
        let file = Reopening::new(open().await.expect("opens"), open);
        let put = || file.put("ids/1", Bytes::from_static(b"x"), Expected::Absent);
        put().await.expect("writes");
        for suffix in ["", "-wal", "-shm"] {
            std::fs::remove_file(folder.path().join(format!("store{suffix}"))).expect("removes");
        }
        for _ in 0..3 {
            assert!(matches!(put().await, Err(StoreError::HistoryLost(_))));
            assert!(matches!(
                file.list("", Revision(0)).await,
                Err(StoreError::HistoryLost(_))
            ));
            assert!(matches!(file.get("leader").await, Err(StoreError::HistoryLost(_))));
        }
        let reading = file.get("meta").await.expect("opens anew");
        assert_eq!(reading.entry, None);
        assert!(file.list("", Revision(0)).await.expect("lists").entries.is_empty());
        put().await.expect("writes to the new file");
    }

    #[tokio::test]
    async fn while_it_cannot_be_opened_it_says_why_and_goes_on_trying() {
        let (broker, down) = (MemoryBroker::new(), Arc::new(AtomicBool::new(true)));
        let open = {
            let (broker, down) = (broker.clone(), down.clone());
            opener(move || match down.load(Ordering::SeqCst) {
                true => Err(unreachable()),
                false => Ok(in_memory(&broker)),
            })
        };
        let coordinator = Reopening::new(lossy(&MemoryBroker::new()), open);
        let mut subscription = coordinator.subscribe(&[]).await.expect("subscribes");
        assert!(matches!(coordinator.get("meta").await, Err(StoreError::HistoryLost(_))));
        for _ in 0..3 {
            let Err(StoreError::Unavailable(why)) = coordinator.get("meta").await else {
                panic!("nobody is there")
            };
            assert!(why.contains("nobody answers"), "{why}");
            assert!(matches!(
                coordinator.get("leader").await,
                Err(StoreError::HistoryLost(_))
            ));
        }
        down.store(false, Ordering::SeqCst);
        let ended = tokio::time::timeout(PATIENCE, subscription.next(8))
            .await
            .expect("in time");
        assert!(
            matches!(ended, Err(BusError::Unavailable(_))),
            "its handle is gone: {ended:?}"
        );
        assert!(subscription.next(8).await.is_err(), "for good");
        tokio::time::timeout(PATIENCE, coordinator.get("meta"))
            .await
            .expect("in time")
            .expect("open");
        let mut fresh = coordinator.subscribe(&["t"]).await.expect("subscribes");
        in_memory(&broker)
            .publish("t", Bytes::from_static(b"x"))
            .await
            .expect("sent");
        assert_eq!(fresh.next(8).await.map(|news| news.len()), Ok(1));
    }

    #[tokio::test]
    async fn an_opener_that_panics_is_tried_again() {
        let (broker, tries) = (MemoryBroker::new(), Arc::new(AtomicBool::new(false)));
        let open = {
            let broker = broker.clone();
            opener(move || match tries.swap(true, Ordering::SeqCst) {
                false => panic!("planted"),
                true => Ok(in_memory(&broker)),
            })
        };
        let coordinator = Reopening::new(lossy(&MemoryBroker::new()), open);
        assert!(matches!(
            coordinator.get("leader").await,
            Err(StoreError::HistoryLost(_))
        ));
        let opened = async {
            loop {
                match coordinator.get("meta").await {
                    Err(StoreError::Unavailable(why)) => assert!(why.contains("planted"), "{why}"),
                    other => return other,
                }
                tokio::task::yield_now().await;
            }
        };
        let reading = tokio::time::timeout(PATIENCE, opened).await.expect("in time");
        assert_eq!(reading.expect("open").entry, None);
    }

    #[tokio::test]
    async fn a_reading_that_is_given_up_does_not_end_the_opening() {
        let (let_go, gate) = tokio::sync::watch::channel(false);
        let broker = MemoryBroker::new();
        let open: Opener = {
            let broker = broker.clone();
            Arc::new(move || {
                let (broker, mut gate) = (broker.clone(), gate.clone());
                Box::pin(async move {
                    gate.wait_for(|open| *open).await.expect("the test goes on");
                    Ok(in_memory(&broker))
                })
            })
        };
        let coordinator = Reopening::new(lossy(&broker), open);
        assert!(matches!(
            coordinator.list("", Revision(0)).await,
            Err(StoreError::HistoryLost(_))
        ));
        let impatient = tokio::time::timeout(Duration::from_millis(1), coordinator.get("meta")).await;
        assert!(impatient.is_err(), "it is not open yet");
        let_go.send_replace(true);
        let reading = tokio::time::timeout(PATIENCE, coordinator.get("meta"))
            .await
            .expect("in time");
        assert_eq!(reading.expect("open").entry, None);
    }
}
