//! What must hold of whatever etcd, or an operator, says, for `tests/properties`: functions over bytes that somebody
//! makes up.

use crate::api::{Alarm, Members, RangeAnswer, Release, Status, StreamAnswer, Token, TxnAnswer};
use crate::codec::{base64, clock, entry, frame_entry, message, read_clock};
use crate::config::Config;
use crate::lines::Lines;
use crate::listen::Subscriber;
use crate::memo::Memo;
use crate::open;
use crate::publish::Publisher;
use crate::sim::Machine;
use crate::store::Store;
use crate::wire::{Answer, Call, Fault, HttpClient, Moment, Stream};
use shardwright_guest::adapter::{Context, Expected, OpenError, Publisher as _, Purpose, Store as _, Subscriber as _};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

const PASSWORD: &str = "hunter2-hunter2";

/// What is to be said, byte by byte.
#[derive(Clone, Default)]
struct Script(Rc<RefCell<std::collections::VecDeque<u8>>>);

impl Script {
    fn byte(&self) -> Option<u8> {
        self.0.borrow_mut().pop_front()
    }

    /// A length, and so many bytes.
    fn piece(&self) -> Vec<u8> {
        let length = usize::from(self.byte().unwrap_or_default()) << 8 | usize::from(self.byte().unwrap_or_default());
        let mut bytes = self.0.borrow_mut();
        let length = length.min(bytes.len());
        bytes.drain(..length).collect()
    }
}

/// A true etcd behind somebody who changes what it says.
#[derive(Clone)]
struct Meddler {
    etcd: Machine,
    script: Script,
}

impl Stream for Script {
    fn read(&mut self, into: &mut Vec<u8>, _: Moment) -> Result<usize, Fault> {
        let piece = self.piece();
        into.extend_from_slice(&piece);
        Ok(piece.len())
    }
}

impl HttpClient for Meddler {
    type Stream = Script;

    fn now(&self) -> Moment {
        self.etcd.now()
    }

    fn sleep(&self, until: Moment) {
        self.etcd.sleep(until);
    }

    fn warn(&self, text: &str) {
        assert!(!text.contains(PASSWORD), "{text}");
    }

    fn again(&self) -> Self {
        self.clone()
    }

    fn call(&mut self, call: &Call<'_>, limit: usize, until: Moment) -> Result<Answer, Fault> {
        let mut answer = if call.url.ends_with("auth/authenticate") {
            let now = self.now();
            Answer {
                status: 200,
                date: None,
                body: br#"{"header":{"cluster_id":"1","member_id":"2"},"token":"t"}"#.to_vec(),
                sent: now,
                received: now,
            }
        } else {
            self.etcd.call(call, limit, until)?
        };
        match self.script.byte().unwrap_or_default() & 15 {
            1 => answer.body = self.script.piece(),
            2 => answer.body.truncate(self.script.piece().len()),
            3 | 4 => {
                let (at, to) = (
                    self.script.byte().unwrap_or_default(),
                    self.script.byte().unwrap_or_default(),
                );
                // Digits stay digits, mostly: numbers are what is believed.
                if let Some(byte) = answer
                    .body
                    .iter_mut()
                    .filter(|byte| byte.is_ascii_digit())
                    .nth(at.into())
                {
                    *byte = if to < 128 { b'0' + to % 10 } else { to };
                }
            }
            5 => answer.date = Some(String::from_utf8_lossy(&self.script.piece()).into_owned()),
            6 => {
                answer.status =
                    [200, 400, 401, 403, 404, 429, 500, 503][usize::from(self.script.byte().unwrap_or_default() & 7)];
                answer.body = self.script.piece();
            }
            7 => return Err(Fault::Lost("cut".into())),
            8 => return Err(Fault::TimedOut),
            9 => {
                answer.body = String::from_utf8_lossy(&answer.body)
                    .replace("\"0\"", "\"18446744073709551615\"")
                    .into();
            }
            _ => {}
        }
        if answer.body.len() > limit {
            return Err(Fault::TooLong);
        }
        Ok(answer)
    }

    fn stream(&mut self, _: &Call<'_>, _: Moment) -> Result<(u16, Script), Fault> {
        Ok((200, self.script.clone()))
    }
}

