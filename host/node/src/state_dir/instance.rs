//! The file `instance`: which installation this is, and the folder that it was made for.

use super::file::{random_bits, replace};
use super::folder::Folder;
use super::{StateDirError, failed};
use shardwright_core::id::InstanceId;
use std::io;
use std::path::Path;

const FILE: &str = "instance";
/// The largest that is read; it takes less than a hundred bytes.
const LARGEST: u64 = 4 << 10;

/// The instance of this folder: the one it has, or a fresh one if it has none or is a copy.
pub(super) fn read_or_make(path: &Path) -> Result<InstanceId, StateDirError> {
    let file = path.join(FILE);
    let make = || make(path).map_err(failed("write", &file));
    let malformed = || StateDirError::Malformed { path: file.clone() };
    let text = match shardwright_files::read_text(&file, LARGEST) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return make(),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(malformed()),
        Err(error) => return Err(failed("read", &file)(error)),
    };
    let (instance, made_for) = parse(&text).ok_or_else(malformed)?;
    let here = Folder::of(path).map_err(failed("look at", path))?;
    if made_for.is_some_and(|folder| !folder.may_be(here)) {
        tracing::warn!(
            path = %path.display(),
            "this state directory is a copy of another: it becomes an instance of its own"
        );
        return make();
    }
    Ok(instance)
}

/// A fresh instance id, on disk before it is used.
fn make(path: &Path) -> io::Result<InstanceId> {
    let instance = InstanceId(random_bits()?);
    replace(path, FILE, &text(instance, Folder::of(path)?))?;
    Ok(instance)
}

/// What the file holds of an instance that was made for this folder.
pub(super) fn text(instance: InstanceId, folder: Folder) -> String {
    let Folder {
        inode,
        born,
        filesystem,
    } = folder;
    format!("{instance}\nfolder {inode} {born} {filesystem}\n")
}

/// The instance, and the folder that it was made for, if the file says so: people may write the file themselves.
pub(super) fn parse(text: &str) -> Option<(InstanceId, Option<Folder>)> {
    let mut lines = text.trim().lines();
    let digits: String = lines.next()?.trim().chars().filter(|c| *c != '-').collect();
    let well_formed = digits.len() == 32 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    let instance = u128::from_str_radix(&digits, 16)
        .ok()
        .filter(|_| well_formed)
        .map(InstanceId)?;
    let folder = match lines.next() {
        None => None,
        Some(line) => {
            let numbers: Option<Vec<u64>> = line
                .strip_prefix("folder ")?
                .split(' ')
                .map(|n| n.parse().ok())
                .collect();
            match numbers?[..] {
                [inode, born, filesystem] => Some(Folder {
                    inode,
                    born,
                    filesystem,
                }),
                // As it was written at first.
                [inode] => Some(Folder {
                    inode,
                    born: 0,
                    filesystem: 0,
                }),
                _ => return None,
            }
        }
    };
    lines.next().is_none().then_some((instance, folder))
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn a_copy_with_the_same_number_is_told_by_its_birth_or_its_file_system() {
        let temp = tempfile::tempdir().expect("a folder");
        let instance = read_or_make(temp.path()).expect("made");
        assert_eq!(read_or_make(temp.path()).expect("read"), instance);
        let file = temp.path().join(FILE);
        let text = std::fs::read_to_string(&file).expect("read");
        let here = Folder::of(temp.path()).expect("a folder");
        let Folder { born, filesystem, .. } = here;
        // What this file system does not tell cannot differ.
        let all = [
            (born, format!(" {born} "), " 1 "),
            (filesystem, format!(" {filesystem}\n"), " 1\n"),
        ];
        let told: Vec<_> = all.into_iter().filter(|(number, ..)| *number > 0).collect();
        assert!(
            !told.is_empty(),
            "{here:?}: this test needs a file system that tells one of them"
        );
        for (_, mine, other) in told {
            let copied = text.replacen(&mine, other, 1);
            assert_ne!(copied, text);
            std::fs::write(&file, copied).expect("written");
            assert_ne!(read_or_make(temp.path()).expect("a copy"), instance);
        }
    }
}
