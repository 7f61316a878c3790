//! The bus's table: messages in the order of their publication, for as long as a live subscriber may need.
//!
//! It is a database of its own, one for each run of the machine, because it needs none of the store's durability: it
//! may be lost with the power, but must then not be found half written by the next run.

use super::error::OpenError;
use super::file::{self, Identity};
use super::file_notifier::FileNotifier;
use super::schema::Boot;
use crate::clock;
use crate::limits::Namespace;
use bytes::Bytes;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior};
use std::path::{Path, PathBuf};

/// The table is trimmed to this many messages, bytes and milliseconds. A subscriber that sleeps through more finds a
/// gap.
pub(super) const KEEP_ROWS: u64 = 16_384;
const KEEP_BYTES: u64 = 64 * 1024 * 1024;
const KEEP_MILLIS: u64 = 60_000;
/// How many messages are published between two trims.
const TRIM_EVERY: u64 = 256;

/// `total` counts the bytes of all messages up to and including this one.
const TABLE: &str = "CREATE TABLE IF NOT EXISTS messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT, namespace TEXT NOT NULL, sent INTEGER NOT NULL, total INTEGER NOT NULL, \
                     topic TEXT NOT NULL, payload BLOB NOT NULL
) STRICT";

/// The open table, and how far this handle has read it.
pub(super) struct Messages {
    connection: Connection,
    identity: Identity,
    pub(super) bell: FileNotifier,
    namespace: Namespace,
    /// The id of the last message that was read.
    read: u64,
    trimmed: u64,
}

/// A message to be sent.
pub(super) struct Outgoing {
    pub(super) topic: String,
    pub(super) payload: Bytes,
}

impl Messages {
    /// Opens the bus that belongs to the store at `path`, and begins behind the last message.
    pub(super) fn open(path: &Path, namespace: Namespace, boot: &Boot) -> Result<Self, OpenError> {
        let bus = bus_path(path, boot);
        remove_old(path, &bus);
        match Self::try_open(&bus, namespace.clone()) {
            // It only holds what is passing by: rather lose that than the bus. Whoever has it open sees that it is
            // gone.
            Err(OpenError::Corrupt { .. }) => {
                remove(&bus);
                Self::try_open(&bus, namespace)
            }
            other => other,
        }
    }

    fn try_open(bus: &Path, namespace: Namespace) -> Result<Self, OpenError> {
        let failed = |error: rusqlite::Error| OpenError::of(bus, &error);
        file::create(bus).map_err(|error| OpenError::io(bus, &error))?;
        let mut connection = file::connect(bus)?;
        // Never waits for the disk: what has not reached it when the power fails is of no use afterwards.
        file::enable_wal(&connection, "OFF").map_err(failed)?;
        let tables = "SELECT count(*) FROM sqlite_schema WHERE name = 'messages'";
        let tables: u32 = connection.query_one(tables, (), |row| row.get(0)).map_err(failed)?;
        if tables == 0 {
            let transaction = connection
                .transaction_with_behavior(TransactionBehavior::Immediate)
                .map_err(failed)?;
            transaction.execute_batch(TABLE).map_err(failed)?;
            transaction.commit().map_err(failed)?;
        }
        let read = newest(&connection).map_err(failed)?;
        let ring = file::beside(bus, "-bell");
        let bell = FileNotifier::open(&ring).map_err(|error| OpenError::io(&ring, &error))?;
        let paths = [
            bus.to_owned(),
            file::beside(bus, "-wal"),
            file::beside(bus, "-shm"),
            ring,
        ];
        Ok(Self {
            connection,
            identity: Identity::of(paths),
            bell,
            namespace,
            read,
            trimmed: read,
        })
    }

    /// Whether the files are no longer those that others open.
    pub(super) fn replaced(&self) -> bool {
        self.identity.changed().is_some()
    }

