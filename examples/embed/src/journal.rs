//! The outside world of the jobs: a database that remembers what was tried and sent, and refuses stragglers.

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use rustix::time::{ClockId, clock_gettime};
use shardwright::Token;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Jobs, as attempted and as done.
pub(crate) struct Journal(Mutex<Connection>);

/// Milliseconds on a clock that the processes of this machine share and nobody sets.
pub(crate) fn now() -> u64 {
    let t = clock_gettime(ClockId::Monotonic);
    u64::try_from(t.tv_sec).unwrap_or(0) * 1000 + u64::try_from(t.tv_nsec).unwrap_or(0) / 1_000_000
}

impl Journal {
    pub(crate) fn open(path: impl AsRef<Path>) -> rusqlite::Result<Self> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(Duration::from_secs(10))?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "off")?;
        connection.execute_batch(
            "CREATE TABLE IF NOT EXISTS attempts (id INTEGER PRIMARY KEY, account INTEGER, period INTEGER, node \
             INTEGER, token INTEGER,
                 began INTEGER, ended INTEGER, outcome TEXT);
             CREATE TABLE IF NOT EXISTS sent (account INTEGER, period INTEGER, PRIMARY KEY (account, period));
             CREATE TABLE IF NOT EXISTS fences (shard INTEGER PRIMARY KEY, token INTEGER);",
        )?;
        Ok(Self(Mutex::new(connection)))
    }

    // The transactions keep the database sound, whatever panics.
    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a job begins; `None` if it was done already.
    pub(crate) fn begin(
        &self,
        account: u64,
        period: u64,
        node: u32,
        token: Token,
        began: u64,
    ) -> rusqlite::Result<Option<i64>> {
        let mut connection = self.lock();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done = transaction.query_row(
            "SELECT 1 FROM sent WHERE account = ?1 AND period = ?2",
            params![account, period],
            |_| Ok(()),
        );
        if done.optional()?.is_some() {
            return Ok(None);
        }
        transaction.execute(
            "INSERT INTO attempts (account, period, node, token, began) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![account, period, node, token.0, began],
        )?;
        let attempt = transaction.last_insert_rowid();
        transaction.commit()?;
        Ok(Some(attempt))
    }

    /// Notes that a job is done, if no later owner of its shard has been here.
    pub(crate) fn finish(&self, attempt: i64, shard: u32, token: Token) -> rusqlite::Result<()> {
        let mut connection = self.lock();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let seen = transaction
            .query_row("SELECT token FROM fences WHERE shard = ?1", [shard], |row| {
                row.get::<_, u64>(0)
            })
            .optional()?;
        let outcome = if seen.is_some_and(|seen| seen > token.0) {
            "refused"
        } else {
            transaction.execute("INSERT OR REPLACE INTO fences VALUES (?1, ?2)", params![shard, token.0])?;
            let account = "SELECT account, period FROM attempts WHERE id = ?1";
            transaction.execute(&format!("INSERT INTO sent {account}"), [attempt])?;
            "sent"
        };
        end(&transaction, attempt, outcome)?;
        transaction.commit()
    }

    /// Notes that a job was cut short because its shard was lost.
    pub(crate) fn cut(&self, attempt: i64) -> rusqlite::Result<()> {
        end(&self.lock(), attempt, "cut")
    }
}

fn end(connection: &Connection, attempt: i64, outcome: &str) -> rusqlite::Result<()> {
    connection.execute(
        "UPDATE attempts SET ended = ?1, outcome = ?2 WHERE id = ?3",
        params![now(), outcome, attempt],
    )?;
    Ok(())
}
