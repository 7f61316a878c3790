//! What an operator does by the command line: asks who is there and who has what, and gives orders.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::clock::now;
use crate::history::{Listed, Owner};
use crate::schedule::Order;
use crate::settings::ROLES;

/// How long a command may take; the server may be down.
const PATIENCE: Duration = Duration::from_secs(8);

/// How long it rests between two rounds of questions.
const ROUND: Duration = Duration::from_millis(700);

/// At how many looks in a row all must be well at once before it is said to have come to rest.
const STEADY: usize = 4;

impl Sight {
    /// Whether somebody acts on every shard, and no order is left.
    pub(crate) fn is_well(&self) -> bool {
        self.unowned.is_empty() && self.ordered.is_empty()
    }
}

/// One at a terminal.
#[derive(Clone)]
pub(crate) struct Operator {
    binary: PathBuf,
    config: PathBuf,
}

/// One round of answers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sight {
    /// When the first question was asked.
    pub(crate) at: u64,
    pub(crate) owners: Vec<Owner>,
    pub(crate) listed: Vec<Listed>,
    /// Shards that nobody acts on, by their names.
    pub(crate) unowned: Vec<String>,
    /// Nodes that are under an order, by their hostnames.
    pub(crate) ordered: Vec<(String, Order)>,
}

impl Operator {
    pub(crate) fn new(binary: PathBuf, config: PathBuf) -> Self {
        Self { binary, config }
    }

    fn run(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.binary);
        command.args(arguments).arg("--config").arg(&self.config);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let end = Instant::now() + PATIENCE;
        // Its output is smaller than what a pipe holds.
        while child.try_wait()?.is_none() {
            if Instant::now() > end {
                child.kill()?;
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let output = child.wait_with_output()?;
        let error = String::from_utf8_lossy(&output.stderr);
        // 3 says that it was done, and that something is not as it should be.
        ensure!(matches!(output.status.code(), Some(0 | 3)), "{} {error}", output.status);
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn ask(&self, arguments: &[&str]) -> Result<Value> {
        serde_json::from_str(&self.run(&[arguments, &["-o", "json"]].concat())?).context("no JSON")
    }

    /// Gives an order about the node of `host`.
    pub(crate) fn order(&self, order: Order, host: &str) -> Result<()> {
        let nodes = self.ask(&["nodes"])?;
        let node = nodes
            .as_array()
            .into_iter()
            .flatten()
            .find(|node| node["hostname"] == host);
        let id = node
            .and_then(|node| node["nodeId"].as_u64())
            .with_context(|| format!("{host} is not listed"))?;
        self.run(&["nodes", order.word(), &id.to_string()]).map(drop)
    }

    /// Asks everything once.
    pub(crate) fn look(&self) -> Result<Sight> {
        let at = now();
        let mut sight = Sight { at, ..Sight::default() };
        let number = |value: &Value| value.as_u64().and_then(|number| u32::try_from(number).ok());
        for node in self
            .ask(&["nodes", "--all"])?
            .as_array()
            .context("`nodes` lists nothing")?
        {
            let (Some(id), Some(host)) = (number(&node["nodeId"]), node["hostname"].as_str()) else {
                continue;
            };
            sight.listed.push(Listed {
                at,
                node: id,
                host: host.to_owned(),
            });
            for (word, order) in [("draining", Order::Undrain), ("cordoned", Order::Uncordon)] {
                if node[word] == true {
                    sight.ordered.push((host.to_owned(), order));
                }
            }
        }
        for (role, count) in ROLES {
            let at = now();
            let answer = self.ask(&["roles", "show", role])?;
            let shards = answer["shards"].as_array().map(Vec::as_slice).unwrap_or_default();
            for shard in 0..count {
                let told = shards.get(shard as usize).unwrap_or(&Value::Null);
                let token = told["token"].as_str().and_then(|token| token.parse().ok());
                match (number(&told["primary"]), token) {
                    (Some(node), Some(token)) if told["state"] == "held" => {
                        let shard = (role.to_owned(), shard);
                        sight.owners.push(Owner { at, shard, node, token });
                    }
                    _ => sight.unowned.push(format!("{role}/{shard}")),
                }
            }
        }
        Ok(sight)
    }
}

/// When the first of the looks was taken since which all has been well, at every look up to the last: if there were
/// enough of them.
fn steady(sights: &[&Sight]) -> Option<u64> {
    let well = sights.iter().rev().take_while(|sight| sight.is_well()).count();
    (well >= STEADY).then(|| sights[sights.len() - well].at)
}

/// An operator who asks again and again, and keeps what was said.
pub(crate) struct Watch {
    sights: Arc<Mutex<Vec<Sight>>>,
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<()>,
}

impl Watch {
    pub(crate) fn begin(operator: Operator) -> Result<Self> {
        let (sights, stop) = (Arc::<Mutex<Vec<Sight>>>::default(), Arc::new(AtomicBool::new(false)));
        let (seen, stopped) = (sights.clone(), stop.clone());
        let thread = std::thread::Builder::new().name("watch".to_owned()).spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                // The server may be down: then there is nothing to see.
                if let Ok(sight) = operator.look() {
                    seen.lock().unwrap_or_else(PoisonError::into_inner).push(sight);
                }
                std::thread::sleep(ROUND);
            }
        })?;
        Ok(Self { sights, stop, thread })
    }

    /// What was seen last since a moment, if anything was, and since when all has been well.
    pub(crate) fn since(&self, moment: u64) -> (Option<Sight>, Option<u64>) {
        let sights = self.sights.lock().unwrap_or_else(PoisonError::into_inner);
        let recent: Vec<_> = sights.iter().filter(|sight| sight.at > moment).collect();
        (recent.last().map(|sight| (*sight).clone()), steady(&recent))
    }

    /// Stops, and gives everything that was seen.
    pub(crate) fn end(self) -> Vec<Sight> {
        self.stop.store(true, Ordering::Relaxed);
        // A panic of it has lost nothing that was seen before.
        let _ = self.thread.join();
        std::mem::take(&mut self.sights.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod test {
    use super::*;

    /// Looks, one for each text: the shards that nobody acts on then; `!` is an order that stands.
    fn since(looks: &[&str]) -> Option<u64> {
        let sight = |(at, text): (u64, &&str)| Sight {
            at,
            unowned: text.chars().filter(|c| *c != '!').map(String::from).collect(),
            ordered: text.matches('!').map(|_| ("host".to_owned(), Order::Undrain)).collect(),
            ..Sight::default()
        };
        let sights: Vec<_> = (10..).zip(looks).map(sight).collect();
        steady(&sights.iter().collect::<Vec<_>>())
    }

    #[test]
    fn all_shards_must_be_owned_at_once_and_stay_so() {
        assert_eq!(since(&["a", "", "", "", ""]), Some(11));
        assert_eq!(since(&["", "", "", "", "", ""]), Some(10));
        // Each has an owner at some look, and never all of them at one.
        assert_eq!(since(&["a", "b", "a", "b", "a", "b"]), None);
        // It was well, and is no more.
        assert_eq!(since(&["", "", "", "", "a"]), None);
        assert_eq!(since(&["", "", "", "", "a", "", "", "", ""]), Some(15));
        assert_eq!(since(&["", "", "", "!"]), None);
        assert_eq!((since(&["", "", ""]), since(&[])), (None, None), "too few looks");
    }
}
