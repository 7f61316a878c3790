//! A server that speaks from a script, for tests of what a server may say, and for the fuzzer.

use crate::config::Config;
use crate::login::{self, Place};
use crate::session::{self, Begun};
use crate::store::Space;
use crate::subscriber::ListenSubscriber;
use crate::wire::{ConnectionError, Transport};
use shardwright_guest::adapter::{Context, Expected, OpenError, Purpose, Store, Subscriber};
use std::time::Duration;

/// A server that says what it was told to, a piece after each that it is sent, whatever that is; then it closes.
pub(crate) struct Script {
    answers: std::vec::IntoIter<Vec<u8>>,
    ready: Vec<u8>,
    /// How often something was sent.
    pub(crate) sends: usize,
}

impl Transport for Script {
    fn send(&mut self, _bytes: &[u8], _patience: Duration) -> Result<(), ConnectionError> {
        self.sends += 1;
        self.ready.extend(self.answers.next().into_iter().flatten());
        Ok(())
    }

    fn receive(&mut self, into: &mut Vec<u8>, _patience: Duration) -> Result<(), ConnectionError> {
        if self.ready.is_empty() {
            return Err(ConnectionError::Lost("the script is over".into()));
        }
        // In pieces, as networks do.
        let piece = self.ready.len().min(7);
        into.extend(self.ready.drain(..piece));
        Ok(())
    }

    fn sweep(&mut self, into: &mut Vec<u8>) -> Result<(), ConnectionError> {
        into.append(&mut self.ready);
        if self.answers.len() == 0 {
            Err(ConnectionError::Lost("closed".into()))
        } else {
            Ok(())
        }
    }

    fn now(&self) -> Duration {
        Duration::from_secs(1)
    }
}

pub(crate) fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).expect("a sound script").to_be_bytes();
    [&[tag], &length[..], body].concat()
}

pub(crate) fn row(cells: &[Option<&[u8]>]) -> Vec<u8> {
    let mut body = u16::try_from(cells.len())
        .expect("a sound script")
        .to_be_bytes()
        .to_vec();
    for cell in cells {
        body.extend(
            cell.map_or(-1, |cell| i32::try_from(cell.len()).expect("a sound script"))
                .to_be_bytes(),
        );
        body.extend(cell.unwrap_or_default());
    }
    message(b'D', &body)
}

pub(crate) fn ready() -> Vec<u8> {
    message(b'Z', b"I")
}

/// What a server says until the lane is open: to the login, to the first question, to the statements.
pub(crate) fn opening() -> Vec<Vec<u8>> {
    let login = [
        message(b'R', &[0; 4]),
        message(b'S', b"a\0b\0"),
        message(b'K', &[0, 0, 0, 9, 1, 2, 3, 4]),
        ready(),
    ];
    let version = 150_000i32.to_be_bytes();
    let facts: [Option<&[u8]>; 8] = [
        Some(&version),
        Some(&[0]),
        Some(&[1]),
        Some(&[1]),
        Some(&[0, 0, 0, 9]),
        Some(&[0, 0, 0, 0, 0, 0, 0, 15]),
        Some(b"on"),
        Some(&[0; 8]),
    ];
    let facts = [
        message(b'1', b""),
        message(b'2', b""),
        row(&facts),
        message(b'C', b"SELECT 1\0"),
        ready(),
    ];
    let history = [row(&[Some(b"h"), None]), message(b'C', b"SELECT 1\0"), ready()];
    vec![login.concat(), facts.concat(), history.concat()]
}

pub(crate) fn lane(answers: Vec<Vec<u8>>, purpose: Purpose, config: &str) -> Result<Begun<Script>, OpenError> {
    let config = Config::parse(config).expect("a sound script");
    let place = Place::new(&config, "ns");
    let wire = Script {
        answers: answers.into_iter(),
        ready: Vec::new(),
        sends: 0,
    };
    let client = login::login(wire, &config, &place)?;
    let context = Context {
        purpose,
        namespace: "ns".into(),
        config: String::new(),
        history: Some("h".into()),
        memo: String::new(),
    };
    session::begin(client, &config, place, &context)
}

pub(crate) const PLAIN: &str = r#"{"host": "h", "database": "d", "user": "u", "password": "p"}"#;

/// Uses a lane of each kind while the server says `answers`; whatever comes of it.
pub(crate) fn use_all(answers: Vec<Vec<u8>>) -> u64 {
    let mut successes = 0;
    if let Ok(begun) = lane(answers.clone(), Purpose::Store, PLAIN) {
        let mut space = Space::new(begun);
        successes += u64::from(space.get("k").is_ok());
        successes += u64::from(space.list("", 0).is_ok());
        successes += u64::from(space.put("k", Vec::new(), Expected::Any).is_ok());
    }
    if let Ok(begun) = lane(answers, Purpose::Subscribe, PLAIN) {
        let mut ear = ListenSubscriber::new(begun);
        if ear.subscribe(Vec::new()).is_ok() {
            // The script is all there is to hear, and ends.
            while let Ok(deliveries) = ear.next(10, Duration::from_secs(60)) {
                successes += deliveries.len() as u64;
            }
        }
    }
    successes
}
