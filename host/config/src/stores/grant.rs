//! What an adapter is granted: `tcp://db.example:5432`, `https://10.0.0.5`, `env:NAME`.

use crate::problem::Code;
use crate::reader::{Item, Reader};
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Something outside of itself that an adapter may use. Written as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Grant {
    /// Connections to one port of one host.
    Connect {
        /// What is spoken.
        scheme: GrantScheme,
        /// A name in lower case, an IPv4 address, or an IPv6 address without brackets and in its shortest form.
        host: String,
        /// The port, never 0.
        port: u16,
    },
    /// An environment variable of this process.
    Env(String),
}

impl Grant {
    /// Whether the host secures it with TLS.
    #[must_use]
    pub const fn is_tls(&self) -> bool {
        matches!(self, Self::Connect { scheme, .. } if scheme.is_tls())
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect { scheme, host, port } if host.contains(':') => {
                write!(f, "{}://[{host}]:{port}", scheme.as_str())
            }
            Self::Connect { scheme, host, port } => write!(f, "{}://{host}:{port}", scheme.as_str()),
            Self::Env(name) => write!(f, "env:{name}"),
        }
    }
}

/// What an adapter may speak over a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GrantScheme {
    /// Bytes.
    Tcp,
    /// Bytes, over TLS that the host speaks.
    Tls,
    /// HTTP.
    Http,
    /// HTTP, over TLS that the host speaks.
    Https,
}

impl GrantScheme {
    const ALL: [Self; 4] = [Self::Tcp, Self::Tls, Self::Http, Self::Https];

    /// The scheme as it is written before `://`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// Whether the host secures it with TLS.
    #[must_use]
    pub const fn is_tls(self) -> bool {
        matches!(self, Self::Tls | Self::Https)
    }

    /// The port that is meant where none is written.
    const fn usual_port(self) -> Option<u16> {
        match self {
            Self::Tcp | Self::Tls => None,
            Self::Http => Some(80),
            Self::Https => Some(443),
        }
    }
}

const FORMS: &str =
    "write `tcp://HOST:PORT`, `tls://HOST:PORT`, `http://HOST[:PORT]`, `https://HOST[:PORT]` or `env:NAME`";

/// The grant that `item` is. Nothing that is said about it shows it: somebody may have written a password into it.
pub(super) fn read(reader: &Reader<'_>, item: &Item<'_>) -> Option<Grant> {
    if item.value.as_str().is_some_and(|raw| raw.contains('@')) {
        reader.hide(item.span);
    }
    let text = reader.text(item)?;
    parse(&text)
        .map_err(|flaw| {
            reader.error(
                Code::InvalidValue,
                item.span,
                format!("a grant in `{}` {flaw}", item.path),
                FORMS,
            );
        })
        .ok()
}

/// The grant `text`, or what is wrong with it.
fn parse(text: &str) -> Result<Grant, String> {
    if text.is_empty() {
        return Err("is empty".into());
    }
    if text.contains('@') {
        return Err("names a user: who the adapter is to its server is said in its `config`".into());
    }
    if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("has a blank in it".into());
    }
    if text.contains('*') {
        return Err("has `*` in it: each host and variable is granted by its name".into());
    }
    if let Some(name) = text.strip_prefix("env:") {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
        return match !name.is_empty() && name.chars().all(fits) {
            true => Ok(Grant::Env(name.to_owned())),
            false => Err("names no environment variable, which consists of letters, digits and `_`".into()),
        };
    }
    let (scheme, rest) = text.split_once("://").ok_or("has no scheme")?;
    let scheme = GrantScheme::ALL.into_iter().find(|known| known.as_str() == scheme);
    let scheme = scheme.ok_or("has a scheme that is not known")?;
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains(['/', '?', '#']) {
        return Err("goes on after its host and port, and a part of a server cannot be granted".into());
    }
    let (host, port) = host_and_port(authority)?;
    let port = match port {
        Some(port) => port
            .parse()
            .ok()
            .filter(|number| *number > 0 && port.bytes().all(|b| b.is_ascii_digit()))
            .ok_or("has a port that is no number from 1 to 65535")?,
        None => scheme.usual_port().ok_or("has no port")?,
    };
    Ok(Grant::Connect { scheme, host, port })
}