    /// Publishes `messages` in one transaction, and rings.
    pub(super) fn publish(&mut self, messages: &[Outgoing]) -> rusqlite::Result<()> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let last = transaction
            .prepare_cached("SELECT total FROM messages ORDER BY id DESC LIMIT 1")?
            .query_one((), |row| row.get(0))
            .optional()?;
        let mut total: u64 = last.unwrap_or(0);
        // Read under the write lock, so that it never decreases along the table.
        let sent = clock::boottime();
        {
            let mut insert = transaction.prepare_cached(
                "INSERT INTO messages (namespace, sent, total, topic, payload) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?;
            for Outgoing { topic, payload } in messages {
                total += payload.len() as u64;
                insert.execute((self.namespace.as_str(), sent, total, topic, &payload[..]))?;
            }
        }
        let newest = u64::try_from(transaction.last_insert_rowid()).unwrap_or(0);
        let due = newest.saturating_sub(self.trimmed) >= TRIM_EVERY;
        if due {
            trim(
                &transaction,
                newest.saturating_sub(KEEP_ROWS),
                sent.saturating_sub(KEEP_MILLIS),
                total.saturating_sub(KEEP_BYTES),
            )?;
        }
        transaction.commit()?;
        self.bell.ring();
        if due {
            self.trimmed = newest;
        }
        Ok(())
    }

    /// Passes everything new in the namespace to `each`, in order; `None` stands for messages that were trimmed before
    /// they were read.
    pub(super) fn read(&mut self, mut each: impl FnMut(Option<(&str, Bytes)>)) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        let newest = newest(&transaction)?;
        if newest == self.read {
            return Ok(());
        }
        let oldest: Option<u64> = transaction
            .prepare_cached("SELECT min(id) FROM messages")?
            .query_one((), |row| row.get(0))?;
        // Ids have no holes: a transaction that fails gives its ids back.
        if oldest.unwrap_or(newest + 1) > self.read + 1 {
            each(None);
        }
        let mut statement = transaction
            .prepare_cached("SELECT id, topic, payload FROM messages WHERE id > ?1 AND namespace = ?2 ORDER BY id")?;
        let mut rows = statement.query((self.read, self.namespace.as_str()))?;
        while let Some(row) = rows.next()? {
            if let (ValueRef::Text(topic), ValueRef::Blob(payload)) = (row.get_ref(1)?, row.get_ref(2)?) {
                each(Some((&String::from_utf8_lossy(topic), Bytes::copy_from_slice(payload))));
            }
            self.read = row.get(0)?;
        }
        self.read = newest;
        Ok(())
    }

    /// Forgets everything published so far.
    pub(super) fn skip(&mut self) -> rusqlite::Result<()> {
        self.read = newest(&self.connection)?;
        Ok(())
    }
}

/// The id of the newest message ever published here.
fn newest(connection: &Connection) -> rusqlite::Result<u64> {
    let newest = connection
        .prepare_cached("SELECT seq FROM sqlite_sequence WHERE name = 'messages'")?
        .query_one((), |row| row.get(0))
        .optional()?;
    Ok(newest.unwrap_or(0))
}

/// Removes messages from the head for as long as one of the limits is exceeded: visits only what goes.
fn trim(connection: &Connection, id: u64, sent: u64, total: u64) -> rusqlite::Result<()> {
    let sql = "SELECT id FROM messages WHERE NOT (id <= ?1 OR sent < ?2 OR total < ?3) ORDER BY id LIMIT 1";
    let first: Option<u64> = connection
        .prepare_cached(sql)?
        .query_one((id, sent, total), |row| row.get(0))
        .optional()?;
    // The newest message always stays: it carries the total on.
    if let Some(first) = first {
        connection
            .prepare_cached("DELETE FROM messages WHERE id < ?1")?
            .execute((first,))?;
    }
    Ok(())
}

/// The bus's file in this run of the machine.
fn bus_path(path: &Path, boot: &Boot) -> PathBuf {
    let id: String = boot.0.chars().filter(char::is_ascii_alphanumeric).take(12).collect();
    file::beside(path, &format!("-bus-{id}"))
}

