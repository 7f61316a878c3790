//! What an address says: which server, with or without TLS, as whom, which database.

use super::options::{RedisOptions, RedisTopology};
use crate::broker::{BrokerError, Password};
use redis::{ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo};
use std::fmt;
use std::path::PathBuf;

/// One server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Server {
    /// At a port of a host.
    Tcp { host: String, port: u16 },
    /// At a socket of this machine.
    Socket(PathBuf),
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Socket(path) => write!(f, "{}", path.display()),
        }
    }
}

/// What all the addresses of one coordinator say together.
pub(super) struct Addresses {
    pub(super) servers: Vec<Server>,
    /// Whether the first address, or the options, ask for TLS.
    pub(super) tls: bool,
    /// How to log in at the server that holds the data.
    pub(super) login: RedisConnectionInfo,
}

impl Addresses {
    /// # Errors
    /// `Invalid`: no address, or one that is none. Addresses may hold passwords and are never repeated.
    pub(super) fn of(options: &RedisOptions) -> Result<Self, BrokerError> {
        let invalid = |why: String| Err(BrokerError::Invalid(why));
        let mut all = Vec::new();
        for (at, url) in (1..).zip(&options.urls) {
            match parse(url.expose()) {
                Ok(parsed) => all.push(parsed),
                Err(why) => {
                    return invalid(format!(
                        "address {at} of redis {why}; it must read as in redis://host:6379 or unix:///run/redis.sock"
                    ));
                }
            }
        }
        let Some((_, tls, mut login)) = all.first().cloned() else {
            return invalid("redis has no address; name one as in redis://host:6379".into());
        };
        if all.iter().any(|(_, other, _)| *other != tls) {
            return invalid("some addresses of redis are rediss:// (TLS) and some are not".into());
        }
        if let (Some(user), None) = (&options.user, login.username()) {
            login = login.set_username(user);
        }
        if let (Some(password), None) = (&options.password, login.password()) {
            login = login.set_password(password.expose());
        }
        if all.iter().any(|(server, ..)| matches!(server, Server::Socket(_))) {
            if options.topology != RedisTopology::Single {
                let why = "a unix socket leads to one server of this machine: set redis-type single, or name hosts";
                return invalid(why.into());
            }
            if options.tls.is_some() {
                return invalid(
                    "there is no TLS over a unix socket, which never leaves this machine: leave tls out".into(),
                );
            }
        }
        if options.topology == RedisTopology::Cluster && login.db() != 0 {
            return invalid(format!(
                "Redis Cluster has no database {}: leave the number out of the address",
                login.db()
            ));
        }
        Ok(Self {
            servers: all.into_iter().map(|(server, ..)| server).collect(),
            tls: tls || options.tls.is_some(),
            login: prepare(login),
        })
    }

    /// Where that is, without secrets.
    pub(super) fn location(&self, topology: &RedisTopology) -> String {
        let servers = self
            .servers
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(",");
        let tls = if self.tls { "rediss" } else { "redis" };
        match topology {
            RedisTopology::Single if matches!(self.servers[..], [Server::Socket(_), ..]) => match self.login.db() {
                0 => format!("unix://{servers}"),
                db => format!("unix://{servers}?db={db}"),
            },
            RedisTopology::Single if self.login.db() != 0 => format!("{tls}://{servers}/{}", self.login.db()),
            RedisTopology::Single => format!("{tls}://{servers}"),
            RedisTopology::Cluster => format!("{tls}-cluster://{servers}"),
            RedisTopology::Sentinel { service, .. } => format!("{tls}-sentinel://{servers}/{service}"),
        }
    }
}

/// How to log in as `user`, in the protocol that carries messages beside answers.
pub(super) fn login(user: Option<&str>, password: Option<&Password>) -> RedisConnectionInfo {
    let mut login = RedisConnectionInfo::default();
    if let Some(user) = user {
        login = login.set_username(user);
    }
    if let Some(password) = password {
        login = login.set_password(password.expose());
    }
    prepare(login)
}

fn prepare(login: RedisConnectionInfo) -> RedisConnectionInfo {
    login
        .set_protocol(redis::ProtocolVersion::RESP3)
        .set_skip_set_lib_name()
}

/// The server, whether by TLS, and the login. The error says what is wrong without repeating any of it.
fn parse(url: &str) -> Result<(Server, bool, RedisConnectionInfo), String> {
    let (scheme, rest) = url.split_once("://").ok_or("has no scheme")?;
    let (tls, scheme) = match scheme {
        "redis" | "valkey" => (false, "redis"),
        "rediss" | "valkeys" => (true, "redis"),
        "unix" | "redis+unix" | "valkey+unix" => (false, "unix"),
        _ => return Err(format!("has the scheme {scheme:?}")),
    };
    // TLS is not the library's business here.
    let info = format!("{scheme}://{rest}").as_str().into_connection_info();
    let info = info.map_err(|error| {
        let what = error.detail().map_or(error.category(), |_| "a part of it is malformed");
        format!("makes no sense: {what}{}", escaping(rest))
    })?;
    let server = match info.addr() {
        ConnectionAddr::Tcp(host, port) => Server::Tcp {
            host: host.clone(),
            port: *port,
        },
        ConnectionAddr::Unix(path) => Server::Socket(path.clone()),
        _ => return Err("is neither a TCP address nor a unix socket".into()),
    };
    Ok((server, tls, info.redis_settings().clone()))
}

