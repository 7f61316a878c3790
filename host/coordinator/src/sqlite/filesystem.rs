//! Which file systems are trusted with locks and shared memory between processes.

use super::error::OpenError;
use std::path::Path;

/// Local file systems whose POSIX locks and shared mappings work between all processes of a machine. A list of the
/// trusted, not of the refused: an unknown file system may be one that loses locks, and a lost lock is a lost update.
const TRUSTED: &[(u32, &str)] = &[
    (0x0000_ef53, "ext2, ext3, ext4"),
    (0x5846_5342, "xfs"),
    (0x9123_683e, "btrfs"),
    (0x0102_1994, "tmpfs"),
    (0x8584_58f6, "ramfs"),
    (0x2fc1_2fc1, "zfs"),
    (0x794c_7630, "overlayfs"),
    (0xf2f5_2010, "f2fs"),
    (0xca45_1a4e, "bcachefs"),
    (0x3153_464a, "jfs"),
    (0x0000_3434, "nilfs"),
    (0x0000_f15f, "ecryptfs"),
];

/// Names of those that people will meet among the refused.
const REFUSED: &[(u32, &str)] = &[
    (0x0000_6969, "NFS"),
    (0x0000_517b, "SMB"),
    (0xfe53_4d42, "SMB 2"),
    (0xff53_4d42, "CIFS"),
    (0x6573_5546, "FUSE or virtiofs"),
    (0x0102_1997, "9p"),
    (0x5346_414f, "AFS"),
    (0x6b41_4653, "AFS"),
    (0x7375_7245, "Coda"),
    (0x00c3_6400, "Ceph"),
    (0x0bd0_0bd0, "Lustre"),
    (0x0116_1970, "GFS2, shared by machines"),
    (0x7461_636f, "OCFS2, shared by machines"),
    (0x786f_4256, "a VirtualBox shared folder"),
];

/// The name of a file system of the kind `magic` (`f_type` of statfs) that is trusted.
///
/// # Errors
/// Names the kind that is not.
fn classify(magic: u32) -> Result<&'static str, String> {
    if let Some((_, name)) = TRUSTED.iter().find(|(trusted, _)| *trusted == magic) {
        return Ok(name);
    }
    let name = REFUSED
        .iter()
        .find(|(refused, _)| *refused == magic)
        .map(|(_, name)| *name);
    Err(name.map_or_else(
        || format!("a file system of an unknown kind ({magic:#010x})"),
        |name| format!("a network or shared file system ({name})"),
    ))
}

/// The name of the file system under `directory`.
///
/// # Errors
/// If it is not trusted.
pub(super) fn name(directory: &Path) -> Result<&'static str, OpenError> {
    #[cfg(target_os = "linux")]
    {
        let stat = rustix::fs::statfs(directory).map_err(|error| OpenError::Directory {
            path: directory.into(),
            reason: error.to_string(),
        })?;
        // Kernels widen the 32 bits of a magic number with or without its sign.
        let magic = u32::try_from(i128::from(stat.f_type) & 0xffff_ffff).unwrap_or(0);
        classify(magic).map_err(|kind| OpenError::FileSystem {
            path: directory.into(),
            kind,
        })
    }
    #[cfg(not(target_os = "linux"))]
    Ok("a file system that is not looked at here")
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn local_disks_are_trusted() {
        for magic in [0xef53, 0x5846_5342, 0x9123_683e, 0x0102_1994, 0x2fc1_2fc1, 0x794c_7630] {
            assert!(classify(magic).is_ok());
        }
        name(&std::env::temp_dir()).expect("the tests run on a local disk");
    }

    #[test]
    fn network_and_unknown_ones_are_refused_by_name() {
        for (magic, named) in [
            (0x6969, "NFS"),
            (0xff53_4d42, "CIFS"),
            (0xfe53_4d42, "SMB"),
            (0x6573_5546, "FUSE"),
            (0x0102_1997, "9p"),
            (0x5346_414f, "AFS"),
        ] {
            let kind = classify(magic).expect_err(named);
            assert!(kind.contains(named), "{kind}");
        }
        assert!(classify(0x1234_5678).expect_err("unknown").contains("0x12345678"));
        assert!(
            REFUSED
                .iter()
                .all(|(magic, _)| TRUSTED.iter().all(|(trusted, _)| trusted != magic))
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_refusal_names_the_place() {
        let error = name(Path::new("/proc")).expect_err("proc is no disk");
        assert!(
            error
                .to_string()
                .starts_with("/proc is on a file system of an unknown kind"),
            "{error}"
        );
    }
}
