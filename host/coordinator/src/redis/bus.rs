//! The bus: one channel for each namespace, with the topic inside each message, so that one order holds for all topics.

use super::connection::{Connection, NoReply, PushHandler};
use super::persistent_connection::{ConnectionPlan, PersistentConnection};
use super::reply::Refusal;
use super::route::Route;
use crate::broker::{BrokerError, Link};
use crate::contract::{BusError, Subscription};
use crate::limits;
use crate::queue::{Queue, Subscribers};
use bytes::Bytes;
use redis::{Cmd, PushInfo, PushKind, RedisWrite, Value, cmd};
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The first byte of every message: the version of its form.
const FORMAT: u8 = 1;
/// Format and length of the topic before the topic.
const HEADER: usize = 3;

/// The command that publishes a message in its form: format, length of the topic (big-endian), topic, payload.
fn publication(channel: &Channel, topic: &str, payload: &[u8]) -> Cmd {
    let how = if channel.sharded { "SPUBLISH" } else { "PUBLISH" };
    let length = u16::try_from(topic.len()).unwrap_or(u16::MAX).to_be_bytes();
    let mut command = cmd(how);
    command.arg(&channel.name);
    let mut message = command.writer_for_next_arg();
    for part in [&[FORMAT], &length[..], topic.as_bytes(), payload] {
        // Memory takes all that is written.
        let _ = message.write_all(part);
    }
    drop(message);
    command
}

/// The topic of a message, and where its payload begins; none if it is not one of ours.
fn decode(message: &[u8]) -> Option<(&str, usize)> {
    let &[FORMAT, high, low] = message.first_chunk::<HEADER>()? else {
        return None;
    };
    let end = HEADER + usize::from(u16::from_be_bytes([high, low]));
    // Topics are ASCII; whatever else it is, nobody asked for it.
    Some((std::str::from_utf8(message.get(HEADER..end)?).ok()?, end))
}

/// Who listens on this handle, on one connection for all of them.
pub(super) struct Subscriber {
    route: Arc<Route>,
    pub(super) channel: Arc<Channel>,
    subscribers: Arc<Shared>,
    /// Made with the first subscriber.
    line: tokio::sync::Mutex<Option<PersistentConnection>>,
    timeout: Duration,
}

/// Which channel, and how it is spoken of.
pub(super) struct Channel {
    pub(super) name: String,
    /// In a cluster a channel has a slot, as a key has.
    pub(super) sharded: bool,
    pub(super) location: String,
}

impl Channel {
    /// What to say when `command` is not permitted.
    fn grant(&self, why: &str, command: &str) -> String {
        format!(
            "{why}; the ACL user needs +{} and the channel &{}",
            command.to_ascii_lowercase(),
            self.name
        )
    }
}

#[derive(Default)]
struct Shared {
    subscribers: Mutex<Subscribers>,
    /// Whether there was a subscription before: whatever was published since it ended is lost.
    again: AtomicBool,
    /// Whether messages came since the subscribers were woken.
    came: AtomicBool,
}

impl Shared {
    // Poison does not matter here: a queue is whole at all times.
    fn lock(&self) -> MutexGuard<'_, Subscribers> {
        self.subscribers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PushHandler for Shared {
    /// On the connection's own task: nothing piles up before the bounded queues.
    fn take(&self, PushInfo { kind, mut data }: PushInfo) -> Result<(), &'static str> {
        match kind {
            PushKind::Message | PushKind::SMessage => {
                let Some(Value::BulkString(message)) = data.pop() else {
                    return Ok(());
                };
                let message = Bytes::from(message);
                let Some((topic, end)) = decode(&message) else {
                    return Ok(());
                };
                let payload = message.slice(end..);
                self.lock().each(|queue| queue.enter(topic, &payload));
                self.came.store(true, Ordering::Relaxed);
            }
            // It comes before all that is received by this subscription, and after all that was by the last.
            PushKind::Subscribe | PushKind::SSubscribe if self.again.swap(true, Ordering::SeqCst) => {
                self.lock().each(|queue| queue.lose(0));
            }
            // A cluster moved the slot elsewhere; we never leave by ourselves.
            PushKind::Unsubscribe | PushKind::SUnsubscribe => return Err("the server ended the subscription"),
            _ => {}
        }
        Ok(())
    }

    fn pause(&self) {
        if self.came.swap(false, Ordering::Relaxed) {
            self.lock().each(Queue::wake);
        }
    }
}

impl Subscriber {
    pub(super) fn new(route: Arc<Route>, channel: Channel, timeout: Duration) -> Self {
        Self {
            route,
            channel: Arc::new(channel),
            subscribers: Arc::default(),
            line: tokio::sync::Mutex::default(),
            timeout,
        }
    }

    /// Another ear, for the channel called `what` beside this one.
    pub(super) fn beside(&self, what: &str) -> Self {
        let Channel {
            name,
            sharded,
            location,
        } = &*self.channel;
        let channel = Channel {
            name: format!("{}{what}", name.trim_end_matches("bus")),
            sharded: *sharded,
            location: location.clone(),
        };
        Self::new(self.route.clone(), channel, self.timeout)
    }

