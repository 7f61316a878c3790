//! A lane: one connection, over which each call is passed on.

use crate::wire::{Frame, Reader};
use shardwright_guest::adapter::net::{Connection, NetError};
use shardwright_guest::adapter::{
    BusError, Context, Deadline, Delivery, Entry, Expected, Listed, Listing, Message, OpenError, Opened, Publisher,
    Reading, Store, StoreError, Subscriber, Written,
};
use std::time::Duration;

/// How long the server has for an answer.
const PATIENCE: Duration = Duration::from_secs(4);

/// By how much more the times may be wrong in a version that says so.
const ROUGH: Duration = Duration::from_secs(2);

/// What the server says of a call.
enum Answer {
    Done(Reader),
    Conflict(Option<Entry>),
    Lost(String),
    Failed(String),
}

/// A lane.
pub(crate) struct Relay {
    connection: Connection,
    /// What has come and was not read.
    come: Vec<u8>,
    namespace: String,
    history: String,
    /// Milliseconds by which the server says that its times may be wrong.
    uncertainty: u64,
}

/// Opens a lane of any purpose.
pub(crate) fn connect(context: &Context) -> Result<(Relay, Opened), OpenError> {
    let at = crate::at(&context.config).map_err(OpenError::InvalidConfig)?;
    let (host, port) = at.rsplit_once(':').unwrap_or((&at, "0"));
    let port = port
        .parse()
        .map_err(|_| OpenError::InvalidConfig("`at` has no port".into()))?;
    let connection = Connection::open(host, port, Deadline::after(PATIENCE))
        .map_err(|error| OpenError::Unreachable(error.to_string()))?;
    let mut relay = Relay {
        connection,
        come: Vec::new(),
        namespace: context.namespace.clone(),
        history: context.history.clone().unwrap_or_default(),
        uncertainty: 0,
    };
    let open = relay.frame(1);
    match relay.ask(open, PATIENCE) {
        Ok(Answer::Done(mut answer)) => {
            relay.history = answer.text();
            relay.uncertainty = answer.number();
        }
        Ok(Answer::Lost(why)) => return Err(OpenError::HistoryLost(why)),
        Ok(Answer::Failed(why)) => return Err(OpenError::Unreachable(why)),
        Ok(Answer::Conflict(_)) => return Err(OpenError::Other("opening is no write".into())),
        Err(error) => return Err(OpenError::Unreachable(error.to_string())),
    }
    let opened = Opened {
        location: at,
        history: relay.history.clone(),
        memo: String::new(),
    };
    Ok((relay, opened))
}

impl Relay {
    fn frame(&self, kind: u8) -> Frame {
        Frame::of(kind).text(&self.namespace).text(&self.history)
    }

    fn ask(&mut self, frame: Frame, patience: Duration) -> Result<Answer, NetError> {
        let deadline = Deadline::after(patience);
        self.connection.write(&frame.finish(), deadline)?;
        while self.come.len() < 4 {
            self.connection.read(&mut self.come, deadline)?;
        }
        let length: [u8; 4] = std::array::from_fn(|at| self.come[at]);
        let end = 4 + u32::from_le_bytes(length) as usize;
        while self.come.len() < end {
            self.connection.read(&mut self.come, deadline)?;
        }
        let rest = self.come.split_off(end);
        let frame = std::mem::replace(&mut self.come, rest);
        let mut answer = Reader::new(frame[4..].to_vec());
        Ok(match answer.byte() {
            0 => Answer::Done(answer),
            1 => Answer::Conflict(entry(&mut answer)),
            2 => Answer::Lost(answer.text()),
            3 => panic!("the server tells it to"),
            _ => Answer::Failed(answer.text()),
        })
    }

    fn read(&mut self, frame: Frame) -> Result<Reader, StoreError> {
        let answer = self.ask(frame, PATIENCE);
        done(answer.map_err(|error| StoreError::Unavailable(error.to_string()))?)
    }

