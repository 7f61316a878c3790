//! What an adapter may have and take, as an operator sets it.

use super::{Grants, Redirect};
use shardwright_coordinator::broker::{Password, Tls};
use std::time::Duration;

/// How an adapter is run.
#[derive(Clone, Debug)]
pub struct AdapterOptions {
    /// The id of its section, for logs and errors.
    pub id: String,
    /// Its configuration, a JSON object. It goes into the sandbox, and nowhere else.
    pub config: Password,
    /// What of the configuration is secret: masked in whatever the adapter says.
    pub secrets: Vec<Password>,
    /// What it may reach.
    pub grants: Grants,
    /// How `tls://` and `https://` are secured, if not by the authorities of this system alone.
    pub tls: Option<Tls>,
    /// The longest that one call may take, waiting for a lane included.
    pub timeout: Duration,
    /// How many lanes work on the store at once; at least one.
    pub lanes: usize,
    /// What its lanes may take.
    pub budget: AdapterBudget,
    /// Where its connections lead instead, if it is being tested.
    pub detour: Option<Redirect>,
}

/// What the lanes of an adapter may take. Beyond it the lane ends, in the [`LaneFault`](super::LaneFault) named with
/// each limit; the others notice nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdapterBudget {
    /// Bytes of all memories and tables of one lane. Beyond: `OutOfMemory`.
    pub memory: usize,
    /// Bytes of all lanes together. Beyond: `OutOfMemory`, of the lane that asked for more.
    pub total_memory: usize,
    /// Time that one call may compute, that in which it waits not counted; checked every 10 ms. Beyond:
    /// `CpuBudgetExceeded`.
    pub cpu: Duration,
    /// Bytes of one answer. Beyond: `AnswerTooLong`, before the host has reserved anything for it.
    pub answer: usize,
}

impl Default for AdapterBudget {
    /// 64 MiB for a lane, 256 MiB for all, a second of computing, 64 MiB of answer.
    fn default() -> Self {
        Self {
            memory: 64 << 20,
            total_memory: 256 << 20,
            cpu: Duration::from_secs(1),
            answer: 64 << 20,
        }
    }
}

impl AdapterOptions {
    /// Options with the default limits: five seconds for a call, four lanes, nothing granted.
    #[must_use]
    pub fn new(id: impl Into<String>, config: Password) -> Self {
        Self {
            id: id.into(),
            config,
            secrets: Vec::new(),
            grants: Grants::default(),
            tls: None,
            timeout: Duration::from_secs(5),
            lanes: 4,
            budget: AdapterBudget::default(),
            detour: None,
        }
    }
}
