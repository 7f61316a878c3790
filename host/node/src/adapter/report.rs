//! What a node on an adapter says of it, in its state directory: `coordinator.json`, there for as long as the node
//! runs. It holds no secrets.

use crate::state_dir::{self, REPORT, StateDir};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How often it is written, whether anything has changed or not.
pub const EVERY: Duration = Duration::from_secs(5);

/// The longest report that is read.
const MAX_BYTES: u64 = 1 << 20;

/// A report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Report {
    /// When it was written, in milliseconds since 1970 by this machine's clock.
    pub written: u64,
    /// The process that wrote it.
    pub pid: u32,
    /// The cluster.
    pub cluster: String,
    /// The node's hostname.
    pub hostname: String,
    /// The id that the node holds, or held last.
    pub node: Option<u32>,
    /// The last loss of history, if there was one since the process began.
    #[serde(default)]
    pub history_lost: Option<Loss>,
    /// The [`AdapterStatus`](super::AdapterStatus), as the release of that process knows it.
    pub adapter: Value,
}

/// A loss of history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// When it was noticed, in milliseconds since 1970 by this machine's clock.
    pub at: u64,
    /// How.
    pub reason: String,
}

impl Report {
    /// How old it is. Nothing if the clock was set back meanwhile.
    #[must_use]
    pub fn age(&self) -> Duration {
        Duration::from_millis(now().saturating_sub(self.written))
    }
}

/// What is found in the state directory of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Found {
    /// Whether a process holds the directory.
    pub running: bool,
    /// Its id, as far as it said so.
    pub pid: Option<u32>,
    /// What that process has written last; or, if none holds the directory, the process that was killed there.
    pub report: Option<Report>,
}

/// Looks at the state directory `dir`, which need not be there.
///
/// # Errors
/// If it may not be read, or the report is none.
pub fn find(dir: &Path) -> io::Result<Found> {
    let holder = state_dir::holder(dir)?;
    let report = read(&dir.join(REPORT))?;
    let (running, pid) = (holder.is_some(), holder.flatten());
    Ok(Found {
        running,
        pid,
        report: report.filter(|report| !running || pid == Some(report.pid)),
    })
}

fn read(path: &Path) -> io::Result<Option<Report>> {
    match shardwright_files::read(path, MAX_BYTES) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => Ok(Some(serde_json::from_slice(&read?)?)),
    }
}

/// Milliseconds since 1970.
pub(super) fn now() -> u64 {
    millis(SystemTime::now())
}

/// Milliseconds between 1970 and `time`.
pub(super) fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The report of a running node. Removed when dropped, while the directory is still locked.
pub(super) struct ReportFile {
    path: PathBuf,
    _dir: Arc<StateDir>,
}

impl ReportFile {
    pub(super) fn new(dir: Arc<StateDir>) -> Self {
        Self {
            path: dir.path.join(REPORT),
            _dir: dir,
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whole under another name, then renamed: nobody reads half of it.
    pub(super) fn write(&self, report: &Report) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(report)?;
        let new = self.new_path();
        let mut file = state_dir::private().truncate(true).open(&new)?;
        file.write_all(&text)?;
        std::fs::rename(&new, &self.path)
    }

    fn new_path(&self) -> PathBuf {
        self.path.with_extension("json.new")
    }
}

impl Drop for ReportFile {
    fn drop(&mut self) {
        // It may never have been written.
        let _ = std::fs::remove_file(self.new_path());
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod test {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn report(pid: u32) -> Report {
        Report {
            written: now(),
            pid,
            cluster: "c".into(),
            hostname: "h".into(),
            node: Some(3),
            history_lost: Some(Loss {
                at: 7,
                reason: "another file".into(),
            }),
            adapter: serde_json::json!({ "state": "running" }),
        }
    }

    #[test]
    fn it_is_there_as_long_as_its_node_and_private() {
        let temp = tempfile::tempdir().expect("a folder");
        let nothing = find(&temp.path().join("nowhere")).expect("no error");
        assert_eq!((nothing.running, nothing.pid, nothing.report), (false, None, None));
        let dir = Arc::new(StateDir::open(temp.path()).expect("opens"));
        let file = ReportFile::new(dir.clone());
        let own = report(std::process::id());
        file.write(&own).expect("written");
        let mode = std::fs::metadata(file.path()).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let found = find(temp.path()).expect("found");
        assert_eq!(
            (found.running, found.pid, found.report),
            (true, Some(own.pid), Some(own))
        );
        drop(file);
        assert_eq!(find(temp.path()).expect("found").report, None, "removed");
        drop(dir);
    }

    #[test]
    fn that_of_another_process_is_not_taken_for_that_of_the_running_one() {
        let temp = tempfile::tempdir().expect("a folder");
        let dir = Arc::new(StateDir::open(temp.path()).expect("opens"));
        let file = ReportFile::new(dir.clone());
        file.write(&report(1)).expect("written");
        assert_eq!(find(temp.path()).expect("found").report, None);
        // As if it had been killed.
        let left = std::fs::read(file.path()).expect("read");
        drop((file, dir));
        std::fs::write(temp.path().join(REPORT), left).expect("written");
        let found = find(temp.path()).expect("found");
        assert_eq!((found.running, found.report.map(|report| report.pid)), (false, Some(1)));
        drop(StateDir::open(temp.path()).expect("opens"));
        assert_eq!(
            find(temp.path()).expect("found").report,
            None,
            "the next process removes it"
        );
        std::fs::write(temp.path().join(REPORT), "{").expect("written");
        assert!(find(temp.path()).is_err(), "half a report is none");
    }
}
