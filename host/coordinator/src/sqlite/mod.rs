//! The coordinator inside one machine: a file that its processes share. Nothing to install, nothing to run.
//!
//! The store is a SQLite database in WAL mode with `synchronous=FULL`: an acknowledged write survives `kill -9` of any
//! process and the loss of power. Several writes that wait together share one transaction and so one wait for the disk.
//! The bus is a second database beside it that never waits for the disk and begins anew whenever the machine does. Each
//! handle has one thread for either: no blocking call ever runs on an async worker.
//!
//! Time is the machine's CLOCK_BOOTTIME plus an offset kept in the file: all processes agree on it, and no step of the
//! wall clock moves it.

mod bus;
mod error;
mod examine;
mod file;
mod file_notifier;
mod filesystem;
mod messages;
mod schema;
mod store;

pub use error::OpenError;

use crate::contract::{Bus, BusError, Coordinator, PutRequest, SAME_CLOCK, Store, Subscription};
use crate::finding::Finding;
use crate::limits::{self, Namespace};
use crate::queue::Subscribers;
use async_trait::async_trait;
use bus::{BusHandle, BusThread, Request};
use bytes::Bytes;
use messages::{Messages, Outgoing};
use schema::Boot;
use shardwright_core::store::{Expected, Listing, Reading, Revision, StoreError, Written};
use std::path::{Path, PathBuf};
use std::time::Duration;
use store::{Attempt, Call, Job, StoreFile, View};
use tokio::sync::{mpsc, oneshot};

/// How many operations wait for the store's thread before callers wait to ask.
const QUEUE: usize = 1024;

/// A handle to the file, opened for one namespace. Dropping it ends its threads and its subscriptions.
pub struct SqliteCoordinator {
    path: PathBuf,
    jobs: mpsc::Sender<Box<dyn Job>>,
    bus: BusHandle,
}

opaque!(SqliteCoordinator);

impl SqliteCoordinator {
    /// Opens the store at `path` for `namespace`, making it if there is none; its directory must exist. New files are
    /// private to their owner.
    ///
    /// # Errors
    /// [`OpenError`]; nothing was changed then.
    pub async fn open(path: impl AsRef<Path>, namespace: Namespace) -> Result<Self, OpenError> {
        let path = path.as_ref().to_owned();
        let failed = |reason: std::io::Error| OpenError::Other {
            path: path.clone(),
            reason: format!("no thread for it: {reason}"),
        };
        let (jobs, waiting) = mpsc::channel(QUEUE);
        let (requests, asked) = std::sync::mpsc::channel();
        let (waker, sleeper) = file_notifier::pair().map_err(failed)?;
        let (opened, ready) = oneshot::channel();
        let named = |name: &str| std::thread::Builder::new().name(name.into());
        let given = path.clone();
        named("shardwright-store")
            .spawn(move || match open_files(&given, namespace) {
                Ok((path, store, bus)) => {
                    let listening = std::thread::Builder::new()
                        .name("shardwright-bus".into())
                        .spawn(move || bus.serve(&asked, &sleeper));
                    let listening = listening.map_err(|error| OpenError::Other {
                        path: path.clone(),
                        reason: format!("no thread for it: {error}"),
                    });
                    if opened.send(listening.map(|_| path)).is_ok() {
                        store.serve(waiting);
                    }
                }
                // If nobody waits any more, nobody wants to know.
                Err(error) => drop(opened.send(Err(error))),
            })
            .map_err(failed)?;
        let bus = BusHandle::new(requests, waker);
        let gone = |_| OpenError::Other {
            path: path.clone(),
            reason: "its thread ended".into(),
        };
        Ok(Self {
            path: ready.await.map_err(gone)??,
            jobs,
            bus,
        })
    }

    /// Has the store's thread do `run`.
    async fn ask<T: Send + 'static>(
        &self,
        writes: bool,
        run: impl FnMut(&mut View<'_>) -> Attempt<T> + Send + 'static,
    ) -> Result<T, StoreError<Bytes>> {
        let (reply, answer) = oneshot::channel();
        let ended = || StoreError::Unavailable(format!("the thread that serves {} ended", self.path.display()));
        self.jobs
            .send(Box::new(Call {
                writes,
                run,
                answer: None,
                reply,
            }))
            .await
            .map_err(|_| ended())?;
        answer.await.map_err(|_| {
            if writes {
                StoreError::Indeterminate(ended().to_string())
            } else {
                ended()
            }
        })?
    }
}

