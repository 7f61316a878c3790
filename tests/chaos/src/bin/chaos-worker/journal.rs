//! The file that a worker appends to: each line in one piece, so that a kill leaves at most the last one unfinished.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};
pub(crate) use shardwright_chaos::history::Line;

/// The file.
pub(crate) struct Journal {
    file: File,
    acts: AtomicU64,
}

impl Journal {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = File::options().append(true).create(true).open(path);
        Ok(Self {
            file: file.with_context(|| format!("{} cannot be appended to", path.display()))?,
            acts: AtomicU64::new(0),
        })
    }

    /// A number for the next act.
    pub(crate) fn number(&self) -> u64 {
        self.acts.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn append(&self, line: &Line) -> Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        (&self.file).write_all(&text).context("the journal cannot be written")
    }
}
