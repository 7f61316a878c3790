//! The bus: core NATS. One subscription on the wire serves all subscribers of a handle, from the moment it is opened.
//!
//! Where messages may be missing — the connection was lost, or the library's queue may have been full — the
//! subscription is dropped with whatever it still holds, made anew and proved by a probe, and only then all subscribers
//! are told of the gap. So nothing that comes after a loss can be delivered before its gap.

use super::connection::{Connection, RequestError};
use super::names::Names;
use crate::broker::Backoff;
use crate::contract::{BusError, Subscription};
use crate::limits;
use crate::queue::Subscribers;
use async_nats::{Message, Subscriber};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use shardwright_core::human::Span;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// How many messages are taken in a row before other tasks get their turn.
const TURN: usize = 64;
/// How long to wait for a probe before sending another.
const PROBE_AGAIN: Duration = Duration::from_secs(1);
/// The least that the library must keep for us: with less, no flood would ever get through.
pub(super) const LEAST_CAPACITY: usize = 256;

/// Whether messages are received.
#[derive(Clone, Debug, PartialEq, Eq)]
enum ReceiveState {
    Yes,
    NotYet,
    NoLonger,
}

/// The subscribers of one handle.
pub(super) struct Bus {
    subscribers: Mutex<Subscribers>,
    hearing: watch::Sender<ReceiveState>,
    /// How many messages the library keeps for us before it drops some.
    capacity: usize,
}

/// A subscription on the wire that has been proved to hear.
pub(super) struct WireSubscription {
    subscriber: Subscriber,
    epoch: watch::Receiver<u64>,
    /// How many messages were there without waiting for one. When the library drops one its queue is full, so as many
    /// as that come in a row before the next one that was not dropped. No signal of the library comes as surely in
    /// time.
    in_a_row: usize,
}

impl WireSubscription {
    /// Subscribes to everything, and waits until a message to itself arrives: then the server has it, and permits both
    /// directions.
    pub(super) async fn open(wire: &Connection, names: &Names) -> Result<Self, RequestError> {
        let mut epoch = wire.epoch();
        epoch.borrow_and_update();
        let (mut lost, complaint) = (epoch.clone(), wire.complaint());
        if !wire.is_connected() {
            return Err(RequestError::Unsent("not connected".into()));
        }
        let subscriber = wire.client.subscribe(names.all_topics()).await.map_err(|_| closed())?;
        let mut ear = Self {
            subscriber,
            epoch,
            in_a_row: 0,
        };
        tokio::select! {
            heard = ear.hear_itself(wire, names) => heard?,
            text = denied(complaint, names) => return Err(RequestError::Denied(text)),
            _ = lost.changed() => return Err(RequestError::Unsent("the connection was lost".into())),
            () = tokio::time::sleep(wire.timeout) => {
                let within = Span::from(wire.timeout);
                return Err(RequestError::Unsent(format!("no message came back within {within}")));
            }
        }
        Ok(ear)
    }

    async fn hear_itself(&mut self, wire: &Connection, names: &Names) -> Result<(), RequestError> {
        let mut id = [0; 16];
        getrandom::fill(&mut id)
            .map_err(|error| RequestError::Unsent(format!("no randomness on this machine: {error}")))?;
        let payload = Bytes::copy_from_slice(&id);
        loop {
            wire.client
                .publish(names.probe(), payload.clone())
                .await
                .map_err(|_| closed())?;
            let probe = async {
                while let Some(message) = self.next().await {
                    if names.topic_of(&message.subject).is_none() && message.payload == payload {
                        return Ok(());
                    }
                }
                Err(closed())
            };
            // It may itself be lost where a flood comes in.
            if let Ok(heard) = tokio::time::timeout(PROBE_AGAIN, probe).await {
                return heard;
            }
        }
    }