    /// Enters a subscriber; returns when the server has confirmed the subscription.
    pub(super) async fn subscribe(&self, topics: &[&str]) -> Result<Box<dyn Subscription>, BusError> {
        let deadline = Instant::now() + self.timeout;
        let subscription = self.subscribers.lock().add(topics);
        let mut line = self.line.lock().await;
        let up = line.get_or_insert_with(|| self.listen()).wire(deadline).await;
        match up {
            Ok(_) => Ok(Box::new(subscription)),
            Err(error) => {
                drop(subscription);
                // Nobody is left to try again for.
                if !self.subscribers.lock().any() {
                    *line = None;
                }
                Err(match error {
                    BrokerError::Denied { .. } => BusError::Denied(error.to_string()),
                    _ => BusError::Unavailable(error.to_string()),
                })
            }
        }
    }

    fn listen(&self) -> PersistentConnection {
        let (route, shared, channel) = (self.route.clone(), self.subscribers.clone(), self.channel.clone());
        let timeout = self.timeout;
        PersistentConnection::keep(
            None,
            ConnectionPlan {
                link: Link::new(format!("{} (bus)", self.channel.location)),
                patience: timeout,
                connect: Box::new(move || {
                    let (route, shared, channel) = (route.clone(), shared.clone(), channel.clone());
                    Box::pin(async move { connect(&route, shared, &channel, Instant::now() + timeout).await })
                }),
            },
        )
    }
}

/// A connection on which the server has confirmed the subscription.
async fn connect(
    route: &Route,
    shared: Arc<Shared>,
    channel: &Channel,
    deadline: Instant,
) -> Result<Connection, BrokerError> {
    let wire = route.connect(Some(shared)).await?;
    let subscribe = if channel.sharded { "SSUBSCRIBE" } else { "SUBSCRIBE" };
    let location = wire.server().to_string();
    let answer = wire.ask(cmd(subscribe).arg(&channel.name), deadline).await;
    match answer.map_err(NoReply::why).map(Refusal::check) {
        Ok(Ok(_)) => Ok(wire),
        Ok(Err(Refusal::Denied(why))) => Err(BrokerError::Denied {
            location,
            why: channel.grant(&why, "subscribe"),
        }),
        Ok(Err(refusal)) => Err(BrokerError::Unreachable {
            location,
            why: refusal.why(),
        }),
        Err(why) => Err(BrokerError::Unreachable { location, why }),
    }
}

/// Publishes on `line` to `channel`.
pub(super) async fn publish(
    line: &PersistentConnection,
    channel: &Channel,
    topic: &str,
    payload: &[u8],
    deadline: Instant,
) -> Result<(), BusError> {
    limits::check_topic(topic)?;
    limits::check_sent(payload.len())?;
    let command = publication(channel, topic, payload);
    loop {
        let wire = line.wire(deadline).await.map_err(|error| match error {
            BrokerError::Denied { .. } => BusError::Denied(error.to_string()),
            _ => BusError::Unavailable(error.to_string()),
        })?;
        match wire.ask_often(&command).await.map(Refusal::check) {
            Ok(Ok(_)) => return Ok(()),
            // It was not sent: the slot has moved, or the connection had ended before.
            Ok(Err(Refusal::Elsewhere(why, _))) => wire.give_up(&why),
            Err(NoReply::NotSent(_)) => {}
            Ok(Err(Refusal::Denied(why))) => return Err(BusError::Denied(channel.grant(&why, "publish"))),
            Ok(Err(refusal)) => return Err(BusError::Unavailable(refusal.why())),
            Err(NoReply::NoAnswer(why)) => return Err(BusError::Unavailable(why)),
        }
    }
}

#[cfg(test)]
mod test {
    use super::*;

    /// The form on the wire, fixed: whoever changes it must raise `FORMAT`.
    #[test]
    fn a_message_is_a_format_a_topic_and_a_payload() {
        let channel = Channel {
            name: "channel".into(),
            sharded: false,
            location: String::new(),
        };
        let packed = publication(&channel, "a/b", b"payload").get_packed_command();
        let expected = b"*3\r\n$7\r\nPUBLISH\r\n$7\r\nchannel\r\n$13\r\n\x01\0\x03a/bpayload\r\n";
        assert_eq!(packed, expected);
        assert_eq!(decode(b"\x01\0\x03a/bpayload"), Some(("a/b", 6)));
        assert_eq!(decode(b"\x01\0\x01t"), Some(("t", 4)));
    }

    #[test]
    fn what_is_no_message_of_ours_is_none() {
        for foreign in [
            &b""[..],
            b"\x01\0",
            b"\x02\0\x01a",
            b"\x01\0\x05abc",
            b"\x01\0\x01\xff",
            b"hello",
        ] {
            assert_eq!(decode(foreign), None, "{foreign:?}");
        }
    }
}
