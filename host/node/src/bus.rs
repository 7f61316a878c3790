//! Messages between the nodes: the runtime's own hints, and the server's topics, which never meet.

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use shardwright_coordinator::broker::Backoff;
use shardwright_coordinator::{BusError, Coordinator, Inbox, Incoming, Messenger, Namespace, Own};
use shardwright_core::id::{NodeId, Token};
use shardwright_core::store::StoreTime;
use shardwright_core::values::{Key, LOOK};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use tokio::sync::{mpsc, watch};

/// What the server's topics begin with on the wire.
const SERVER: &str = "app/";
/// How many messages are taken from the bus at once.
const BATCH: usize = 256;

/// The bus of one node over all its lives: each join makes a new messenger.
pub(crate) struct Bus {
    coordinator: Arc<dyn Coordinator>,
    namespace: Namespace,
    life: watch::Sender<Life>,
    /// The token of the present life.
    token: AtomicU64,
    /// How many times everything was to be subscribed anew.
    renewals: watch::Sender<u64>,
}

/// As whom the node speaks.
#[derive(Clone)]
pub(crate) enum Life {
    /// It has not joined yet.
    Before,
    /// As the member with this id.
    Member(NodeId, Arc<Messenger>),
    /// It has ended.
    Over,
}

impl Bus {
    pub(crate) fn new(coordinator: Arc<dyn Coordinator>, namespace: Namespace) -> Self {
        Self {
            coordinator,
            namespace,
            life: watch::Sender::new(Life::Before),
            token: AtomicU64::new(0),
            renewals: watch::Sender::new(0),
        }
    }

    /// The node speaks as `node` from now on, in a life that began at `began` on the backend's clock.
    pub(crate) fn begin(&self, node: NodeId, began: StoreTime) {
        // Greater in each later life, of this process even if the backend's clock went back: receivers tell lives apart
        // by it.
        let token = began.0.max(self.token.load(Ordering::Relaxed) + 1);
        self.token.store(token, Ordering::Relaxed);
        let messenger = Messenger::new(self.coordinator.clone(), self.namespace.clone(), node, Token(token));
        self.life.send_replace(Life::Member(node, Arc::new(messenger)));
    }

    /// The node has ended: subscriptions end, too.
    pub(crate) fn end(&self) {
        self.life.send_replace(Life::Over);
    }

    /// Has all subscriptions made anew, and their readers told that something may be lost.
    pub(crate) fn renew(&self) {
        self.renewals.send_modify(|renewals| *renewals += 1);
    }

    /// Changes with every new life, and at the end.
    pub(crate) fn life(&self) -> watch::Receiver<Life> {
        self.life.subscribe()
    }

    pub(crate) fn is_over(&self) -> bool {
        matches!(*self.life.borrow(), Life::Over)
    }

    /// Waits until the coordinator has ended for good, and says why. Cancel-safe.
    pub(crate) async fn ended(&self) -> String {
        self.coordinator.ended().await
    }

    /// As whom the node speaks, if it does.
    pub(crate) fn node(&self) -> Option<NodeId> {
        match &*self.life.borrow() {
            Life::Member(node, _) => Some(*node),
            Life::Before | Life::Over => None,
        }
    }

    pub(crate) fn messenger(&self) -> Result<Arc<Messenger>, BusError> {
        match &*self.life.borrow() {
            Life::Before => Err(BusError::Unavailable("this node has not joined yet".into())),
            Life::Member(_, messenger) => Ok(messenger.clone()),
            Life::Over => Err(BusError::Closed),
        }
    }

    /// Tells the other nodes to look whenever that is `due`, and returns when all that was due is said and there can be
    /// no more.
    ///
    /// A hint that could not be sent is tried again: the others would look by themselves only at their next renewal.
    pub(crate) async fn hint_all(self: Arc<Self>, mut due: mpsc::Receiver<()>) {
        let mut backoff = Backoff::default();
        let mut told = false;
        while due.recv().await.is_some() {
            // Who has not joined has nobody to tell.
            while let Ok(messenger) = self.messenger() {
                match messenger.publish(LOOK, Bytes::new()).await {
                    Ok(()) => {
                        told = true;
                        break;
                    }
                    Err(error) => {
                        tracing::debug!(%error, "a hint could not be sent; it is tried again");
                        tokio::time::sleep(backoff.next_wait()).await;
                    }
                }
            }
            backoff.reset();
        }
        // The process may end in a moment, and with it what a backend has only queued: an answer to a later question
        // shows that it is out.
        if told && let Err(error) = self.coordinator.get(&Key::Meta.to_string()).await {
            tracing::debug!(%error, "the last hint may not have been sent");
        }
    }

    /// Calls `heard` for every hint from another node, with the loss that made a hint of itself if there was one.
    pub(crate) async fn listen(self: Arc<Self>, heard: impl Fn(Option<String>) + Send) {
        let mut hints = self.subscription(vec![LOOK.to_owned()]);
        hints.reopen().await;
        heard(None);
        while let Some(batch) = hints.batch().await {
            let loss = batch.iter().find_map(|incoming| match incoming {
                Incoming::Resync { reason } => Some(reason.to_string()),
                Incoming::Message { .. } => None,
            });
            heard(loss);
        }
    }

    /// Sends to the server's `topic` on all other nodes.
    pub(crate) async fn publish(&self, topic: &str, body: Bytes) -> Result<(), BusError> {
        let messenger = self.messenger()?;
        messenger.publish(&format!("{SERVER}{topic}"), body).await
    }

