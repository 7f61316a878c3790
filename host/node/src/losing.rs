//! Giving shards up: their claims are cancelled, their work ends or has its time, and then they are lost.

use crate::event::NodeEvent;
use crate::shared::Shared;
use crate::table::Grant;
use shardwright_core::id::Token;
use shardwright_core::time::Instant;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::task::JoinSet;
use tracing::Instrument;

/// What the embedder does before shards are given up: see [`Builder::on_losing`](crate::Builder::on_losing).
pub(crate) type LosingHook = Arc<dyn Fn(LosingShards) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// What the [losing hook](crate::Builder::on_losing) is told: shards of one role that this node is giving up.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LosingShards {
    /// The role.
    pub role: String,
    /// The shards.
    pub shards: Vec<u32>,
    /// The token under which each of them was held, worth nothing any more.
    pub tokens: Vec<Token>,
}

/// Shards of one role that are held no more, and the work that is still claimed on them.
pub(crate) struct Losing {
    pub(crate) shared: Arc<Shared>,
    pub(crate) role: String,
    pub(crate) shards: Vec<u32>,
    /// Under which the shards were held, in their order.
    pub(crate) tokens: Vec<Token>,
    pub(crate) grants: Vec<Grant>,
}

impl Losing {
    /// Tells that nothing may be done on them since `until`.
    pub(crate) fn begin(&self, until: Instant) {
        self.shared.emit(NodeEvent::Losing {
            role: self.role.clone(),
            shards: self.shards.clone(),
            tokens: self.tokens.clone(),
            until: Duration::from_millis(until.0),
        });
    }

    /// Waits for the end of the work, for as long as `limit`.
    pub(crate) async fn end(mut self, hook: Option<LosingHook>, limit: Duration) {
        let grants = std::mem::take(&mut self.grants);
        let losing = LosingShards {
            role: self.role.clone(),
            shards: self.shards.clone(),
            tokens: self.tokens.clone(),
        };
        let ending = wind_down(hook, losing, grants);
        let overdue = tokio::time::timeout(limit, ending).await.is_err();
        self.done(overdue);
    }

    /// Tells that their work has ended, or had its time.
    pub(crate) fn done(self, overdue: bool) {
        if overdue {
            self.shared.overdue.fetch_add(1, Ordering::Relaxed);
        }
        self.shared.holding.send_modify(|holding| *holding -= self.shards.len());
        self.shared.emit(NodeEvent::Lost {
            role: self.role,
            shards: self.shards,
            tokens: self.tokens,
            overdue,
        });
    }
}

/// The embedder's own end of the work, then that of the claims.
async fn wind_down(hook: Option<LosingHook>, losing: LosingShards, grants: Vec<Grant>) {
    if let Some(hook) = hook {
        // A task of its own, ended with this one: a hook that panics must not keep the claims from being waited for.
        let mut task = JoinSet::new();
        task.spawn(async move { hook(losing).await }.in_current_span());
        if let Some(Err(error)) = task.join_next().await {
            tracing::error!(%error, "the losing hook failed");
        }
    }
    for grant in grants {
        grant.closed().await;
    }
}
