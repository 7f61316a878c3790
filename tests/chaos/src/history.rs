//! What happened, as the workers, the resource and the operator's commands saw it. Stamps are microseconds of
//! CLOCK_BOOTTIME.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One process of a node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Process {
    /// Its hostname.
    pub host: String,
    /// Which of the processes that were started under it.
    pub number: u32,
}

impl std::fmt::Display for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}#{}", self.host, self.number)
    }
}

/// A shard of a role.
pub type Shard = (String, u32);

/// Work on one shard. It was allowed at `begin` and at `end`, and without a break in between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    /// Who worked.
    pub by: Process,
    /// The id that the node had.
    pub node: u32,
    /// On what.
    pub shard: Shard,
    /// Under which fencing token.
    pub token: u64,
    /// When it began.
    pub begin: u64,
    /// The last moment at which it was found to be allowed.
    pub end: u64,
    /// Whether the resource refused its write though it was allowed before and after.
    pub refused: bool,
}

/// A write that reached the resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Whose.
    pub by: Process,
    /// Where.
    pub shard: Shard,
    /// Under which fencing token.
    pub token: u64,
    /// When it was decided on.
    pub at: u64,
    /// Whether the fence let it through.
    pub accepted: bool,
}

/// A moment at which a process held an id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    /// Who.
    pub by: Process,
    /// Which id.
    pub node: u32,
    /// When.
    pub at: u64,
}

/// Which ids are whose, as a process knew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Which process.
    pub by: Process,
    /// From when on, until it knew otherwise.
    pub at: u64,
    /// The ids and their hostnames.
    pub nodes: Vec<(u32, String)>,
}

/// A process was told that the store is new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grace {
    /// Which.
    pub by: Process,
    /// When.
    pub at: u64,
    /// For how many more milliseconds nobody joins.
    pub wait: u64,
}

/// Something was done on purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disturbed {
    /// When.
    pub at: u64,
    /// To a host or its way to the server; nothing if it was done to the server.
    pub host: Option<String>,
}

/// Who has a shard under which token, by `shardwright roles show`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// When it was asked.
    pub at: u64,
    /// What.
    pub shard: Shard,
    /// The id of the node.
    pub node: u32,
    /// The token.
    pub token: u64,
}

/// Who has an id, by `shardwright nodes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// When it was asked.
    pub at: u64,
    /// The id.
    pub node: u32,
    /// Whose it is.
    pub host: String,
}

/// Everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// What workers did.
    pub acts: Vec<Act>,
    /// What came to the resource.
    pub writes: Vec<Write>,
    /// When ids were held.
    pub lives: Vec<Live>,
    /// What was said about shards.
    pub owners: Vec<Owner>,
    /// What was said about nodes.
    pub listed: Vec<Listed>,
    /// What processes knew of whose the ids are.
    pub known: Vec<Known>,
    /// Who was told of a new store.
    pub graces: Vec<Grace>,
    /// How often a process noticed that the server's clock had been set.
    pub clock_jumps: usize,
    /// When the store was lost, in the order of time.
    pub losses: Vec<u64>,
    /// What was done to whom.
    pub disturbed: Vec<Disturbed>,
}

/// What a worker appends to its file, one line for each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Line {
    /// An act begins: it is allowed.
    Begin {
        /// Counts the acts of the process.
        act: u64,
        /// The role.
        role: String,
        /// The shard.
        shard: u32,
        /// The fencing token.
        token: u64,
        /// The node's id.
        node: u32,
        /// When.
        at: u64,
    },
    /// An act is over, or at least not over before.
    End {
        /// Which.
        act: u64,
        /// When it was last found to be allowed.
        at: u64,
        /// Whether a write was refused while it was allowed.
        refused: bool,
    },
    /// The node holds its id.
    Live {
        /// The id.
        node: u32,
        /// When.
        at: u64,
    },
    /// From now on the node knows these ids and their hostnames.
    Known {
        /// The ids and their hostnames.
        nodes: Vec<(u32, String)>,
        /// When.
        at: u64,
    },
    /// The node was told that the store is new.
    Grace {
        /// For how many more milliseconds nobody joins.
        wait: u64,
        /// When.
        at: u64,
    },
    /// The node noticed that the server's clock was set.
    ClockJumped,
}

