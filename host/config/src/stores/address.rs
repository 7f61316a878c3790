//! The address of a server, as `redis://user:password@host:6379/0` or `host:9092`.

use super::redis_address::{self, Extras};
use crate::problem::Code;
use crate::reader::{Item, Reader};
use crate::secret::Secret;

/// How the addresses of one kind of server are written.
pub(super) struct Form {
    /// What they begin with, before `://`. None: nothing.
    pub(super) schemes: &'static [&'static str],
    /// Whether `host:port` alone will do.
    pub(super) bare: bool,
    /// Whether `user:password@` may stand before the host.
    pub(super) login: bool,
    /// Whether they are Redis's, which may also be sockets and say more than where the server is.
    pub(super) redis: bool,
    /// A good one.
    pub(super) example: &'static str,
}

/// An address that is well formed.
pub(super) struct Address<'t> {
    /// Where it stands.
    pub(super) item: Item<'t>,
    /// The whole of it, without what is no part of where the server is.
    pub(super) text: Secret,
    /// What stands before `://`; `unix` for a socket.
    pub(super) scheme: Option<&'static str>,
    /// The user and password in it, as they are written.
    pub(super) login: Option<Secret>,
    /// What follows the host and port, without its `/`; of a socket, the number of its database.
    pub(super) path: String,
    /// What else it says.
    pub(super) extras: Extras,
}

impl<'t> Address<'t> {
    /// The addresses in `item`, a text of one or of several with commas between, if all of them are. Nothing that is
    /// said about them shows them: they may hold passwords.
    pub(super) fn read_all(reader: &Reader<'_>, item: &Item<'t>, form: &Form) -> Option<Vec<Self>> {
        let text = if form.login {
            reader.secret(item)?
        } else {
            Secret::new(reader.text(item)?)
        };
        let parse_all = |pieces: Vec<&str>| {
            pieces
                .into_iter()
                .map(|piece| parse(piece, form))
                .collect::<Result<Vec<_>, _>>()
        };
        match pieces(text.expose(), form).and_then(parse_all) {
            Ok(all) => Some(all.into_iter().map(|parts| parts.at(item)).collect()),
            Err(flaw) => {
                let message = format!("an address in `{}` {flaw}", item.path);
                let help = format!("write it like `{}`", form.example);
                reader.error(Code::InvalidValue, item.span, message, help);
                None
            }
        }
    }
}

/// What an address says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Parts {
    text: String,
    scheme: Option<&'static str>,
    login: Option<String>,
    path: String,
    extras: Extras,
}

impl Parts {
    fn at<'t>(self, item: &Item<'t>) -> Address<'t> {
        Address {
            item: item.clone(),
            text: Secret::new(self.text),
            scheme: self.scheme,
            login: self.login.map(Secret::new),
            path: self.path,
            extras: self.extras,
        }
    }
}

/// The addresses in `text`, of which several have commas between them; or what is wrong. A comma may also stand in a
/// password.
fn pieces<'a>(text: &'a str, form: &Form) -> Result<Vec<&'a str>, String> {
    let mut pieces = Vec::new();
    let mut start = 0;
    for (at, _) in text.match_indices(',') {
        let (before, after) = (&text[start..at], text[at + 1..].trim_start());
        let begins = |scheme: &&str| after.strip_prefix(scheme).is_some_and(|rest| rest.starts_with("://"));
        if !form.schemes.is_empty() && !after.is_empty() && !form.schemes.iter().any(begins) {
            let until_next = after.split("://").next().unwrap_or(after);
            let in_login = form.login && until_next.contains('@') && !before.contains('@');
            if form.bare && in_login && is_whole(before) {
                return Err(
                    "has `,` before its `@`: several addresses are written as a list; in a password, write `%2C`"
                        .into(),
                );
            }
            if in_login || !form.bare {
                continue;
            }
        }
        pieces.push(before.trim());
        start = at + 1;
    }
    pieces.push(text[start..].trim());
    // As one writes after the last of several lines.
    let several = pieces.len() > 1 && pieces.iter().any(|piece| !piece.is_empty());
    pieces.retain(|piece| !several || !piece.is_empty());
    Ok(pieces)
}

/// Whether `text` may be a whole address: as `nats://a:4222`, which may also be the user `a` of one that goes on.
fn is_whole(text: &str) -> bool {
    let host = text.rsplit("://").next().unwrap_or(text);
    host.contains(':') && host_and_port(host).is_ok()
}

