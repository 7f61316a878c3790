//! A server whose wall clock is not this machine's.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

/// A clock for one server, shifted against this machine's by as much as its file says. By a library of its own:
/// with libfaketime Redis and Kafka do not even start.
pub(crate) struct Clock {
    folder: TempDir,
}

impl Clock {
    /// A clock that is ahead by so many milliseconds.
    pub(crate) fn ahead_by(millis: i64) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("shardwright-clock-").tempdir()?;
        let clock = Self { folder };
        let source = clock.file("clock.c");
        fs::write(&source, include_str!("clock.c"))?;
        let mut compiler = Command::new("cc");
        compiler
            .args(["-shared", "-fPIC", "-o"])
            .arg(clock.library())
            .arg(&source);
        let output = compiler.output().context("cc, the C compiler, could not be started")?;
        ensure!(
            output.status.success(),
            "cc: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        clock.shift(millis)?;
        Ok(clock)
    }

    /// It is ahead by so many milliseconds from now on.
    pub(crate) fn shift(&self, millis: i64) -> Result<()> {
        // In one piece and in place: the server has the file mapped.
        let file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(self.file(SHIFT))?;
        std::os::unix::fs::FileExt::write_all_at(&file, &(millis * 1000).to_ne_bytes(), 0)?;
        Ok(())
    }

    /// Has `command` live by it.
    pub(crate) fn give_to(&self, command: &mut Command) {
        command.env("LD_PRELOAD", self.library());
        command.env("SHARDWRIGHT_CLOCK", self.file(SHIFT));
    }

    fn library(&self) -> PathBuf {
        self.file("clock.so")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

const SHIFT: &str = "shift";
