//! The address of a server, as `redis://user:password@host:6379/0` or `host:9092`.

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
    /// A good one.
    pub(super) example: &'static str,
}

/// An address that is well formed.
pub(super) struct Address<'t> {
    /// Where it stands.
    pub(super) item: Item<'t>,
    /// The whole of it.
    pub(super) text: Secret,
    /// What stands before `://`.
    pub(super) scheme: Option<&'static str>,
    /// The user and password in it, as they are written.
    pub(super) login: Option<Secret>,
    /// What follows the host and port, without its `/`.
    pub(super) path: String,
}

impl<'t> Address<'t> {
    /// The address in `item`, if it is one. Nothing that is said about it shows it: it may hold a password.
    pub(super) fn read(reader: &Reader<'_>, item: &Item<'t>, form: &Form) -> Option<Self> {
        let text = if form.login {
            reader.secret(item)?
        } else {
            Secret::new(reader.text(item)?)
        };
        match parse(text.expose(), form) {
            Ok((scheme, login, path)) => Some(Self {
                item: item.clone(),
                scheme,
                login: login.map(Secret::new),
                path: path.to_owned(),
                text,
            }),
            Err(flaw) => {
                let message = format!("an address in `{}` {flaw}", item.path);
                let help = format!("write it like `{}`", form.example);
                reader.error(Code::InvalidValue, item.span, message, help);
                None
            }
        }
    }
}

type Parts<'a> = (Option<&'static str>, Option<&'a str>, &'a str);

/// Scheme, login and path of `text`; or what is wrong with it.
fn parse<'a>(text: &'a str, form: &Form) -> Result<Parts<'a>, String> {
    if text.is_empty() {
        return Err("is empty".into());
    }
    if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("has a blank in it".into());
    }
    let (scheme, rest) = match text.split_once("://") {
        Some(_) if form.schemes.is_empty() => return Err("has a scheme, and is to have none".into()),
        Some((found, rest)) => match form.schemes.iter().find(|scheme| **scheme == found) {
            Some(scheme) => (Some(*scheme), rest),
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
    Ok((scheme, login, path))
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
        text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)))
    };
    if host.is_empty() {
        return Err("has no host".into());
    }
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    if !host.chars().all(fits) {
        return Err("has a character in its host that does not belong there; several addresses are written as a list".into());
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
        example: "redis://host:6379",
    };
    const KAFKA: Form = Form {
        schemes: &[],
        bare: true,
        login: false,
        example: "host:9092",
    };

    #[test]
    fn good_addresses() {
        assert_eq!(parse("redis://h", &REDIS), Ok((Some("redis"), None, "")));
        assert_eq!(
            parse("rediss://u:p%2Fq@h.example:6380/3", &REDIS),
            Ok((Some("rediss"), Some("u:p%2Fq"), "3"))
        );
        assert_eq!(parse("redis://:p@[::1]:6379", &REDIS), Ok((Some("redis"), Some(":p"), "")));
        assert_eq!(parse("redis://u:p@ss@h", &REDIS), Ok((Some("redis"), Some("u:p@ss"), "")));
        assert_eq!(parse("kafka_1:9092", &KAFKA), Ok((None, None, "")));
        assert_eq!(parse("[fe80::1]", &KAFKA), Ok((None, None, "")));
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
