//! Subscriptions: each a lane of its own, whose deliveries a task moves into a bounded queue. When the lane ends,
//! another one is opened in its place, and a gap stands where messages may be missing. When the task itself fails, it
//! begins anew in the same way.

use super::fault::{LaneFault, caught};
use super::pool::{LaneGuard, Pool};
use super::refusal::{Refusal, lost};
use super::translate;
use super::world::exports::shardwright::coordinator::bus as wit;
use shardwright_coordinator::broker::Backoff;
use shardwright_coordinator::limits::{check_sent, check_topic};
use shardwright_coordinator::queue::Subscribers;
use shardwright_coordinator::{BusError, Subscription};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;

/// The most deliveries that are taken at once.
const BATCH: u32 = 512;
/// How long the adapter waits for a delivery.
const TURN: Duration = Duration::from_secs(1);
/// How much longer its call may take.
const GRACE: Duration = Duration::from_secs(4);
/// A subscription that lasted for so long was a good one.
const LASTING: Duration = Duration::from_secs(10);
/// The most calls in a row that return nothing, and too early.
const HASTY: u32 = 100;

/// Begins to receive `topics`.
pub(super) async fn subscribe(pool: &Arc<Pool>, topics: &[&str]) -> Result<Box<dyn Subscription>, BusError> {
    let (heard, begun) = tokio::sync::oneshot::channel();
    let mut subscribers = Subscribers::default();
    let subscription = subscribers.add(topics);
    let ear = Subscriber {
        topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
        subscribers,
        heard: Some(heard),
        backoff: Backoff::default(),
    };
    tokio::spawn(ear.run(pool.clone()));
    match begun.await {
        Ok(Ok(())) => Ok(Box::new(subscription)),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(BusError::Closed),
    }
}

struct Subscriber {
    topics: Vec<String>,
    /// The one that this ear is for, until it is gone.
    subscribers: Subscribers,
    /// Told when it listens for the first time, or does not.
    heard: Option<Begun>,
    backoff: Backoff,
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        // Whatever ended this task, nobody waits for ever.
        self.close(BusError::Closed);
    }
}

type Begun = tokio::sync::oneshot::Sender<Result<(), BusError>>;

impl Subscriber {
    async fn run(mut self, pool: Arc<Pool>) {
        let mut closed = pool.closed.subscribe();
        tokio::select! {
            biased;
            _ = closed.wait_for(|closed| *closed) => {}
            () = self.persist(&pool) => return,
        }
        self.close(BusError::Closed);
    }

    /// Works until there is nothing more to do; when it panics, it begins anew.
    async fn persist(&mut self, pool: &Pool) {
        while let Err(why) = caught(self.work(pool)).await {
            tracing::error!(
                why,
                "a subscription failed by a mistake of the host, and is begun again"
            );
            tokio::time::sleep(self.backoff.next_wait()).await;
        }
    }

    async fn work(&mut self, pool: &Pool) {
        loop {
            if let Err(why) = pool.belief.begin() {
                return self.close(BusError::Unavailable(lost(&why)));
            }
            match self.listen(pool).await {
                Ok(held) => {
                    match self.heard.take() {
                        Some(heard) => {
                            // If nobody waits for it any more, the queue has no subscriber either.
                            let _ = heard.send(Ok(()));
                        }
                        None => self.subscribers.each(|queue| queue.lose(0)),
                    }
                    let began = Instant::now();
                    if let Err(error) = self.follow(pool, held).await {
                        return self.close(error);
                    }
                    // One that breaks off at once is begun again later and later.
                    if began.elapsed() >= LASTING {
                        self.backoff.reset();
                    }
                }
                Err(refusal) => {
                    if let Some(heard) = self.heard.take() {
                        let _ = heard.send(Err(refusal));
                        return;
                    }
                }
            }
            if !self.subscribers.any() {
                return;
            }
            tokio::time::sleep(self.backoff.next_wait()).await;
        }
    }

    fn close(&mut self, error: BusError) {
        self.subscribers.each(|queue| queue.close(error.clone()));
    }

    /// A lane that listens.
    async fn listen<'p>(&self, pool: &'p Pool) -> Result<LaneGuard<'p>, BusError> {
        let deadline = pool.deadline();
        let mut held = pool.enter(&pool.listen, 0, deadline).await.map_err(Refusal::bus)?;
        match held.lane.subscribe(&self.topics, deadline).await {
            Ok(Ok(())) => Ok(held),
            Ok(Err(error)) => Err(translate::bus_error(error, &pool.shared.mask)),
            Err(fault) => Err(BusError::Unavailable(held.fail(&fault))),
        }
    }

    /// Moves deliveries until the lane ends, or the subscription, or the component is another; an error is the end of
    /// the subscription.
    async fn follow(&mut self, pool: &Pool, mut held: LaneGuard<'_>) -> Result<(), BusError> {
        let mut hasty = 0;
        loop {
            if !self.subscribers.any() || pool.present().number != held.number || pool.is_over() {
                return Ok(());
            }
            let began = Instant::now();
            let turn = u32::try_from(TURN.as_millis()).unwrap_or(u32::MAX);
            let fault = match held.lane.next(BATCH, turn, began + TURN + GRACE).await {
                Ok(Ok(batch)) if batch.is_empty() => {
                    hasty = if began.elapsed() < TURN / 2 { hasty + 1 } else { 0 };
                    if hasty <= HASTY {
                        continue;
                    }
                    LaneFault::Lied("`next` returns again and again without a delivery and without waiting".into())
                }
                Ok(Ok(batch)) => {
                    hasty = 0;
                    match self.deliver(pool, batch) {
                        Ok(()) => {
                            pool.answered();
                            // Whoever has much to say must not keep others from it.
                            tokio::task::yield_now().await;
                            continue;
                        }
                        Err(why) => LaneFault::Lied(why),
                    }
                }
                Ok(Err(error)) => {
                    let error = translate::bus_error(error, &pool.shared.mask);
                    tracing::debug!(%error, "a subscription is begun again");
                    return match error {
                        BusError::Denied(_) => Err(error),
                        _ => Ok(()),
                    };
                }
                Err(LaneFault::Silent { .. }) => LaneFault::Lied(format!(
                    "`next` did not return within {GRACE:?} after its time was over"
                )),
                Err(fault) => fault,
            };
            held.fail(&fault);
            return Ok(());
        }
    }

    fn deliver(&mut self, pool: &Pool, batch: Vec<wit::Delivery>) -> Result<(), String> {
        if batch.len() > BATCH as usize {
            return Err(format!(
                "`next` returned {} deliveries and may return {BATCH}",
                batch.len()
            ));
        }
        for delivery in batch {
            match delivery {
                wit::Delivery::Message(wit::Message { topic, payload }) => {
                    if !self.topics.is_empty() && !self.topics.contains(&topic) {
                        return Err(format!(
                            "a message came to {:?}, which was not subscribed to",
                            pool.shared.mask.beginning(&topic)
                        ));
                    }
                    check_topic(&topic).map_err(|error| format!("a message has no proper topic: {error}"))?;
                    check_sent(payload.len()).map_err(|error| error.to_string())?;
                    let payload = payload.into();
                    self.subscribers.each(|queue| queue.enter(&topic, &payload));
                    pool.counters.received.fetch_add(1, Ordering::Relaxed);
                }
                wit::Delivery::Gap(lost) => self.subscribers.each(|queue| queue.lose(lost)),
            }
        }
        self.subscribers.each(|queue| queue.wake());
        Ok(())
    }
}
