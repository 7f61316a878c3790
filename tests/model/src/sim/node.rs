//! A machine and the process on it: the virtual runtime around one engine.

use super::clock::{Clock, Time};
use super::scenario::keys;
use super::store::Handle;
use shardwright_core::duty::StopId;
use shardwright_core::engine::{Engine, Event, NodeRecord, OpId};
use shardwright_core::id::{InstanceId, NodeId, ProcessId, SessionId, Token};
use shardwright_core::memory::Memory;
use shardwright_core::role::{Mode, RoleSpec};
use shardwright_core::time::Instant;
use std::collections::BTreeSet;
use std::sync::Arc;

/// One machine: what survives its process.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Its hostname.
    pub hostname: String,
    /// What its state directory says.
    pub instance: InstanceId,
    /// The processes that ran on it, as its state directory knows them.
    pub processes: Vec<ProcessId>,
    /// What else its state directory remembers.
    pub memory: Memory,
    /// Its clock, which goes on while nothing runs.
    pub clock: Clock,
    /// Its way to the store.
    pub link: Link,
    /// The roles that a process is started with next.
    pub roles: Vec<RoleSpec>,
    /// The running process.
    pub process: Option<Process>,
    /// Not to be started again.
    pub retired: bool,
    /// A second installation under the hostname of another machine.
    pub duplicate: bool,
}

/// The way to the store; each kind of trouble lasts until its time.
#[derive(Clone, Debug, Default)]
pub struct Link {
    /// Requests fail at once.
    pub refused: Time,
    /// Requests are lost.
    pub requests_lost: Time,
    /// Answers are lost.
    pub answers_lost: Time,
    /// Both take long.
    pub slow: Time,
}

/// One life of the software.
#[derive(Clone, Debug)]
pub struct Process {
    /// Tells lives apart.
    pub life: u64,
    /// The decisions.
    pub engine: Engine,
    /// The roles that it runs with.
    pub roles: Vec<RoleSpec>,
    /// What its handle to the store knows.
    pub handle: Handle,
    /// Store operations that have no outcome yet.
    pub open: BTreeSet<OpId>,
    /// When it wants to be woken.
    pub wake: Option<Instant>,
    /// The fence: no work is done from here on. `None`: at once.
    pub deadline: Option<Instant>,
    /// The last deadline there was: until then, work that is told to stop may go on.
    pub reach: Instant,
    /// The work, running or stopping.
    pub claims: Vec<Claim>,
    /// What has happened while it was stopped.
    pub paused: Option<Vec<Event>>,
    /// The registry as last told.
    pub registry: Arc<[NodeRecord]>,
}

/// Work on one shard.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    /// Index of the role.
    pub role: usize,
    /// The shard.
    pub shard: u32,
    /// Its keys.
    pub keys: u32,
    /// Under which token.
    pub token: Token,
    /// Told to stop.
    pub stop: Option<StopId>,
    /// Told to stop, it may go on until here: a later deadline is not its own.
    pub until: Instant,
}

impl Claim {
    /// Whether it may still go on at local time `now`.
    #[must_use]
    pub fn goes_on(&self, now: Instant) -> bool {
        self.stop.is_none() || now < self.until
    }
}

impl Process {
    /// A life that has not begun.
    #[must_use]
    pub fn new(life: u64, engine: Engine, roles: Vec<RoleSpec>) -> Self {
        Self {
            life,
            engine,
            roles,
            handle: Handle::default(),
            open: BTreeSet::new(),
            wake: None,
            deadline: None,
            reach: Instant(0),
            claims: Vec::new(),
            paused: None,
            registry: Arc::from(Vec::new()),
        }
    }

    /// Work begins.
    pub fn gain(&mut self, role: usize, shard: u32, token: Token) -> Claim {
        let claim = Claim {
            role,
            shard,
            keys: keys(shard, self.roles[role].shards),
            token,
            stop: None,
            until: Instant(u64::MAX),
        };
        self.claims.push(claim);
        claim
    }

    /// Work is told to stop.
    pub fn stop(&mut self, stop: StopId, role: usize, shards: &[u32]) {
        for claim in &mut self.claims {
            if claim.role == role && claim.stop.is_none() && shards.contains(&claim.shard) {
                claim.stop = Some(stop);
                claim.until = self.reach;
            }
        }
    }

    /// Work has ended.
    pub fn stopped(&mut self, stop: StopId) {
        self.claims.retain(|c| c.stop != Some(stop));
    }

    /// The work where only one node may act.
    pub fn exclusive(&self) -> impl Iterator<Item = &Claim> {
        self.claims.iter().filter(|c| self.roles[c.role].mode == Mode::Primary)
    }

    /// The keys of a role on which work may be going on at local time `now`.
    #[must_use]
    pub fn busy(&self, role: usize, now: Instant) -> u32 {
        let going = self.exclusive().filter(|c| c.role == role && c.goes_on(now));
        going.fold(0, |set, c| set | c.keys)
    }

    /// The shards of a role that are held and not stopping.
    #[must_use]
    pub fn held(&self, role: usize) -> Vec<u32> {
        let held = self.claims.iter().filter(|c| c.role == role && c.stop.is_none());
        let mut shards: Vec<u32> = held.map(|c| c.shard).collect();
        shards.sort_unstable();
        shards
    }
}

impl Machine {
    /// The id, and the session under which it is held, if a process holds one by its own clock.
    #[must_use]
    pub fn holds(&self, now: Time) -> Option<(NodeId, SessionId)> {
        let process = self.process.as_ref()?;
        let deadline = process.engine.deadline()?;
        let held = process.engine.id().zip(process.engine.session())?;
        (self.clock.read(now) < deadline).then_some(held)
    }

    /// Whether work that is not told to stop, or that has not stopped yet, may be going on.
    #[must_use]
    pub fn acts(&self, now: Time) -> bool {
        self.process.as_ref().is_some_and(|p| self.clock.read(now) < p.reach)
    }
}
