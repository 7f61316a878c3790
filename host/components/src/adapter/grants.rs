//! What an operator has granted to an adapter: addresses that it may connect to, and environment variables that it may
//! read.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

/// Everything that one adapter may reach. Nothing else is reachable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants(BTreeSet<Grant>);

/// One thing that an adapter may reach.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grant {
    /// Connections to this address.
    Address {
        /// How.
        scheme: Scheme,
        /// A name in lower case, an IPv4 address, or an IPv6 address without brackets.
        host: String,
        /// The port.
        port: u16,
    },
    /// This environment variable of the host.
    Variable(String),
}

/// How an address may be spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scheme {
    /// TCP, through `wasi:sockets`.
    Tcp,
    /// TCP, and TLS by the host on top of it.
    Tls,
    /// HTTP, through `wasi:http`.
    Http,
    /// HTTP over TLS, which the host does.
    Https,
}

/// A text that is no grant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no grant: {flaw}; write tcp://host:port, tls://host:port, http://host:port, https://host:port or \
     env:NAME"
)]
pub struct GrantError {
    /// What was given, unless it seems to hold a password.
    pub text: String,
    /// What is wrong with it.
    pub flaw: &'static str,
}

impl Scheme {
    const ALL: [Self; 4] = [Self::Tcp, Self::Tls, Self::Http, Self::Https];

    /// As it is written before `://`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    const fn default_port(self) -> Option<u16> {
        match self {
            Self::Http => Some(80),
            Self::Https => Some(443),
            Self::Tcp | Self::Tls => None,
        }
    }
}

impl Grant {
    /// The grant that `text` is.
    ///
    /// # Errors
    /// [`GrantError`].
    pub fn parse(text: &str) -> Result<Self, GrantError> {
        let error = |flaw| GrantError {
            text: if text.contains('@') {
                "…@…".into()
            } else {
                // Whole: whoever cuts it hides what is secret first.
                text.to_owned()
            },
            flaw,
        };
        if let Some(name) = text.strip_prefix("env:") {
            let fits = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            return if fits {
                Ok(Self::Variable(name.to_owned()))
            } else {
                Err(error("a variable's name has letters, digits and _"))
            };
        }
        let (scheme, rest) = text.split_once("://").ok_or_else(|| error("it has no scheme"))?;
        let scheme = Scheme::ALL.into_iter().find(|known| known.as_str() == scheme);
        let scheme = scheme.ok_or_else(|| error("there is no such scheme"))?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains('@') {
            return Err(error("a grant names no user"));
        }
        let (host, port) = split(rest).ok_or_else(|| error("what follows :// is no host and port"))?;
        let port = match port {
            Some(port) => port.parse().ok().filter(|port| *port > 0),
            None => scheme.default_port(),
        };
        let port = port.ok_or_else(|| error("its port is missing or no number from 1 to 65535"))?;
        let host = normal(host).ok_or_else(|| error("its host is no name or address"))?;
        Ok(Self::Address { scheme, host, port })
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(name) => write!(f, "env:{name}"),
            Self::Address { scheme, host, port } if host.contains(':') => {
                write!(f, "{}://[{host}]:{port}", scheme.as_str())
            }
            Self::Address { scheme, host, port } => write!(f, "{}://{host}:{port}", scheme.as_str()),
        }
    }
}

impl Grants {
    /// The grants that `texts` are.
    ///
    /// # Errors
    /// [`GrantError`] for the first that is none.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, GrantError> {
        texts.into_iter().map(Grant::parse).collect::<Result<_, _>>().map(Self)
    }

    /// Each of them, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &Grant> {
        self.0.iter()
    }

    /// Those of `wanted` that these do not cover. TLS to an address is no licence for plain TCP, nor the other way
    /// about.
    #[must_use]
    pub fn missing(&self, wanted: &Self) -> Vec<Grant> {
        wanted.0.difference(&self.0).cloned().collect()
    }

    /// Whether `scheme` may be spoken to `host`, a name or an address in any spelling, at `port`.
    #[must_use]
    pub fn allows(&self, scheme: Scheme, host: &str, port: u16) -> bool {
        normal(host).is_some_and(|host| self.0.contains(&Grant::Address { scheme, host, port }))
    }

    /// Whether any address is granted under the name or address `host`, for connections through `wasi:sockets`.
    pub(super) fn names(&self, host: &str) -> bool {
        let Some(host) = normal(host) else { return false };
        self.sockets().any(|(granted, _)| granted == host)
    }

    /// Hosts and ports for `wasi:sockets`.
    pub(super) fn sockets(&self) -> impl Iterator<Item = (&str, u16)> {
        self.0.iter().filter_map(|grant| match grant {
            Grant::Address {
                scheme: Scheme::Tcp | Scheme::Tls,
                host,
                port,
            } => Some((host.as_str(), *port)),
            _ => None,
        })
    }

    /// The variables, by name.
    pub(super) fn variables(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|grant| match grant {
            Grant::Variable(name) => Some(name.as_str()),
            Grant::Address { .. } => None,
        })
    }
}

