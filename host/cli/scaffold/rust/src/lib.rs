//! A coordinator adapter for the key-value server beside it (`server.py`). Replace what talks to that server by what
//! talks to yours.
//!
//! The contract, with every promise, is `coordinator.wit` in the folder `wit` of the SDK. One instance of the component
//! is one lane: it is opened once, makes one call at a time, and when its connection is gone the host opens another
//! one.

mod server;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use server::{Answer, Failure, Server};
use shardwright_guest::adapter::{
    Adapter, BusError, Context, Delivery, Description, Entry, Expected, Finding, Listed, Listing, Message, OpenError,
    Opened, Publisher, Reading, Store, StoreError, Subscriber, TooLarge, Verdict, Written,
};
use std::time::Duration;

struct Http;

/// A connection to one namespace, whatever the lane is for.
struct Lane(Server);

/// Where this subscriber is in the server's queue. The server says what was lost since then, also over a restart.
struct Ear {
    server: Server,
    topics: Vec<String>,
    position: String,
}

impl Adapter for Http {
    type Store = Lane;
    type Publisher = Lane;
    type Subscriber = Ear;

    fn describe() -> Description {
        Description {
            name: env!("CARGO_PKG_NAME").into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: "The key-value server of the examples, over HTTP.".into(),
            options: vec![
                "url: http://HOST:PORT or https://HOST:PORT".into(),
                "token: what the server was started with, if anything".into(),
                "timeout-ms: how long it may take to answer [5000]".into(),
            ],
        }
    }

    fn requires(config: &str) -> Result<Vec<String>, String> {
        Ok(vec![server::Config::read(config)?.url])
    }

    fn open_store(context: &Context) -> Result<(Lane, Opened), OpenError> {
        let (server, opened) = open(context)?;
        Ok((Lane(server), opened))
    }

    fn open_publisher(context: &Context) -> Result<(Lane, Opened), OpenError> {
        Self::open_store(context)
    }

    fn open_subscriber(context: &Context) -> Result<(Ear, Opened), OpenError> {
        let (server, opened) = open(context)?;
        let (topics, position) = (Vec::new(), String::new());
        Ok((Ear { server, topics, position }, opened))
    }
}

shardwright_guest::export_adapter!(Http);

#[derive(Deserialize)]
struct History {
    history: String,
}

fn open(context: &Context) -> Result<(Server, Opened), OpenError> {
    let config = server::Config::read(&context.config).map_err(OpenError::InvalidConfig)?;
    let mut server = Server::new(config, &context.namespace, context.history.clone());
    // What should be there is not made again: its loss would go unnoticed.
    let method = if context.history.is_some() { "GET" } else { "POST" };
    let answer = server.ask(method, "", &[], &[], Duration::ZERO).map_err(|failure| match failure {
        Failure::NotGranted(why) => OpenError::Denied(why),
        Failure::NoTls(why) => OpenError::Tls(why),
        Failure::Unsent(why) | Failure::Lost(why) => OpenError::Unreachable(why),
    })?;
    match answer.status {
        200 => {}
        401 => return Err(OpenError::Denied(answer.said())),
        404 | 410 => return Err(OpenError::HistoryLost(answer.said())),
        500.. => return Err(OpenError::Unreachable(answer.said())),
        _ => return Err(OpenError::Other(answer.said())),
    }
    let History { history } = answer.json().map_err(OpenError::Other)?;
    server.belong_to(&history);
    let location = server.url().to_owned();
    let memo = String::new();
    Ok((server, Opened { location, history, memo }))
}

/// An entry as the server writes it.
#[derive(Deserialize)]
struct Found {
    #[serde(default)]
    key: String,
    revision: u64,
    written: u64,
    value: String,
}

#[derive(Deserialize)]
struct One {
    entry: Option<Found>,
    revision: u64,
    now: u64,
}

#[derive(Deserialize)]
struct Many {
    entries: Vec<Found>,
    revision: u64,
    now: u64,
}

#[derive(Deserialize)]
struct Done {
    revision: u64,
    now: u64,
}

#[derive(Deserialize)]
struct Conflict {
    entry: Option<Found>,
}

