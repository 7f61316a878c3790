//! What can be wrong with the file, in words that say what to do.

use rusqlite::ErrorCode;
use std::path::{Path, PathBuf};

/// How long an operation waits for other processes before it gives up.
pub(super) const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

/// Why a coordinator file cannot be used. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// There is no directory to hold it.
    #[error("{} cannot hold the coordinator file: {reason}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// The file system does not promise what SQLite needs among processes.
    #[error(
        "{} is on {kind}: the coordinator file needs a local disk, because locks and shared memory must work between \
         all processes. For nodes on several machines use another coordinator",
        path.display()
    )]
    FileSystem {
        /// The directory.
        path: PathBuf,
        /// What it is on.
        kind: String,
    },
    /// The file or its directory cannot be written.
    #[error("{} cannot be written: make the file and its directory writable for this user", path.display())]
    ReadOnly {
        /// The file.
        path: PathBuf,
    },
    /// A database of something else.
    #[error("{} is a database of another program (application id {found:#010x}): name another file", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Its `application_id`.
        found: u32,
    },
    /// A file of a newer release.
    #[error(
        "{} has format {found}, this release knows only {}: run the newer release",
        path.display(),
        super::schema::FORMAT
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
    },
    /// Not a database, or a broken one.
    #[error("{} is damaged or no database ({reason}): stop all nodes, then restore it or move it away", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        reason: String,
    },
    /// No space left.
    #[error("the disk that holds {} is full: free some space", path.display())]
    Full {
        /// The file.
        path: PathBuf,
    },
    /// Another process holds it for too long.
    #[error(
        "{} is locked by another process for more than {} s: find it with `fuser`",
        path.display(),
        PATIENCE.as_secs()
    )]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// Anything else that the system says.
    #[error("{} cannot be used: {reason}", path.display())]
    Other {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
}

impl OpenError {
    /// What SQLite's `error` means for the file at `path`.
    pub(super) fn of(path: &Path, error: &rusqlite::Error) -> Self {
        let (path, reason) = (path.to_owned(), error.to_string());
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => Self::Corrupt { path, reason },
            Some(ErrorCode::DiskFull) => Self::Full { path },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy { path },
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => Self::ReadOnly { path },
            _ => Self::Other { path, reason },
        }
    }

    pub(super) fn io(path: &Path, error: &std::io::Error) -> Self {
        use std::io::ErrorKind as K;
        let path = path.to_owned();
        match error.kind() {
            K::PermissionDenied | K::ReadOnlyFilesystem => Self::ReadOnly { path },
            K::StorageFull | K::QuotaExceeded => Self::Full { path },
            _ => Self::Other {
                path,
                reason: error.to_string(),
            },
        }
    }
}

/// Whether another process is merely in the way.
pub(super) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}

/// Whether the same may succeed later on the same connection: another process was in the way, or the disk was full.
pub(super) fn is_passing(error: &rusqlite::Error) -> bool {
    is_busy(error) || error.sqlite_error_code() == Some(ErrorCode::DiskFull)
}

/// Whether a commit that failed like this has certainly not happened, and will not.
///
/// What fails earlier is certain: without the record that commits there is nothing to find. That record is the last
/// that a commit writes, and so no full disk can come after it; a lock that cannot be had comes before it. Everything
/// else may: a failed sync leaves it in the file, where whoever opens that after a crash may find it.
pub(super) fn is_certain_at_commit(error: &rusqlite::Error) -> bool {
    is_passing(error)
}

#[cfg(test)]
mod test {
    use super::*;
    use rusqlite::ffi;

    #[test]
    fn only_what_precedes_the_record_that_commits_is_certain() {
        for (code, certain) in [
            (ffi::SQLITE_BUSY, true),
            (ffi::SQLITE_BUSY_TIMEOUT, true),
            (ffi::SQLITE_LOCKED, true),
            (ffi::SQLITE_FULL, true),
            (ffi::SQLITE_IOERR, false),
            (ffi::SQLITE_IOERR_WRITE, false),
            (ffi::SQLITE_IOERR_FSYNC, false),
            (ffi::SQLITE_IOERR_SHMSIZE, false),
            (ffi::SQLITE_IOERR_SHMMAP, false),
            (ffi::SQLITE_READONLY, false),
            (ffi::SQLITE_CORRUPT, false),
            (ffi::SQLITE_NOTADB, false),
            (ffi::SQLITE_NOMEM, false),
            (ffi::SQLITE_PERM, false),
            (ffi::SQLITE_AUTH, false),
            (ffi::SQLITE_INTERRUPT, false),
            (ffi::SQLITE_INTERNAL, false),
        ] {
            let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            assert_eq!(is_certain_at_commit(&error), certain, "{code}: {error}");
        }
        assert!(
            !is_certain_at_commit(&rusqlite::Error::InvalidQuery),
            "whatever else it is"
        );
    }
}
