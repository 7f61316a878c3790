//! The store's thread: takes what is waiting, does it in one transaction, and answers when the disk has it.

use super::error::{OpenError, PATIENCE, is_certain_at_commit};
use super::examine::Settings;
use super::file::{Identity, PAUSE};
use super::schema::{self, Boot, Meta};
use crate::limits::Namespace;
use bytes::Bytes;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, TransactionBehavior};
use shardwright_core::store::{Entry, Expected, Listing, Reading, Revision, StoreError, StoreTime, Written};
use std::path::{Path, PathBuf};
use std::time::Instant;
use tokio::sync::{mpsc, oneshot};

/// How many operations share one transaction, and so one wait for the disk.
const BATCH: usize = 64;

/// One operation on its way to the thread.
pub(super) trait Job: Send {
    fn writes(&self) -> bool;
    /// Does it, and keeps the answer. May be called again after a rollback.
    fn attempt(&mut self, view: &mut View<'_>) -> rusqlite::Result<()>;
    /// Gives the answer, or why there is none.
    fn settle(self: Box<Self>, outcome: Result<(), StoreError<Bytes>>);
}

/// What an operation came to: the answer for its caller, or an error of the database.
pub(super) type Attempt<T> = rusqlite::Result<Result<T, StoreError<Bytes>>>;

/// A [`Job`] made of a closure.
pub(super) struct Call<F, T> {
    pub(super) writes: bool,
    pub(super) run: F,
    pub(super) answer: Option<Result<T, StoreError<Bytes>>>,
    pub(super) reply: oneshot::Sender<Result<T, StoreError<Bytes>>>,
}

impl<F: FnMut(&mut View<'_>) -> Attempt<T> + Send, T: Send> Job for Call<F, T> {
    fn writes(&self) -> bool {
        self.writes
    }

    fn attempt(&mut self, view: &mut View<'_>) -> rusqlite::Result<()> {
        self.answer = Some((self.run)(view)?);
        Ok(())
    }

    fn settle(self: Box<Self>, outcome: Result<(), StoreError<Bytes>>) {
        let never = || Err(StoreError::Unavailable("the operation was not attempted".into()));
        // Whoever asked may have gone: nobody is left to tell.
        let Self { answer, reply, .. } = *self;
        let _ = reply.send(outcome.and_then(|()| answer.unwrap_or_else(never)));
    }
}

/// The file as this handle knows it.
pub(super) struct StoreFile {
    connection: Connection,
    path: PathBuf,
    namespace: Namespace,
    identity: Identity,
    /// The newest state of `meta` that was seen.
    known: Meta,
    /// When it last held the lock for writing.
    wrote: Instant,
}

/// Why a batch failed.
struct Failure {
    error: StoreError<Bytes>,
    /// The commit itself failed, in a way that leaves open whether it happened.
    unknown: bool,
}

impl StoreFile {
    pub(super) fn open(path: &Path, namespace: Namespace, boot: &Boot) -> Result<Self, OpenError> {
        let (connection, known) = schema::open(path, boot)?;
        Ok(Self {
            connection,
            namespace,
            identity: Identity::of_database(path),
            path: path.into(),
            known,
            wrote: Instant::now(),
        })
    }

    /// Serves until nobody can ask any more.
    pub(super) fn serve(mut self, mut jobs: mpsc::Receiver<Box<dyn Job>>) {
        while let Some(first) = jobs.blocking_recv() {
            let mut batch = vec![first];
            while batch.len() < BATCH
                && let Ok(job) = jobs.try_recv()
            {
                batch.push(job);
            }
            let writes = batch.iter().any(|job| job.writes());
            if writes {
                std::thread::sleep(PAUSE.saturating_sub(self.wrote.elapsed()));
            }
            self.run(batch);
            if writes {
                self.wrote = Instant::now();
            }
        }
    }

    fn run(&mut self, mut jobs: Vec<Box<dyn Job>>) {
        match self.transact(&mut jobs) {
            Ok(()) => jobs.into_iter().for_each(|job| job.settle(Ok(()))),
            // One may have spoilt it for the others.
            Err(failure) if !failure.unknown && jobs.len() > 1 => jobs.into_iter().for_each(|job| self.run(vec![job])),
            Err(Failure { error, unknown }) => jobs.into_iter().for_each(|job| {
                let write = unknown && job.writes();
                job.settle(Err(if write {
                    StoreError::Indeterminate(error.to_string())
                } else {
                    error.clone()
                }));
            }),
        }
    }