#[derive(Deserialize)]
struct Limit {
    limit: u64,
}

impl Store for Lane {
    fn get(&mut self, key: &str) -> Result<Reading, StoreError> {
        let One { entry, revision, now } = read(&self.0, "/entry", &[("key", key)])?;
        Ok(Reading {
            entry: entry.map(entry_of).transpose()?,
            revision,
            now,
            unsure_before: 0,
        })
    }

    fn list(&mut self, prefix: &str, since: u64) -> Result<Listing, StoreError> {
        let query = [("prefix", prefix), ("since", &since.to_string())];
        let Many { entries, revision, now } = read(&self.0, "/entries", &query)?;
        let listed = entries.into_iter().map(|found| {
            Ok(Listed {
                key: found.key,
                revision: found.revision,
                written: found.written,
                value: bytes(&found.value)?,
            })
        });
        Ok(Listing {
            entries: listed.collect::<Result<_, StoreError>>()?,
            revision,
            now,
            unsure_before: 0,
        })
    }

    fn put(&mut self, key: &str, value: Vec<u8>, expected: Expected) -> Result<Written, StoreError> {
        let expected = word(expected);
        let query = [("key", key), ("expected", expected.as_str())];
        let Done { revision, now } = write(&self.0, "PUT", "/entry", &query, &value)?;
        Ok(Written { revision, now })
    }

    fn delete(&mut self, key: &str, expected: Expected) -> Result<Written, StoreError> {
        let expected = word(expected);
        let query = [("key", key), ("expected", expected.as_str())];
        let Done { revision, now } = write(&self.0, "DELETE", "/entry", &query, &[])?;
        Ok(Written { revision, now })
    }

    fn examine(&mut self) -> Vec<Finding> {
        #[derive(Deserialize)]
        struct About {
            name: String,
            kept: bool,
        }
        let finding = |name: &str, verdict, detail: &str, remedy: &str| Finding {
            name: name.into(),
            verdict,
            detail: detail.into(),
            remedy: remedy.into(),
        };
        let about = self.0.request("GET", "/v1/about", &[], Duration::ZERO).map_err(|failure| failure.to_string());
        let about = about.and_then(|answer| match answer.status {
            200 => answer.json::<About>(),
            _ => Err(answer.said()),
        });
        match about {
            Err(why) => vec![finding("server", Verdict::Bad, &why, "Look at the server's output.")],
            Ok(about) => vec![
                finding("version", Verdict::Good, &about.name, ""),
                if about.kept {
                    finding("durability", Verdict::Good, "every write is on the disk before it is acknowledged", "")
                } else {
                    let remedy = "Start the server with --data FILE.";
                    finding("durability", Verdict::Warning, "everything is in memory, and a restart loses it", remedy)
                },
            ],
        }
    }

    fn erase(&mut self) -> Result<(), StoreError> {
        write::<serde::de::IgnoredAny>(&self.0, "DELETE", "", &[], &[]).map(drop)
    }
}

impl Publisher for Lane {
    fn publish(&mut self, topic: &str, payload: Vec<u8>) -> Result<(), BusError> {
        tell(&self.0, "POST", &[("topic", topic)], &payload, Duration::ZERO).map(drop)
    }
}

#[derive(Deserialize)]
struct News {
    messages: Vec<Told>,
    position: String,
    lost: bool,
}

#[derive(Deserialize)]
struct Told {
    topic: String,
    payload: String,
}

impl Ear {
    fn news(&mut self, query: &[(&str, &str)], patience: Duration) -> Result<News, BusError> {
        let news: News = tell(&self.server, "GET", query, &[], patience)?.json().map_err(BusError::Other)?;
        self.position.clone_from(&news.position);
        Ok(news)
    }
}

impl Subscriber for Ear {
    fn subscribe(&mut self, topics: Vec<String>) -> Result<(), BusError> {
        self.topics = topics;
        self.news(&[], Duration::ZERO).map(drop)
    }

