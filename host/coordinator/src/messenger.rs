//! Messages between nodes: numbered when sent, checked when received, and no loss goes unseen.

use crate::contract::{BusError, Coordinator, Delivery, Subscription};
use crate::envelope::{Envelope, EnvelopeError};
use crate::limits::Namespace;
use crate::recent::Recent;
use bytes::Bytes;
use shardwright_core::id::{NodeId, Token};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Mutex as AsyncMutex;

/// How many topics a [`Messenger`] counts apart, and how many senders and topics an [`Inbox`] does. Beyond that,
/// whoever was not heard of for longest is forgotten, and may cause a [`Resync`] too many when heard of again, never
/// one too few.
pub const REMEMBERED: usize = 1 << 16;

/// A node's voice and ear on the bus of its cluster.
pub struct Messenger {
    coordinator: Arc<dyn Coordinator>,
    namespace: Namespace,
    origin: NodeId,
    token: Token,
    sequences: Mutex<Sequences>,
    counters: Arc<Counters>,
}

/// The last number given, per topic.
struct Sequences {
    /// Each is held while publishing: numbers must arrive in the order in which they were given.
    counters: Recent<String, Arc<AsyncMutex<u64>>>,
    /// No topic that was forgotten was given a greater number: they go on from here, so that none is given again.
    floor: u64,
}

impl Sequences {
    fn of(&mut self, topic: &str) -> Arc<AsyncMutex<u64>> {
        if let Some(counter) = self.counters.get(topic) {
            return counter.clone();
        }
        let mut floor = self.floor;
        let idle = |counter: &mut Arc<AsyncMutex<u64>>| {
            let last = Arc::get_mut(counter).map(|counter| *counter.get_mut());
            floor = floor.max(last.unwrap_or(0));
            last.is_some()
        };
        let counter = Arc::new(AsyncMutex::new(self.floor));
        self.counters.insert(topic.to_owned(), counter.clone(), idle);
        // Those that go now are of other topics.
        self.floor = floor;
        counter
    }
}

/// Whether an [`Inbox`] also receives what its own [`Messenger`] publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own {
    /// It does.
    Receive,
    /// It does not.
    Skip,
}

/// What an [`Inbox`] yields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// A message.
    Message {
        /// Who sent it.
        origin: NodeId,
        /// To which topic.
        topic: String,
        /// What.
        body: Bytes,
    },
    /// Something was lost here: what was learned from messages so far may be out of date.
    Resync {
        /// How the loss was noticed.
        reason: Resync,
    },
}

/// So many messages; 0 if nobody can tell how many.
fn counted(lost: u64) -> String {
    match lost {
        0 => "messages, and cannot tell how many".to_owned(),
        1 => "a message".to_owned(),
        lost => format!("{lost} messages"),
    }
}

/// How a loss was noticed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Resync {
    /// The backend said so: this many messages, 0 if it cannot tell. Or it is not known whether some are missing,
    /// because the sender and topic were forgotten since ([`REMEMBERED`]).
    #[error("the bus lost {}", counted(*lost))]
    Gap {
        /// How many.
        lost: u64,
    },
    /// A sender's numbers have a hole.
    #[error("{lost} messages of {origin} to {topic} are missing")]
    Missing {
        /// The sender.
        origin: NodeId,
        /// The topic.
        topic: String,
        /// How many.
        lost: u64,
    },
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        #[derive(Default)]
        struct Counters { $($name: AtomicU64),* }

        /// What a [`Messenger`] and its inboxes have counted since it was made.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct MessengerStats { $($(#[$doc])* pub $name: u64),* }

        impl Counters {
            fn read(&self) -> MessengerStats {
                MessengerStats { $($name: self.$name.load(Ordering::Relaxed)),* }
            }
        }
    };
}

counters! {
    /// Messages handed to the bus.
    published,
    /// Messages taken from inboxes.
    delivered,
    /// Own messages that were skipped.
    own,
    /// Dropped: of another cluster.
    foreign,
    /// Dropped: of another release's envelope version.
    version,
    /// Dropped: no envelope, or one for another topic than it came by.
    malformed,
    /// Dropped: an earlier number or an earlier life of its sender than was seen already; a replay or a straggler.
    stale,
    /// Losses noticed, by the backend or by numbers.
    gaps,
}

impl Counters {
    fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

opaque!(Messenger, Inbox);

impl Messenger {
    /// The messenger of node `origin` in its life `token`, which must be greater in each later life of the same node.
    ///
    /// `coordinator` is open for `namespace`, and behind [`crate::protect`].
    #[must_use]
    pub fn new(coordinator: Arc<dyn Coordinator>, namespace: Namespace, origin: NodeId, token: Token) -> Self {
        Self {
            coordinator,
            namespace,
            origin,
            token,
            sequences: Mutex::new(Sequences {
                counters: Recent::new(REMEMBERED),
                floor: 0,
            }),
            counters: Arc::default(),
        }
    }

