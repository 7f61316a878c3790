//! What the tests share: the binary, its answers, and clusters of its processes.
#![allow(dead_code, reason = "each test file uses its own part")]

pub(crate) mod handoffs;
pub(crate) mod schema;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
pub(crate) use shardwright_cli::process::OutputLine;
use shardwright_cli::process::{ClusterFolder, NodeProcess};
use shardwright_servers::tools;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

/// The longest that anything in a test may take, on a machine that is busy with other tests.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Short times, one balanced role; what is not named here is done by every node.
pub(crate) const SETTINGS: &str = r#"name = "test"

[cluster.timing]
validity = "2500ms"
renew = "400ms"
margin = "100ms"
settle = "50ms"
stale-after = "3s"
stop-timeout = "2s"

[cluster.roles]
fts-indexing = { shards = 9, replicas = 2 }
"#;

pub(crate) fn binary() -> &'static str {
    env!("CARGO_BIN_EXE_shardwright")
}

/// A folder for nodes with these settings. What one test has compiled is not compiled again by the next.
pub(crate) fn yard(settings: &str) -> ClusterFolder {
    let yard = ClusterFolder::new(binary(), settings).expect("a folder");
    yard.compiling_into(concat!(env!("CARGO_TARGET_TMPDIR"), "/compiled"))
}

/// The binary, told nothing by the environment of the tests.
pub(crate) fn command() -> Command {
    let mut command = Command::new(binary());
    for name in ["RUST_LOG", "NO_COLOR", "SHARDWRIGHT_HOSTNAME", "STALWART_HOSTNAME"] {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

/// For a command that builds Rust: it compiles whatever it needs once, and only cargo itself says how cargo was called.
pub(crate) fn with_cargo(command: &mut Command) {
    command.env("CARGO_TARGET_DIR", tools::folder().with_file_name("adapters"));
    for name in [
        "CARGO",
        "RUSTC",
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_BUILD_TARGET",
    ] {
        command.env_remove(name);
    }
}

/// What one run of the binary came to.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Answer {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Self {
            code: output.status.code(),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        assert!(!self.out.is_empty(), "no output: {self:?}");
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The answer, after a look at its exit code.
    pub(crate) fn code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        self
    }

    pub(crate) fn says(self, text: &str) -> Self {
        assert!(
            self.out.contains(text) || self.err.contains(text),
            "{text:?} is not in {self:?}"
        );
        self
    }
}

pub(crate) fn run(args: &[&str]) -> Answer {
    command().args(args).output().expect("the binary runs").into()
}

/// Runs the node of this configuration under a hostname until it ends: it is refused.
pub(crate) fn run_as(host: &str, config: &Path) -> Answer {
    let mut command = command();
    command
        .args(["run", "--config"])
        .arg(config)
        .env("SHARDWRIGHT_HOSTNAME", host);
    command.output().expect("it runs").into()
}

pub(crate) fn run_with_input(args: &[&str], input: &str) -> Answer {
    let mut child = command()
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    // It may end without reading.
    let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    child.wait_with_output().expect("it ends").into()
}

/// A command that goes on until it is told to stop, and its lines.
pub(crate) struct Following {
    child: Child,
    lines: Receiver<Value>,
}

impl Following {
    pub(crate) fn start(args: &[&str], config: &Path) -> Self {
        let mut command = command();
        command.args(args).arg("--config").arg(config);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it runs");
        let out = child.stdout.take().expect("a pipe");
        let (tell, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
                if tell.send(value).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    pub(crate) fn until(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        loop {
            match self.lines.recv_timeout(LIMIT) {
                Ok(line) if is(&line) => return line,
                Ok(_) => {}
                Err(error) => panic!("no {what}: {error}"),
            }
        }
    }

    pub(crate) fn interrupt(mut self) -> (Option<i32>, Vec<Value>) {
        interrupt(&self.child);
        let code = self.child.wait().expect("it ends").code();
        (code, self.lines.iter().collect())
    }
}

pub(crate) fn interrupt(child: &Child) {
    let pid = i32::try_from(child.id())
        .ok()
        .and_then(Pid::from_raw)
        .expect("a process");
    kill_process(pid, Signal::INT).expect("it lives");
}

/// Nodes and what they have told.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<NodeProcess>,
    pub(crate) told: Vec<OutputLine>,
    tell: Sender<OutputLine>,
    inbox: Receiver<OutputLine>,
    // Last: the processes go before their files.
    pub(crate) yard: ClusterFolder,
}

impl Cluster {
    pub(crate) fn new(settings: &str) -> Self {
        Self::inside(yard(settings))
    }

    /// One that meets where this folder's configuration says.
    pub(crate) fn inside(yard: ClusterFolder) -> Self {
        let (tell, inbox) = channel();
        Self {
            nodes: Vec::new(),
            told: Vec::new(),
            tell,
            inbox,
            yard,
        }
    }

