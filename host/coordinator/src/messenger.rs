//! Messages between nodes: numbered when sent, checked when received, and no loss goes unseen.

use crate::contract::{BusError, Coordinator, Delivery, Subscription};
use crate::envelope::{Envelope, EnvelopeError};
use crate::limits::Namespace;
use bytes::Bytes;
use shardwright_core::id::{NodeId, Token};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Mutex as AsyncMutex;

/// A node's voice and ear on the bus of its cluster.
pub struct Messenger {
    coordinator: Arc<dyn Coordinator>,
    namespace: Namespace,
    origin: NodeId,
    token: Token,
    /// The last number given, per topic. Held while publishing: numbers must arrive in the order in which they were given.
    sequences: Mutex<HashMap<String, Arc<AsyncMutex<u64>>>>,
    counters: Arc<Counters>,
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

/// How a loss was noticed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Resync {
    /// The backend said so: this many messages, 0 if it cannot tell.
    #[error("the bus lost messages ({lost}; 0: unknown number)")]
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
            sequences: Mutex::default(),
            counters: Arc::default(),
        }
    }

    /// Sends `body` to every present subscriber of `topic`.
    ///
    /// # Errors
    /// [`BusError`]; the message may or may not have been delivered. If it was not, receivers see that one is missing.
    pub async fn publish(&self, topic: &str, body: Bytes) -> Result<(), BusError> {
        let counter = {
            let mut sequences = self.sequences.lock().unwrap_or_else(PoisonError::into_inner);
            match sequences.get(topic) {
                Some(counter) => counter.clone(),
                None => sequences.entry(topic.to_owned()).or_default().clone(),
            }
        };
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

    /// Begins to receive `topics`. What is published after this returns is delivered, or reported as [`Incoming::Resync`].
    ///
    /// # Errors
    /// [`BusError`] if the backend cannot subscribe.
    pub async fn subscribe(&self, topics: &[&str], own: Own) -> Result<Inbox, BusError> {
        let subscription = self.coordinator.subscribe(topics).await?;
        let skip = (own == Own::Skip).then_some((self.origin, self.token));
        let judge = Judge {
            namespace: self.namespace.clone(),
            skip,
            seen: HashMap::new(),
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
    judge: Judge,
}

impl Inbox {
    /// Waits for news and returns it, in order. Cancel-safe. At most `max` deliveries are taken from the bus at once, and each is at
    /// most two news: a loss, and the message behind it.
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
struct Judge {
    namespace: Namespace,
    /// The sender whose messages are not wanted: this node itself.
    skip: Option<(NodeId, Token)>,
    seen: HashMap<(NodeId, String), Seen>,
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

impl Judge {
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
        let lost = match self.seen.get(&(origin, topic.clone())) {
            // The first that is heard of this sender: what came before it was before the subscription, or in a gap that was reported.
            None => 0,
            Some(last) if (token, sequence) <= (last.token, last.sequence) => return Counters::add(&self.counters.stale),
            Some(last) if last.gaps != self.gaps => 0,
            Some(last) if token == last.token => sequence - last.sequence - 1,
            // A new life counts from 1 again.
            Some(_) => sequence.saturating_sub(1),
        };
        self.seen.insert((origin, topic.clone()), now);
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
