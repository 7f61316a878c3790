//! What must hold of whatever a server or an operator says, for `tests/properties`: functions over bytes that somebody
//! makes up.

use crate::config::Config;
use crate::note::{Decoded, Parts, encode};
use crate::script::{opening, use_all};

/// Whatever a server says, in whatever pieces, every call ends. The pieces are what it says after each that it is sent,
/// behind what a true one says until the lane is open, or also instead of that.
pub fn server(data: &[u8]) {
    let Some((&how, mut rest)) = data.split_first() else {
        return;
    };
    let honest = if how & 1 == 0 { opening() } else { Vec::new() };
    let mut answers = honest;
    while let Some((size, after)) = rest.split_first_chunk::<2>() {
        let (piece, after) = after.split_at(after.len().min(u16::from_be_bytes(*size).into()));
        answers.push(piece.to_vec());
        rest = after;
    }
    answers.push(Vec::new());
    use_all(answers);
}

/// A configuration is taken, or refused in a sentence without the password.
pub fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if text.contains("hunter2") {
        return;
    }
    let secret = "hunter2-hunter2";
    for text in [
        text.to_owned(),
        format!("{{\"password\":\"{secret}\"{text}"),
        format!("\"{secret}\"{text}"),
        format!("\"{secret}\""),
    ] {
        match Config::parse(&text) {
            Ok(config) => assert!(!format!("{config:?}").contains(secret)),
            Err(why) => assert!(!why.is_empty() && !why.contains("hunter2"), "{why}"),
        }
    }
}

/// A message that is cut into notifications is put together again; what is no part of one is at most a gap.
pub fn notes(data: &[u8]) {
    let mut notes = Parts::default();
    for payload in encode("t", data) {
        match notes.hear(&payload) {
            Decoded::Message { topic, payload } => assert_eq!((topic.as_str(), payload.as_slice()), ("t", data)),
            other => assert_eq!(other, Decoded::Nothing),
        }
    }
    for line in String::from_utf8_lossy(data).split('\n') {
        if let Decoded::Message { topic, payload } = notes.hear(line) {
            assert!(!topic.is_empty() && payload.len() <= data.len());
        }
    }
}
