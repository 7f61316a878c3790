//! One database file as this process has it open: made private, opened in WAL mode, and recognised again.

use super::error::{OpenError, PATIENCE, is_busy};
use rusqlite::{Connection, OpenFlags};
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The longest sleep between two attempts at a lock. Who writes leaves the lock alone for as long afterwards, so that
/// those who wait for it find it free: SQLite has no queue.
pub(super) const PAUSE: Duration = Duration::from_micros(500);

/// Makes an empty file that only its owner may use, unless there is one.
///
/// It must be made exclusively: POSIX drops all locks that a process has on a file when it closes *any* descriptor of
/// it, so nothing but SQLite may ever open a file that SQLite has open.
pub(super) fn create(path: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other.map(drop),
    }
}

/// Opens the database at `path`, without changing it.
pub(super) fn connect(path: &Path) -> Result<Connection, OpenError> {
    let failed = |error: rusqlite::Error| OpenError::of(path, &error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let mut connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_handler(Some(wait)).map_err(failed)?;
    // SQLite falls back to reading alone without a word.
    if connection.is_readonly("main").map_err(failed)? {
        return Err(OpenError::ReadOnly { path: path.into() });
    }
    Ok(connection)
}

/// Waits a little for other processes; false when it has been long enough. SQLite's own way sleeps up to 100 ms between
/// two looks, and then finds no moment between the writes of a busy neighbour.
fn wait(tries: i32) -> bool {
    let pause = Duration::from_micros(100)
        .saturating_mul(u32::try_from(tries).unwrap_or(0) + 1)
        .min(PAUSE);
    std::thread::sleep(pause);
    PAUSE.saturating_mul(u32::try_from(tries).unwrap_or(0)) < PATIENCE
}

/// Switches to write-ahead logging. SQLite does not wait for others here by itself.
pub(super) fn enable_wal(connection: &Connection, synchronous: &str) -> rusqlite::Result<()> {
    let begun = Instant::now();
    loop {
        match connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get::<_, String>(0)) {
            Err(error) if is_busy(&error) && begun.elapsed() < PATIENCE => std::thread::sleep(PAUSE),
            other => break other.map(drop)?,
        };
    }
    connection.pragma_update(None, "synchronous", synchronous)
}

/// The path with `suffix` after its name.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Recognises files by device and inode. An inode is not given to another file while one of ours is open.
pub(super) struct Identity(Vec<(PathBuf, Option<(u64, u64)>)>);

impl Identity {
    /// Remembers what is at `paths` now.
    pub(super) fn of(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        Self(paths.into_iter().map(|path| (path.clone(), inode(&path))).collect())
    }

    /// Remembers an open database and its two companions, which exist from the first transaction until the last process
    /// closes it.
    pub(super) fn of_database(path: &Path) -> Self {
        Self::of([path.to_owned(), beside(path, "-wal"), beside(path, "-shm")])
    }

    /// The first file that is not the one it was.
    pub(super) fn changed(&self) -> Option<&Path> {
        self.0
            .iter()
            .find(|(path, was)| was.is_none() || inode(path) != *was)
            .map(|(path, _)| path.as_path())
    }
}

fn inode(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()))
}