    fn transact(&mut self, jobs: &mut [Box<dyn Job>]) -> Result<(), Failure> {
        let certain = |error| Failure { error, unknown: false };
        if let Some(path) = self.identity.changed() {
            let text = format!(
                "{} was deleted or replaced while in use: restart this node",
                path.display()
            );
            return Err(certain(StoreError::HistoryLost(text)));
        }
        let path = self.path.clone();
        let failed = |error: rusqlite::Error| Failure {
            error: explain(&path, &error),
            unknown: false,
        };
        let writes = jobs.iter().any(|job| job.writes());
        let behavior = if writes {
            TransactionBehavior::Immediate
        } else {
            TransactionBehavior::Deferred
        };
        // Dropped without commit it rolls back.
        let transaction = self.connection.transaction_with_behavior(behavior).map_err(failed)?;
        let meta = Meta::read(&transaction).map_err(failed)?;
        continues(&self.known, &meta, &path).map_err(certain)?;
        let mut view = View {
            connection: &transaction,
            namespace: &self.namespace,
            meta,
            latest: None,
        };
        for job in jobs {
            job.attempt(&mut view).map_err(failed)?;
        }
        let View { meta, latest, .. } = view;
        if let Some(latest) = latest {
            let mut update = transaction
                .prepare_cached("UPDATE meta SET revision = ?1, latest = ?2")
                .map_err(failed)?;
            update.execute((meta.revision, latest)).map_err(failed)?;
        }
        transaction.commit().map_err(|error| Failure {
            unknown: !is_certain_at_commit(&error),
            error: explain(&path, &error),
        })?;
        self.known = meta;
        Ok(())
    }
}

/// Whether the store that `meta` was read from is the one that `known` was read from.
fn continues(known: &Meta, meta: &Meta, path: &Path) -> Result<(), StoreError<Bytes>> {
    let path = path.display();
    if meta.history != known.history {
        return Err(StoreError::HistoryLost(format!(
            "{path} was overwritten with another store while in use: restart this node"
        )));
    }
    if meta.revision < known.revision {
        let (now, was) = (meta.revision, known.revision);
        return Err(StoreError::HistoryLost(format!(
            "{path} went back from revision {was} to {now}, as if restored from a copy: restart this node"
        )));
    }
    if meta.boot != known.boot {
        return Err(StoreError::Unavailable(format!(
            "{path} was opened by another machine: a coordinator file belongs to one machine"
        )));
    }
    Ok(())
}

/// What went wrong with a transaction that was rolled back, or whose commit failed.
fn explain(path: &Path, error: &rusqlite::Error) -> StoreError<Bytes> {
    let at = path.display();
    StoreError::Unavailable(match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => format!("the disk that holds {at} is full: free some space"),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            format!("{at} was locked by others for more than {} s", PATIENCE.as_secs())
        }
        Some(ErrorCode::ReadOnly) => {
            format!("{at} cannot be written: make the file and its directory writable for this user")
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            format!("{at} is damaged ({error}): stop all nodes, then restore it or move it away")
        }
        _ => format!("{at}: {error}"),
    })
}

/// The store inside one transaction.
pub(super) struct View<'a> {
    connection: &'a Connection,
    namespace: &'a Namespace,
    meta: Meta,
    /// The time of the last write in this transaction.
    latest: Option<u64>,
}