impl History {
    /// Takes in what the process `by` has written to `file`: the lines of a worker, or the events of the binary.
    ///
    /// # Errors
    /// It cannot be read, or a line but the last, which a killed process may have left unfinished, is none.
    pub fn read(&mut self, by: &Process, file: &Path) -> Result<()> {
        let text = fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
        let text = String::from_utf8_lossy(&text);
        let first = self.acts.len();
        let mut numbers = Vec::new();
        let mut node = 0;
        let lines: Vec<_> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let value: Value = match serde_json::from_str(line) {
                Ok(value) => value,
                Err(_) if at + 1 == lines.len() => break,
                Err(error) => return Err(error).with_context(|| format!("{}:{}: {line}", file.display(), at + 1)),
            };
            if value.get("event").is_some() {
                self.event(by, &value, &mut node);
                continue;
            }
            let line =
                serde_json::from_value(value).with_context(|| format!("{}:{}: {line}", file.display(), at + 1))?;
            self.line(by, line, first, &mut numbers);
        }
        Ok(())
    }

    fn line(&mut self, by: &Process, line: Line, first: usize, numbers: &mut Vec<u64>) {
        match line {
            Line::Begin {
                act,
                role,
                shard,
                token,
                node,
                at,
            } => {
                numbers.push(act);
                self.acts.push(Act {
                    by: by.clone(),
                    node,
                    shard: (role, shard),
                    token,
                    begin: at,
                    end: at,
                    refused: false,
                });
            }
            Line::End { act, at, refused } => {
                let place = numbers.iter().rposition(|number| *number == act);
                if let Some(act) = place.and_then(|place| self.acts.get_mut(first + place)) {
                    act.end = at;
                    act.refused = refused;
                }
            }
            Line::Live { node, at } => self.lives.push(Live {
                by: by.clone(),
                node,
                at,
            }),
            Line::Known { nodes, at } => self.known.push(Known {
                by: by.clone(),
                at,
                nodes,
            }),
            Line::Grace { wait, at } => self.graces.push(Grace {
                by: by.clone(),
                at,
                wait,
            }),
            Line::ClockJumped => self.clock_jumps += 1,
        }
    }

    /// Takes in an event of `shardwright run --events json --rehearse …`, whose stamps are in milliseconds: an act is
    /// at some moment of its own.
    fn event(&mut self, by: &Process, event: &Value, node: &mut u32) {
        let at = event["at"].as_u64().unwrap_or(0) * 1_000;
        match event["event"].as_str() {
            Some("ready" | "joined") => {
                *node = event["node"]
                    .as_u64()
                    .and_then(|id| u32::try_from(id).ok())
                    .unwrap_or(0);
            }
            Some("clock-jumped") => self.clock_jumps += 1,
            Some("act") => {
                let list = |name: &str| event[name].as_array().cloned().unwrap_or_default();
                let role = event["role"].as_str().unwrap_or_default();
                for (shard, token) in list("shards").iter().zip(list("tokens")) {
                    let (Some(shard), Some(token)) =
                        (shard.as_u64(), token.as_str().and_then(|text| text.parse().ok()))
                    else {
                        continue;
                    };
                    self.acts.push(Act {
                        by: by.clone(),
                        node: *node,
                        shard: (role.to_owned(), u32::try_from(shard).unwrap_or(u32::MAX)),
                        token,
                        // So that nothing that happened in the same millisecond counts as later or earlier.
                        begin: at + 999,
                        end: at,
                        refused: false,
                    });
                }
            }
            _ => {}
        }
    }
}