/// Whatever is said in place of etcd, every call ends, and no error repeats the password. Errors quote the server: a
/// server that answers with the password itself is for the host, which redacts all that an adapter says.
pub fn gateway(data: &[u8]) {
    if data.windows(PASSWORD.len()).any(|part| part == PASSWORD.as_bytes()) {
        return;
    }
    let script = Script::default();
    script.0.borrow_mut().extend(data);
    let etcd = Machine::first(1);
    let purpose = script.byte().unwrap_or_default() % 3;
    let wire = || Meddler {
        etcd: etcd.clone(),
        script: script.clone(),
    };
    let context = Context {
        purpose: [Purpose::Store, Purpose::Publish, Purpose::Subscribe][usize::from(purpose)],
        namespace: "ns".into(),
        config: format!(r#"{{"endpoints":["http://h0:1"],"user":"u","password":"{PASSWORD}"}}"#),
        history: None,
        memo: String::new(),
    };
    let told = match purpose {
        0 => open::timed(&context, wire).map(|open| store(Store::new(open))),
        1 => open::plain(&context, wire).map(|open| publish(Publisher::new(open))),
        _ => open::plain(&context, wire).map(|open| listen(Subscriber::new(open), data.len())),
    };
    if let Err(error) = &told {
        assert!(!matches!(error, OpenError::InvalidConfig(_)), "{error}");
    }
    let told = told.unwrap_or_else(|error| error.to_string());
    assert!(!told.contains(PASSWORD), "{told}");
}

fn store(mut store: Store<Meddler>) -> String {
    let mut told = String::new();
    for round in 0..2 {
        told += &format!("{:?}", store.put("k", vec![round; 40], Expected::Any).err());
        told += &format!("{:?}", store.get("k").err());
        told += &format!("{:?}", store.put("l", Vec::new(), Expected::Absent).err());
        told += &format!("{:?}", store.list("", u64::from(round)).err());
        told += &format!("{:?}", store.delete("k", Expected::Revision(7)).err());
    }
    told
}

fn publish(mut publisher: Publisher<Meddler>) -> String {
    format!(
        "{:?}{:?}",
        publisher.publish("t", vec![1]),
        publisher.publish("t", Vec::new())
    )
}

fn listen(mut ear: Subscriber<Meddler>, most: usize) -> String {
    if let Err(error) = ear.subscribe(vec!["t".into()]) {
        return error.to_string();
    }
    // Each piece of the stream has a length before it, and an empty one is its end.
    for _ in 0..most {
        match ear.next(16, Duration::from_secs(1)) {
            Ok(deliveries) => assert!(deliveries.len() <= 16),
            Err(error) => return error.to_string(),
        }
    }
    String::new()
}

/// Answers, entries, messages, times and memos by themselves: what is read of them is what was written.
pub fn parts(data: &[u8]) {
    // Nothing that follows from these is certain but that they can be read.
    drop(serde_json::from_slice::<TxnAnswer<'_>>(data).map(|answer| answer.pair(0).map(crate::api::Pair::entry)));
    drop(serde_json::from_slice::<RangeAnswer<'_>>(data));
    drop(serde_json::from_slice::<StreamAnswer<'_>>(data));
    drop(serde_json::from_slice::<Status>(data));
    drop((
        serde_json::from_slice::<Members>(data),
        serde_json::from_slice::<Alarm>(data),
    ));
    drop((
        serde_json::from_slice::<Token>(data),
        serde_json::from_slice::<Release>(data),
    ));

    let stored = base64(data);
    match entry(&stored, 7) {
        Ok(entry) => {
            let mut again = String::new();
            frame_entry(entry.written, &entry.value, &mut again);
            assert_eq!((again, entry.revision), (stored, 7));
        }
        Err(why) => assert!(why.contains("entry"), "{why}"),
    }
    if let Some(payload) = message(&base64(data)) {
        assert_eq!(payload, data[3..]);
    }
    if let Some((time, term)) = read_clock(data) {
        assert_eq!(read_clock(clock(time, term).as_bytes()), Some((time, term)));
    }
    let text = String::from_utf8_lossy(data);
    let memo = Memo::parse(&text);
    assert_eq!(Memo::parse(&memo.text()), memo);

    let (mut lines, mut found) = (Lines::default(), Vec::new());
    for piece in data.chunks(5) {
        lines.buffer().extend_from_slice(piece);
        while let Ok(Some(line)) = lines.next() {
            found.push(line.to_vec());
        }
    }
    found.push(lines.buffer().clone());
    assert_eq!(found.join(&b'\n'), data);
}

/// A configuration is taken in one spelling, or refused in a sentence that names what is wrong, without the password.
pub fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if text.contains("hunter2") {
        return;
    }
    for text in [
        text.to_owned(),
        format!("{{\"password\":\"{PASSWORD}\"{text}"),
        format!("\"{PASSWORD}{text}"),
        format!("[\"{PASSWORD}\"{text}"),
    ] {
        match Config::parse(&text) {
            Ok(config) => {
                let again = format!("{{\"endpoints\":{}}}", serde_json::json!(config.endpoints));
                assert!(Config::parse(&again).is_ok_and(|again| again.endpoints == config.endpoints));
            }
            Err(why) => assert!(
                !why.contains("hunter2") && (why.contains('`') || why.contains("JSON")),
                "{why}"
            ),
        }
    }
}
