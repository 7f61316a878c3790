//! What must hold of whatever a server answers, for `tests/properties`: functions over bytes that somebody makes up.

use super::address::{Addresses, Server, redirected};
use super::reply::Refusal;
use super::script::{self, Answer};
use super::{RedisOptions, RedisTopology};
use crate::broker::Password;
use std::time::Duration;

/// Whatever a server answers is an answer, a refusal with a reason, or no answer at all.
pub fn answer(data: &[u8]) {
    let Ok(value) = redis::parse_redis_value(data) else {
        return;
    };
    if let Ok(entries) = script::listing(value.clone()) {
        // A key and an entry take at least a byte each, and the header that every entry has.
        assert!(entries.len() <= data.len() / 17, "{} entries", entries.len());
    }
    let found = script::entry(value.clone());
    assert!(found.is_ok() || found.is_err_and(|why| why.contains("entry")));
    match Refusal::check(value) {
        Err(refusal) => assert!(!refusal.why().is_empty() || data.len() < 8, "a reason"),
        Ok(value) => match script::decode(value) {
            Some(Ok(Answer::Done { more, .. })) => drop((script::entry(more.clone()), script::listing(more))),
            Some(Err(refusal)) => assert!(matches!(refusal, Refusal::Newer(_)), "{refusal:?}"),
            Some(Ok(_)) | None => {}
        },
    }
}

/// An address is understood, or refused without a word of it; where a cluster sends us on to is a server or nothing.
pub fn address(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // Readers of URLs leave out what breaks them: a host must not read like the password.
    if text.replace(char::is_control, "").contains("hunter2") {
        return;
    }
    let options = RedisOptions {
        topology: RedisTopology::Single,
        urls: vec![
            Password::new(format!("redis://user:hunter2-x@{text}")),
            Password::new(text),
        ],
        user: None,
        password: None,
        timeout: Duration::from_secs(1),
        tls: None,
        min_replicas: 0,
    };
    for at in 0..2 {
        let one = RedisOptions {
            urls: vec![options.urls[at].clone()],
            ..options.clone()
        };
        match Addresses::of(&one) {
            Ok(addresses) => assert!(!addresses.location(&RedisTopology::Single).contains("hunter2")),
            Err(error) => assert!(!error.to_string().contains("hunter2"), "{error}"),
        }
    }
    let from = Server::Tcp {
        host: "h".into(),
        port: 1,
    };
    if let Some(Server::Tcp { port, .. }) = redirected(text, &from) {
        assert!(
            text.rsplit(':').next().is_some_and(|last| last.parse() == Ok(port)),
            "{port}"
        );
    }
}