    /// With these nodes, each ready and every shard of `fts-indexing` owned.
    pub(crate) fn of(hosts: &[&str]) -> Self {
        let mut cluster = Self::new(SETTINGS);
        for host in hosts {
            cluster.start(host);
        }
        for host in hosts {
            cluster.ready(host);
        }
        cluster.shared(hosts);
        cluster
    }

    /// Removes the file in which the nodes meet, and its companions.
    pub(crate) fn remove_store(&self) {
        for suffix in ["", "-wal", "-shm", "-bus", "-bus-wal", "-bus-shm"] {
            let mut name = self.yard.store().into_os_string();
            name.push(suffix);
            // Not every companion exists at every moment.
            let _ = std::fs::remove_file(name);
        }
    }

    pub(crate) fn start(&mut self, host: &str) {
        let node = self.yard.start(host, self.tell.clone()).expect("it starts");
        self.nodes.push(node);
    }

    pub(crate) fn node(&mut self, host: &str) -> &mut NodeProcess {
        self.nodes.iter_mut().find(|node| node.host() == host).expect("a node")
    }

    /// Takes a node out of the cluster's list; it is not killed.
    pub(crate) fn take(&mut self, host: &str) -> NodeProcess {
        let at = self.nodes.iter().position(|node| node.host() == host).expect("a node");
        self.nodes.remove(at)
    }

    /// Waits until what has been told satisfies `done`.
    pub(crate) fn until<T>(&mut self, what: &str, done: impl FnMut(&[OutputLine]) -> Option<T>) -> T {
        self.within(LIMIT, what, done)
    }

    /// As [`Cluster::until`], for what takes long: compiling a component of many megabytes.
    pub(crate) fn patient<T>(&mut self, what: &str, done: impl FnMut(&[OutputLine]) -> Option<T>) -> T {
        self.within(10 * LIMIT, what, done)
    }

    fn within<T>(&mut self, limit: Duration, what: &str, mut done: impl FnMut(&[OutputLine]) -> Option<T>) -> T {
        let end = Instant::now() + limit;
        loop {
            if let Some(found) = done(&self.told) {
                return found;
            }
            match self.inbox.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(told) => self.told.push(told),
                Err(_) => {
                    let log = |node: &NodeProcess| format!("{}:\n{}", node.host(), self.yard.log(node.host()));
                    let logs: Vec<_> = self.nodes.iter().map(log).collect();
                    panic!("gave up waiting for {what}\n{}", logs.join("\n"));
                }
            }
        }
    }

    /// Waits for an event of a node that comes after the first `skip` of all that was told.
    pub(crate) fn event(&mut self, host: &str, event: &str, skip: usize) -> OutputLine {
        let is = |told: &&OutputLine| told.host == host && told.event == event;
        self.until(&format!("{event} of {host}"), |told| {
            told.iter().skip(skip).find(is).cloned()
        })
    }

    pub(crate) fn ready(&mut self, host: &str) -> OutputLine {
        self.event(host, "ready", 0)
    }

    /// Waits until each of the hosts, and they alone, have a fair share of `fts-indexing`.
    pub(crate) fn shared(&mut self, hosts: &[&str]) {
        let hosts: Vec<String> = hosts.iter().map(|&host| host.to_owned()).collect();
        self.until("the shards to be shared", |told| {
            let held = holders(told, "fts-indexing");
            let count = |host: &String| held.values().filter(|holder| *holder == host).count();
            let fair = 9 / hosts.len()..=9usize.div_ceil(hosts.len());
            (held.len() == 9 && hosts.iter().all(|host| fair.contains(&count(host)))).then_some(())
        });
    }

    /// Runs a command of the binary about this cluster.
    pub(crate) fn ask(&self, args: &[&str]) -> Answer {
        let config = self.yard.config("operator").expect("written");
        command()
            .args(args)
            .arg("--config")
            .arg(config)
            .output()
            .expect("the binary runs")
            .into()
    }

    /// Asks until the answer satisfies `done`.
    pub(crate) fn ask_until(&self, args: &[&str], mut done: impl FnMut(&Answer) -> bool) -> Answer {
        let end = Instant::now() + LIMIT;
        loop {
            let answer = self.ask(args);
            if done(&answer) {
                return answer;
            }
            assert!(Instant::now() < end, "gave up: {args:?} still says {answer:?}");
        }
    }
}

/// Who holds which shard of a role, by what was told.
pub(crate) fn holders(told: &[OutputLine], role: &str) -> std::collections::BTreeMap<u32, String> {
    let mut held = std::collections::BTreeMap::new();
    for told in told.iter().filter(|told| told.role() == role) {
        for (shard, _) in told.shards() {
            match told.event.as_str() {
                "gained" => drop(held.insert(shard, told.host.clone())),
                "losing" if held.get(&shard) == Some(&told.host) => drop(held.remove(&shard)),
                _ => {}
            }
        }
    }
    held
}

/// Whether a process of this id is there and no zombie.
pub(crate) fn is_running(pid: u32) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}
