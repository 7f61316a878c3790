//! The server that `guests/relay-adapter` passes everything on to, and versions of that adapter.

use bytes::Bytes;
use shardwright_coordinator::{
    Bus, Coordinator, Delivery, MemoryBroker, MemoryCoordinator, Namespace, Store, Subscription,
};
use shardwright_core::store::{Entry, Expected, Revision, StoreError, Written};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

/// The version that the adapter is built with.
pub(crate) const BUILT: &str = "7.0.1000";
/// A later one.
pub(crate) const NEWER: &str = "7.0.1001";
/// One whose times may be wrong by two seconds.
pub(crate) const ROUGH: &str = "7.0.1007";
/// One that writes whatever is expected.
pub(crate) const BROKEN: &str = "7.0.1008";
/// One that asks for `env:MORE`.
pub(crate) const MORE: &str = "7.0.1009";

/// The adapter, as if it had the version `version`, which is as long as [`BUILT`].
pub(crate) fn adapter(version: &str) -> Vec<u8> {
    static COMPONENT: LazyLock<Vec<u8>> = LazyLock::new(build);
    assert_eq!(version.len(), BUILT.len());
    let mut bytes = COMPONENT.clone();
    let places: Vec<_> = (0..bytes.len())
        .filter(|&at| bytes[at..].starts_with(BUILT.as_bytes()))
        .collect();
    assert!(!places.is_empty(), "it has its version in it");
    for at in places {
        bytes[at..at + version.len()].copy_from_slice(version.as_bytes());
    }
    bytes
}

fn build() -> Vec<u8> {
    let adapter = shardwright_servers::component("shardwright-relay-adapter").expect("it builds");
    std::fs::read(adapter).expect("it was just built")
}

/// How the server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Fine,
    /// Not at all.
    Down,
    /// By telling the adapter to trap.
    Traps,
}

struct State {
    mood: Mood,
    broker: MemoryBroker,
    lives: u32,
    /// Milliseconds by which its times may be wrong.
    uncertainty: u64,
}

/// The server. Its threads end with the test.
#[derive(Clone)]
pub(crate) struct Relay {
    state: Arc<Mutex<State>>,
    port: u16,
}

impl Relay {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let state = State {
            mood: Mood::Fine,
            broker: MemoryBroker::new(),
            lives: 1,
            uncertainty: 0,
        };
        let relay = Self {
            state: Arc::new(Mutex::new(state)),
            port: listener.local_addr().expect("bound").port(),
        };
        let server = relay.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let server = server.clone();
                std::thread::spawn(move || server.serve(stream));
            }
        });
        relay
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn set(&self, mood: Mood) {
        self.state.lock().expect("no panic").mood = mood;
    }

    /// Connections that are made from now on hear that the times may be wrong by so many milliseconds.
    pub(crate) fn doubt(&self, millis: u64) {
        self.state.lock().expect("no panic").uncertainty = millis;
    }

    /// Everything that is stored is gone.
    pub(crate) fn wipe(&self) {
        let mut state = self.state.lock().expect("no panic");
        state.broker = MemoryBroker::new();
        state.lives += 1;
    }

    fn serve(&self, mut stream: TcpStream) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime");
        let mut subscription = None;
        loop {
            let mut length = [0; 4];
            if stream.read_exact(&mut length).is_err() {
                return;
            }
            let mut frame = vec![0; u32::from_le_bytes(length) as usize];
            if stream.read_exact(&mut frame).is_err() {
                return;
            }
            let (mood, broker, history, uncertainty) = {
                let state = self.state.lock().expect("no panic");
                (
                    state.mood,
                    state.broker.clone(),
                    format!("life-{}", state.lives),
                    state.uncertainty,
                )
            };
            let answer = match mood {
                Mood::Down => Frame::of(4).text("the server is down"),
                Mood::Traps => Frame::of(3),
                Mood::Fine => runtime.block_on(answer(frame, &broker, (&history, uncertainty), &mut subscription)),
            };
            let mut answer = answer.0;
            let length = u32::try_from(answer.len()).expect("short").to_le_bytes();
            answer.splice(0..0, length);
            if stream.write_all(&answer).is_err() {
                return;
            }
        }
    }
}

