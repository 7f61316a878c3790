//! Where servers keep their data: in memory if there is room, so that no test waits for a disk. A server that is killed
//! finds it again there, too: only the machine may not go down.

use std::env;
use std::path::{Path, PathBuf};

use rustix::fs::statvfs;

/// Memory as a folder, on Linux.
const MEMORY: &str = "/dev/shm";

/// What must be free there. The largest clusters take less than a gigabyte each, and some run beside each other.
const ROOM: u64 = 4 << 30;

/// The folder in which each server gets its own.
pub(crate) fn for_data() -> PathBuf {
    if free(Path::new(MEMORY)) >= ROOM {
        MEMORY.into()
    } else {
        env::temp_dir()
    }
}

/// How many bytes can be written below `folder`; none if it is not there.
fn free(folder: &Path) -> u64 {
    statvfs(folder).map_or(0, |space| space.f_bavail.saturating_mul(space.f_frsize))
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn there_is_room_only_where_something_can_be_written() {
        assert!(free(&env::temp_dir()) > 0);
        assert_eq!(free(Path::new("/proc")), 0);
        assert_eq!(free(Path::new("/nowhere")), 0);
        assert!(for_data().is_dir());
    }
}