/// What `text` says; or what is wrong with it.
fn parse(text: &str, form: &Form) -> Result<Parts, String> {
    if text.is_empty() {
        return Err("is empty".into());
    }
    if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("has a blank in it".into());
    }
    if let Some(socket) = Some(text).filter(|_| form.redis).and_then(redis_address::socket) {
        return socket.map(|socket| Parts {
            text: socket.text,
            scheme: Some("unix"),
            login: socket.login,
            path: socket.db,
            extras: socket.extras,
        });
    }
    let (text, extras) = if form.redis {
        redis_address::take(text)
    } else {
        (text, Extras::default())
    };
    let (scheme, rest) = match text.split_once("://") {
        Some(_) if form.schemes.is_empty() => return Err("has a scheme, and is to have none".into()),
        Some((found, rest)) => match form.schemes.iter().find(|scheme| **scheme == found) {
            Some(scheme) => (Some(plain(scheme)), rest),
            None => return Err(format!("has another scheme than {}", listed(form.schemes))),
        },
        None if form.bare => (None, text),
        None => return Err(format!("does not begin with {}", listed(form.schemes))),
    };
    if rest.contains(['?', '#']) {
        return Err("has `?` or `#` in it; in a password, write `%3F` or `%23`".into());
    }
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    if !authority.contains('@') && path.contains('@') {
        return Err("has a `/` before its `@`; in a password, write `%2F`".into());
    }
    let (login, host) = match authority.rsplit_once('@') {
        Some(_) if !form.login => return Err("names a user: write `user` and `password` as keys of their own".into()),
        Some((login, host)) => (Some(login).filter(|login| !login.is_empty()), host),
        None => (None, authority),
    };
    host_and_port(host)?;
    Ok(Parts {
        text: text.to_owned(),
        scheme,
        login: login.map(str::to_owned),
        path: path.to_owned(),
        extras,
    })
}

/// The usual name of a scheme: Valkey is spoken to as Redis.
fn plain(scheme: &'static str) -> &'static str {
    match scheme {
        "valkey" => "redis",
        "valkeys" => "rediss",
        other => other,
    }
}

fn host_and_port(text: &str) -> Result<(), String> {
    let (host, port) = if let Some(inside) = text.strip_prefix('[') {
        let (host, after) = inside.split_once(']').ok_or("has `[` without `]`")?;
        if host.parse::<std::net::Ipv6Addr>().is_err() {
            return Err("has something in brackets that is no IPv6 address".into());
        }
        match after.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None if after.is_empty() => (host, None),
            None => return Err("goes on after `]` without `:` and a port".into()),
        }
    } else {
        if text.matches(':').count() > 1 {
            return Err("has several `:`; an IPv6 address stands in brackets, as in `[::1]:6379`".into());
        }
        text.split_once(':')
            .map_or((text, None), |(host, port)| (host, Some(port)))
    };
    if host.is_empty() {
        return Err("has no host".into());
    }
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    if !host.chars().all(fits) {
        return Err(
            "has a character in its host that does not belong there; several addresses are written as a list".into(),
        );
    }
    let good = |port: &str| port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0);
    if port.is_some_and(|port| !good(port)) {
        return Err("has a port that is no number from 1 to 65535; a `/` in a password is written `%2F`".into());
    }
    Ok(())
}

fn listed(schemes: &[&str]) -> String {
    let all: Vec<_> = schemes.iter().map(|scheme| format!("`{scheme}://`")).collect();
    all.join(" or ")
}

#[cfg(test)]
mod test {
    use super::*;

    const REDIS: Form = Form {
        schemes: &["redis", "rediss"],
        bare: false,
        login: true,
        redis: true,
        example: "redis://host:6379",
    };
    const NATS: Form = Form {
        schemes: &["nats", "tls"],
        bare: true,
        login: true,
        redis: false,
        example: "nats://host:4222",
    };
    const KAFKA: Form = Form {
        schemes: &[],
        bare: true,
        login: false,
        redis: false,
        example: "host:9092",
    };

    #[test]
    fn good_addresses() {
        for (text, form, scheme, login, path) in [
            ("redis://h", &REDIS, Some("redis"), None, ""),
            (
                "rediss://u:p%2Fq@h.example:6380/3",
                &REDIS,
                Some("rediss"),
                Some("u:p%2Fq"),
                "3",
            ),
            ("redis://:p@[::1]:6379", &REDIS, Some("redis"), Some(":p"), ""),
            ("redis://u:p@ss@h", &REDIS, Some("redis"), Some("u:p@ss"), ""),
            ("kafka_1:9092", &KAFKA, None, None, ""),
            ("[fe80::1]", &KAFKA, None, None, ""),
        ] {
            let wanted = Parts {
                text: text.into(),
                scheme,
                login: login.map(str::to_owned),
                path: path.into(),
                extras: Extras::default(),
            };
            assert_eq!(parse(text, form), Ok(wanted), "{text}");
        }
    }

