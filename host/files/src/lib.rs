//! Reads files that an operator or a configuration names.
//!
//! A path may lead anywhere: to a pipe that nobody writes to, to a device without an end, to a file of gigabytes.
//! Whoever reads what somebody else named does it by these functions: they open regular files only, without waiting,
//! and read only so much of them.

use rustix::fs::OFlags;
use std::fs::{File, FileType, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

/// Opens the regular file at `path` for reading; links are followed.
///
/// # Errors
/// Those of the operating system; and `InvalidInput` or `IsADirectory`, which say what else is there.
pub fn open(path: &Path) -> io::Result<File> {
    // Looked at before it is opened, since opening a device may have an effect; and after, since it may be another file
    // by then.
    regular(&std::fs::metadata(path)?)?;
    // Opening a pipe would wait for its other end. For a regular file, the flag means nothing.
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).map_err(io::Error::other)?;
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    regular(&file.metadata()?)?;
    Ok(file)
}

/// The content of the regular file at `path`, of at most `max` bytes.
///
/// # Errors
/// As [`open`]; and `FileTooLarge`.
pub fn read(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(max.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max {
        let why = format!("it is larger than {max} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
    }
    Ok(bytes)
}

/// As [`read`], of a file of text.
///
/// # Errors
/// As [`read`]; and `InvalidData` if it is not UTF-8.
pub fn read_text(path: &Path, max: u64) -> io::Result<String> {
    String::from_utf8(read(path, max)?).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
}

fn regular(metadata: &Metadata) -> io::Result<()> {
    if metadata.is_file() {
        return Ok(());
    }
    if metadata.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a directory"));
    }
    let why = format!("it is {}, and only regular files are read", name(metadata.file_type()));
    Err(io::Error::new(io::ErrorKind::InvalidInput, why))
}

fn name(kind: FileType) -> &'static str {
    if kind.is_fifo() {
        "a pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}
