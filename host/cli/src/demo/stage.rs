//! The cluster of the demonstration: its processes, what they tell, and how it looks.

use super::Demo;
use super::screen::Screen;
use crate::audit::{Audit, ShardName};
use crate::cluster::{Cluster, ClusterArgs, ClusterSnapshot, scratch_name};
use crate::nodes::word;
use crate::output::ranges;
use crate::place;
use crate::process::{ClusterFolder, NodeProcess, OutputLine};
use crate::shards;
use anyhow::{Context, bail};
use shardwright_core::role::Mode;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

/// The longest that any step may take.
const STEP: Duration = Duration::from_secs(15);

/// The same where a server may have to choose leaders and make topics first.
const STEP_WITH_SERVER: Duration = Duration::from_secs(60);

/// How often the picture is drawn again.
const FRAME: Duration = Duration::from_millis(150);

/// The roles that are shown.
pub(super) const BALANCED: &str = "fts-indexing";
pub(super) const GROUPS: &str = "purge.stores";
pub(super) const EVERYWHERE: &str = "metrics.calculate";

/// How many shards [`BALANCED`] has.
pub(super) const SHARDS: u32 = 12;

/// Short, so that nobody has to wait long for a session to run out.
pub(super) const VALIDITY_MS: u64 = 2_000;
/// As much as the clocks of a cluster of servers may differ.
pub(super) const MARGIN_MS: u64 = 500;

/// The hostnames, in the order in which the nodes are started.
const HOSTS: [&str; 9] = [
    "alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india",
];

/// The processes and what is known of them.
pub(super) struct DemoRun {
    pub(super) screen: Screen,
    pub(super) audit: Audit,
    pub(super) hosts: Vec<&'static str>,
    /// The ids, from the nodes' own words.
    pub(super) ids: BTreeMap<String, u64>,
    pub(super) dead: BTreeSet<String>,
    /// Accepted plans, and how many of them no component made.
    pub(super) plans: (usize, usize),
    nodes: BTreeMap<String, NodeProcess>,
    cluster: Option<Cluster>,
    told: Receiver<OutputLine>,
    tell: Sender<OutputLine>,
    stopped: Arc<AtomicBool>,
    handle: Handle,
    /// Whether they meet on a server, where what was made is to be removed at the end.
    server: bool,
    /// Last, so that the processes are gone before their files.
    pub(super) yard: ClusterFolder,
}

/// A shard that a node began to act on.
#[derive(Clone, Debug)]
pub(super) struct Gain {
    pub(super) shard: ShardName,
    pub(super) host: String,
    pub(super) at: u64,
}