    fn write(&mut self, frame: Frame, expected: Expected) -> Result<Written, StoreError> {
        let frame = match expected {
            _ if crate::version().ends_with('8') => frame.byte(2).number(0),
            Expected::Absent => frame.byte(0).number(0),
            Expected::Revision(revision) => frame.byte(1).number(revision),
            Expected::Any => frame.byte(2).number(0),
        };
        let answer = self.ask(frame, PATIENCE);
        let mut answer = done(answer.map_err(|error| StoreError::Indeterminate(error.to_string()))?)?;
        Ok(Written {
            revision: answer.number(),
            now: answer.number(),
        })
    }

    fn tell(&mut self, frame: Frame, patience: Duration) -> Result<Reader, BusError> {
        match self.ask(frame, patience) {
            Ok(Answer::Done(answer)) => Ok(answer),
            Ok(Answer::Lost(why) | Answer::Failed(why)) => Err(BusError::Unavailable(why)),
            Ok(Answer::Conflict(_)) => Err(BusError::Unavailable("the bus knows no conflict".into())),
            Err(error) => Err(BusError::Unavailable(error.to_string())),
        }
    }
}

fn done(answer: Answer) -> Result<Reader, StoreError> {
    match answer {
        Answer::Done(answer) => Ok(answer),
        Answer::Conflict(found) => Err(StoreError::Conflict(found)),
        Answer::Lost(why) => Err(StoreError::HistoryLost(why)),
        Answer::Failed(why) => Err(StoreError::Unavailable(why)),
    }
}

fn entry(answer: &mut Reader) -> Option<Entry> {
    (answer.byte() == 1).then(|| Entry {
        revision: answer.number(),
        written: answer.number(),
        value: answer.bytes(),
    })
}

impl Store for Relay {
    fn uncertainty(&self) -> Duration {
        let said = Duration::from_millis(self.uncertainty);
        if crate::version().ends_with('7') {
            said + ROUGH
        } else {
            said
        }
    }

    fn get(&mut self, key: &str) -> Result<Reading, StoreError> {
        let mut answer = self.read(self.frame(2).text(key))?;
        Ok(Reading {
            revision: answer.number(),
            now: answer.number(),
            unsure_before: 0,
            entry: entry(&mut answer),
        })
    }

    fn list(&mut self, prefix: &str, since: u64) -> Result<Listing, StoreError> {
        let mut answer = self.read(self.frame(3).text(prefix).number(since))?;
        let (revision, now, count) = (answer.number(), answer.number(), answer.number());
        let entries = (0..count).map(|_| Listed {
            key: answer.text(),
            revision: answer.number(),
            written: answer.number(),
            value: answer.bytes(),
        });
        Ok(Listing {
            entries: entries.collect(),
            revision,
            now,
            unsure_before: 0,
        })
    }

    fn put(&mut self, key: &str, value: Vec<u8>, expected: Expected) -> Result<Written, StoreError> {
        self.write(self.frame(4).text(key).bytes(&value), expected)
    }

    fn delete(&mut self, key: &str, expected: Expected) -> Result<Written, StoreError> {
        self.write(self.frame(5).text(key), expected)
    }

    fn erase(&mut self) -> Result<(), StoreError> {
        self.read(self.frame(9)).map(drop)
    }
}

impl Publisher for Relay {
    fn publish(&mut self, topic: &str, payload: Vec<u8>) -> Result<(), BusError> {
        self.tell(self.frame(6).text(topic).bytes(&payload), PATIENCE).map(drop)
    }
}

impl Subscriber for Relay {
    fn subscribe(&mut self, topics: Vec<String>) -> Result<(), BusError> {
        let frame = self.frame(7).number(topics.len() as u64);
        let frame = topics.iter().fold(frame, |frame, topic| frame.text(topic));
        self.tell(frame, PATIENCE).map(drop)
    }

    fn next(&mut self, max: usize, timeout: Duration) -> Result<Vec<Delivery>, BusError> {
        let millis = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        let frame = self.frame(8).number(max as u64).number(millis);
        let mut answer = self.tell(frame, timeout + PATIENCE)?;
        let count = answer.number();
        let deliveries = (0..count).map(|_| match answer.byte() {
            0 => Delivery::Gap(answer.number()),
            _ => Delivery::Message(Message {
                topic: answer.text(),
                payload: answer.bytes(),
            }),
        });
        Ok(deliveries.collect())
    }
}