/// Opens store and bus. The path that is kept is absolute and free of links, as SQLite names the companions of the
/// file.
fn open_files(given: &Path, namespace: Namespace) -> Result<(PathBuf, StoreFile, BusThread), OpenError> {
    let path = resolve(given)?;
    filesystem::name(path.parent().unwrap_or(&path))?;
    let boot = Boot::current().map_err(|error| OpenError::Other {
        path: path.clone(),
        reason: format!("this machine does not say when it started: {error}"),
    })?;
    let store = StoreFile::open(&path, namespace.clone(), &boot)?;
    let messages = Some(Messages::open(&path, namespace.clone(), &boot)?);
    let bus = BusThread {
        path: path.clone(),
        namespace,
        boot,
        messages,
        subscribers: Subscribers::default(),
    };
    Ok((path, store, bus))
}

fn resolve(given: &Path) -> Result<PathBuf, OpenError> {
    if let Ok(path) = given.canonicalize() {
        if path.is_dir() {
            return Err(OpenError::Directory {
                path,
                reason: "it is itself a directory; name a file in it".into(),
            });
        }
        return Ok(path);
    }
    let Some(name) = given.file_name() else {
        return Err(OpenError::Other {
            path: given.into(),
            reason: "it names no file".into(),
        });
    };
    let folder = given
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let folder = folder.canonicalize().map_err(|error| OpenError::Directory {
        path: folder.into(),
        reason: error.to_string(),
    })?;
    Ok(folder.join(name))
}

#[async_trait]
impl Store for SqliteCoordinator {
    async fn get(&self, key: &str) -> Result<Reading<Bytes>, StoreError<Bytes>> {
        limits::check_key(key)?;
        let key = key.to_owned();
        self.ask(false, move |view| view.get(&key).map(Ok)).await
    }

    async fn list(&self, prefix: &str, since: Revision) -> Result<Listing<Bytes>, StoreError<Bytes>> {
        limits::check_prefix(prefix)?;
        let prefix = prefix.to_owned();
        self.ask(false, move |view| view.list(&prefix, since).map(Ok)).await
    }

    async fn put_with(&self, request: PutRequest<'_>) -> Result<Written, StoreError<Bytes>> {
        let PutRequest {
            key, value, expected, ..
        } = request;
        limits::check_key(key)?;
        limits::check_stored(value.len())?;
        let key = key.to_owned();
        self.ask(true, move |view| view.write(&key, Some(&value), expected))
            .await
    }

    async fn delete(&self, key: &str, expected: Expected) -> Result<Written, StoreError<Bytes>> {
        limits::check_key(key)?;
        let key = key.to_owned();
        self.ask(true, move |view| view.write(&key, None, expected)).await
    }
}

#[async_trait]
impl Bus for SqliteCoordinator {
    async fn publish(&self, topic: &str, payload: Bytes) -> Result<(), BusError> {
        limits::check_topic(topic)?;
        limits::check_sent(payload.len())?;
        let (reply, answer) = oneshot::channel();
        self.bus.ask(Request::Publish(
            Outgoing {
                topic: topic.to_owned(),
                payload,
            },
            reply,
        ))?;
        answer.await.map_err(|_| BusError::Closed)?
    }

    async fn subscribe(&self, topics: &[&str]) -> Result<Box<dyn Subscription>, BusError> {
        topics.iter().try_for_each(|topic| limits::check_topic(topic))?;
        let (reply, answer) = oneshot::channel();
        self.bus.ask(Request::Subscribe(
            topics.iter().map(|topic| (*topic).to_owned()).collect(),
            reply,
        ))?;
        Ok(Box::new(answer.await.map_err(|_| BusError::Closed)??))
    }
}

#[async_trait]
impl Coordinator for SqliteCoordinator {
    fn kind(&self) -> &str {
        "sqlite"
    }

    fn location(&self) -> String {
        self.path.display().to_string()
    }

    fn clock_uncertainty(&self) -> Duration {
        SAME_CLOCK
    }

    async fn examine(&self) -> Vec<Finding> {
        examine::examine(self).await
    }

    async fn erase(&self) -> Result<(), StoreError<Bytes>> {
        self.ask(true, |view| view.erase().map(Ok)).await
    }
}
