//! The state directory: what makes a node the same one after a restart, locked for as long as its process lives.
//!
//! - `instance` holds the installation's UUID, and what the folder was known by when it was made: a copy of the folder
//!   is another installation, or two processes could take each other for themselves. Where a copy cannot be told from
//!   the original, `processes` can: it has those that ran in this folder on this machine since it was started, which
//!   are over for certain. A session of any other is watched.
//! - `memory.json` is what the node remembers of the cluster, so that ids outlast a store that is lost.
//! - `lock` is locked with `flock`, which the kernel releases whenever and however the process ends; the process id in
//!   it is for people.
//! - `coordinator.json` is what a node on an adapter says of it, for as long as it runs.

mod file;
mod folder;
mod instance;
mod memory;
mod processes;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod properties;
mod watch;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use shardwright_core::id::{InstanceId, ProcessId};
use shardwright_core::memory::Memory;
use std::fs::{DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub(crate) use file::{private, random_bits};
pub(crate) use watch::watch;

/// What a node says of its adapter.
pub(crate) const REPORT: &str = "coordinator.json";
/// How often a lock is tried that somebody holds: it may be somebody who only looks whether it is held.
const TRIES: u32 = 5;
/// The wait between two tries.
const PAUSE: Duration = Duration::from_millis(20);

/// Why a state directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateDirError {
    /// Another process uses it.
    #[error(
        "the state directory {path} is in use by {}: each node needs one of its own. Stop that process, or give this \
         node another directory or hostname",
        pid.map_or_else(|| "another process".into(), |pid| format!("process {pid}"))
    )]
    InUse {
        /// The directory.
        path: PathBuf,
        /// The process that holds it, as far as it said so.
        pid: Option<u32>,
    },
    /// The file `instance` holds something else.
    #[error(
        "{path} does not hold an instance id of 32 hexadecimal digits: restore it, or delete it to start as a new \
         instance (which waits for the old one's lease)"
    )]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// Reading, writing or creating failed.
    #[error("cannot {action} {path}: {error}. {}", remedy(error))]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        error: io::Error,
    },
    /// There is no default place for this user.
    #[error(
        "there is no place for this node's state: set `state-dir` in [node], or HOME or XDG_STATE_HOME (an absolute \
         path)"
    )]
    Nowhere,
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "Free some space there",
        _ => "Set `state-dir` in [node] to a directory that this process may write, and that outlives it",
    }
}

/// A locked state directory.
#[derive(Debug)]
pub(crate) struct StateDir {
    pub(crate) instance: InstanceId,
    /// This process, and those before it in this very folder that are over for certain.
    pub(crate) process: ProcessId,
    pub(crate) predecessors: Vec<ProcessId>,
    pub(crate) path: PathBuf,
    memory: memory::Store,
    /// The lock lasts as long as the file is open.
    lock: File,
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StateDirError {
    let path = path.to_owned();
    move |error| StateDirError::Io { action, path, error }
}

impl StateDir {
    /// Creates the directory if need be, locks it and reads or makes its instance id.
    pub(crate) fn open(path: &Path) -> Result<Self, StateDirError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(failed("create", path))?;

        let lock_path = path.join("lock");
        let mut lock = private()
            .read(true)
            .open(&lock_path)
            .map_err(failed("open", &lock_path))?;
        match exclusive(&lock) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let mut text = String::new();
                // Only for the message: whatever cannot be read is left out of it.
                let _ = lock.take(32).read_to_string(&mut text);
                return Err(StateDirError::InUse {
                    path: path.to_owned(),
                    pid: text.trim().parse().ok(),
                });
            }
            Err(error) => return Err(failed("lock", &lock_path)(error.into())),
        }
        lock.set_len(0)
            .and_then(|()| writeln!(lock, "{}", std::process::id()))
            .map_err(failed("write", &lock_path))?;
        // Of a process that was killed. What cannot be removed names that process.
        let _ = std::fs::remove_file(path.join(REPORT));

        let instance = instance::read_or_make(path)?;
        let (process, predecessors) = processes::enter(path)?;
        Ok(Self {
            instance,
            process,
            predecessors,
            memory: memory::Store::open(path),
            path: path.to_owned(),
            lock,
        })
    }

    /// What was remembered of the cluster `name`.
    pub(crate) fn recall(&self, name: &str) -> Memory {
        self.memory.recall(name)
    }

    /// Has this remembered, in the background; what comes later replaces it.
    pub(crate) fn remember(self: &Arc<Self>, name: &str, memory: Arc<Memory>) {
        self.memory.remember(name, memory);
    }
}

fn exclusive(lock: &File) -> Result<(), Errno> {
    for _ in 1..TRIES {
        match flock(lock, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => std::thread::sleep(PAUSE),
            other => return other,
        }
    }
    flock(lock, FlockOperation::NonBlockingLockExclusive)
}

