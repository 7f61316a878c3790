//! Roles without a cluster, for the tests of servers: the test says which shards are held, and takes them away.
//!
//! Everything works under `#[tokio::test(start_paused = true)]`: no coordinator, no thread, no deadline, no time that
//! passes. Whole clusters in one process are made with [`Builder::memory`](crate::Builder::memory).
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! use shardwright::testing::TestRole;
//!
//! let purge = TestRole::new("purge.accounts", 4);
//! let role = purge.role(); // what the server is given
//! purge.grant([0, 2]);
//! let claim = role.claim_shard(2).expect("it is held");
//!
//! let work = tokio::spawn(async move { claim.run(std::future::pending::<()>()).await });
//! purge.revoke([2]).await; // returns when the work has ended
//! work.await.expect("no panic").expect_err("the shard was lost");
//! assert_eq!(role.shards().collect::<Vec<_>>(), [0]);
//! # }
//! ```

use crate::event::{CAPACITY, NodeEvent};
use crate::fence::Fence;
use crate::role::Role;
use crate::table::Table;
use shardwright_core::id::Token;
use shardwright_core::role::{Mode, Placement, Replicas, RoleSpec};
use shardwright_core::time::Instant;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::broadcast;

/// A deadline that does not come.
const NEVER: Instant = Instant(u64::MAX);

/// A role of which a test is the cluster. Dropping it is the end of the node.
#[derive(Debug)]
pub struct TestRole {
    table: Arc<Table>,
    /// The last token that was given.
    token: AtomicU64,
}

impl TestRole {
    /// The role called `name`, of so many shards. None of them is held.
    #[must_use]
    pub fn new(name: &str, shards: u32) -> Self {
        Self::of(RoleSpec {
            name: name.to_owned(),
            shards,
            replicas: Replicas::Count(1),
            mode: Mode::Primary,
            policy: "balanced".to_owned(),
            config: "{}".to_owned(),
            placement: Placement::Anywhere,
        })
    }

    /// The role of this description.
    #[must_use]
    pub fn of(spec: RoleSpec) -> Self {
        let fence = Arc::new(Fence::default());
        fence.set(Some(NEVER));
        Self {
            table: Arc::new(Table::new(spec, fence, broadcast::Sender::new(CAPACITY))),
            token: AtomicU64::new(0),
        }
    }

    /// What the server is given.
    #[must_use]
    pub fn role(&self) -> Role {
        Role::new(self.table.clone())
    }

    /// These shards are held from now on, each under a token greater than all before.
    ///
    /// # Panics
    /// If one of them is held already, or is none of the role's.
    pub fn grant(&self, shards: impl IntoIterator<Item = u32>) {
        let held: Vec<_> = shards
            .into_iter()
            .map(|shard| {
                assert!(shard < self.table.spec.shards, "there is no shard {shard}");
                assert_eq!(self.table.token(shard), None, "shard {shard} is held already");
                (shard, Token(self.token.fetch_add(1, Ordering::Relaxed) + 1))
            })
            .collect();
        self.table.grant(&held);
        let (shards, tokens) = held.into_iter().unzip();
        self.tell(NodeEvent::Gained {
            role: self.table.spec.name.clone(),
            shards,
            tokens,
            epoch: self.token.load(Ordering::Relaxed),
            since: Duration::ZERO,
            deadline: Duration::from_millis(NEVER.0),
        });
    }

    /// These shards are not held any more: their claims are cancelled at once, and waited for, for ever if need be.
    /// Dropping the future takes nothing back. Who wants to see what a claim does meanwhile polls it beside this.
    ///
    /// # Panics
    /// If one of them is not held.
    pub async fn revoke(&self, shards: impl IntoIterator<Item = u32>) {
        let (shards, tokens): (Vec<_>, Vec<_>) = shards
            .into_iter()
            .map(|shard| (shard, self.table.token(shard).expect("a shard that is held")))
            .unzip();
        let role = &self.table.spec.name;
        let grants = self.table.revoke(&shards);
        self.tell(NodeEvent::Losing {
            role: role.clone(),
            shards: shards.clone(),
            tokens: tokens.clone(),
            until: Duration::ZERO,
        });
        for grant in grants {
            grant.closed().await;
        }
        self.tell(NodeEvent::Lost {
            role: role.clone(),
            shards,
            tokens,
            overdue: false,
        });
    }

    /// The node is past its deadline: nothing is held, and claims are cancelled, until it [resumes](Self::resume).
    pub fn fence(&self) {
        self.table.fence.set(None);
        self.table.cancel_all();
        self.tell(NodeEvent::Fenced {
            deadline: Duration::ZERO,
        });
    }

    /// Its session was renewed after all: what was held is held again, under the same tokens.
    pub fn resume(&self) {
        self.table.fence.set(Some(NEVER));
        self.tell(NodeEvent::Resumed {
            deadline: Duration::from_millis(NEVER.0),
        });
    }

    fn tell(&self, event: NodeEvent) {
        // Nobody may be listening.
        let _ = self.table.events.send(event);
    }
}

impl Drop for TestRole {
    fn drop(&mut self) {
        self.table.fence.close();
        self.table.cancel_all();
        self.tell(NodeEvent::Ended { reason: None });
    }
}

#[cfg(test)]
mod test;
