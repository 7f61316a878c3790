//! Three nodes on a server, what they tell, and what must hold of it.

use crate::common::{Answer, LIMIT, command, yard};
use rustix::process::Signal;
use shardwright_cli::acts::Acts;
use shardwright_cli::audit::Audit;
use shardwright_cli::process::{ClusterFolder, NodeProcess, OutputLine};
use shardwright_coordinator::clock::boottime;
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

pub(crate) const HOSTS: [&str; 3] = ["alpha", "bravo", "charlie"];
pub(crate) const ROLE: &str = "fts-indexing";
pub(crate) const SHARDS: usize = 9;
pub(crate) const VALIDITY: u64 = 3_000;
pub(crate) const MARGIN: u64 = 500;

const SETTINGS: &str = r#"name = "trial"

[cluster.timing]
validity = "3s"
renew = "500ms"
margin = "500ms"
settle = "50ms"
stale-after = "4s"
stop-timeout = "2s"

[cluster.roles]
fts-indexing = { shards = 9, replicas = 2 }
"#;

/// An act of a node on one shard.
#[derive(Clone, Debug)]
pub(crate) struct Act {
    pub(crate) host: String,
    pub(crate) at: u64,
    pub(crate) token: u64,
}

/// The nodes, and what they have told.
pub(crate) struct Trial {
    nodes: BTreeMap<String, NodeProcess>,
    /// Everything but acts.
    pub(crate) told: Vec<OutputLine>,
    acts: Acts,
    /// The newest act on each shard.
    pub(crate) newest: BTreeMap<u32, Act>,
    /// When anybody acted, in the order in which it was told.
    times: Vec<(u64, String)>,
    /// Nodes that were killed or stopped, and when.
    halted: Vec<(u64, String)>,
    tell: Sender<OutputLine>,
    inbox: Receiver<OutputLine>,
    // Last: the processes go before their files.
    pub(crate) yard: ClusterFolder,
}

impl Trial {
    /// Nodes that meet where `section` says; none is started.
    pub(crate) fn at(section: &str) -> Self {
        let (tell, inbox) = channel();
        let yard = yard(SETTINGS);
        Self {
            nodes: BTreeMap::new(),
            told: Vec::new(),
            acts: Acts::default(),
            newest: BTreeMap::new(),
            times: Vec::new(),
            halted: Vec::new(),
            tell,
            inbox,
            yard: yard.meeting_at(section).rehearsing(Duration::from_millis(20)),
        }
    }

    pub(crate) fn start(&mut self, host: &str) {
        let node = self.yard.start(host, self.tell.clone()).expect("it starts");
        self.nodes.insert(host.to_owned(), node);
    }

    pub(crate) fn node(&mut self, host: &str) -> &mut NodeProcess {
        self.nodes.get_mut(host).expect("a node")
    }

    /// Kills a node with SIGKILL.
    pub(crate) fn kill(&mut self, host: &str) {
        let mut node = self.nodes.remove(host).expect("a node");
        let (_, dead) = node.kill().expect("killed");
        self.halted.push((dead, host.to_owned()));
    }

    /// Stops a node with SIGSTOP, and waits until it stands still.
    pub(crate) fn stop(&mut self, host: &str) {
        let node = self.node(host);
        node.signal(Signal::STOP).expect("it lives");
        let stat = format!("/proc/{}/stat", node.pid());
        let end = Instant::now() + LIMIT;
        // The kernel stops one thread after another, and tells nobody when it is done.
        while !std::fs::read_to_string(&stat).expect("it lives").contains(") T ") {
            assert!(Instant::now() < end, "{host} goes on");
            std::thread::yield_now();
        }
        self.halted.push((boottime(), host.to_owned()));
    }

    fn take(&mut self, told: OutputLine) {
        if told.event == "eof" && self.nodes.contains_key(&told.host) {
            panic!("{} ended by itself:\n{}", told.host, self.yard.log(&told.host));
        }
        if told.event != "act" {
            assert_ne!(told.event, "lagged", "an act may be missing: {told:?}");
            return self.told.push(told);
        }
        self.acts.take(&told).expect("one node for each token");
        self.times.push((told.at, told.host.clone()));
        for (shard, token) in told.shards() {
            let act = Act {
                host: told.host.clone(),
                at: told.at,
                token: token.expect("an act has a token"),
            };
            let newest = self.newest.entry(shard).or_insert_with(|| act.clone());
            if newest.at <= act.at {
                *newest = act;
            }
        }
    }