impl View<'_> {
    pub(super) fn get(&self, key: &str) -> rusqlite::Result<Reading<Bytes>> {
        // The clock is read after the entry: no entry is younger than the answer.
        Ok(Reading {
            entry: self.entry(key)?,
            now: StoreTime(self.meta.now()),
            unsure_before: StoreTime::default(),
        })
    }

    fn entry(&self, key: &str) -> rusqlite::Result<Option<Entry<Bytes>>> {
        let sql = "SELECT revision, written, value FROM entries WHERE namespace = ?1 AND key = ?2";
        self.connection
            .prepare_cached(sql)?
            .query_one((self.namespace.as_str(), key), |row| entry(row, 0))
            .optional()
    }

    pub(super) fn list(&self, prefix: &str, since: Revision) -> rusqlite::Result<Listing<Bytes>> {
        // Every character of a key is below DEL, so this is the range of the keys that begin with the prefix. A poll
        // for news goes through the index of revisions, a full listing through the keys.
        let by = if since.0 == 0 {
            "sqlite_autoindex_entries_1"
        } else {
            "entries_by_revision"
        };
        let sql = format!(
            "SELECT key, revision, written, value FROM entries INDEXED BY {by}
             WHERE namespace = ?1 AND key >= ?2 AND key < ?2 || char(127) AND revision > ?3 ORDER BY key"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map((self.namespace.as_str(), prefix, since.0.min(i64::MAX as u64)), |row| {
            Ok((row.get(0)?, entry(row, 1)?))
        })?;
        Ok(Listing {
            entries: rows.collect::<Result<_, _>>()?,
            revision: Revision(self.meta.revision),
            now: StoreTime(self.meta.now()),
            unsure_before: StoreTime::default(),
        })
    }

    /// How the database is set up, and its clock.
    pub(super) fn settings(&self) -> rusqlite::Result<Settings> {
        Ok(Settings {
            journal: self
                .connection
                .pragma_query_value(None, "journal_mode", |row| row.get(0))?,
            synchronous: self
                .connection
                .pragma_query_value(None, "synchronous", |row| row.get(0))?,
            now: self.meta.now(),
        })
    }

    /// Removes every entry of the namespace.
    pub(super) fn erase(&mut self) -> rusqlite::Result<()> {
        let sql = "DELETE FROM entries WHERE namespace = ?1";
        self.connection
            .prepare_cached(sql)?
            .execute([self.namespace.as_str()])
            .map(drop)
    }

    /// Stores `value`, or removes the entry if there is none, provided that `expected` holds.
    pub(super) fn write(&mut self, key: &str, value: Option<&Bytes>, expected: Expected) -> Attempt<Written> {
        let present = self
            .connection
            .prepare_cached("SELECT revision FROM entries WHERE namespace = ?1 AND key = ?2")?;
        let present = { present }
            .query_one((self.namespace.as_str(), key), |row| row.get(0))
            .optional()?;
        let holds = match expected {
            Expected::Absent => present.is_none(),
            Expected::Revision(revision) => present == Some(revision.0),
            Expected::Any => true,
        };
        if !holds {
            return Ok(Err(StoreError::Conflict(self.entry(key)?)));
        }
        let now = self.meta.now();
        let revision = self.meta.revision + 1;
        match value {
            Some(value) => self
                .connection
                .prepare_cached(
                    "INSERT INTO entries VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (namespace, key)
                     DO UPDATE SET revision = excluded.revision, written = excluded.written, value = excluded.value",
                )?
                .execute((self.namespace.as_str(), key, revision, now, &value[..]))?,
            None => self
                .connection
                .prepare_cached("DELETE FROM entries WHERE namespace = ?1 AND key = ?2")?
                .execute((self.namespace.as_str(), key))?,
        };
        self.meta.revision = revision;
        self.latest = Some(now);
        Ok(Ok(Written {
            revision: Revision(revision),
            now: StoreTime(now),
        }))
    }
}

/// The entry in the columns of `row` from `first` on.
fn entry(row: &Row<'_>, first: usize) -> rusqlite::Result<Entry<Bytes>> {
    let value = match row.get_ref(first + 2)? {
        ValueRef::Blob(value) => Bytes::copy_from_slice(value),
        other => {
            return Err(rusqlite::Error::InvalidColumnType(
                first + 2,
                "value".into(),
                other.data_type(),
            ));
        }
    };
    Ok(Entry {
        revision: Revision(row.get(first)?),
        written: StoreTime(row.get(first + 1)?),
        value,
    })
}

#[cfg(test)]
mod test {
    use super::*;
    use rusqlite::ffi;

    #[test]
    fn what_fails_before_the_commit_is_unavailable_and_says_what_to_do() {
        for (code, said) in [
            (ffi::SQLITE_BUSY, "locked by others"),
            (ffi::SQLITE_BUSY_SNAPSHOT, "locked by others"),
            (ffi::SQLITE_LOCKED, "locked by others"),
            (ffi::SQLITE_FULL, "free some space"),
            (ffi::SQLITE_READONLY, "cannot be written"),
            (ffi::SQLITE_READONLY_DBMOVED, "cannot be written"),
            (ffi::SQLITE_CORRUPT, "is damaged"),
            (ffi::SQLITE_NOTADB, "is damaged"),
            (ffi::SQLITE_IOERR_WRITE, "/c.db: "),
            (ffi::SQLITE_NOMEM, "/c.db: "),
        ] {
            let told = explain(
                Path::new("/c.db"),
                &rusqlite::Error::SqliteFailure(ffi::Error::new(code), None),
            );
            assert!(
                matches!(&told, StoreError::Unavailable(why) if why.contains(said)),
                "{code}: {told:?}"
            );
        }
    }
}
