//! The bus's thread: publishes what this process says, and hands what others said to its subscribers.

use super::error::is_passing;
use super::file_notifier::{Waiter, Waker};
use super::messages::{Messages, Outgoing};
use super::schema::Boot;
use crate::contract::BusError;
use crate::limits::Namespace;
use crate::queue::{QueueSubscription, Subscribers};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, TryRecvError};
use tokio::sync::oneshot;

/// What the thread is asked for.
pub(super) enum Request {
    Publish(Outgoing, oneshot::Sender<Result<(), BusError>>),
    Subscribe(Vec<String>, oneshot::Sender<Result<QueueSubscription, BusError>>),
}

/// The way to the thread. The thread ends when this is dropped.
pub(super) struct BusHandle {
    requests: Option<Sender<Request>>,
    waker: Waker,
}

impl BusHandle {
    pub(super) fn new(requests: Sender<Request>, waker: Waker) -> Self {
        Self {
            requests: Some(requests),
            waker,
        }
    }

    pub(super) fn ask(&self, request: Request) -> Result<(), BusError> {
        let sent = self
            .requests
            .as_ref()
            .is_some_and(|requests| requests.send(request).is_ok());
        self.waker.wake();
        if sent { Ok(()) } else { Err(BusError::Closed) }
    }
}

impl Drop for BusHandle {
    fn drop(&mut self) {
        self.requests = None;
        self.waker.wake();
    }
}

/// What the thread works with.
pub(super) struct BusThread {
    pub(super) path: PathBuf,
    pub(super) namespace: Namespace,
    pub(super) boot: Boot,
    /// None while it cannot be opened; every round tries again.
    pub(super) messages: Option<Messages>,
    pub(super) subscribers: Subscribers,
}

impl BusThread {
    /// Serves until the handle is dropped.
    pub(super) fn serve(mut self, requests: &Receiver<Request>, sleeper: &Waiter) {
        loop {
            let mut outgoing = Vec::new();
            let open = loop {
                match requests.try_recv() {
                    Ok(Request::Publish(message, reply)) => outgoing.push((message, reply)),
                    Ok(Request::Subscribe(topics, reply)) => {
                        self.publish(std::mem::take(&mut outgoing));
                        let _ = reply.send(self.subscribe(&topics));
                    }
                    Err(TryRecvError::Empty) => break true,
                    Err(TryRecvError::Disconnected) => break false,
                }
            };
            self.publish(outgoing);
            if !open {
                break self.subscribers.each(|queue| queue.close(BusError::Closed));
            }
            let listen = self.subscribers.any();
            if listen {
                // Trouble becomes a gap when it has passed; the next round comes by itself.
                let _ = self.attempt(hand_out);
            }
            sleeper.sleep(self.messages.as_ref().map(|messages| &messages.bell), listen);
        }
    }

    fn publish(&mut self, outgoing: Vec<(Outgoing, oneshot::Sender<Result<(), BusError>>)>) {
        if outgoing.is_empty() {
            return;
        }
        let (messages, replies): (Vec<_>, Vec<_>) = outgoing.into_iter().unzip();
        let outcome = self.attempt(|bus, _| bus.publish(&messages));
        for reply in replies {
            let _ = reply.send(outcome.clone());
        }
    }

    /// Enters a subscriber behind everything that was published before.
    fn subscribe(&mut self, topics: &[String]) -> Result<QueueSubscription, BusError> {
        if self.subscribers.any() {
            self.attempt(hand_out)?;
        } else {
            self.attempt(|bus, _| bus.skip())?;
        }
        let topics: Vec<_> = topics.iter().map(String::as_str).collect();
        Ok(self.subscribers.add(&topics))
    }

    /// Does `work` on the open bus. If the file is gone or fails, it is opened anew, and the subscribers are told of a
    /// gap.
    fn attempt(
        &mut self,
        work: impl FnOnce(&mut Messages, &mut Subscribers) -> rusqlite::Result<()>,
    ) -> Result<(), BusError> {
        let mut messages = match self.messages.take().filter(|messages| !messages.replaced()) {
            Some(messages) => messages,
            None => {
                let opened = Messages::open(&self.path, self.namespace.clone(), &self.boot);
                let opened = opened.map_err(|error| BusError::Unavailable(error.to_string()))?;
                self.subscribers.each(|queue| queue.lose(0));
                opened
            }
        };
        let outcome = work(&mut messages, &mut self.subscribers);
        match outcome.as_ref().err().filter(|error| !is_passing(error)) {
            Some(error) => tracing::warn!(
                "the bus beside {} failed and is opened anew: {error}",
                self.path.display()
            ),
            None => self.messages = Some(messages),
        }
        outcome.map_err(|error| BusError::Unavailable(format!("the bus beside {}: {error}", self.path.display())))
    }
}

/// Hands what is new to whoever subscribed to it.
fn hand_out(bus: &mut Messages, subscribers: &mut Subscribers) -> rusqlite::Result<()> {
    bus.read(|news| match news {
        Some((topic, payload)) => subscribers.each(|queue| queue.push(topic, &payload)),
        None => subscribers.each(|queue| queue.lose(0)),
    })
}