/// To a call of somebody; `history` is the present one, and by how much its times may be wrong.
async fn answer(
    frame: Vec<u8>,
    broker: &MemoryBroker,
    (history, uncertainty): (&str, u64),
    subscription: &mut Option<Box<dyn Subscription>>,
) -> Frame {
    let mut frame = Reader(frame.into_iter());
    let (kind, namespace, known) = (frame.byte(), frame.text(), frame.text());
    if !known.is_empty() && known != history {
        return Frame::of(2).text("the server was wiped");
    }
    let store: MemoryCoordinator = broker.open(Namespace::new(&namespace).expect("a namespace"));
    match kind {
        1 => Frame::of(0).text(history).number(uncertainty),
        2 => {
            // Before the entry is read.
            let listing = store
                .list("no-such-prefix", Revision(0))
                .await
                .expect("memory does not fail");
            match store.get(&frame.text()).await {
                Ok(reading) => {
                    let newest = reading
                        .entry
                        .as_ref()
                        .map_or(listing.revision, |entry| entry.revision.max(listing.revision));
                    Frame::of(0).number(newest.0).number(reading.now.0).entry(reading.entry)
                }
                Err(error) => failed(error),
            }
        }
        3 => match store.list(&frame.text(), Revision(frame.number())).await {
            Ok(listing) => {
                let head = Frame::of(0).number(listing.revision.0).number(listing.now.0);
                let head = head.number(listing.entries.len() as u64);
                listing.entries.into_iter().fold(head, |out, (key, entry)| {
                    out.text(&key)
                        .number(entry.revision.0)
                        .number(entry.written.0)
                        .bytes(&entry.value)
                })
            }
            Err(error) => failed(error),
        },
        4 => {
            let (key, value) = (frame.text(), frame.bytes());
            written(store.put(&key, value.into(), frame.expected()).await)
        }
        5 => {
            let key = frame.text();
            written(store.delete(&key, frame.expected()).await)
        }
        6 => {
            let (topic, payload) = (frame.text(), frame.bytes());
            match store.publish(&topic, payload.into()).await {
                Ok(()) => Frame::of(0),
                Err(error) => Frame::of(4).text(&error.to_string()),
            }
        }
        7 => {
            let topics: Vec<_> = (0..frame.number()).map(|_| frame.text()).collect();
            let topics: Vec<_> = topics.iter().map(String::as_str).collect();
            *subscription = Some(store.subscribe(&topics).await.expect("memory does not fail"));
            Frame::of(0)
        }
        8 => {
            let (max, wait) = (frame.number(), Duration::from_millis(frame.number()));
            let subscription = subscription.as_mut().expect("subscribed first");
            let news = tokio::time::timeout(wait, subscription.next(usize::try_from(max).expect("few"))).await;
            let news = news.map_or_else(|_| Vec::new(), |news| news.expect("memory does not fail"));
            news.iter()
                .fold(Frame::of(0).number(news.len() as u64), |out, delivery| match delivery {
                    Delivery::Gap { lost } => out.byte(0).number(*lost),
                    Delivery::Message { topic, payload } => out.byte(1).text(topic).bytes(payload),
                })
        }
        _ => match store.erase().await {
            Ok(()) => Frame::of(0),
            Err(error) => failed(error),
        },
    }
}

fn written(outcome: Result<Written, StoreError<Bytes>>) -> Frame {
    match outcome {
        Ok(written) => Frame::of(0).number(written.revision.0).number(written.now.0),
        Err(StoreError::Conflict(found)) => Frame::of(1).entry(found),
        Err(error) => failed(error),
    }
}

fn failed(error: StoreError<Bytes>) -> Frame {
    Frame::of(4).text(&error.to_string())
}

/// An answer without its length.
struct Frame(Vec<u8>);

impl Frame {
    fn of(kind: u8) -> Self {
        Self(vec![kind])
    }

    fn byte(mut self, byte: u8) -> Self {
        self.0.push(byte);
        self
    }

    fn number(mut self, number: u64) -> Self {
        self.0.extend(number.to_le_bytes());
        self
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self = self.number(bytes.len() as u64);
        self.0.extend(bytes);
        self
    }

    fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }

    fn entry(self, entry: Option<Entry<Bytes>>) -> Self {
        match entry {
            Some(entry) => self
                .byte(1)
                .number(entry.revision.0)
                .number(entry.written.0)
                .bytes(&entry.value),
            None => self.byte(0),
        }
    }
}

struct Reader(std::vec::IntoIter<u8>);

impl Reader {
    fn byte(&mut self) -> u8 {
        self.0.next().expect("a whole frame")
    }

    fn number(&mut self) -> u64 {
        u64::from_le_bytes(std::array::from_fn(|_| self.byte()))
    }

    fn bytes(&mut self) -> Vec<u8> {
        let length = usize::try_from(self.number()).expect("short");
        self.0.by_ref().take(length).collect()
    }

    fn text(&mut self) -> String {
        String::from_utf8(self.bytes()).expect("UTF-8")
    }

    fn expected(&mut self) -> Expected {
        match (self.byte(), self.number()) {
            (0, _) => Expected::Absent,
            (1, revision) => Expected::Revision(Revision(revision)),
            _ => Expected::Any,
        }
    }
}