/// What to say of an address that makes no sense because its password has characters that end the part in which it
/// stands.
fn escaping(rest: &str) -> &'static str {
    let (login, end) = (rest.rfind('@'), rest.find(['/', '?', '#']));
    if login.zip(end).is_some_and(|(login, end)| end < login) {
        ", perhaps because of its password: write / as %2F, ? as %3F, # as %23, @ as %40 and % as %25 there, or give \
         it as `password` instead"
    } else {
        ""
    }
}

/// The server that an answer of the form `host:port` names; an empty host is the one that answered.
pub(super) fn redirected(text: &str, from: &Server) -> Option<Server> {
    let (host, port) = text.rsplit_once(':')?;
    let port = port.parse().ok()?;
    let host = match (host, from) {
        ("", Server::Tcp { host, .. }) => host.clone(),
        ("", Server::Socket(_)) => return None,
        (host, _) => host.to_owned(),
    };
    Some(Server::Tcp { host, port })
}

#[cfg(test)]
mod test {
    use super::*;
    use std::time::Duration;

    fn options(urls: &[&str]) -> RedisOptions {
        RedisOptions {
            topology: RedisTopology::Single,
            urls: urls.iter().map(|url| Password::new(*url)).collect(),
            user: None,
            password: None,
            timeout: Duration::from_secs(1),
            min_replicas: 0,
            tls: None,
        }
    }

    #[test]
    fn an_address_names_server_user_and_database() {
        let addresses =
            Addresses::of(&options(&["rediss://alice:s%40cret@[::1]:7000/3"])).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(addresses.servers[0].to_string(), "[::1]:7000");
        assert!(addresses.tls);
        assert_eq!(addresses.login.username(), Some("alice"));
        assert_eq!(addresses.login.password(), Some("s@cret"));
        assert_eq!(addresses.location(&RedisTopology::Single), "rediss://[::1]:7000/3");
    }

    #[test]
    fn an_address_may_name_a_socket() {
        let url = "unix:///run/redis/redis.sock?db=3&user=alice&pass=s%40cret";
        let addresses = Addresses::of(&options(&[url])).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(addresses.servers, [Server::Socket("/run/redis/redis.sock".into())]);
        assert_eq!((addresses.login.username(), addresses.login.db()), (Some("alice"), 3));
        assert_eq!(addresses.login.password(), Some("s@cret"));
        assert_eq!(
            addresses.location(&RedisTopology::Single),
            "unix:///run/redis/redis.sock?db=3"
        );

        let mut cluster = options(&[url]);
        cluster.topology = RedisTopology::Cluster;
        let mut secured = options(&[url]);
        secured.tls = Some(crate::broker::Tls::default());
        for (options, part) in [(cluster, "redis-type single"), (secured, "leave tls out")] {
            let error = Addresses::of(&options)
                .err()
                .map(|error| error.to_string())
                .unwrap_or_default();
            assert!(error.contains(part), "{error:?}");
        }
    }

    #[test]
    fn a_password_that_must_be_escaped_is_said_to() {
        for (url, said) in [
            ("redis://:NCd/MlO@127.0.0.1", true),
            ("redis://:hp#NCd/MlO+XQ@ehqs=@127.0.0.1:6379", true),
            ("redis://:a?b@127.0.0.1", true),
            ("redis://127.0.0.1:99999", false),
        ] {
            let error = Addresses::of(&options(&[url]))
                .err()
                .map(|error| error.to_string())
                .unwrap_or_default();
            assert_eq!(error.contains("%2F"), said, "{error}");
        }
    }

    #[test]
    fn no_error_repeats_an_address() {
        for bad in [
            "localhost:s3cret",
            "http://u:s3cret@host",
            "redis://u:s3cret@host:99999",
            "redis://u:s3cret@/",
            "redis://u:s3cret@h/s3cret",
            "unix://s3cret/run/redis.sock",
            "unix:///run/redis.sock?db=s3cret",
            "redis://:NCd/s3cret@host",
        ] {
            let error = Addresses::of(&options(&[bad])).err().map(|error| error.to_string());
            let error = error.unwrap_or_else(|| panic!("{bad} was accepted"));
            assert!(!error.contains("s3cret") && error.contains("address 1"), "{error}");
        }
    }

    #[test]
    fn an_answer_without_a_host_means_the_same_host() {
        let from = Server::Tcp {
            host: "here".into(),
            port: 1,
        };
        let found = |text| redirected(text, &from).map(|server| server.to_string());
        assert_eq!(found(":7").as_deref(), Some("here:7"));
        assert_eq!(found("::1:7").as_deref(), Some("[::1]:7"));
        assert_eq!(found("there"), None);
    }
}
