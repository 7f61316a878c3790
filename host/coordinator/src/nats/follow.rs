//! Keeps the mirror up to date: a consumer that pushes every message of the stream, made anew whenever anything about
//! it is in doubt.

use super::api::{ApiError, CallError, ConsumerConfig, StreamInfo};
use super::record::Record;
use super::shared::Shared;
use crate::broker::Backoff;
use async_nats::{Message, StatusCode, Subscriber};
use futures_util::{FutureExt, StreamExt};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How often the server says that it is there when there is nothing to push.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// In a cluster, how long a stream must be missing to be gone: a server that has just started may not know of it yet.
const SETTLE: Duration = Duration::from_secs(2);

/// A consumer that has begun to push.
pub(super) struct Feed {
    subscriber: Subscriber,
    epoch: watch::Receiver<u64>,
    /// How many messages have come.
    count: u64,
}

/// Looks whether the stream is still the one that this handle knows.
///
/// # Errors
/// Why nobody can tell for now. That it is another one is remembered in the mirror.
pub(super) async fn identify(shared: &Shared) -> Result<StreamInfo, CallError> {
    let stream = &shared.names.stream;
    let mut first = true;
    loop {
        match shared.wire.stream_info(stream).await {
            Ok(info) => {
                let subjects = info.config.subjects.first();
                let history = subjects.and_then(|subjects| shared.names.history(subjects));
                if history != Some(&shared.history) || info.created != shared.created {
                    shared.mirror.lose(&format!(
                        "the stream {stream} was removed and made again on {}",
                        info.created
                    ));
                }
                return Ok(info);
            }
            Err(CallError::Refused(error)) if error.err_code == ApiError::NOT_FOUND => {
                let alone = shared.wire.client.server_info().cluster.is_none();
                if alone || !first {
                    shared.mirror.lose(&format!("the stream {stream} is gone"));
                    return Err(CallError::Refused(error));
                }
                first = false;
                tokio::time::sleep(SETTLE).await;
            }
            Err(error) => return Err(error),
        }
    }
}

impl Feed {
    /// Has the server push the whole stream, and clears the mirror for it.
    pub(super) async fn begin(shared: &Shared) -> Result<Self, CallError> {
        let mut epoch = shared.wire.epoch();
        epoch.borrow_and_update();
        let info = identify(shared).await?;
        shared.look_at_servers(&info).await;
        let inbox = shared.wire.client.new_inbox();
        let subscriber = shared.wire.client.subscribe(inbox.clone()).await;
        let subscriber = subscriber.map_err(|error| CallError::Garbled(error.to_string()))?;
        shared.mirror.begin();
        let config = ConsumerConfig {
            deliver_subject: inbox,
            deliver_policy: "all",
            ack_policy: "none",
            replay_policy: "instant",
            max_deliver: 1,
            flow_control: true,
            idle_heartbeat: u64::try_from(HEARTBEAT.as_nanos()).unwrap_or(u64::MAX),
            mem_storage: true,
            num_replicas: 1,
        };
        shared.wire.create_consumer(&shared.names.stream, &config).await?;
        // A doubt from before was about the consumer before.
        let _ = shared.doubt.notified().now_or_never();
        Ok(Self {
            subscriber,
            epoch,
            count: 0,
        })
    }

