//! The state directory: what makes a node the same one after a restart, locked for as long as its process lives.
//!
//! `instance` holds the installation's UUID, and the number of the folder that it was made for: a copy of the folder is another installation,
//! or two processes could take each other for themselves. `lock` is locked with `flock`, which the kernel releases whenever and however the process
//! ends; the process id in it is for people. `coordinator.json` is what a node on an adapter says of it, for as long as it runs.

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use shardwright_core::id::InstanceId;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The largest `instance` that is read; it takes less than a hundred bytes.
const MAX_INSTANCE: u64 = 4 << 10;

/// What a node says of its adapter.
pub(crate) const REPORT: &str = "coordinator.json";
/// How often a lock is tried that somebody holds: it may be somebody who only looks whether it is held.
const TRIES: u32 = 5;
/// The wait between two tries.
const PAUSE: Duration = Duration::from_millis(20);

/// Why a state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateDirError {
    /// Another process uses it.
    #[error(
        "the state directory {path} is in use by {}: each node needs one of its own. Stop that process, or give this node another \
         directory or hostname",
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
        "{path} does not hold an instance id of 32 hexadecimal digits: restore it, or delete it to start as a new instance (which waits for the old one's lease)"
    )]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// Reading, writing or creating failed.
    #[error("cannot {action} {path}: {error}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        error: io::Error,
    },
    /// There is no default place for this user.
    #[error("there is no place for this node's state: set `state-dir` in [node], or HOME or XDG_STATE_HOME (an absolute path)")]
    Nowhere,
}

/// A locked state directory.
#[derive(Debug)]
pub(crate) struct StateDir {
    pub(crate) instance: InstanceId,
    #[cfg(feature = "adapters")]
    pub(crate) path: PathBuf,
    /// Its lock lasts as long as the file is open.
    _lock: File,
}

impl StateDir {
    /// Creates the directory if need be, locks it and reads or makes its instance id.
    pub(crate) fn open(path: &Path) -> Result<Self, StateDirError> {
        let failed = |action, path: &Path| {
            let path = path.to_owned();
            move |error| StateDirError::Io { action, path, error }
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(failed("create", path))?;

        let lock_path = path.join("lock");
        let mut lock = private().read(true).open(&lock_path).map_err(failed("open", &lock_path))?;
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

        let instance_path = path.join("instance");
        let instance = match shardwright_files::read_text(&instance_path, MAX_INSTANCE) {
            Ok(text) => match parse(&text).ok_or_else(|| StateDirError::Malformed {
                path: instance_path.clone(),
            })? {
                (_, Some(made_for)) if made_for != folder(path).map_err(failed("look at", path))? => {
                    tracing::warn!(path = %path.display(), "this state directory is a copy of another: it becomes an instance of its own");
                    create(path, &instance_path).map_err(failed("write", &instance_path))?
                }
                (instance, _) => instance,
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                create(path, &instance_path).map_err(failed("write", &instance_path))?
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(StateDirError::Malformed { path: instance_path }),
            Err(error) => return Err(failed("read", &instance_path)(error)),
        };
        Ok(Self {
            instance,
            #[cfg(feature = "adapters")]
            path: path.to_owned(),
            _lock: lock,
        })
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

pub(crate) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    options
}

/// A fresh instance id, on disk before it is used: written whole under another name, then renamed.
fn create(dir: &Path, path: &Path) -> io::Result<InstanceId> {
    let instance = InstanceId(random_bits()?);
    let temporary = dir.join("instance.new");
    let mut file = private().truncate(true).open(&temporary)?;
    writeln!(file, "{instance}\nfolder {}", folder(dir)?)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    File::open(dir)?.sync_all()?;
    Ok(instance)
}

/// What tells a folder from its copies.
fn folder(dir: &Path) -> io::Result<u64> {
    Ok(std::fs::metadata(dir)?.ino())
}

/// The instance, and the folder that it was made for, if the file says so: people may write the file themselves.
fn parse(text: &str) -> Option<(InstanceId, Option<u64>)> {
    let mut lines = text.trim().lines();
    let digits: String = lines.next()?.trim().chars().filter(|c| *c != '-').collect();
    let well_formed = digits.len() == 32 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    let instance = u128::from_str_radix(&digits, 16).ok().filter(|_| well_formed).map(InstanceId)?;
    let folder = match lines.next() {
        None => None,
        Some(line) => Some(line.strip_prefix("folder ")?.parse().ok()?),
    };
    lines.next().is_none().then_some((instance, folder))
}

/// 128 bits from the operating system.
pub(crate) fn random_bits() -> io::Result<u128> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(io::Error::from)?;
    Ok(u128::from_ne_bytes(bytes))
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
        for bad in [&b"not a number"[..], b"", b"\xff\xfe", b"+0123456789012345678901234567890"] {
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