fn host_and_port(authority: &str) -> Result<(String, Option<&str>), String> {
    if let Some(inside) = authority.strip_prefix('[') {
        let (host, after) = inside.split_once(']').ok_or("has `[` without `]`")?;
        let host: Ipv6Addr = host
            .parse()
            .map_err(|_| "has something in brackets that is no IPv6 address")?;
        return match after.strip_prefix(':') {
            Some(port) => Ok((host.to_string(), Some(port))),
            None if after.is_empty() => Ok((host.to_string(), None)),
            None => Err("goes on after `]` without `:` and a port".into()),
        };
    }
    if authority.matches(':').count() > 1 {
        return Err("has several `:`; an IPv6 address stands in brackets, as in `[::1]`".into());
    }
    let (host, port) = authority
        .split_once(':')
        .map_or((authority, None), |(host, port)| (host, Some(port)));
    if host.is_empty() {
        return Err("has no host".into());
    }
    // What ends in a number is an address to every resolver, and some make one of `10.1` too.
    let numeric = host
        .rsplit('.')
        .next()
        .is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    let good = if numeric {
        host.parse::<Ipv4Addr>().is_ok()
    } else {
        is_name(host)
    };
    if !good {
        return Err("has a host that is neither a name nor an address".into());
    }
    Ok((host.to_ascii_lowercase(), port))
}

/// Whether `host` can be the name of a host: labels of letters, digits, `-` and `_`, joined by single dots.
fn is_name(host: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let label = |label: &str| {
        (1..=63).contains(&label.len()) && label.chars().all(fits) && !label.starts_with('-') && !label.ends_with('-')
    };
    host.len() <= 253 && host.split('.').all(label)
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn every_form_is_shown_as_it_is_meant() {
        for (text, shown) in [
            ("tcp://db.example:5432", "tcp://db.example:5432"),
            ("tls://10.0.0.5:1", "tls://10.0.0.5:1"),
            ("http://H.Example", "http://h.example:80"),
            ("https://h/", "https://h:443"),
            ("https://[0:0::1]", "https://[::1]:443"),
            ("tcp://[FE80::1]:65535/", "tcp://[fe80::1]:65535"),
            ("http://xn--bcher-kva.example:080", "http://xn--bcher-kva.example:80"),
            ("tcp://kafka_1.2nd:9", "tcp://kafka_1.2nd:9"),
            ("env:NAME_2", "env:NAME_2"),
            ("env:name", "env:name"),
        ] {
            let grant = parse(text).expect(text);
            assert_eq!(grant.to_string(), shown);
            assert_eq!(parse(shown), Ok(grant), "{shown}");
        }
    }

    #[test]
    fn flaws_are_named_and_nothing_else() {
        for (text, says) in [
            ("", "is empty"),
            ("http://me:hunter2@h", "names a user"),
            ("hunter2@h", "names a user"),
            ("env:hunter2@h", "names a user"),
            ("tcp://h:1/hunter2@h", "names a user"),
            ("tcp://h 1", "blank"),
            ("tcp://h\u{7}:1", "blank"),
            ("tcp://*:1", "`*`"),
            ("tcp://*.example:1", "`*`"),
            ("env:*", "`*`"),
            ("env:", "no environment variable"),
            ("env:A-B", "no environment variable"),
            ("env:Ä", "no environment variable"),
            ("ENV:A", "no scheme"),
            ("h:1", "no scheme"),
            ("udp://h:1", "scheme that is not known"),
            ("HTTP://h", "scheme that is not known"),
            ("://h:1", "scheme that is not known"),
            ("http://h/path", "goes on"),
            ("http://h//", "goes on"),
            ("http://h?x", "goes on"),
            ("http://h/#x", "goes on"),
            ("tcp://h", "no port"),
            ("tls://[::1]", "no port"),
            ("tcp://h:", "1 to 65535"),
            ("tcp://h:0", "1 to 65535"),
            ("tcp://h:+1", "1 to 65535"),
            ("tcp://h:65536", "1 to 65535"),
            ("http://", "no host"),
            ("tcp://:1", "no host"),
            ("tcp://::1:1", "brackets"),
            ("tcp://[::1", "without `]`"),
            ("tcp://[h]:1", "no IPv6"),
            ("tcp://[fe80::1%eth0]:1", "no IPv6"),
            ("tcp://[::1]1", "without `:`"),
            ("tcp://10.1:1", "neither"),
            ("tcp://1.2.3.400:1", "neither"),
            ("tcp://-h:1", "neither"),
            ("tcp://h-.example:1", "neither"),
            ("tcp://h..example:1", "neither"),
            ("tcp://h.:1", "neither"),
            ("tcp://bücher:1", "neither"),
            ("tcp://a,b:1", "neither"),
        ] {
            let flaw = parse(text).expect_err(text);
            assert!(flaw.contains(says) && !flaw.contains("hunter2"), "{text}: {flaw}");
        }
        assert!(parse(&format!("tcp://{}:1", "a".repeat(64))).is_err());
        assert!(parse(&format!("tcp://{}a:1", "a.".repeat(127))).is_err());
    }
}