    /// Waits until what was told satisfies `done`.
    pub(crate) fn until<T>(&mut self, what: &str, mut done: impl FnMut(&Self) -> Option<T>) -> T {
        let end = Instant::now() + LIMIT;
        loop {
            if let Some(found) = done(self) {
                return found;
            }
            match self.inbox.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(told) => self.take(told),
                Err(_) => self.give_up(what),
            }
            // Acts come by the hundred: all that wait are taken before the next look.
            while let Ok(told) = self.inbox.try_recv() {
                self.take(told);
            }
        }
    }

    /// Listens for so long, whatever is told.
    pub(crate) fn quiet(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while let Ok(told) = self.inbox.recv_timeout(end.saturating_duration_since(Instant::now())) {
            self.take(told);
        }
    }

    fn give_up(&self, what: &str) -> ! {
        let logs: Vec<_> = HOSTS
            .iter()
            .map(|host| format!("{host}:\n{}", self.yard.log(host)))
            .collect();
        let told: Vec<_> = self
            .told
            .iter()
            .map(|told| format!("{} {}", told.host, told.fields))
            .collect();
        panic!(
            "gave up waiting for {what}; newest acts: {:?}\n{}\n{}",
            self.newest,
            told.join("\n"),
            logs.join("\n")
        );
    }

    /// Waits for an event of a node after `since`.
    pub(crate) fn event(&mut self, host: &str, event: &str, since: u64) -> OutputLine {
        let is = |told: &&OutputLine| told.host == host && told.event == event && told.at >= since;
        self.until(&format!("{event} of {host}"), |trial| {
            trial.told.iter().find(is).cloned()
        })
    }

    /// Waits until somebody has acted on every shard after `since`.
    pub(crate) fn worked_on(&mut self, what: &str, since: u64) {
        self.until(what, |trial| {
            let fresh = trial.newest.values().filter(|act| act.at > since).count();
            (fresh == SHARDS).then_some(())
        });
    }

    /// Waits until these hosts, and no others, do all the work from now on. A dead node's share goes to those who stand
    /// by, however many each has.
    pub(crate) fn taken_over(&mut self, hosts: &[&str]) {
        let since = boottime();
        self.until(&format!("{hosts:?} to do all the work"), |trial| {
            let acts = trial.newest.values().filter(|act| act.at > since);
            let count = acts.filter(|act| hosts.contains(&act.host.as_str())).count();
            (count == SHARDS).then_some(())
        });
    }

    /// Waits until every shard is worked on, and these nodes, no others, share them fairly.
    pub(crate) fn shared(&mut self, hosts: &[&str]) {
        let since = boottime();
        self.until(&format!("{hosts:?} to share the work"), |trial| {
            let count = |host: &&str| {
                trial
                    .newest
                    .values()
                    .filter(|act| act.at > since && act.host == **host)
                    .count()
            };
            let fair = SHARDS / hosts.len()..=SHARDS.div_ceil(hosts.len());
            let counts: Vec<_> = hosts.iter().map(count).collect();
            (counts.iter().sum::<usize>() == SHARDS && counts.iter().all(|count| fair.contains(count))).then_some(())
        });
    }

    /// Who runs the policies, by the nodes' own words.
    pub(crate) fn leader(&mut self) -> String {
        let leads = |trial: &Self| {
            let mut leader = None;
            for told in &trial.told {
                match told.event.as_str() {
                    "leading" => leader = Some(told.host.clone()),
                    "resigned" if leader.as_ref() == Some(&told.host) => leader = None,
                    _ => {}
                }
            }
            leader.filter(|host| trial.nodes.contains_key(host))
        };
        self.until("a leader", leads)
    }

    /// Nobody, or not this host, acted between two moments.
    pub(crate) fn idle(&self, host: Option<&str>, from: u64, to: u64) {
        let acted = |(at, who): &&(u64, String)| (from..to).contains(at) && host.is_none_or(|host| who == host);
        let found: Vec<_> = self.times.iter().filter(acted).take(3).collect();
        assert!(found.is_empty(), "between {from} and {to} nobody may act: {found:?}");
    }

    /// Ends all nodes in good order, and judges everything that they told.
    pub(crate) fn end(mut self) -> u64 {
        let nodes = std::mem::take(&mut self.nodes);
        for node in nodes.values() {
            node.signal(Signal::TERM).expect("it lives");
        }
        for host in HOSTS {
            self.event(host, "ended", 0);
        }
        for (host, mut node) in nodes {
            assert!(
                node.wait(LIMIT).expect("it ends").success(),
                "{host}: {}",
                self.yard.log(&host)
            );
        }
        while let Ok(told) = self.inbox.try_recv() {
            self.take(told);
        }
        assert_eq!(self.acts.violations(), Vec::<String>::new());
        let verdict = self.audit().verdict();
        assert_eq!(verdict.bad_tokens, 0, "{verdict:?}");
        assert!(verdict.moves > 0, "{verdict:?}");
        self.acts.count()
    }

    /// The accounts of gains and losses, in the order of time.
    fn audit(&self) -> Audit {
        let mut audit = Audit::default();
        let mut told: Vec<_> = self.told.iter().filter(|told| told.role() == ROLE).collect();
        told.sort_by_key(|told| told.at);
        let mut halted = self.halted.clone();
        halted.sort();
        let mut halted = halted.into_iter().peekable();
        for told in told {
            while let Some((at, host)) = halted.next_if(|(at, _)| *at <= told.at) {
                audit.ended(&host, at);
            }
            audit.take(told);
        }
        audit
    }

    /// Runs a command of the binary about this cluster.
    pub(crate) fn ask(&self, args: &[&str]) -> Answer {
        command()
            .args(args)
            .arg("--config")
            .arg(self.operator())
            .output()
            .expect("the binary runs")
            .into()
    }

    /// The configuration that an operator uses.
    pub(crate) fn operator(&self) -> std::path::PathBuf {
        self.yard.config("operator").expect("written")
    }
}
