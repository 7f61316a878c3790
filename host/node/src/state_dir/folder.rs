//! What tells a folder from its copies, and a life of it on this machine from others.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::UNIX_EPOCH;

/// What a folder is known by on any machine and after any restart. A copy usually differs; volumes and images that
/// begin as the same bytes may not. 0 stands for what the file system does not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Folder {
    pub(super) inode: u64,
    /// Nanoseconds since 1970 at which it was made.
    pub(super) born: u64,
    /// The id of the file system.
    pub(super) filesystem: u64,
}

impl Folder {
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let metadata = std::fs::metadata(path)?;
        Ok(Self {
            inode: metadata.ino(),
            born: born(&metadata),
            filesystem: rustix::fs::statvfs(path).map_or(0, |stat| stat.f_fsid),
        })
    }

    /// Whether these may be the same folder.
    pub(super) fn may_be(self, other: Self) -> bool {
        let agree = |a: u64, b: u64| a == 0 || b == 0 || a == b;
        self.inode == other.inode && agree(self.born, other.born) && agree(self.filesystem, other.filesystem)
    }
}

fn born(metadata: &Metadata) -> u64 {
    let since = metadata
        .created()
        .ok()
        .and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    since
        .and_then(|since| u64::try_from(since.as_nanos()).ok())
        .unwrap_or(0)
}

/// Which folder of which machine, between two restarts of it: no two folders have the same at once. `None` where the
/// system does not say.
pub(super) fn place(path: &Path) -> Option<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let metadata = std::fs::metadata(path).ok()?;
    Some(format!("{} {} {}", boot.trim(), metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn what_is_not_told_does_not_differ() {
        let folder = |inode, born, filesystem| Folder {
            inode,
            born,
            filesystem,
        };
        assert!(folder(1, 2, 3).may_be(folder(1, 2, 3)));
        assert!(folder(1, 0, 3).may_be(folder(1, 2, 0)));
        assert!(!folder(1, 2, 3).may_be(folder(2, 2, 3)));
        assert!(!folder(1, 2, 3).may_be(folder(1, 4, 3)));
        assert!(!folder(1, 2, 3).may_be(folder(1, 2, 4)));
    }
}
