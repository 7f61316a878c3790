//! Nodes as child processes on one machine: for the demonstration, the tests and the benchmark.

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How often an ending process is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// A folder with all that the nodes of one cluster share. Gone when dropped.
#[derive(Debug)]
pub struct ClusterFolder {
    dir: TempDir,
    program: PathBuf,
    settings: String,
    /// The lines of the coordinator's section.
    coordinator: String,
    /// Those of single nodes that reach it in another way.
    detours: BTreeMap<String, String>,
    rehearse: Option<Duration>,
    compiled: PathBuf,
}

/// A line that a node has written, or its end.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputLine {
    /// The node's hostname.
    pub host: String,
    /// Milliseconds of CLOCK_BOOTTIME when it happened.
    pub at: u64,
    /// What happened, as in docs/events.md; `eof` when the process writes no more.
    pub event: String,
    /// The whole line.
    pub fields: Value,
}

impl OutputLine {
    /// The role that the event is about.
    #[must_use]
    pub fn role(&self) -> &str {
        self.fields["role"].as_str().unwrap_or_default()
    }

    /// The shards that the event is about, each with its token if that is known.
    pub fn shards(&self) -> impl Iterator<Item = (u32, Option<u64>)> + '_ {
        let list = |name: &str| self.fields[name].as_array().map(Vec::as_slice).unwrap_or_default();
        let token = |value: &Value| value.as_str().and_then(|text| text.parse().ok());
        let tokens = list("tokens").iter().map(token).chain(std::iter::repeat(None));
        let number = |value: &Value| value.as_u64().and_then(|n| u32::try_from(n).ok());
        list("shards").iter().filter_map(number).zip(tokens)
    }
}

impl ClusterFolder {
    /// A new folder for nodes that `program` runs, and that meet in a file there. `settings` is what follows
    /// `[cluster]` and its coordinator in the configuration of all nodes.
    ///
    /// # Errors
    /// If the folder cannot be made.
    pub fn new(program: impl Into<PathBuf>, settings: &str) -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("shardwright-")
            .tempdir()
            .context("no temporary folder")?;
        let file = dir.path().join("cluster.db");
        Ok(Self {
            coordinator: format!("type = \"sqlite\"\npath = {file:?}\n"),
            compiled: dir.path().join("cache"),
            dir,
            program: program.into(),
            settings: settings.to_owned(),
            detours: BTreeMap::new(),
            rehearse: None,
        })
    }

    /// The nodes meet where `coordinator` says instead: the lines of a `[store."…"]` section.
    #[must_use]
    pub fn meeting_at(self, coordinator: impl Into<String>) -> Self {
        Self {
            coordinator: coordinator.into(),
            ..self
        }
    }

    /// Compiled components are kept in `folder`, and found there by whoever has compiled them in another yard.
    #[must_use]
    pub fn compiling_into(self, folder: impl Into<PathBuf>) -> Self {
        Self {
            compiled: folder.into(),
            ..self
        }
    }

    /// From the next start on, nodes have these settings.
    pub fn set(&mut self, settings: &str) {
        settings.clone_into(&mut self.settings);
    }

    /// The node `host` reaches the coordinator in a way of its own from its next start on.
    pub fn detour(&mut self, host: &str, coordinator: impl Into<String>) {
        self.detours.insert(host.to_owned(), coordinator.into());
    }

    /// The nodes rehearse work, an act every `pause`.
    #[must_use]
    pub fn rehearsing(self, pause: Duration) -> Self {
        Self {
            rehearse: Some(pause),
            ..self
        }
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The file in which the nodes meet, unless they meet elsewhere.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.path().join("cluster.db")
    }

    /// Writes the configuration of the node `host` and returns its file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn config(&self, host: &str) -> anyhow::Result<PathBuf> {
        let file = self.path().join(format!("{host}.toml"));
        let text = format!(
            "[store.shared]\n{}\n[node]\nstate-dir = {:?}\n\n[cluster]\ncoordinator = \"shared\"\n{}",
            self.detours.get(host).unwrap_or(&self.coordinator),
            self.path().join(format!("state-{host}")),
            self.settings
        );
        // An address may have a password in it.
        let private = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&file);
        private
            .and_then(|mut private| private.write_all(text.as_bytes()))
            .with_context(|| file.display().to_string())?;
        Ok(file)
    }

    /// What the node `host` has logged.
    #[must_use]
    pub fn log(&self, host: &str) -> String {
        std::fs::read_to_string(self.log_path(host)).unwrap_or_default()
    }

    fn log_path(&self, host: &str) -> PathBuf {
        self.path().join(format!("{host}.log"))
    }

    /// Starts the node `host`. What it writes is told to `tell`.
    ///
    /// # Errors
    /// If the process cannot be started.
    pub fn start(&self, host: &str, tell: Sender<OutputLine>) -> anyhow::Result<NodeProcess> {
        let config = self.config(host)?;
        let log = File::options()
            .append(true)
            .create(true)
            .open(self.log_path(host))
            .context("no file for the log")?;
        let mut child = Command::new(&self.program)
            .args(["run", "--events", "json", "--until-stdin-ends", "--config"])
            .arg(&config)
            .arg("--cache-dir")
            .arg(&self.compiled)
            .args(self.rehearse.map(|pause| format!("--rehearse={}ms", pause.as_millis())))
            .env("SHARDWRIGHT_HOSTNAME", host)
            .env_remove("STALWART_HOSTNAME")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            // Ctrl-C is for the parent, which then ends its nodes.
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot run {}", self.program.display()))?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let process = NodeProcess {
            host: host.to_owned(),
            child,
            _stdin: stdin,
        };
        let stdout = stdout.context("no pipe from the node")?;
        let host = host.to_owned();
        let read = move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Some(told) = parse(&host, &line)
                    && tell.send(told).is_err()
                {
                    return;
                }
            }
            let at = shardwright_coordinator::clock::boottime();
            let end = OutputLine {
                host,
                at,
                event: "eof".to_owned(),
                fields: Value::Null,
            };
            // Nobody may be interested any more.
            let _ = tell.send(end);
        };
        std::thread::Builder::new()
            .name("node-events".into())
            .spawn(read)
            .context("no thread for the node's events")?;
        Ok(process)
    }
}