/// Removes the buses of earlier runs of the machine. What cannot be removed is only litter.
fn remove_old(path: &Path, current: &Path) {
    let (Some(folder), Some(name), Some(current)) = (path.parent(), path.file_name(), current.file_name()) else {
        return;
    };
    let prefix = format!("{}-bus-", name.to_string_lossy());
    for found in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = found.file_name().to_string_lossy().into_owned();
        if name.starts_with(&prefix) && !name.starts_with(&*current.to_string_lossy()) {
            let _ = std::fs::remove_file(found.path());
        }
    }
}

/// Removes a bus; what resists shows when it is opened again.
fn remove(bus: &Path) {
    for suffix in ["", "-wal", "-shm", "-bell"] {
        let _ = std::fs::remove_file(file::beside(bus, suffix));
    }
}

#[cfg(test)]
mod test {
    use super::*;

    fn open(folder: &Path, boot: &str) -> Messages {
        Messages::open(
            &folder.join("store"),
            Namespace::new("n").expect("valid"),
            &Boot(boot.into()),
        )
        .expect("opens")
    }

    fn numbers(from: u64, to: u64) -> Vec<Outgoing> {
        (from..to)
            .map(|n| Outgoing {
                topic: "t".into(),
                payload: Bytes::from(n.to_string()),
            })
            .collect()
    }

    fn read(messages: &mut Messages) -> Vec<Option<String>> {
        let mut found = Vec::new();
        messages
            .read(|m| found.push(m.map(|(_, payload)| String::from_utf8_lossy(&payload).into_owned())))
            .expect("reads");
        found
    }

    #[test]
    fn who_sleeps_through_a_trim_finds_a_gap() {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut sender, mut sleeper, mut awake) = (
            open(folder.path(), "one"),
            open(folder.path(), "one"),
            open(folder.path(), "one"),
        );
        let all = KEEP_ROWS + 3 * TRIM_EVERY;
        for from in (0..all).step_by(100) {
            let to = all.min(from + 100);
            sender.publish(&numbers(from, to)).expect("publishes");
            let expected: Vec<_> = (from..to).map(|n| Some(n.to_string())).collect();
            assert_eq!(read(&mut awake), expected);
        }
        let late = read(&mut sleeper);
        assert_eq!(late[0], None, "the loss is told first");
        assert_eq!(late.last(), Some(&Some((all - 1).to_string())));
        let kept = late.len() as u64 - 1;
        assert!((KEEP_ROWS..=KEEP_ROWS + TRIM_EVERY).contains(&kept), "{kept} kept");
        assert!(read(&mut sleeper).is_empty());
    }

    #[test]
    fn bytes_are_bounded_too() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut sender = open(folder.path(), "one");
        for _ in 0..2 * TRIM_EVERY {
            sender
                .publish(&[Outgoing {
                    topic: "t".into(),
                    payload: Bytes::from(vec![0; 400 * 1024]),
                }])
                .expect("publishes");
        }
        let kept: u64 = sender
            .connection
            .query_one("SELECT sum(length(payload)) FROM messages", (), |row| row.get(0))
            .expect("sums");
        assert!(kept <= KEEP_BYTES + TRIM_EVERY * 400 * 1024, "{kept} bytes kept");
    }

    #[test]
    fn each_run_of_the_machine_has_its_own_bus() {
        let folder = tempfile::tempdir().expect("a folder");
        open(folder.path(), "one").publish(&numbers(0, 1)).expect("publishes");
        let mut next = open(folder.path(), "two");
        assert!(read(&mut next).is_empty());
        let names: Vec<_> = std::fs::read_dir(folder.path())
            .expect("lists")
            .flatten()
            .map(|f| f.file_name())
            .collect();
        assert!(
            names
                .iter()
                .all(|name| name.to_string_lossy().starts_with("store-bus-two")),
            "{names:?}"
        );
    }

    #[test]
    fn a_damaged_bus_is_made_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("store-bus-one"), [7; 8192]).expect("writes");
        let mut messages = open(folder.path(), "one");
        messages.publish(&numbers(0, 1)).expect("publishes");
        assert_eq!(read(&mut messages), [Some("0".to_owned())]);
    }
}