    /// Sends `body` to every present subscriber of `topic`.
    ///
    /// # Errors
    /// [`BusError`]; the message may or may not have been delivered. If it was not, receivers see that one is missing.
    pub async fn publish(&self, topic: &str, body: Bytes) -> Result<(), BusError> {
        let counter = self.sequences.lock().unwrap_or_else(PoisonError::into_inner).of(topic);
        let mut sequence = counter.lock().await;
        *sequence += 1;
        let (namespace, topic_name) = (self.namespace.clone(), topic.to_owned());
        let envelope = Envelope {
            namespace,
            origin: self.origin,
            token: self.token,
            sequence: *sequence,
            topic: topic_name,
            body,
        };
        self.coordinator.publish(topic, envelope.encode()).await?;
        Counters::add(&self.counters.published);
        Ok(())
    }

    /// Begins to receive `topics`. What is published after this returns is delivered, or reported as
    /// [`Incoming::Resync`].
    ///
    /// # Errors
    /// [`BusError`] if the backend cannot subscribe.
    pub async fn subscribe(&self, topics: &[&str], own: Own) -> Result<Inbox, BusError> {
        let subscription = self.coordinator.subscribe(topics).await?;
        let skip = (own == Own::Skip).then_some((self.origin, self.token));
        let judge = SequenceChecker {
            namespace: self.namespace.clone(),
            skip,
            seen: Recent::new(REMEMBERED),
            forgot: false,
            gaps: 0,
            counters: self.counters.clone(),
        };
        Ok(Inbox { subscription, judge })
    }

    /// What was counted so far.
    #[must_use]
    pub fn stats(&self) -> MessengerStats {
        self.counters.read()
    }
}

/// The receiving end of some topics.
pub struct Inbox {
    subscription: Box<dyn Subscription>,
    judge: SequenceChecker,
}

impl Inbox {
    /// Waits for news and returns it, in order. Cancel-safe. At most `max` deliveries are taken from the bus at once,
    /// and each is at most two news: a loss, and the message behind it.
    ///
    /// # Errors
    /// [`BusError`] when it is over for good: subscribe again, and resynchronise.
    pub async fn next(&mut self, max: usize) -> Result<Vec<Incoming>, BusError> {
        loop {
            let batch = self.subscription.next(max).await?;
            let mut news = Vec::with_capacity(batch.len());
            for delivery in batch {
                self.judge.take(delivery, &mut news);
            }
            if !news.is_empty() {
                return Ok(news);
            }
        }
    }
}

/// Decides what becomes of each delivery.
struct SequenceChecker {
    namespace: Namespace,
    /// The sender whose messages are not wanted: this node itself.
    skip: Option<(NodeId, Token)>,
    seen: Recent<(NodeId, String), Seen>,
    /// Whether some were forgotten: who seems new may have been heard of before.
    forgot: bool,
    /// How many gaps the backend has reported: a hole in the numbers across one of them is no further news.
    gaps: u64,
    counters: Arc<Counters>,
}

/// The newest message of one sender to one topic.
struct Seen {
    token: Token,
    sequence: u64,
    gaps: u64,
}

impl SequenceChecker {
    fn take(&mut self, delivery: Delivery, news: &mut Vec<Incoming>) {
        let (topic, payload) = match delivery {
            Delivery::Message { topic, payload } => (topic, payload),
            Delivery::Gap { lost } => {
                self.gaps += 1;
                Counters::add(&self.counters.gaps);
                news.push(Incoming::Resync {
                    reason: Resync::Gap { lost },
                });
                return;
            }
        };
        let envelope = match Envelope::decode(&payload) {
            Ok(envelope) if envelope.namespace != self.namespace => return Counters::add(&self.counters.foreign),
            Ok(envelope) if envelope.topic == topic => envelope,
            Err(EnvelopeError::Version(_)) => return Counters::add(&self.counters.version),
            Ok(_) | Err(EnvelopeError::Malformed) => return Counters::add(&self.counters.malformed),
        };
        let Envelope {
            origin,
            token,
            sequence,
            body,
            ..
        } = envelope;
        if self.skip == Some((origin, token)) {
            return Counters::add(&self.counters.own);
        }
        let now = Seen {
            token,
            sequence,
            gaps: self.gaps,
        };
        let key = (origin, topic);
        let lost = match self.seen.get(&key) {
            None if self.forgot && sequence > 1 => {
                Counters::add(&self.counters.gaps);
                news.push(Incoming::Resync {
                    reason: Resync::Gap { lost: 0 },
                });
                0
            }
            // The first that is heard of this sender: what came before it was before the subscription, or in a gap that
            // was reported.
            None => 0,
            Some(last) if (token, sequence) <= (last.token, last.sequence) => {
                return Counters::add(&self.counters.stale);
            }
            Some(last) if last.gaps != self.gaps => 0,
            Some(last) if token == last.token => sequence - last.sequence - 1,
            // A new life counts from 1 again.
            Some(_) => sequence.saturating_sub(1),
        };
        let (_, topic) = key.clone();
        self.seen.insert(key, now, |_| {
            self.forgot = true;
            true
        });
        if lost > 0 {
            Counters::add(&self.counters.gaps);
            news.push(Incoming::Resync {
                reason: Resync::Missing {
                    origin,
                    topic: topic.clone(),
                    lost,
                },
            });
        }
        Counters::add(&self.counters.delivered);
        news.push(Incoming::Message { origin, topic, body });
    }
}