/// Who has locked the state directory `path`: nobody, or a process and its id as far as it said so.
///
/// # Errors
/// If the lock cannot be opened.
#[cfg(feature = "adapters")]
pub(crate) fn holder(path: &Path) -> io::Result<Option<Option<u32>>> {
    let lock = match shardwright_files::open(&path.join("lock")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    match flock(&lock, FlockOperation::NonBlockingLockShared) {
        // Given back with the file.
        Ok(()) => Ok(None),
        Err(Errno::WOULDBLOCK) => {
            let mut text = String::new();
            lock.take(32).read_to_string(&mut text)?;
            Ok(Some(text.trim().parse().ok()))
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn the_instance_stays_and_the_lock_is_exclusive() {
        let temp = tempfile::tempdir().expect("a folder");
        let path = temp.path().join("a/b");
        let first = StateDir::open(&path).expect("created");
        let instance = first.instance;
        let error = StateDir::open(&path).expect_err("locked").to_string();
        assert!(
            error.contains(&format!("process {}", std::process::id())) && error.contains("a/b"),
            "{error}"
        );
        drop(first);
        assert_eq!(StateDir::open(&path).expect("free again").instance, instance);
        let other = StateDir::open(&temp.path().join("c")).expect("another");
        assert_ne!(other.instance, instance);
    }

    #[test]
    fn what_to_do_depends_on_what_failed() {
        let failed = |kind: io::ErrorKind| failed("write", Path::new("/x/lock"))(kind.into()).to_string();
        let full = failed(io::ErrorKind::StorageFull);
        assert!(
            full.starts_with("cannot write /x/lock: ") && full.ends_with(". Free some space there"),
            "{full}"
        );
        assert!(failed(io::ErrorKind::PermissionDenied).contains("Set `state-dir` in [node]"));
    }

    #[cfg(feature = "adapters")]
    #[test]
    fn who_looks_at_a_lock_is_in_nobodys_way() {
        let temp = tempfile::tempdir().expect("a folder");
        assert_eq!(holder(temp.path()).expect("no lock"), None);
        let state = StateDir::open(temp.path()).expect("created");
        assert_eq!(holder(temp.path()).expect("a lock"), Some(Some(std::process::id())));
        drop(state);
        assert_eq!(holder(temp.path()).expect("a lock"), None);
        let looking = File::open(temp.path().join("lock")).expect("opens");
        flock(&looking, FlockOperation::NonBlockingLockShared).expect("nobody else");
        let opening = std::thread::spawn({
            let path = temp.path().to_owned();
            move || StateDir::open(&path).map(drop)
        });
        std::thread::sleep(PAUSE);
        drop(looking);
        opening.join().expect("no panic").expect("tried again");
    }

    #[test]
    fn a_copy_of_a_state_directory_is_another_instance() {
        let temp = tempfile::tempdir().expect("a folder");
        let (first, copy) = (temp.path().join("first"), temp.path().join("copy"));
        let running = StateDir::open(&first).expect("created");
        std::fs::create_dir(&copy).expect("a folder");
        std::fs::copy(first.join("instance"), copy.join("instance")).expect("copied");
        let other = StateDir::open(&copy).expect("opens").instance;
        assert_ne!(other, running.instance);
        assert_eq!(StateDir::open(&copy).expect("opens").instance, other, "and stays so");
        let moved = temp.path().join("moved");
        let instance = running.instance;
        drop(running);
        std::fs::rename(&first, &moved).expect("moved");
        assert_eq!(
            StateDir::open(&moved).expect("opens").instance,
            instance,
            "a moved one is still the same"
        );
    }

    #[test]
    fn a_damaged_instance_is_an_error_and_is_left_alone() {
        let temp = tempfile::tempdir().expect("a folder");
        let file = temp.path().join("instance");
        for bad in [
            &b"not a number"[..],
            b"",
            b"\xff\xfe",
            b"+0123456789012345678901234567890",
        ] {
            std::fs::write(&file, bad).expect("written");
            assert!(
                matches!(StateDir::open(temp.path()), Err(StateDirError::Malformed { .. })),
                "{bad:?}"
            );
            assert_eq!(std::fs::read(&file).expect("read"), bad);
        }
        std::fs::write(&file, "01234567-89ab-cdef-0123-456789abcdef\n").expect("written");
        assert_eq!(
            StateDir::open(temp.path()).expect("hyphens are welcome").instance.0,
            0x0123_4567_89ab_cdef_0123_4567_89ab_cdef
        );
    }

    #[test]
    fn a_path_that_cannot_be_a_directory_is_named() {
        let temp = tempfile::tempdir().expect("a folder");
        let file = temp.path().join("file");
        std::fs::write(&file, "").expect("written");
        let error = StateDir::open(&file.join("x")).expect_err("no directory").to_string();
        assert!(error.contains("create") && error.contains("file/x"), "{error}");
    }
}
