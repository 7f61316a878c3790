//! What the server asks about one role.

use crate::claim::Claim;
use crate::owned;
use crate::stream::EventStream;
use crate::table::Table;
use shardwright_core::id::{NodeId, Token};
use shardwright_core::role::RoleSpec;
use shardwright_core::shard::{ShardKey, shard_of};
use std::fmt;
use std::sync::Arc;

/// A role of this node: from [`Node::role`](crate::Node::role). Cheap to clone; answers for as long as it lives, with
/// "not mine" after the node has ended.
///
/// A key's shard is `key % shards` for `u64` and `u32`, and for `i64` and `i32` by their two's complement of 64 bits,
/// so that a database's signed ids map as unsigned ones do; it is `xxh3_64(bytes) % shards` (seed 0) for text and
/// bytes. This never changes.
#[derive(Clone)]
pub struct Role(Arc<Table>);

/// The configuration has no such role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no role {name:?} on this node; there are: {}. Add it under [cluster.roles]",
    if known.is_empty() { "none".to_owned() } else { known.join(", ") }
)]
#[non_exhaustive]
pub struct UnknownRole {
    /// The name asked for.
    pub name: String,
    /// The roles that there are.
    pub known: Vec<String>,
}

impl Role {
    pub(crate) fn new(table: Arc<Table>) -> Self {
        Self(table)
    }

    /// The role's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.spec.name
    }

    /// The role as configured.
    #[must_use]
    pub fn spec(&self) -> &RoleSpec {
        &self.0.spec
    }

    /// What happens to this role from now on: shards gained and lost, plans, its policy; and whatever this reader
    /// missed, and the node's end.
    pub fn events(&self) -> EventStream {
        EventStream::new(self.0.events.subscribe(), Some(self.name().to_owned()))
    }

    /// The shard to which `key` belongs.
    #[inline]
    #[must_use]
    pub fn shard_of(&self, key: impl ShardKey) -> u32 {
        shard_of(&key, self.0.spec.shards)
    }

    /// Whether the shard of `key` is this node's to act on.
    ///
    /// Wait-free, a few nanoseconds: two atomic loads and no clock. It is exact while the process runs; after the
    /// process or the machine was stopped and continued it may say yes for the moment (at most 250 ms after a
    /// suspend) until the watchdog has run. Good for choosing what to do; for doing it, [claim](Role::claim) the
    /// key.
    #[inline]
    #[must_use]
    pub fn owns(&self, key: impl ShardKey) -> bool {
        self.0.owns(self.shard_of(key))
    }

    /// As [`Role::owns`], of a shard.
    #[inline]
    #[must_use]
    pub fn owns_shard(&self, shard: u32) -> bool {
        self.0.owns(shard)
    }

    /// The right to work on the shard of `key`, if it is this node's at this very moment. Any number of claims on a
    /// shard may coexist here.
    ///
    /// ```
    /// # async fn mail(_account: i64, _token: shardwright::Token) {}
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), shardwright::Lost> {
    /// # let test = shardwright::testing::TestRole::new("digest", 4);
    /// # test.grant([3]);
    /// # let role = test.role();
    /// for account in [4711_i64, 4712, 4713] {
    ///     if let Some(claim) = role.claim(account) {
    ///         claim.run(mail(account, claim.token())).await?;
    ///     }
    /// }
    /// # assert!(role.claim(4711).is_some() && role.claim(4712).is_none());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// `None` also while work that was cancelled at a deadline has not ended yet.
    #[must_use]
    pub fn claim(&self, key: impl ShardKey) -> Option<Claim> {
        self.claim_shard(self.shard_of(key))
    }

    /// As [`Role::claim`], of a shard.
    #[must_use]
    pub fn claim_shard(&self, shard: u32) -> Option<Claim> {
        self.0.claim(shard)
    }

    /// Does `work` for each shard that is this node's: a task for each, begun when the shard is gained, dropped where
    /// it stands when it is lost, and waited for by the handoff, up to `stop-timeout`. Returns when the node has ended;
    /// dropping the future ends all tasks.
    ///
    /// - `work` is called with a [`Claim`] on the shard: give its token to whatever the work touches.
    /// - Work that must end in good order does so in a task of its own, which holds a clone of the claim and waits
    ///   for [`Claim::cancelled`]: the shard is handed on when the last clone is dropped. So does what cannot be
    ///   dropped, in `spawn_blocking` for instance.
    /// - Work that returns is done: it is called again when the shard is gained anew.
    /// - Work that panics is logged and called again after a second, for as long as the shard is held; after twice as
    ///   long each time that it does so again, up to a minute.
    /// - A node that is fenced and resumes begins anew.
    ///
    /// ```no_run
    /// # async fn serve(node: shardwright::Node) -> Result<(), Box<dyn std::error::Error>> {
    /// use tokio::signal::unix::{SignalKind, signal};
    ///
    /// let role = node.role("purge.accounts")?;
    /// let working = tokio::spawn(role.run_owned(|claim| async move {
    ///     loop {
    ///         purge(claim.shard(), claim.token()).await;
    ///         tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    ///     }
    /// }));
    /// let mut terminate = signal(SignalKind::terminate())?;
    /// tokio::select! {
    ///     _ = terminate.recv() => {}
    ///     reason = node.ended() => eprintln!("the node has ended: {reason}"),
    /// }
    /// // The work of every shard ends, and the others take over at once; then `run_owned` returns.
    /// node.shutdown().await;
    /// working.await?;
    /// # Ok(())
    /// # }
    /// # async fn purge(_: u32, _: shardwright::Token) {}
    /// ```
    pub fn run_owned<F, W>(&self, work: F) -> impl Future<Output = ()> + Send + use<F, W>
    where
        F: Fn(Claim) -> W + Send + Sync + 'static,
        W: Future<Output = ()> + Send + 'static,
    {
        owned::run(self.0.clone(), Arc::new(work))
    }

    /// The fencing token under which this node holds `shard`.
    #[must_use]
    pub fn token(&self, shard: u32) -> Option<Token> {
        self.0.token(shard).filter(|_| self.0.owns(shard))
    }

    /// The shards that are this node's to act on, in order.
    pub fn shards(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.held()
    }

    /// The node that acts on `shard`, as far as this node has read; where all owners act, the first of them.
    #[must_use]
    pub fn primary(&self, shard: u32) -> Option<NodeId> {
        self.0.primary(shard)
    }

    /// The nodes that should own `shard` by the plan, primary first. While one of them is away, another acts in its
    /// place: [`Role::primary`] says who.
    #[must_use]
    pub fn owners(&self, shard: u32) -> Vec<NodeId> {
        self.0.owners(shard)
    }
}

impl fmt::Debug for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "role {} of {} shards", self.name(), self.0.spec.shards)
    }
}
