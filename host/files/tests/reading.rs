//! Whatever a path leads to, reading it neither waits nor takes more memory than was asked for.

use rustix::fs::{CWD, FileType, Mode, mknodat};
use shardwright_files::{open, read, read_text};
use std::io::ErrorKind;
use std::os::unix::net::UnixListener;
use std::path::Path;

#[test]
fn regular_files_are_read_to_the_limit() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("file");
    std::fs::write(&path, "abc").expect("written");
    assert_eq!(read(&path, 3).expect("read"), b"abc");
    assert_eq!(read_text(&path, u64::MAX).expect("read"), "abc");
    assert_eq!(read(&path, 2).expect_err("too large").kind(), ErrorKind::FileTooLarge);
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(&path, &link).expect("linked");
    assert_eq!(read(&link, 3).expect("read"), b"abc");
    std::fs::write(&path, b"\xff").expect("written");
    assert_eq!(read_text(&path, 3).expect_err("no text").kind(), ErrorKind::InvalidData);
}

/// A sparse file, so that it costs nothing; read as a whole it would cost a terabyte.
#[test]
fn a_huge_file_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("file");
    std::fs::File::create(&path)
        .and_then(|file| file.set_len(1 << 40))
        .expect("made");
    assert_eq!(
        read(&path, 1 << 10).expect_err("too large").kind(),
        ErrorKind::FileTooLarge
    );
}

/// Nobody writes to the pipe: opened as usual, it would wait for ever.
#[test]
fn pipes_sockets_devices_and_folders_are_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let (pipe, socket) = (dir.path().join("pipe"), dir.path().join("socket"));
    mknodat(CWD, &pipe, FileType::Fifo, Mode::from_raw_mode(0o600), 0).expect("a pipe");
    let _listener = UnixListener::bind(&socket).expect("a socket");
    for (path, what) in [
        (pipe.as_path(), "a pipe"),
        (&socket, "a socket"),
        (Path::new("/dev/zero"), "a device"),
        (dir.path(), "a directory"),
    ] {
        let error = open(path).expect_err("refused").to_string();
        assert!(error.contains(what), "{error}");
    }
    assert_eq!(
        open(&dir.path().join("absent")).expect_err("absent").kind(),
        ErrorKind::NotFound
    );
}
