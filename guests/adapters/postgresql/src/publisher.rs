//! A lane that publishes.

use crate::client::{Client, Failure};
use crate::note;
use crate::session::Begun;
use crate::statement::Value;
use crate::wire::Transport;
use shardwright_guest::adapter::{BusError, Publisher, TooLarge};

/// Sends messages to whoever listens in the namespace.
pub struct NotifyPublisher<W> {
    client: Client<W>,
    channel: String,
}

impl<W: Transport> NotifyPublisher<W> {
    pub(crate) fn new(begun: Begun<W>) -> Self {
        let channel = note::channel(&begun.place.schema, &begun.place.namespace, &begun.history);
        Self {
            client: begun.client,
            channel,
        }
    }
}

/// What a failure means for a call of the bus.
pub(crate) fn failing(failure: Failure) -> BusError {
    match failure {
        Failure::Refused(refusal) => refusal.carrying(),
        Failure::Unsent(why) | Failure::Lost(why) => BusError::Unavailable(why),
    }
}

impl<W: Transport + 'static> Publisher for NotifyPublisher<W> {
    fn publish(&mut self, topic: &str, payload: Vec<u8>) -> Result<(), BusError> {
        if payload.len() > note::LARGEST {
            return Err(BusError::TooLarge(TooLarge {
                size: payload.len() as u64,
                limit: note::LARGEST as u64,
            }));
        }
        // Up to the end of the exchange it is one transaction, however many parts there are.
        for part in note::encode(topic, &payload) {
            let values = [Value::Text(&self.channel), Value::Text(&part)];
            self.client.bind("notify", &values).map_err(failing)?;
        }
        self.client.exchange(|_| Ok(())).map_err(failing)
    }
}
