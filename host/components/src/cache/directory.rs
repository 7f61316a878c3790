//! A directory that only this user may write to, held open: whatever becomes of its path, it stays the one that was
//! checked.

use super::CacheError;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, fstat, openat, renameat, unlinkat};
use rustix::io::Errno;
use rustix::process::geteuid;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

/// The longest entry that is read, in bytes.
const LONGEST: u64 = 1 << 30;
/// For what others may not do.
const OTHERS_WRITE: u32 = 0o022;

/// The directory.
#[derive(Debug)]
pub(super) struct Directory(OwnedFd);

impl Directory {
    /// The directory at `path`, which is created if need be.
    pub(super) fn open(path: &Path) -> Result<Self, CacheError> {
        // Without the slash at its end, which would follow a link.
        let path: PathBuf = path.components().collect();
        let failed = |source| CacheError::Io {
            path: path.clone(),
            source,
        };
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .map_err(failed)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = match rustix::fs::open(&path, flags, Mode::empty()) {
            Ok(directory) => Self(directory),
            // What a link is answered with depends on the system.
            Err(_) if path.is_symlink() => return Err(CacheError::Link { path }),
            Err(error) => return Err(failed(error.into())),
        };
        match directory.is_ours() {
            Ok(true) => Ok(directory),
            Ok(false) => Err(CacheError::Untrusted { path }),
            Err(error) => Err(failed(error)),
        }
    }

    fn is_ours(&self) -> io::Result<bool> {
        Ok(is_ours(&fstat(&self.0)?))
    }

    /// What the file `name` has in it, if it is a file of this user that nobody else may write to.
    pub(super) fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        if !self.is_ours()? {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        // Without waiting for whoever writes to it, should it be a pipe.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = openat(&self.0, name, flags, Mode::empty())?;
        let stat = fstat(&file)?;
        if !is_ours(&stat) || FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let mut bytes = Vec::new();
        File::from(file).take(LONGEST).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Puts a file with `parts` in it in the place of `name`, all of it or nothing.
    pub(super) fn write(&self, name: &str, parts: &[&[u8]]) -> io::Result<()> {
        static WRITTEN: AtomicU64 = AtomicU64::new(0);
        let new = format!(".{name}.{}-{}", process::id(), WRITTEN.fetch_add(1, Ordering::Relaxed));
        let written = self
            .fill(&new, parts)
            .and_then(|()| Ok(renameat(&self.0, &new, &self.0, name)?));
        if written.is_err() {
            // It may not be there.
            let _ = unlinkat(&self.0, &new, AtFlags::empty());
        }
        written
    }

    fn fill(&self, name: &str, parts: &[&[u8]]) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let made = match openat(&self.0, name, flags, mode) {
            // Left behind by a process of the same id that was killed.
            Err(Errno::EXIST) => {
                unlinkat(&self.0, name, AtFlags::empty())?;
                openat(&self.0, name, flags, mode)
            }
            made => made,
        };
        let mut file = File::from(made?);
        for part in parts {
            file.write_all(part)?;
        }
        file.sync_all()
    }
}

/// Whether what `stat` tells of belongs to this user, and nobody else may write to it.
fn is_ours(stat: &Stat) -> bool {
    stat.st_uid == geteuid().as_raw() && stat.st_mode & OTHERS_WRITE == 0
}