    /// Applies what is pushed until the consumer is in doubt; returns why it is.
    async fn apply(&mut self, shared: &Shared) -> &'static str {
        loop {
            let message = tokio::select! {
                biased;
                message = self.subscriber.next() => message,
                _ = self.epoch.changed() => return "the connection was lost",
                () = shared.doubt.notified() => return "it does not keep up",
                () = tokio::time::sleep(HEARTBEAT * 3) => return "its server is silent",
            };
            let Some(message) = message else {
                return "the connection is closed";
            };
            if let Err(why) = self.take(shared, &message).await {
                return why;
            }
        }
    }

    async fn take(&mut self, shared: &Shared, message: &Message) -> Result<(), &'static str> {
        match message.status {
            None => {}
            Some(StatusCode::IDLE_HEARTBEAT) => return self.heartbeat(shared, message).await,
            Some(_) => return Err("its server ended it"),
        }
        let Some(origin) = message.reply.as_deref().and_then(Origin::parse) else {
            return Err("a message came without its number");
        };
        self.count += 1;
        if origin.number != self.count {
            return Err("a message was lost on the way");
        }
        let place = shared.subjects.place(&message.subject);
        shared
            .mirror
            .apply(origin.sequence, origin.time, place, Record::decode(&message.payload));
        Ok(())
    }

    /// The server asks whether we are still there, or how far we are.
    async fn heartbeat(&self, shared: &Shared, message: &Message) -> Result<(), &'static str> {
        let header = |name: &str| {
            message
                .headers
                .as_ref()?
                .get(name)
                .map(|value| value.as_str().to_owned())
        };
        let told: Option<u64> = header("Nats-Last-Consumer").and_then(|count| count.parse().ok());
        if told.is_some_and(|told| told != self.count) {
            return Err("a message was lost on the way");
        }
        let reply = message
            .reply
            .as_ref()
            .map(ToString::to_string)
            .or_else(|| header("Nats-Consumer-Stalled"));
        if let Some(reply) = reply {
            // If it does not arrive, the server asks again.
            let _ = shared.wire.client.publish(reply, bytes::Bytes::new()).await;
        }
        Ok(())
    }
}

/// Follows for as long as the handle is there.
pub(super) async fn follow(shared: Arc<Shared>, mut feed: Feed) {
    let mut backoff = Backoff::default();
    loop {
        let before = shared.mirror.cursor();
        let why = feed.apply(&shared).await;
        tracing::debug!(
            coordinator = shared.location,
            why,
            "the consumer of the store is made again"
        );
        if shared.mirror.cursor() > before {
            backoff.reset();
        }
        drop(feed);
        feed = loop {
            if shared.mirror.check().is_err() || !shared.wire.connected(backoff.next_wait()).await {
                return;
            }
            match Feed::begin(&shared).await {
                Ok(feed) => break feed,
                Err(error) => {
                    tracing::debug!(
                        coordinator = shared.location, %error,
                        "the store cannot be followed; it is tried again"
                    );
                }
            }
        };
    }
}

/// Where a pushed message comes from, as its reply subject tells.
#[derive(Debug, PartialEq, Eq)]
struct Origin {
    /// Its place in the stream.
    sequence: u64,
    /// Its place among those that this consumer pushed.
    number: u64,
    /// When the server stored it, in milliseconds since the Unix epoch.
    time: u64,
}

impl Origin {
    /// From `$JS.ACK.<stream>.<consumer>.<tries>.<stream sequence>.<consumer sequence>.<nanoseconds>.<pending>`, or the
    /// longer form with a domain and an account before the stream.
    fn parse(reply: &str) -> Option<Self> {
        let tokens: Vec<_> = reply.split('.').collect();
        let rest = tokens.strip_prefix(&["$JS", "ACK"])?;
        let rest = if rest.len() > 7 { rest.get(2..)? } else { rest };
        let number = |at: usize| rest.get(at)?.parse::<u64>().ok();
        Some(Self {
            sequence: number(3)?,
            number: number(4)?,
            time: number(5)? / 1_000_000,
        })
    }
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn both_forms_of_the_origin_are_read() {
        let origin = Origin {
            sequence: 20,
            number: 4,
            time: 1_700_000_000_123,
        };
        for reply in [
            "$JS.ACK.SHARDWRIGHT_a.cOn5.1.20.4.1700000000123456789.0",
            "$JS.ACK._.ACCT.SHARDWRIGHT_a.cOn5.1.20.4.1700000000123456789.0.rAnd",
        ] {
            assert_eq!(Origin::parse(reply), Some(Origin { ..origin }), "{reply}");
        }
        for other in ["", "$JS.ACK", "$JS.FC.a.b", "$JS.ACK.s.c.1.x.4.1.0"] {
            assert_eq!(Origin::parse(other), None, "{other}");
        }
    }
}
