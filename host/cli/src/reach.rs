//! Whether this user may use the file in which a cluster's processes meet.

use anyhow::bail;
use rustix::fs::{Access, access};
use rustix::io::Errno;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Refuses a store that is not there, or that is another user's.
pub(crate) fn check(file: &Path) -> anyhow::Result<()> {
    match access(file, Access::READ_OK | Access::WRITE_OK) {
        Ok(()) => Ok(()),
        Err(Errno::NOENT | Errno::NOTDIR) => bail!(
            "there is no store at {}: start a node with `shardwright run`, or name another place with --store; if the \
             nodes run as another user, run this as that user",
            file.display()
        ),
        Err(Errno::ACCESS | Errno::PERM | Errno::ROFS) => bail!("permission denied: {}", denied(file)),
        Err(error) => bail!("the store {} cannot be used: {error}", file.display()),
    }
}

/// What is not permitted, whose it is, and what to do.
fn denied(file: &Path) -> String {
    // The first thing on the way that can be looked at, from the file upwards, is the one that is in the way.
    let owner = file
        .ancestors()
        .find_map(|path| Some((path, path.metadata().ok()?.uid())));
    let whose = match owner {
        Some((path, uid)) => format!(
            "{} belongs to the user with the id {uid}. Run this as the user that the nodes run as, as in `sudo -u \
             '#{uid}' shardwright …`",
            path.display()
        ),
        None => "run this as the user that the nodes run as".to_owned(),
    };
    format!(
        "this user ({}) may not read and write the store {}: {whose}; or keep it where both may, with `path` in a \
         [store.\"…\"] section",
        rustix::process::geteuid().as_raw(),
        file.display()
    )
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn what_is_not_there_is_told_from_what_is_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("cluster.db");
        let said = check(&file).expect_err("not there").to_string();
        assert!(
            said.contains("there is no store at") && said.contains("shardwright run"),
            "{said}"
        );
        std::fs::write(&file, "").expect("written");
        assert!(check(&file).is_ok());
        assert!(check(&file.join("below")).is_err());
    }
}