fn parse(host: &str, line: &str) -> Option<OutputLine> {
    let fields: Value = serde_json::from_str(line).ok()?;
    let event = fields.get("event")?.as_str()?.to_owned();
    Some(OutputLine {
        host: host.to_owned(),
        at: fields.get("at")?.as_u64()?,
        event,
        fields,
    })
}

/// A node's process. Killed when dropped; and it ends by itself when this process does, since its stdin ends then.
#[derive(Debug)]
pub struct NodeProcess {
    host: String,
    child: Child,
    _stdin: Option<ChildStdin>,
}

impl NodeProcess {
    /// The hostname it was started under.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills it with SIGKILL and waits until it is gone. Returns the milliseconds of CLOCK_BOOTTIME just before and
    /// just after.
    ///
    /// # Errors
    /// If that fails.
    pub fn kill(&mut self) -> std::io::Result<(u64, u64)> {
        let before = shardwright_coordinator::clock::boottime();
        self.child.kill()?;
        self.child.wait()?;
        Ok((before, shardwright_coordinator::clock::boottime()))
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// If it is gone.
    pub fn signal(&self, signal: Signal) -> std::io::Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        // A child that was not waited for keeps its id: no other process can be hit.
        kill_process(pid.ok_or(std::io::ErrorKind::NotFound)?, signal).map_err(Into::into)
    }

    /// Waits until it ends by itself, at most for `limit`.
    ///
    /// # Errors
    /// If it does not end in time.
    pub fn wait(&mut self, limit: Duration) -> anyhow::Result<ExitStatus> {
        let end = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() >= end {
                anyhow::bail!("{} has not ended within {limit:?}", self.host);
            }
            std::thread::sleep(LOOK);
        }
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
