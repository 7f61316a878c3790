//! The right to work on a shard, and its end.

use crate::table::{Grant, Table};
use shardwright_core::id::Token;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use tokio::sync::watch;

/// The right to work on one shard, from [`Role::claim`](crate::Role::claim) until ownership is lost.
///
/// Hold it for as long as the work lasts: **a claim that is dropped says that its work has ended**, and a shard is
/// handed to the next owner only when all its claims are dropped, or `stop-timeout` after they were cancelled,
/// whichever comes first.
///
/// What is guaranteed, and what is not:
/// - While [`Claim::is_valid`] is true, no other node has a valid claim on the shard (in `mode = "primary"`).
/// - It turns false as soon as a plan that takes the shard away has been read, and at the latest at the session's
///   deadline; this does not depend on tokio or on the driver.
/// - A process can be stopped between asking and acting: one instruction, or for a minute. Nothing inside a process can
///   prevent that. So give [`Claim::token`] to the resource you act on, and let it refuse a token lower than the
///   highest it has seen.
#[must_use = "dropping a claim says that the work has ended"]
pub struct Claim {
    table: Arc<Table>,
    shard: u32,
    token: Token,
    grant: Grant,
    lost: watch::Receiver<bool>,
}

/// Ownership of a shard was lost while work was going on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this node lost shard {shard} of role {role} (token {token})")]
#[non_exhaustive]
pub struct Lost {
    /// The role.
    pub role: String,
    /// The shard.
    pub shard: u32,
    /// The token that is worth nothing any more.
    pub token: Token,
}

impl Claim {
    pub(crate) fn new(table: Arc<Table>, shard: u32, token: Token, grant: Grant) -> Self {
        let lost = grant.subscribe();
        Self {
            table,
            shard,
            token,
            grant,
            lost,
        }
    }

    /// The role's name.
    #[must_use]
    pub fn role(&self) -> &str {
        &self.table.spec.name
    }

    /// The shard.
    #[must_use]
    pub fn shard(&self) -> u32 {
        self.shard
    }

    /// The fencing token: greater than that of every earlier owner of the shard.
    #[must_use]
    pub fn token(&self) -> Token {
        self.token
    }

    /// Whether the work may go on at this very moment. Reads the clock: about 50 ns.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        !*self.lost.borrow() && self.table.fence.permits()
    }

    /// Waits until ownership is lost. Cancel-safe.
    pub async fn cancelled(&self) {
        let mut lost = self.lost.clone();
        // An error would mean that the sender is gone, and this claim holds it.
        let _ = lost.wait_for(|lost| *lost).await;
    }

    /// Runs `work` until it is done or ownership is lost; then it is dropped where it stands, and takes no further
    /// step.
    ///
    /// # Errors
    /// [`Lost`], when ownership was lost first. What the work had done until then stays done.
    pub async fn run<F: Future>(&self, work: F) -> Result<F::Output, Lost> {
        let mut work = pin!(work);
        let mut cancelled = pin!(self.cancelled());
        std::future::poll_fn(|context| {
            // The clock as well: after a pause of the whole process, the work may be polled before the watchdog runs.
            if cancelled.as_mut().poll(context).is_ready() || !self.is_valid() {
                return Poll::Ready(Err(self.lost()));
            }
            work.as_mut().poll(context).map(Ok)
        })
        .await
    }

    fn lost(&self) -> Lost {
        Lost {
            role: self.table.spec.name.clone(),
            shard: self.shard,
            token: self.token,
        }
    }
}

/// Another claim on the same shard under the same token: the shard is handed on when all of them are dropped.
impl Clone for Claim {
    fn clone(&self) -> Self {
        Self {
            table: self.table.clone(),
            shard: self.shard,
            token: self.token,
            grant: self.grant.clone(),
            lost: self.lost.clone(),
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.table.release(self.shard, &self.grant);
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            table, shard, token, ..
        } = self;
        write!(f, "claim on shard {shard} of {} under token {token}", table.spec.name)
    }
}