    /// Receives the server's `topics`.
    pub(crate) async fn subscribe(self: &Arc<Self>, topics: &[&str]) -> Result<Messages, BusError> {
        let mut inner = self.subscription(topics.iter().map(|topic| format!("{SERVER}{topic}")).collect());
        inner.open().await?;
        Ok(Messages::new(inner))
    }

    fn subscription(self: &Arc<Self>, topics: Vec<String>) -> Renewed {
        Renewed {
            bus: self.clone(),
            life: self.life.subscribe(),
            renewals: self.renewals.subscribe(),
            topics,
            inbox: None,
            backoff: Backoff::default(),
        }
    }
}

/// A subscription that outlives sessions and failures: what may have been missed at a seam is signalled.
struct Renewed {
    bus: Arc<Bus>,
    life: watch::Receiver<Life>,
    renewals: watch::Receiver<u64>,
    topics: Vec<String>,
    inbox: Option<Inbox>,
    /// Pauses after failures, for as long as nothing is received.
    backoff: Backoff,
}

impl Renewed {
    async fn open(&mut self) -> Result<(), BusError> {
        self.life.mark_unchanged();
        self.renewals.mark_unchanged();
        let messenger = self.bus.messenger()?;
        let topics: Vec<&str> = self.topics.iter().map(String::as_str).collect();
        self.inbox = Some(messenger.subscribe(&topics, Own::Skip).await?);
        Ok(())
    }

    /// Subscribes, until that succeeds or the node has ended.
    async fn reopen(&mut self) {
        let mut told = false;
        loop {
            match self.open().await {
                Ok(()) => return,
                // A backend that is closed may be opened anew.
                Err(_) if self.bus.is_over() => return,
                Err(error) if !told => {
                    tracing::debug!(%error, "subscribing failed; it is tried again");
                    told = true;
                }
                Err(_) => {}
            }
            self.pause().await;
        }
    }

    /// Waits a while before trying again; a new life is a good moment, too.
    async fn pause(&mut self) {
        // The sender of lives lives as long as the bus.
        let _ = tokio::time::timeout(self.backoff.next_wait(), self.life.changed()).await;
    }

    /// Waits for news; `None` when the node has ended. Cancel-safe: nothing is taken from the bus before it is
    /// returned.
    async fn batch(&mut self) -> Option<Vec<Incoming>> {
        loop {
            if matches!(*self.life.borrow(), Life::Over) {
                return None;
            }
            let Some(inbox) = &mut self.inbox else {
                self.reopen().await;
                return self.inbox.is_some().then(|| vec![seam()]);
            };
            tokio::select! {
                news = inbox.next(BATCH) => match news {
                    Ok(news) => {
                        self.backoff.reset();
                        return Some(news);
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a subscription ended; subscribing again");
                        self.inbox = None;
                        // One that ends as soon as it is opened must not keep this node busy.
                        self.pause().await;
                    }
                },
                _ = self.life.changed() => self.inbox = None,
                _ = self.renewals.changed() => self.inbox = None,
            }
        }
    }
}

/// Something may have been missed between two subscriptions; nobody knows how much.
fn seam() -> Incoming {
    Incoming::Resync {
        reason: shardwright_coordinator::Resync::Gap { lost: 0 },
    }
}

/// Messages of the server's own topics, from the other nodes, in order for each sender and topic: from
/// [`Node::subscribe`](crate::Node::subscribe). Also a [`Stream`], for whoever combines several.
///
/// It goes on over failures and new sessions of the node; a reader that is more than 1,024 messages behind loses some,
/// and is told.
#[must_use = "messages are told to whoever reads"]
pub struct Messages(Pin<Box<dyn Stream<Item = Message> + Send>>);

/// What [`Messages`] yields.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Message {
    /// A message.
    #[non_exhaustive]
    Received {
        /// The sender.
        from: NodeId,
        /// The topic, as given to `publish`.
        topic: String,
        /// What was sent.
        body: Bytes,
    },
    /// Messages were lost before the next one: what was learned from messages may be out of date.
    #[non_exhaustive]
    Resync {
        /// How that was noticed.
        reason: String,
    },
}

impl Message {
    /// Nothing of what is not the server's: whoever subscribes to all topics means his own.
    fn of(incoming: Incoming) -> Option<Self> {
        match incoming {
            Incoming::Message { origin, topic, body } => Some(Self::Received {
                from: origin,
                topic: topic.strip_prefix(SERVER)?.to_owned(),
                body,
            }),
            Incoming::Resync { reason } => Some(Self::Resync {
                reason: reason.to_string(),
            }),
        }
    }
}

impl Messages {
    fn new(inner: Renewed) -> Self {
        let batches = stream::unfold(inner, |mut inner| async {
            let batch = inner.batch().await?;
            Some((stream::iter(batch), inner))
        });
        let messages = batches
            .flatten()
            .filter_map(|incoming| std::future::ready(Message::of(incoming)));
        Self(Box::pin(messages.fuse()))
    }

    /// Waits for the next message or loss; `None` when the node has ended. Cancel-safe.
    pub async fn next(&mut self) -> Option<Message> {
        self.0.next().await
    }
}

impl Stream for Messages {
    type Item = Message;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Message>> {
        self.0.as_mut().poll_next(context)
    }
}

impl fmt::Debug for Messages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Messages").finish_non_exhaustive()
    }
}