impl FromIterator<Grant> for Grants {
    fn from_iter<I: IntoIterator<Item = Grant>>(grants: I) -> Self {
        Self(grants.into_iter().collect())
    }
}

/// Host and port of `host:port`, `[host]:port` or `host`.
pub(super) fn split(text: &str) -> Option<(&str, Option<&str>)> {
    if let Some(inside) = text.strip_prefix('[') {
        let (host, after) = inside.split_once(']')?;
        host.parse::<std::net::Ipv6Addr>().ok()?;
        return if after.is_empty() {
            Some((host, None))
        } else {
            Some((host, Some(after.strip_prefix(':')?)))
        };
    }
    match text.split_once(':') {
        Some((_, port)) if port.contains(':') => None,
        Some((host, port)) => Some((host, Some(port))),
        None => Some((text, None)),
    }
}

/// The one spelling of a host that all its spellings share.
pub(super) fn normal(host: &str) -> Option<String> {
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    if let Ok(address) = host.parse::<IpAddr>() {
        return Some(address.to_canonical().to_string());
    }
    let host = host.strip_suffix('.').unwrap_or(host);
    // What looks like an address but is none would be resolved in surprising ways: 127.1, 0x7f000001.
    let last = host.rsplit('.').next().unwrap_or_default();
    let number = last.bytes().all(|b| b.is_ascii_digit()) || last.starts_with("0x") || last.starts_with("0X");
    let fits =
        (1..=253).contains(&host.len()) && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    (fits && !number).then(|| host.to_ascii_lowercase())
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn grants_have_one_spelling() {
        for (text, spelling) in [
            ("tcp://10.0.0.5:2379", "tcp://10.0.0.5:2379"),
            ("tls://DB.Example.:5432", "tls://db.example:5432"),
            ("http://localhost", "http://localhost:80"),
            ("https://[::1]/", "https://[::1]:443"),
            ("tcp://[::ffff:10.0.0.1]:1", "tcp://10.0.0.1:1"),
            ("env:PG_PASSWORD", "env:PG_PASSWORD"),
        ] {
            assert_eq!(Grant::parse(text).expect(text).to_string(), spelling);
        }
    }

    #[test]
    fn what_is_none_says_why() {
        for (text, says) in [
            ("10.0.0.5:2379", "no scheme"),
            ("udp://h:1", "no such scheme"),
            ("tcp://h", "port"),
            ("tcp://h:0", "port"),
            ("tcp://h:70000", "port"),
            ("tcp://a:1,b:2", "no host and port"),
            ("tcp://*:1", "no name or address"),
            ("tcp://127.1:1", "no name or address"),
            ("tcp://0x7f000001:1", "no name or address"),
            ("http://h:80/path", "port"),
            ("http://user:hidden@h:80", "no user"),
            ("tcp://[h]:1", "no host and port"),
            ("env:A-B", "letters"),
            ("env:", "letters"),
            ("", "no scheme"),
        ] {
            let error = Grant::parse(text).expect_err(text).to_string();
            assert!(error.contains(says) && !error.contains("hidden"), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_none_is_told_whole_so_that_a_secret_in_it_is_recognised() {
        let text = "x".repeat(2000);
        assert_eq!(Grant::parse(&text).expect_err("no scheme").text, text);
    }

    #[test]
    fn grants_are_listed_whole_and_by_what_they_are_for() {
        let texts = ["env:B", "https://etcd:2379", "tls://db:5432", "env:A", "tcp://db:5433"];
        let grants = Grants::parse(texts).expect("grants");
        let all: Vec<String> = grants.iter().map(Grant::to_string).collect();
        assert_eq!(
            all,
            ["tcp://db:5433", "tls://db:5432", "https://etcd:2379", "env:A", "env:B"]
        );
        assert_eq!(grants.sockets().collect::<Vec<_>>(), [("db", 5433), ("db", 5432)]);
        assert_eq!(grants.variables().collect::<Vec<_>>(), ["A", "B"]);
        assert_eq!(grants.iter().cloned().collect::<Grants>(), grants);
    }

    #[test]
    fn a_grant_covers_itself_and_nothing_else() {
        let grants = Grants::parse(["tcp://db:5432", "https://etcd:2379"]).expect("grants");
        assert!(grants.allows(Scheme::Tcp, "DB", 5432) && grants.allows(Scheme::Https, "etcd.", 2379));
        for (scheme, host, port) in [
            (Scheme::Tcp, "db", 5433),
            (Scheme::Tls, "db", 5432),
            (Scheme::Http, "etcd", 2379),
            (Scheme::Tcp, "etcd", 2379),
            (Scheme::Tcp, "other", 5432),
        ] {
            assert!(!grants.allows(scheme, host, port), "{scheme:?} {host} {port}");
        }
        let wanted = Grants::parse(["tcp://db:5432", "env:X"]).expect("grants");
        assert_eq!(grants.missing(&wanted), [Grant::Variable("X".into())]);
        assert!(grants.names("db") && !grants.names("etcd"));
    }
}
