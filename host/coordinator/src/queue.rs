//! One subscriber's bounded queue: a publisher never waits, and a loss leaves a gap exactly where it happened.

use crate::contract::{BusError, Delivery, Subscription};
use crate::limits::{SUBSCRIBER_QUEUE, SUBSCRIBER_QUEUE_BYTES};
use async_trait::async_trait;
use bytes::Bytes;
use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::sync::Notify;

/// Both ends of a queue share this. For backends: what has come from a server waits here until the subscriber takes it.
pub struct Queue {
    /// None means all.
    topics: HashSet<String>,
    waiting: Mutex<Waiting>,
    news: Notify,
}

#[derive(Default)]
struct Waiting {
    deliveries: VecDeque<Delivery>,
    bytes: usize,
    /// Set when nothing will follow.
    over: Option<BusError>,
}

impl Waiting {
    /// Appends a gap, or widens the one at the end. An unknown loss makes the sum unknown.
    fn lose(&mut self, count: u64) {
        if let Some(Delivery::Gap { lost }) = self.deliveries.back_mut() {
            *lost = if *lost == 0 || count == 0 {
                0
            } else {
                lost.saturating_add(count)
            };
        } else {
            self.deliveries.push_back(Delivery::Gap { lost: count });
        }
    }
}

opaque!(Queue, Subscribers, QueueSubscription);

impl Queue {
    fn new(topics: &[&str]) -> Arc<Self> {
        Arc::new(Self {
            topics: topics.iter().map(|t| (*t).to_owned()).collect(),
            waiting: Mutex::default(),
            news: Notify::new(),
        })
    }

    // A panic between two statements under this lock leaves at worst one delivery too few: poison is no reason to stop.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Delivers a message if its topic was asked for; a full queue turns it into a gap.
    pub fn push(&self, topic: &str, payload: &Bytes) {
        self.enter(topic, payload);
        self.wake();
    }

    /// As [`Queue::push`], but the subscriber sleeps on until [`Queue::wake`]: to wake it once for many messages.
    pub fn enter(&self, topic: &str, payload: &Bytes) {
        if !self.topics.is_empty() && !self.topics.contains(topic) {
            return;
        }
        let mut waiting = self.lock();
        let full =
            waiting.deliveries.len() >= SUBSCRIBER_QUEUE || waiting.bytes + payload.len() > SUBSCRIBER_QUEUE_BYTES;
        if full {
            waiting.lose(1);
        } else {
            waiting.bytes += payload.len();
            waiting.deliveries.push_back(Delivery::Message {
                topic: topic.to_owned(),
                payload: payload.clone(),
            });
        }
    }

    /// Wakes the subscriber, for nothing if nothing came.
    pub fn wake(&self) {
        self.news.notify_one();
    }

    /// Says that `count` messages (0: unknown) were lost here.
    pub fn lose(&self, count: u64) {
        self.lock().lose(count);
        self.news.notify_one();
    }

    /// Ends the subscription once what waits has been taken.
    pub fn close(&self, reason: BusError) {
        self.lock().over.get_or_insert(reason);
        self.news.notify_one();
    }
}

/// The subscribers of one bus. One that was dropped leaves by itself.
#[derive(Default)]
pub struct Subscribers(Vec<Weak<Queue>>);

impl Subscribers {
    /// Enters a subscriber of `topics`.
    pub fn add(&mut self, topics: &[&str]) -> QueueSubscription {
        let queue = Queue::new(topics);
        self.0.push(Arc::downgrade(&queue));
        QueueSubscription(queue)
    }

    /// Whether there is any.
    pub fn any(&mut self) -> bool {
        self.each(|_| {});
        !self.0.is_empty()
    }

    /// Calls `f` for every subscriber that is still there.
    pub fn each(&mut self, f: impl Fn(&Queue)) {
        self.0.retain(|queue| {
            queue.upgrade().is_some_and(|queue| {
                f(&queue);
                true
            })
        });
    }
}

/// The subscriber's end.
pub struct QueueSubscription(Arc<Queue>);

#[async_trait]
impl Subscription for QueueSubscription {
    async fn next(&mut self, max: usize) -> Result<Vec<Delivery>, BusError> {
        loop {
            {
                let mut waiting = self.0.lock();
                if !waiting.deliveries.is_empty() {
                    let count = max.clamp(1, waiting.deliveries.len());
                    let batch: Vec<_> = waiting.deliveries.drain(..count).collect();
                    waiting.bytes -= batch.iter().map(size).sum::<usize>();
                    return Ok(batch);
                }
                if let Some(reason) = &waiting.over {
                    return Err(reason.clone());
                }
            }
            self.0.news.notified().await;
        }
    }
}

fn size(delivery: &Delivery) -> usize {
    match delivery {
        Delivery::Message { payload, .. } => payload.len(),
        Delivery::Gap { .. } => 0,
    }
}

#[cfg(test)]
mod test {
    use super::*;

    #[tokio::test]
    async fn a_gap_stands_where_messages_are_missing() {
        let mut subscribers = Subscribers::default();
        let mut subscription = subscribers.add(&["t"]);
        let payload = Bytes::from_static(b"x");
        for _ in 0..SUBSCRIBER_QUEUE + 5 {
            subscribers.each(|q| q.push("t", &payload));
        }
        let first = subscription.next(10).await.expect("a batch");
        assert_eq!(first.len(), 10);
        subscribers.each(|q| q.push("t", &payload));
        let rest = subscription.next(usize::MAX).await.expect("the rest");
        assert_eq!(rest.len(), SUBSCRIBER_QUEUE - 10 + 2);
        assert_eq!(rest[SUBSCRIBER_QUEUE - 10], Delivery::Gap { lost: 5 });
        assert!(matches!(rest.last(), Some(Delivery::Message { .. })));
    }

    #[tokio::test]
    async fn large_messages_do_not_pile_up() {
        let mut subscribers = Subscribers::default();
        let mut subscription = subscribers.add(&["t"]);
        let payload = Bytes::from(vec![0; SUBSCRIBER_QUEUE_BYTES / 4]);
        for _ in 0..6 {
            subscribers.each(|q| q.push("t", &payload));
        }
        let all = subscription.next(usize::MAX).await.expect("a batch");
        assert_eq!((all.len(), &all[4]), (5, &Delivery::Gap { lost: 2 }));
    }

    #[test]
    fn who_is_gone_is_forgotten() {
        let mut subscribers = Subscribers::default();
        drop(subscribers.add(&["t"]));
        subscribers.each(|_| {});
        assert!(subscribers.0.is_empty());
    }
}
