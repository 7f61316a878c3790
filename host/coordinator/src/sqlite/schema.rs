//! The store's tables, and the checks before they are trusted.

use super::error::OpenError;
use super::file;
use crate::clock;
use rusqlite::{Connection, TransactionBehavior};
use std::path::Path;

/// "Shwr": marks our files (`PRAGMA application_id`).
const APPLICATION: u32 = 0x5368_7772;
/// The format of this release (`PRAGMA user_version`).
pub(super) const FORMAT: i64 = 1;

/// `meta` has one row: the file's history id; the boot in which `clock` was fixed, which is what to add to the
/// machine's boottime to get the backend's time; the revision of the newest write, and its time.
const TABLES: &str = "
    CREATE TABLE meta (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        history BLOB NOT NULL, boot TEXT NOT NULL, clock INTEGER NOT NULL, revision INTEGER NOT NULL, latest INTEGER \
                      NOT NULL
    ) STRICT;
    CREATE TABLE entries (
        namespace TEXT NOT NULL, key TEXT NOT NULL, revision INTEGER NOT NULL, written INTEGER NOT NULL, value BLOB \
                      NOT NULL,
        PRIMARY KEY (namespace, key)
    ) STRICT;
    CREATE INDEX entries_by_revision ON entries (namespace, revision);
";

/// One run of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Boot(pub(super) String);

impl Boot {
    /// The present one.
    pub(super) fn current() -> std::io::Result<Self> {
        #[cfg(target_os = "linux")]
        let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
        #[cfg(not(target_os = "linux"))]
        let id = String::from_utf8_lossy(
            &std::process::Command::new("sysctl")
                .args(["-n", "kern.bootsessionuuid"])
                .output()?
                .stdout,
        )
        .into_owned();
        Ok(Self(id.trim().to_lowercase()))
    }
}

/// The row of `meta`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Meta {
    pub(super) history: [u8; 16],
    pub(super) boot: Boot,
    pub(super) clock: i64,
    pub(super) revision: u64,
}

impl Meta {
    pub(super) fn read(connection: &Connection) -> rusqlite::Result<Self> {
        connection
            .prepare_cached("SELECT history, boot, clock, revision FROM meta")?
            .query_one((), |row| {
                Ok(Self {
                    history: row.get(0)?,
                    boot: Boot(row.get(1)?),
                    clock: row.get(2)?,
                    revision: row.get(3)?,
                })
            })
    }

    /// The backend's time.
    pub(super) fn now(&self) -> u64 {
        clock::boottime().saturating_add_signed(self.clock)
    }
}

/// Opens the store at `path`, making it if there is none, and says whose history it is.
pub(super) fn open(path: &Path, boot: &Boot) -> Result<(Connection, Meta), OpenError> {
    file::create(path).map_err(|error| OpenError::io(path, &error))?;
    let mut connection = file::connect(path)?;
    let failed = |error: rusqlite::Error| OpenError::of(path, &error);
    // Before the first change: is this ours? One transaction, for another process may be making its tables right now.
    recognise(path, &*connection.transaction().map_err(failed)?)?;
    // FULL: an acknowledged write survives the loss of power, because a fencing token must never be given twice. (EXTRA
    // is the same in WAL.)
    file::enable_wal(&connection, "FULL").map_err(failed)?;
    check(path, &connection)?;
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(failed)?;
    if !recognise(path, &transaction)? {
        let mut history = [0; 16];
        getrandom::fill(&mut history).map_err(|error| OpenError::Other {
            path: path.into(),
            reason: format!("no randomness: {error}"),
        })?;
        transaction.execute_batch(TABLES).map_err(failed)?;
        transaction
            .pragma_update(None, "application_id", APPLICATION)
            .map_err(failed)?;
        transaction
            .pragma_update(None, "user_version", FORMAT)
            .map_err(failed)?;
        transaction
            .execute("INSERT INTO meta VALUES (1, ?1, '', 0, 0, 0)", (history,))
            .map_err(failed)?;
    }
    let meta = start_clock(&transaction, boot).map_err(failed)?;
    transaction.commit().map_err(failed)?;
    Ok((connection, meta))
}

/// Whether the database has our tables, or else is empty.
fn recognise(path: &Path, connection: &Connection) -> Result<bool, OpenError> {
    let failed = |error: rusqlite::Error| OpenError::of(path, &error);
    let application: u32 = connection
        .pragma_query_value(None, "application_id", |row| row.get(0))
        .map_err(failed)?;
    let format: i64 = connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(failed)?;
    let tables: i64 = connection
        .query_one("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0))
        .map_err(failed)?;
    match (application, format, tables) {
        (0, 0, 0) => Ok(false),
        (APPLICATION, FORMAT, _) => Ok(true),
        (APPLICATION, found, _) => Err(OpenError::Newer {
            path: path.into(),
            found,
        }),
        (found, _, _) => Err(OpenError::Foreign {
            path: path.into(),
            found,
        }),
    }
}

fn check(path: &Path, connection: &Connection) -> Result<(), OpenError> {
    let verdict: String = connection
        .query_one("PRAGMA quick_check(1)", (), |row| row.get(0))
        .map_err(|error| OpenError::of(path, &error))?;
    if verdict == "ok" {
        Ok(())
    } else {
        Err(OpenError::Corrupt {
            path: path.into(),
            reason: verdict,
        })
    }
}

/// On the first opening after the machine started, fixes the clock: never behind a time that was stored. It then goes
/// with CLOCK_BOOTTIME, so that no step of the wall clock ages anybody.
fn start_clock(connection: &Connection, boot: &Boot) -> rusqlite::Result<Meta> {
    let meta = Meta::read(connection)?;
    if meta.boot != *boot {
        let latest: u64 = connection.query_one("SELECT latest FROM meta", (), |row| row.get(0))?;
        let clock = i64::try_from(latest.max(clock::wall())).unwrap_or(i64::MAX)
            - i64::try_from(clock::boottime()).unwrap_or(0);
        connection.execute("UPDATE meta SET boot = ?1, clock = ?2", (&boot.0, clock))?;
    }
    Meta::read(connection)
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn those_who_make_a_store_together_all_find_it() {
        let boot = Boot("one".into());
        for round in 0..40 {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("store");
            let start = std::sync::Barrier::new(6);
            let histories: Vec<[u8; 16]> = std::thread::scope(|scope| {
                let open = || {
                    start.wait();
                    open(&path, &boot)
                        .unwrap_or_else(|error| panic!("round {round}: {error}"))
                        .1
                        .history
                };
                let threads: Vec<_> = (0..6).map(|_| scope.spawn(open)).collect();
                threads
                    .into_iter()
                    .map(|thread| thread.join().expect("opens"))
                    .collect()
            });
            assert!(
                histories.iter().all(|history| *history == histories[0]),
                "one store, one history"
            );
        }
    }

    #[test]
    fn a_restart_of_the_machine_never_turns_the_clock_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("store");
        let boot = |name: &str| open(&path, &Boot(name.into())).expect("opens");
        let (connection, first) = boot("one");
        assert!(first.now().abs_diff(clock::wall()) < 1000);
        // The wall clock was an hour ahead when this was written, and has been set right since.
        let future = clock::wall() + 3_600_000;
        connection
            .execute("UPDATE meta SET latest = ?1", (future,))
            .expect("updates");
        let (_, same) = boot("one");
        assert_eq!(
            same.clock, first.clock,
            "within one run of the machine the clock stays as it is"
        );
        let (_, next) = boot("two");
        assert!(next.now() >= future && next.now() < future + 10_000);
        assert_eq!((next.history, next.revision), (first.history, first.revision));
    }
}
