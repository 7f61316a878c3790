//! What this node holds of one role: a token for each shard, and the work that is claimed under it.
//!
//! Writers are the driver (grants, revocations) and the fence's watchdog (cancellation); readers are the server's
//! threads. The one race that matters is a claim made while its shard is revoked. Revoking clears the token *first* and
//! takes the list of claims *then*, under a lock; claiming reads the token under the same lock. So a claim either finds
//! the token gone, or is in the list and is cancelled and waited for.

use crate::claim::Claim;
use crate::event::NodeEvent;
use crate::fence::Fence;
use shardwright_core::id::{NodeId, Token};
use shardwright_core::plan::{PART_SHARDS, PlanPart, parts};
use shardwright_core::role::{Mode, RoleSpec};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use tokio::sync::{broadcast, watch};

/// One role as this node holds it.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) spec: RoleSpec,
    pub(crate) fence: Arc<Fence>,
    /// For each shard the token under which it may be acted on; 0: not at all.
    tokens: Box<[AtomicU64]>,
    /// Sent with every grant.
    granted: watch::Sender<()>,
    /// The shards on which work is claimed.
    grants: Mutex<HashMap<u32, Grant>>,
    /// Where what becomes of it is told.
    pub(crate) events: broadcast::Sender<NodeEvent>,
    /// The newest plan of each part.
    plans: RwLock<Box<[Option<Arc<PlanPart>>]>>,
}

/// The work on one shard. Each claim holds a receiver, so the channel is closed once all of them are dropped; `true`
/// means lost.
pub(crate) type Grant = Arc<watch::Sender<bool>>;

impl Table {
    pub(crate) fn new(spec: RoleSpec, fence: Arc<Fence>, events: broadcast::Sender<NodeEvent>) -> Self {
        let tokens = (0..spec.shards).map(|_| AtomicU64::new(0)).collect();
        let plans = RwLock::new(vec![None; parts(spec.shards) as usize].into());
        Self {
            spec,
            fence,
            tokens,
            granted: watch::Sender::new(()),
            grants: Mutex::default(),
            events,
            plans,
        }
    }

    // Each change of the map is one call: a poisoned lock guards a sound map.
    fn grants(&self) -> MutexGuard<'_, HashMap<u32, Grant>> {
        self.grants.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether `shard` may be acted on as far as this node knows. Two atomic loads.
    #[inline]
    pub(crate) fn owns(&self, shard: u32) -> bool {
        self.fence.is_live() && self.raw_token(shard) != 0
    }

    #[inline]
    fn raw_token(&self, shard: u32) -> u64 {
        self.tokens
            .get(shard as usize)
            .map_or(0, |token| token.load(Ordering::Acquire))
    }

    /// The token under which `shard` is held, whether or not the deadline has passed.
    pub(crate) fn token(&self, shard: u32) -> Option<Token> {
        Some(self.raw_token(shard)).filter(|&token| token != 0).map(Token)
    }

    /// The shards held now.
    pub(crate) fn held(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.spec.shards).filter(|&shard| self.owns(shard))
    }

    /// The shards that are not given back yet, whether or not they may be acted on.
    pub(crate) fn remaining(&self) -> Vec<u32> {
        (0..self.spec.shards)
            .filter(|&shard| self.raw_token(shard) != 0)
            .collect()
    }

    /// These shards are held from now on.
    pub(crate) fn grant(&self, shards: &[(u32, Token)]) {
        for &(shard, token) in shards {
            if let Some(slot) = self.tokens.get(shard as usize) {
                slot.store(token.0, Ordering::Release);
            }
        }
        self.granted.send_replace(());
    }

    /// Changes with every grant.
    pub(crate) fn granted(&self) -> watch::Receiver<()> {
        self.granted.subscribe()
    }

    /// These shards are not held any more: their claims are cancelled, and returned to be waited for.
    pub(crate) fn revoke(&self, shards: &[u32]) -> Vec<Grant> {
        for &shard in shards {
            if let Some(slot) = self.tokens.get(shard as usize) {
                slot.store(0, Ordering::Release);
            }
        }
        let mut grants = self.grants();
        let revoked: Vec<_> = shards.iter().filter_map(|shard| grants.remove(shard)).collect();
        drop(grants);
        for grant in &revoked {
            grant.send_replace(true);
        }
        revoked
    }

    /// Cancels all claims; they stay listed, for the revocation that follows must wait for them.
    pub(crate) fn cancel_all(&self) {
        for grant in self.grants().values() {
            grant.send_replace(true);
        }
    }

    /// A claim on `shard`, if it may be acted on at this very moment.
    pub(crate) fn claim(self: &Arc<Self>, shard: u32) -> Option<Claim> {
        if !self.owns(shard) {
            return None;
        }
        let mut grants = self.grants();
        let token = self.token(shard).filter(|_| self.fence.permits())?;
        let grant = match grants.get(&shard) {
            Some(grant) if !*grant.borrow() => grant.clone(),
            // Cancelled at the deadline, and its work has not ended yet.
            Some(grant) if !grant.is_closed() => return None,
            _ => {
                let grant = Grant::new(watch::Sender::new(false));
                grants.insert(shard, grant.clone());
                grant
            }
        };
        Some(Claim::new(self.clone(), shard, token, grant))
    }

    /// Forgets the grant of a claim that is being dropped, if it was the last one.
    pub(crate) fn release(&self, shard: u32, grant: &Grant) {
        let mut grants = self.grants();
        if grants.get(&shard).is_some_and(|listed| Arc::ptr_eq(listed, grant)) && grant.receiver_count() == 1 {
            grants.remove(&shard);
        }
    }

    /// Remembers the newest plan of a part.
    pub(crate) fn learn(&self, part: u32, plan: Arc<PlanPart>) {
        let mut plans = self.plans.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = plans.get_mut(part as usize) {
            *slot = Some(plan);
        }
    }

    fn plan<T>(&self, shard: u32, read: impl FnOnce(&PlanPart, usize) -> T) -> Option<T> {
        let plans = self.plans.read().unwrap_or_else(PoisonError::into_inner);
        let plan = plans.get((shard / PART_SHARDS) as usize)?.as_deref()?;
        Some(read(plan, (shard % PART_SHARDS) as usize))
    }

    /// Who acts on `shard` by the newest plan read; where all owners act, the first of them.
    pub(crate) fn primary(&self, shard: u32) -> Option<NodeId> {
        self.plan(shard, |plan, at| match self.spec.mode {
            Mode::Primary => plan.holder(at).map(|(node, _)| node),
            Mode::All => plan.row(at).first().copied().and_then(NodeId::new),
        })?
    }

    /// Who should own `shard` by the newest plan read, primary first.
    pub(crate) fn owners(&self, shard: u32) -> Vec<NodeId> {
        self.plan(shard, |plan, at| {
            plan.row(at).iter().copied().filter_map(NodeId::new).collect()
        })
        .unwrap_or_default()
    }
}

#[cfg(test)]
mod test;