    /// The next message; `None` when none will come.
    async fn next(&mut self) -> Option<Message> {
        let ready = tokio::task::unconstrained(self.subscriber.next()).now_or_never();
        if let Some(message) = ready {
            self.in_a_row += 1;
            return message;
        }
        self.in_a_row = 1;
        tokio::select! {
            biased;
            _ = self.epoch.changed() => None,
            message = self.subscriber.next() => message,
        }
    }

    /// Hands on what is received until messages may be missing.
    async fn listen(&mut self, bus: &Bus, names: &Names) {
        while self.in_a_row < bus.capacity {
            let message = self.next().await;
            // A message that came over a later connection has a loss before it.
            if self.epoch.has_changed().unwrap_or(true) {
                return;
            }
            let Some(message) = message else { return };
            if let Some(topic) = names.topic_of(&message.subject) {
                bus.lock().each(|queue| queue.push(&topic, &message.payload));
            }
            if self.in_a_row.is_multiple_of(TURN) {
                tokio::task::yield_now().await;
            }
        }
    }
}

fn closed() -> RequestError {
    RequestError::Unsent("the connection is closed".into())
}

/// Waits until the server complains about the bus.
async fn denied(mut complaint: watch::Receiver<String>, names: &Names) -> String {
    loop {
        if complaint.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        let text = complaint.borrow_and_update().clone();
        if text.contains(&names.probe()) || text.contains(&names.all_topics()) {
            return text;
        }
    }
}

impl Bus {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            subscribers: Mutex::default(),
            hearing: watch::Sender::new(ReceiveState::Yes),
            capacity: capacity.max(LEAST_CAPACITY),
        }
    }

    // The queues look after themselves: poison is no reason to stop.
    fn lock(&self) -> MutexGuard<'_, Subscribers> {
        self.subscribers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Listens for as long as the handle is there.
    pub(super) async fn serve(&self, wire: &Connection, names: &Names, mut ear: WireSubscription) {
        loop {
            ear.listen(self, names).await;
            self.hearing.send_replace(ReceiveState::NotYet);
            drop(ear);
            let mut backoff = Backoff::default();
            let mut wait = Duration::ZERO;
            ear = loop {
                if !wire.connected(wait).await {
                    self.hearing.send_replace(ReceiveState::NoLonger);
                    self.lock()
                        .each(|queue| queue.close(BusError::Unavailable("max-reconnects is reached".into())));
                    return;
                }
                if let Ok(ear) = WireSubscription::open(wire, names).await {
                    break ear;
                }
                wait = backoff.next_wait();
            };
            self.lock().each(|queue| queue.lose(0));
            self.hearing.send_replace(ReceiveState::Yes);
        }
    }

    pub(super) async fn publish(
        &self,
        wire: &Connection,
        names: &Names,
        topic: &str,
        payload: Bytes,
    ) -> Result<(), BusError> {
        limits::check_topic(topic)?;
        limits::check_sent(payload.len())?;
        let unavailable = |why: &dyn std::fmt::Display| BusError::Unavailable(why.to_string());
        if !wire.is_connected() {
            return Err(unavailable(&"not connected"));
        }
        match tokio::time::timeout(wire.timeout, wire.client.publish(names.topic(topic), payload)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(unavailable(&error)),
            Err(_) => Err(unavailable(&"the connection takes no more messages for now")),
        }
    }

    pub(super) async fn subscribe(
        &self,
        wire: &Connection,
        topics: &[&str],
    ) -> Result<Box<dyn Subscription>, BusError> {
        for topic in topics {
            limits::check_topic(topic)?;
        }
        let mut hearing = self.hearing.subscribe();
        match tokio::time::timeout(
            wire.timeout,
            hearing.wait_for(|hearing| *hearing != ReceiveState::NotYet),
        )
        .await
        {
            Ok(Ok(hearing)) if *hearing == ReceiveState::Yes => {}
            _ => return Err(BusError::Unavailable("not connected".into())),
        }
        Ok(Box::new(self.lock().add(topics)))
    }
}