impl DemoRun {
    pub(super) fn new(args: &Demo, screen: Screen, handle: Handle, stopped: Arc<AtomicBool>) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("this program does not know its own file")?;
        let (tell, told) = channel();
        let yard = match &args.coordinator {
            None => ClusterFolder::new(program, &settings("demo", args.nodes))?,
            Some(address) => ClusterFolder::new(program, &settings(&scratch_name("demo")?, args.nodes))?
                .meeting_at(place::section(&place::spelt(address)?)?),
        };
        Ok(Self {
            screen,
            audit: Audit::default(),
            hosts: HOSTS[..args.nodes as usize].to_vec(),
            ids: BTreeMap::new(),
            dead: BTreeSet::new(),
            plans: (0, 0),
            nodes: BTreeMap::new(),
            cluster: None,
            told,
            tell,
            stopped,
            handle,
            server: args.coordinator.is_some(),
            yard,
        })
    }

    /// The longest that any step may take.
    fn step(&self) -> Duration {
        if self.server { STEP_WITH_SERVER } else { STEP }
    }

    /// Where the nodes meet. A server is asked whether it is there.
    pub(super) fn place(&mut self) -> anyhow::Result<String> {
        if !self.server {
            return Ok("in one sqlite file".to_owned());
        }
        Ok(format!("at {}", self.cluster()?.location()))
    }

    /// Ends what still runs, and removes what was made on a server.
    pub(super) fn clear(&mut self) -> anyhow::Result<()> {
        self.nodes.clear();
        let Some(cluster) = self.cluster.take().filter(|_| self.server) else {
            return Ok(());
        };
        let erase = async { tokio::time::timeout(STEP, cluster.erase()).await };
        let erased = self
            .handle
            .block_on(erase)
            .context("it did not answer")
            .and_then(|erased| erased);
        erased.with_context(|| {
            format!(
                "the scratch cluster {} is left at {}",
                cluster.config.name,
                cluster.location()
            )
        })
    }

    /// Starts the process of a node.
    pub(super) fn start(&mut self, host: &str) -> anyhow::Result<u32> {
        let process = self.yard.start(host, self.tell.clone())?;
        let pid = process.pid();
        self.nodes.insert(host.to_owned(), process);
        self.dead.remove(host);
        Ok(pid)
    }

    /// Kills a node with SIGKILL. Returns its process id and when it was certainly dead.
    pub(super) fn kill(&mut self, host: &str) -> anyhow::Result<(u32, u64)> {
        let mut process = self.nodes.remove(host).context("no such process")?;
        let (_, at) = process.kill()?;
        self.dead.insert(host.to_owned());
        // What it said before it died comes first.
        while let Ok(told) = self.told.recv_timeout(self.step()) {
            let last = told.event == "eof" && told.host == host;
            self.take(&told);
            if last {
                break;
            }
        }
        self.audit.ended(host, at);
        Ok((process.pid(), at))
    }

    /// Ends all nodes in good order, one after another. False if one did not end well.
    pub(super) fn end(&mut self) -> anyhow::Result<bool> {
        let (mut well, step) = (true, self.step());
        for process in self.nodes.values() {
            process.signal(rustix::process::Signal::TERM)?;
        }
        for process in self.nodes.values_mut() {
            well &= process.wait(step)?.success();
        }
        self.nodes.clear();
        while let Ok(told) = self.told.try_recv() {
            self.take(&told);
        }
        Ok(well)
    }

    /// Follows the cluster until `done` yields something. What is waited for, `what`, is named if it takes too long.
    pub(super) fn until<T>(
        &mut self,
        what: &str,
        mut done: impl FnMut(&Self, &[Gain]) -> Option<T>,
    ) -> anyhow::Result<T> {
        self.follow(what, Some(self.step()), |stage, gains| done(stage, gains))
    }

    /// Follows the cluster until somebody ends the demonstration.
    pub(super) fn until_stopped(&mut self) -> anyhow::Result<()> {
        match self.follow("the end", None, |_, _| None::<()>) {
            Err(_) if self.stopped.load(Ordering::Relaxed) => Ok(()),
            other => other,
        }
    }

    fn follow<T>(
        &mut self,
        what: &str,
        limit: Option<Duration>,
        mut done: impl FnMut(&Self, &[Gain]) -> Option<T>,
    ) -> anyhow::Result<T> {
        let (began, mut gains, mut drawn) = (Instant::now(), Vec::new(), None::<Instant>);
        loop {
            match self.told.recv_timeout(Duration::from_millis(50)) {
                Ok(told) => {
                    if told.event == "eof" && !self.dead.contains(&told.host) {
                        bail!(
                            "the node {} ended by itself; its log says:\n{}",
                            told.host,
                            self.yard.log(&told.host).trim_end()
                        );
                    }
                    gains.extend(self.take(&told));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => bail!("nobody tells anything any more"),
            }
            if let Some(found) = done(self, &gains) {
                self.draw()?;
                return Ok(found);
            }
            if drawn.is_none_or(|at| at.elapsed() >= FRAME) {
                self.draw()?;
                drawn = Some(Instant::now());
            }
            if self.stopped.load(Ordering::Relaxed) {
                bail!("interrupted; all processes and files of the demonstration are gone");
            }
            if limit.is_some_and(|limit| began.elapsed() >= limit) {
                let logs: Vec<_> = self
                    .hosts
                    .iter()
                    .map(|host| format!("{host}: {}", self.yard.log(host).trim_end()))
                    .collect();
                bail!("gave up waiting for {what}; the logs say:\n{}", logs.join("\n"));
            }
        }
    }

    /// Takes a node's words to the accounts, and returns what it gained.
    fn take(&mut self, told: &OutputLine) -> Vec<Gain> {
        let role = told.role().to_owned();
        match told.event.as_str() {
            "ready" | "joined" => {
                if let Some(id) = told.fields["node"].as_u64() {
                    self.ids.insert(told.host.clone(), id);
                }
            }
            "plan-accepted" => {
                self.plans.0 += 1;
                self.plans.1 += usize::from(told.fields["native"] != false);
            }
            _ => {}
        }
        if !is_exclusive(&role) {
            return Vec::new();
        }
        self.audit.take(told);
        let gain = |(shard, _)| Gain {
            shard: (role.clone(), shard),
            host: told.host.clone(),
            at: told.at,
        };
        let gained = told.shards().filter(|_| told.event == "gained");
        gained.map(gain).collect()
    }

    /// The shards of the exclusive roles.
    pub(super) fn all_shards(&self) -> impl Iterator<Item = ShardName> + use<> {
        let groups = u32::try_from(self.hosts.len()).unwrap_or(u32::MAX);
        (0..SHARDS)
            .map(|n| (BALANCED.to_owned(), n))
            .chain((0..groups).map(|n| (GROUPS.to_owned(), n)))
    }

    /// The cluster, opened at the first call.
    fn cluster(&mut self) -> anyhow::Result<&Cluster> {
        if self.cluster.is_none() {
            let which = ClusterArgs::of(Some(self.yard.config(self.hosts[0])?));
            self.cluster = Some(self.handle.block_on(Cluster::open(&which))?);
        }
        self.cluster.as_ref().context("it was opened")
    }

    /// The store as it is.
    pub(super) fn look(&mut self) -> anyhow::Result<ClusterSnapshot> {
        let handle = self.handle.clone();
        handle.block_on(self.cluster()?.look())
    }

    fn draw(&mut self) -> anyhow::Result<()> {
        if !self.server && !self.yard.store().exists() {
            return Ok(());
        }
        // A store that was made this very moment has nothing in it yet.
        let Ok(sight) = self.look() else { return Ok(()) };
        let Some(cluster) = &self.cluster else { return Ok(()) };
        let mut owned: BTreeMap<(u32, String), Vec<u32>> = BTreeMap::new();
        for role in shards::roles(cluster, &sight) {
            for shard in role.shards() {
                let others = shard.standbys.iter().filter(|_| role.mode() == Mode::All);
                for &node in shard.primary.iter().chain(others) {
                    owned.entry((node, role.name.clone())).or_default().push(shard.shard);
                }
            }
        }
        let mut table =
            crate::output::Table::new(&["NODE", "HOSTNAME", "PROCESS", "STATUS", BALANCED, GROUPS, EVERYWHERE]);
        for record in &sight.records {
            let id = record.node_id.get();
            let of = |role: &str| {
                owned
                    .get(&(id, role.to_owned()))
                    .map_or_else(|| "-".to_owned(), |shards| ranges(shards))
            };
            let process = self
                .nodes
                .get(&record.hostname)
                .map_or_else(|| "dead".to_owned(), |node| node.pid().to_string());
            let leads = if record.leader { ", leads" } else { "" };
            let status = if record.ended.is_some() {
                "session ended".to_owned()
            } else {
                format!("{}{leads}", word(record.status))
            };
            table.row([
                id.to_string(),
                record.hostname.clone(),
                process,
                status,
                of(BALANCED),
                of(GROUPS),
                of(EVERYWHERE),
            ]);
        }
        let picture = table.render(false);
        let mut lines: Vec<String> = picture.lines().map(|line| format!("    {line}")).collect();
        if let Some(header) = lines.first_mut() {
            *header = self.screen.bold(header);
        }
        lines.insert(0, String::new());
        lines.push(String::new());
        Ok(self.screen.show(lines)?)
    }
}

fn is_exclusive(role: &str) -> bool {
    [BALANCED, GROUPS].contains(&role)
}

/// What all nodes are configured with: shard i of the static groups is for node i, and the next stands by.
fn settings(name: &str, nodes: u32) -> String {
    let groups: Vec<_> = (1..=nodes).map(|n| format!("\"{n},{}\"", n % nodes + 1)).collect();
    format!(
        r#"name = "{name}"
preset = "none"

[cluster.timing]
validity = "{VALIDITY_MS}ms"
renew = "400ms"
margin = "{MARGIN_MS}ms"
settle = "100ms"
stale-after = "2500ms"
stop-timeout = "2s"

[cluster.roles]
fts-indexing = {{ shards = {SHARDS}, replicas = 2, policy = "balanced" }}
purge.stores = {{ groups = [{}], mode = "primary" }}
metrics.calculate = {{ mode = "all" }}
"#,
        groups.join(", ")
    )
}
