//! The work: short acts on each shard of the node, one after the other, each only while it is allowed.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::{Context, Result};
use shardwright::{Claim, Node, Role};
use shardwright_chaos::clock::now;
use shardwright_chaos::history::Process;
use shardwright_chaos::resource::{ACCEPTED, Request};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep};

use crate::journal::{Journal, Line};
use crate::plant::{self, Plant};

/// How often an act looks whether it may go on, and how often a shard that is another's is looked at.
const GLANCE: Duration = Duration::from_millis(10);

/// How long an act takes, longer for each shard than for the one before, so that all lengths occur.
const LENGTH: Duration = Duration::from_millis(25);

/// How much of an act may be lost when its process is killed, in microseconds.
const NOTE: u64 = 100_000;

/// What all acts of a process share.
#[derive(Clone)]
pub(crate) struct Worker {
    pub(crate) by: Process,
    /// Nothing as soon as it is being shut down.
    pub(crate) node: Arc<RwLock<Option<Node>>>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) resource: PathBuf,
    pub(crate) plant: Option<Plant>,
    /// How many new stores it was told of.
    pub(crate) graces: Arc<AtomicU32>,
}

impl Worker {
    /// Whether it is not being shut down yet.
    pub(crate) fn is_open(&self) -> bool {
        self.node.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// The id that the node holds, and whether it may act by it, until it is being shut down.
    pub(crate) fn id(&self) -> Option<(u32, bool)> {
        let node = self.node.read().unwrap_or_else(PoisonError::into_inner);
        let node = node.as_ref()?;
        let held = node.id()?.get();
        let id = match self.plant {
            Some(Plant::ClaimId) => 1,
            Some(Plant::DealAnew) => held + self.graces.load(Ordering::Relaxed),
            _ => held,
        };
        Some((id, node.is_live()))
    }

    /// The ids that the node knows, and their hostnames.
    pub(crate) fn known(&self) -> Option<Vec<(u32, String)>> {
        let node = self.node.read().unwrap_or_else(PoisonError::into_inner);
        let records = node.as_ref()?.registry();
        let mut known: Vec<_> = records
            .iter()
            .map(|record| (record.node_id.get(), record.hostname.clone()))
            .collect();
        known.sort();
        Some(known)
    }

    /// Begins no more acts; those under way go on until their claims are lost.
    pub(crate) fn close(&self) {
        *self.node.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn is(&self, plant: Plant) -> bool {
        self.plant == Some(plant)
    }
}

/// Works on one shard whenever it is this node's, until the node is being shut down.
pub(crate) async fn work(worker: Worker, role: Role, shard: u32) -> Result<()> {
    let mut way = BufReader::new(
        UnixStream::connect(&worker.resource)
            .await
            .context("the resource does not answer")?,
    );
    while worker.is_open() {
        let Some(claim) = role.claim_shard(shard) else {
            sleep(GLANCE).await;
            continue;
        };
        let mut token = claim.token().0;
        if worker.is(Plant::ReuseToken) {
            let name = format!("{}.{}.{shard}.token", worker.by.host, role.name());
            token = plant::first(&worker.resource.with_file_name(name), token)?;
        }
        act(&worker, &role, claim, token, &mut way).await?;
    }
    Ok(())
}

/// One act. It is noted as allowed up to the last moment after which its claim was found valid.
async fn act(worker: &Worker, role: &Role, claim: Claim, token: u64, way: &mut BufReader<UnixStream>) -> Result<()> {
    let shard = claim.shard();
    let Some((node, _)) = worker.id() else { return Ok(()) };
    let at = now();
    // The claim was valid before the stamp and is after it, so it was at the stamp, and the id was the one read before.
    if !claim.is_valid() {
        return Ok(());
    }
    let act = worker.journal.number();
    let name = role.name().to_owned();
    worker.journal.append(&Line::Begin {
        act,
        role: name,
        shard,
        token,
        node,
        at,
    })?;
    let length = worker.plant.and_then(Plant::length).unwrap_or(LENGTH * (1 + shard % 4));
    let over = Instant::now() + length;
    let mut claim = Some(claim);
    let (mut last, mut noted) = (at, at);
    // A new owner makes itself known to the resource before it works.
    let mut refused = !write(worker, role, shard, token, way).await? && allowed(worker, &mut claim, &mut last);
    while Instant::now() < over {
        sleep(GLANCE).await;
        if !allowed(worker, &mut claim, &mut last) {
            break;
        }
        // A long one is noted on the way, too: its process may be killed.
        if last > noted + NOTE {
            noted = last;
            worker.journal.append(&Line::End { act, at: last, refused })?;
        }
    }
    // Also if it was cut off: such a write is what the fence is for.
    refused |= !write(worker, role, shard, token, way).await? && allowed(worker, &mut claim, &mut last);
    // A planted fault has no right to be let through.
    refused &= worker.plant.is_none();
    allowed(worker, &mut claim, &mut last);
    worker.journal.append(&Line::End { act, at: last, refused })
}

/// Whether the act may go on; then `last` is a moment at which it might, too.
fn allowed(worker: &Worker, claim: &mut Option<Claim>, last: &mut u64) -> bool {
    let at = now();
    let valid = claim.as_ref().is_some_and(Claim::is_valid);
    let ignored = worker.is(Plant::IgnoreDeadline) || worker.is(Plant::KeepActing);
    if !valid && worker.is(Plant::KeepActing) {
        *claim = None;
    }
    if valid || ignored {
        *last = at;
    }
    valid || ignored
}

/// Whether the resource lets a write through.
async fn write(worker: &Worker, role: &Role, shard: u32, token: u64, way: &mut BufReader<UnixStream>) -> Result<bool> {
    let request = Request {
        by: worker.by.clone(),
        shard: (role.name().to_owned(), shard),
        token,
    };
    let mut line = serde_json::to_vec(&request)?;
    line.push(b'\n');
    way.write_all(&line).await.context("the resource is gone")?;
    let mut answer = String::new();
    way.read_line(&mut answer).await.context("the resource is gone")?;
    Ok(answer.trim_end() == ACCEPTED)
}
