//! Reads a snapshot that somebody wrote, and says what contradicts itself in it.

use anyhow::{Context, bail};
use shardwright_core::snapshot::Snapshot;
use std::io::Read;
use std::path::Path;

/// The largest snapshot that is read, in bytes: four times that of 2²⁰ shards with four owners.
const MAX_BYTES: u64 = 256 << 20;

/// Reads the file, or stdin for `-`.
pub(super) fn read(path: &Path) -> anyhow::Result<Snapshot> {
    let mut text = String::new();
    let from_stdin = path == Path::new("-");
    let name = if from_stdin {
        "stdin".to_owned()
    } else {
        path.display().to_string()
    };
    let source: Box<dyn Read> = if from_stdin {
        Box::new(std::io::stdin())
    } else {
        Box::new(shardwright_files::open(path).with_context(|| format!("cannot read the snapshot {name}"))?)
    };
    source
        .take(MAX_BYTES + 1)
        .read_to_string(&mut text)
        .with_context(|| format!("cannot read the snapshot {name}"))?;
    if text.len() as u64 > MAX_BYTES {
        bail!("the snapshot {name} is larger than {MAX_BYTES} bytes");
    }
    let snapshot: Snapshot = serde_json::from_str(&text).with_context(|| {
        format!("{name} is no snapshot: its fields are described in docs/schema/snapshot.schema.json")
    })?;
    if let Some(problem) = snapshot.contradiction() {
        bail!("the snapshot {name} contradicts itself: {problem}");
    }
    Ok(snapshot)
}
