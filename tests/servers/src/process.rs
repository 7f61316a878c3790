//! One server process: its log, its signals, and its end together with ours.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// How long a server may take to start or to stop; a busy machine needs it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How often something that cannot be waited for is looked at.
pub(crate) const GLANCE: Duration = Duration::from_millis(10);

/// How much of a log is shown when a server does not come up.
const TAIL: usize = 4_000;

/// A running server. Dropping it kills it, and what it has started.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    leash: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`, which writes what it prints to the file `log` in the server's folder.
    pub(crate) fn start(mut command: Command, log: &Path) -> Result<Self> {
        let folder = log.parent().context("a log lies in the folder of its server")?;
        let program = command.get_program().to_owned();
        let out = File::create(log).with_context(|| format!("{} cannot be written", log.display()))?;
        let mut child = command
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            // Ctrl-C at the terminal is ours to handle.
            .process_group(0)
            .spawn()
            .with_context(|| format!("{} could not be started", program.display()))?;
        match leash(&child, folder) {
            Ok(leash) => Ok(Self {
                child,
                leash,
                log: log.to_owned(),
            }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(error)
            }
        }
    }

    /// Waits until the log holds `text`.
    pub(crate) fn wait_for(&mut self, text: &str) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let ended = self.child.try_wait()?;
            let log = self.log();
            if log.contains(text) {
                return Ok(());
            }
            if let Some(status) = ended {
                bail!("the server ended with {status} before it was ready:\n{}", tail(&log));
            }
            if Instant::now() > deadline {
                bail!("the server was not ready after {PATIENCE:?}:\n{}", tail(&log));
            }
            thread::sleep(GLANCE);
        }
    }

    /// Everything that it printed.
    pub(crate) fn log(&self) -> String {
        fs::read(&self.log).map_or_else(
            |error| error.to_string(),
            |log| String::from_utf8_lossy(&log).into_owned(),
        )
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).with_context(|| format!("the process {} takes no signal", self.child.id()))
    }

    /// Freezes it with all processes that it has started.
    pub(crate) fn freeze(&self) -> Result<()> {
        // Itself first, so that it starts no more of them.
        self.signal(Signal::STOP)?;
        self.children().into_iter().for_each(|child| send(child, Signal::STOP));
        Ok(())
    }

    /// Lets them all go on.
    pub(crate) fn thaw(&self) -> Result<()> {
        self.children().into_iter().for_each(|child| send(child, Signal::CONT));
        self.signal(Signal::CONT)
    }

    /// The processes that it has started and that have not ended.
    fn children(&self) -> Vec<Pid> {
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        processes
            .filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?))
            .filter(|&pid| status(pid).is_some_and(|(_, parent)| parent == self.child.id()))
            .collect()
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> Result<ExitStatus> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                bail!("the server did not stop within {PATIENCE:?}:\n{}", tail(&self.log()));
            }
            thread::sleep(GLANCE);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let mut children = Vec::new();
        if matches!(self.child.try_wait(), Ok(None)) && self.signal(Signal::STOP).is_ok() {
            children = self.children();
        }
        for child in [&mut self.leash, &mut self.child] {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
        children.iter().for_each(|&child| send(child, Signal::KILL));
        let deadline = Instant::now() + PATIENCE;
        while children
            .iter()
            .any(|&child| status(child).is_some_and(|(state, _)| state != 'Z'))
            && Instant::now() < deadline
        {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Sends `signal` to a process that may have ended.
fn send(process: Pid, signal: Signal) {
    let _ = kill_process(process, signal);
}

/// The state of a process, as the letter that the system shows, and its parent; nothing when it is gone.
fn status(process: Pid) -> Option<(char, u32)> {
    let text = fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero())).ok()?;
    // The name before may hold anything, also parentheses.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

/// A process that waits for our end, however we end, and then kills `child` and deletes its folder: the system closes
/// the pipe from us to it.
fn leash(child: &Child, folder: &Path) -> Result<Child> {
    Command::new("sh")
        .args(["-c", "read -r _; kill -9 \"$1\"; rm -rf -- \"$2\"", "leash"])
        .arg(child.id().to_string())
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .context("`sh` could not be started")
}

/// The end of `log`.
fn tail(log: &str) -> &str {
    let from = log.len().saturating_sub(TAIL);
    (from..log.len()).find_map(|at| log.get(at..)).unwrap_or(log).trim_end()
}
