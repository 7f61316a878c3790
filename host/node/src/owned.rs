//! A task for each shard that is held: begun when it is gained, dropped when it is lost, waited for.

use crate::claim::Claim;
use crate::crew::said;
use crate::table::Table;
use futures_util::FutureExt;
use shardwright_core::id::Token;
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, sleep};
use tracing::Instrument;

/// The pause after the first panic of a shard's work; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause; and for how long work must go well for pauses to be short again.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How soon a shard is looked at again that is held and cannot be claimed: former work on it has not ended.
const AGAIN: Duration = Duration::from_millis(100);

/// The shards of one role that are worked on.
struct Working<F> {
    table: Arc<Table>,
    work: Arc<F>,
    /// Each ends with whether its work was done, under which token.
    tasks: JoinSet<Option<(u32, Token)>>,
    running: HashMap<u32, Id>,
    /// What is done, and not to be begun again under the same token.
    done: HashMap<u32, Token>,
}

/// Does `work` for each shard that is held, until the node has ended.
pub(crate) async fn run<F, W>(table: Arc<Table>, work: Arc<F>)
where
    F: Fn(Claim) -> W + Send + Sync + 'static,
    W: Future<Output = ()> + Send + 'static,
{
    // Before the first look: what changes after it is seen.
    let (mut granted, mut news) = (table.granted(), table.fence.news());
    let mut working = Working {
        table,
        work,
        tasks: JoinSet::new(),
        running: HashMap::new(),
        done: HashMap::new(),
    };
    while !*news.borrow_and_update() {
        let held_up = working.begin();
        tokio::select! {
            // The senders are in the table.
            _ = granted.changed() => {}
            _ = news.changed() => {}
            Some(ended) = working.tasks.join_next_with_id() => working.end(ended.map_or_else(
                |error| (error.id(), None),
                |(id, done)| (id, done),
            )),
            () = sleep(AGAIN), if held_up => {}
        }
    }
    // Their claims are cancelled; nothing of them is to go on when this returns.
    working.tasks.shutdown().await;
}

impl<F, W> Working<F>
where
    F: Fn(Claim) -> W + Send + Sync + 'static,
    W: Future<Output = ()> + Send + 'static,
{
    /// Begins on whatever is held and not worked on. Whether some of it cannot be claimed yet.
    fn begin(&mut self) -> bool {
        let mut held_up = false;
        for shard in self.table.held() {
            if self.running.contains_key(&shard) || self.done.get(&shard) == self.table.token(shard).as_ref() {
                continue;
            }
            let Some(claim) = self.table.claim(shard) else {
                held_up = true;
                continue;
            };
            self.done.remove(&shard);
            let task = self.tasks.spawn(attend(claim, self.work.clone()).in_current_span());
            self.running.insert(shard, task.id());
        }
        held_up
    }

    fn end(&mut self, (task, done): (Id, Option<(u32, Token)>)) {
        self.running.retain(|_, running| *running != task);
        self.done.extend(done);
    }
}

/// Works on one shard until that is done, or the shard lost.
async fn attend<F, W>(claim: Claim, work: Arc<F>) -> Option<(u32, Token)>
where
    F: Fn(Claim) -> W,
    W: Future<Output = ()>,
{
    let mut pause = FIRST_PAUSE;
    loop {
        let began = Instant::now();
        // What calls it may panic, too.
        let working = AssertUnwindSafe(async { work(claim.clone()).await }).catch_unwind();
        match claim.run(working).await {
            Err(_) => return None,
            Ok(Ok(())) => return Some((claim.shard(), claim.token())),
            Ok(Err(panic)) => {
                if began.elapsed() >= LONGEST_PAUSE {
                    pause = FIRST_PAUSE;
                }
                tracing::error!(
                    role = claim.role(),
                    shard = claim.shard(),
                    ?pause,
                    "the work on a shard panicked: {}; it begins again after a pause, unless the shard is lost",
                    said(&*panic)
                );
            }
        }
        claim.run(sleep(pause)).await.ok()?;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