    #[test]
    fn what_is_said_besides_is_no_part_of_the_address() {
        let parts = parse("rediss://u:p@h/2?protocol=resp2#insecure", &REDIS).expect("sound");
        assert_eq!((parts.text.as_str(), parts.path.as_str()), ("rediss://u:p@h/2", "2"));
        assert!(parts.extras.insecure && parts.extras.resp2);
        let parts = parse("unix:/run/redis.sock?db=3&pass=x", &REDIS).expect("sound");
        assert_eq!(
            (parts.text.as_str(), parts.scheme),
            ("unix:///run/redis.sock?db=3&pass=x", Some("unix"))
        );
        assert_eq!((parts.login.as_deref(), parts.path.as_str()), (Some(":x"), "3"));
        assert!(parse("unix:///x", &NATS).is_err() && parse("h#insecure", &NATS).is_err());
    }

    #[test]
    fn several_addresses_in_one_text() {
        for (text, form, wanted) in [
            ("a:1,b:2", &KAFKA, &["a:1", "b:2"][..]),
            (" a:1 , b:2,", &KAFKA, &["a:1", "b:2"]),
            (",", &KAFKA, &["", ""]),
            ("redis://a:1,redis://b:2,", &REDIS, &["redis://a:1", "redis://b:2"]),
            (
                "redis://u:p,w@a, redis://u:p,w@b",
                &REDIS,
                &["redis://u:p,w@a", "redis://u:p,w@b"],
            ),
            ("redis://a:1,b:2", &REDIS, &["redis://a:1,b:2"]),
            ("nats://a:1,b:2, tls://c", &NATS, &["nats://a:1", "b:2", "tls://c"]),
            ("nats://u:p,w@a", &NATS, &["nats://u:p,w@a"]),
            ("u:p@a,b", &NATS, &["u:p@a", "b"]),
            (
                "nats://a:1,b:2,nats://u:p@c",
                &NATS,
                &["nats://a:1", "b:2", "nats://u:p@c"],
            ),
        ] {
            assert_eq!(pieces(text, form).as_deref(), Ok(wanted), "{text}");
        }
        let flaw = pieces("nats://u:4222,hunter2@h", &NATS).expect_err("one or two");
        assert!(flaw.contains("%2C") && !flaw.contains("hunter2"), "{flaw}");
    }

    #[test]
    fn flaws_are_named_and_nothing_else() {
        for (text, form, says) in [
            ("", &REDIS, "empty"),
            ("hunter2", &REDIS, "does not begin with `redis://` or `rediss://`"),
            ("http://hunter2", &REDIS, "another scheme"),
            ("redis://hunter2 x", &REDIS, "blank"),
            ("redis://", &REDIS, "no host"),
            ("redis://u:hunter2@", &REDIS, "no host"),
            ("redis://h:0", &REDIS, "1 to 65535"),
            ("redis://h:65536", &REDIS, "1 to 65535"),
            ("redis://h:+1", &REDIS, "1 to 65535"),
            ("redis://u:hunter2/x@h", &REDIS, "%2F"),
            ("redis://:NCd/hunter2@h", &REDIS, "%2F"),
            ("redis://h?protocol=hunter2", &REDIS, "`?`"),
            ("redis://h#hunter2", &REDIS, "`#`"),
            ("unix:hunter2", &REDIS, "whole path"),
            ("redis://::1", &REDIS, "brackets"),
            ("redis://[::1", &REDIS, "without `]`"),
            ("redis://[h]", &REDIS, "no IPv6"),
            ("redis://[::1]6379", &REDIS, "without `:`"),
            ("redis://a:1,b:2", &REDIS, "several `:`"),
            ("a,b", &KAFKA, "a list"),
            ("ssl://a:9092", &KAFKA, "is to have none"),
            ("me@a:9092", &KAFKA, "keys of their own"),
        ] {
            let flaw = parse(text, form).expect_err(text);
            assert!(flaw.contains(says) && !flaw.contains("hunter2"), "{text}: {flaw}");
        }
    }
}
