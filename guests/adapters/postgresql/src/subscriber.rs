//! A lane that listens.

use crate::client::Client;
use crate::note::{self, Decoded, Parts};
use crate::publisher::failing;
use crate::refusal::Refusal;
use crate::session::Begun;
use crate::wire::Transport;
use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend;
use shardwright_guest::adapter::{self, BusError, Delivery, Subscriber};
use std::time::Duration;

/// After so long a silence the server is asked whether it is there, and has as long to answer.
const SILENCE: Duration = Duration::from_secs(5);

/// A batch that has so many bytes is not made larger.
const BATCH: usize = 1024 * 1024;

/// Hears what is published in the namespace.
pub struct ListenSubscriber<W> {
    client: Client<W>,
    channel: String,
    parts: Parts,
    /// When the server was last heard of, or was asked.
    since: Duration,
    /// Whether it was asked, and has not answered.
    asked: bool,
}

impl<W: Transport> ListenSubscriber<W> {
    pub(crate) fn new(begun: Begun<W>) -> Self {
        let channel = note::channel(&begun.place.schema, &begun.place.namespace, &begun.history);
        Self {
            since: begun.client.wire.now(),
            client: begun.client,
            channel,
            parts: Parts::default(),
            asked: false,
        }
    }

    /// The next payload that has come.
    fn note(&mut self) -> Result<Option<String>, String> {
        if let Some(note) = self.client.notes.pop_front() {
            return Ok(Some(note));
        }
        while let Some(message) = self.client.parse()? {
            match message {
                // What is not text was not sent by us.
                Message::NotificationResponse(body) => return Ok(Some(body.message().unwrap_or_default().to_owned())),
                Message::ReadyForQuery(_) => self.asked = false,
                Message::ErrorResponse(body) => {
                    let why = Refusal::parse(body.fields()).unwrap_or_default().to_string();
                    return Err(self.client.give_up(why));
                }
                Message::NoticeResponse(_) | Message::ParameterStatus(_) => {}
                _ => return Err(self.client.give_up("the server said what does not belong here")),
            }
        }
        Ok(None)
    }

    /// Waits for more, until `end` at most; false if that has come.
    fn wait(&mut self, end: Duration) -> Result<bool, String> {
        loop {
            let now = self.client.wire.now();
            if now >= self.since + SILENCE {
                if self.asked {
                    // The answer may be there, and it is we who were away.
                    if self.client.more(Duration::ZERO)? {
                        return Ok(self.heard());
                    }
                    return Err(self
                        .client
                        .give_up(format!("no sign of life for {} s", SILENCE.as_secs())));
                }
                frontend::sync(self.client.outgoing());
                self.client.push()?;
                (self.since, self.asked) = (now, true);
            }
            if now >= end {
                return Ok(false);
            }
            if self.client.more(end.min(self.since + SILENCE).saturating_sub(now))? {
                return Ok(self.heard());
            }
        }
    }

    /// The server is there.
    fn heard(&mut self) -> bool {
        self.since = self.client.wire.now();
        self.asked = false;
        true
    }
}

impl<W: Transport + 'static> Subscriber for ListenSubscriber<W> {
    fn subscribe(&mut self, topics: Vec<String>) -> Result<(), BusError> {
        self.parts.topics = topics;
        let listen = format!("LISTEN \"{}\"", self.channel);
        self.client.run(&listen).map_err(failing)?;
        self.since = self.client.wire.now();
        Ok(())
    }

    fn next(&mut self, max: usize, timeout: Duration) -> Result<Vec<Delivery>, BusError> {
        let end = self.client.wire.now() + timeout;
        let (mut deliveries, mut size) = (Vec::new(), 0);
        loop {
            while deliveries.len() < max
                && size < BATCH
                && let Some(note) = self.note().map_err(BusError::Unavailable)?
            {
                match self.parts.hear(&note) {
                    Decoded::Message { topic, payload } => {
                        size += payload.len();
                        deliveries.push(Delivery::Message(adapter::Message { topic, payload }));
                    }
                    Decoded::Gap => deliveries.push(Delivery::Gap(0)),
                    Decoded::Nothing => {}
                    Decoded::Strange => crate::warn(&format!(
                        "somebody else notifies on the channel {}: left out",
                        self.channel
                    )),
                }
            }
            if !deliveries.is_empty() || !self.wait(end).map_err(BusError::Unavailable)? {
                return Ok(deliveries);
            }
        }
    }
}