    fn next(&mut self, max: usize, timeout: Duration) -> Result<Vec<Delivery>, BusError> {
        let (max, wait, after) = (max.to_string(), timeout.as_millis().to_string(), self.position.clone());
        let topics = self.topics.clone();
        let mut query = vec![("after", after.as_str()), ("max", &max), ("wait", &wait)];
        query.extend(topics.iter().map(|topic| ("topic", topic.as_str())));
        let news = self.news(&query, timeout)?;
        if news.lost {
            return Ok(vec![Delivery::Gap(0)]);
        }
        let deliveries = news.messages.into_iter().map(|told| {
            let payload = STANDARD.decode(told.payload).map_err(|error| BusError::Other(error.to_string()))?;
            Ok(Delivery::Message(Message { topic: told.topic, payload }))
        });
        deliveries.collect()
    }
}

// Between the contract's words and those of the server.

/// Asks without changing anything: whatever goes wrong on the way, nothing has happened.
fn read<T: serde::de::DeserializeOwned>(server: &Server, what: &str, query: &[(&str, &str)]) -> Result<T, StoreError> {
    let answer = server
        .ask("GET", what, query, &[], Duration::ZERO)
        .map_err(|failure| StoreError::Unavailable(failure.to_string()))?;
    match answer.status {
        200 => answer.json().map_err(StoreError::Other),
        500.. => Err(StoreError::Unavailable(answer.said())),
        _ => Err(refusal(&answer)),
    }
}

/// Asks for a change: when the answer is lost, it may have happened and may still happen.
fn write<T: serde::de::DeserializeOwned>(
    server: &Server,
    method: &str,
    what: &str,
    query: &[(&str, &str)],
    value: &[u8],
) -> Result<T, StoreError> {
    let answer = server.ask(method, what, query, value, Duration::ZERO).map_err(|failure| match failure {
        Failure::Lost(why) => StoreError::Indeterminate(why),
        unsent => StoreError::Unavailable(unsent.to_string()),
    })?;
    match answer.status {
        200 => answer.json().map_err(StoreError::Indeterminate),
        409 => {
            let Conflict { entry } = answer.json().map_err(StoreError::Other)?;
            Err(StoreError::Conflict(entry.map(entry_of).transpose()?))
        }
        413 => Err(StoreError::TooLarge(too_large(value, &answer))),
        500.. => Err(StoreError::Indeterminate(answer.said())),
        _ => Err(refusal(&answer)),
    }
}

/// What reads and writes are refused with.
fn refusal(answer: &Answer) -> StoreError {
    let said = answer.said();
    match answer.status {
        400 => StoreError::Invalid(said),
        401 => StoreError::Denied(said),
        404 | 410 => StoreError::HistoryLost(said),
        _ => StoreError::Other(said),
    }
}

/// Asks the bus.
fn tell(
    server: &Server,
    method: &str,
    query: &[(&str, &str)],
    payload: &[u8],
    patience: Duration,
) -> Result<Answer, BusError> {
    let wait = server.ask(method, "/messages", query, payload, patience);
    let answer = wait.map_err(|failure| BusError::Unavailable(failure.to_string()))?;
    match answer.status {
        200 => Ok(answer),
        400 => Err(BusError::Invalid(answer.said())),
        401 => Err(BusError::Denied(answer.said())),
        413 => Err(BusError::TooLarge(too_large(payload, &answer))),
        _ => Err(BusError::Unavailable(answer.said())),
    }
}

fn word(expected: Expected) -> String {
    match expected {
        Expected::Absent => "absent".into(),
        Expected::Any => "any".into(),
        Expected::Revision(revision) => revision.to_string(),
    }
}

fn entry_of(found: Found) -> Result<Entry, StoreError> {
    Ok(Entry {
        revision: found.revision,
        written: found.written,
        value: bytes(&found.value)?,
    })
}

fn bytes(value: &str) -> Result<Vec<u8>, StoreError> {
    STANDARD
        .decode(value)
        .map_err(|error| StoreError::Other(format!("the server sent what is no base64: {error}")))
}

fn too_large(bytes: &[u8], answer: &Answer) -> TooLarge {
    TooLarge {
        size: bytes.len() as u64,
        limit: answer.json::<Limit>().map_or(0, |found| found.limit),
    }
}
