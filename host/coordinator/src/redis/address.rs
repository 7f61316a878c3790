//! What an address says: which server, with or without TLS, as whom, which database.

use super::options::{RedisOptions, RedisTopology};
use crate::broker::{BrokerError, Password};
use redis::{ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo};
use std::fmt;

/// One server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) host: String,
    pub(super) port: u16,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
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
                Err(why) => return invalid(format!("address {at} of redis {why}; it must read as in redis://host:6379")),
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
        let servers = self.servers.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let tls = if self.tls { "rediss" } else { "redis" };
        match topology {
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
    login.set_protocol(redis::ProtocolVersion::RESP3).set_skip_set_lib_name()
}

/// The server, whether by TLS, and the login. The error says what is wrong without repeating any of it.
fn parse(url: &str) -> Result<(Server, bool, RedisConnectionInfo), String> {
    let (scheme, rest) = url.split_once("://").ok_or("has no scheme")?;
    let tls = match scheme {
        "redis" | "valkey" => false,
        "rediss" | "valkeys" => true,
        _ => return Err(format!("has the scheme {scheme:?}")),
    };
    // TLS is not the library's business here.
    let info = format!("redis://{rest}").as_str().into_connection_info();
    let info = info.map_err(|error| {
        format!(
            "makes no sense: {}",
            error.detail().map_or(error.category(), |_| "a part of it is malformed")
        )
    })?;
    match info.addr() {
        ConnectionAddr::Tcp(host, port) => {
            let (host, port) = (host.clone(), *port);
            Ok((Server { host, port }, tls, info.redis_settings().clone()))
        }
        _ => Err("is no TCP address".into()),
    }
}

/// The server that an answer of the form `host:port` names; an empty host is the one that answered.
pub(super) fn redirected(text: &str, from: &Server) -> Option<Server> {
    let (host, port) = text.rsplit_once(':')?;
    let port = port.parse().ok()?;
    let host = if host.is_empty() { from.host.clone() } else { host.to_owned() };
    Some(Server { host, port })
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
        let addresses = Addresses::of(&options(&["rediss://alice:s%40cret@[::1]:7000/3"])).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(addresses.servers[0].to_string(), "[::1]:7000");
        assert!(addresses.tls);
        assert_eq!(addresses.login.username(), Some("alice"));
        assert_eq!(addresses.login.password(), Some("s@cret"));
        assert_eq!(addresses.location(&RedisTopology::Single), "rediss://[::1]:7000/3");
    }

    #[test]
    fn no_error_repeats_an_address() {
        for bad in [
            "localhost:s3cret",
            "http://u:s3cret@host",
            "redis://u:s3cret@host:99999",
            "redis://u:s3cret@/",
            "redis://u:s3cret@h/s3cret",
            "unix:///s3cret",
        ] {
            let error = Addresses::of(&options(&[bad])).err().map(|error| error.to_string());
            let error = error.unwrap_or_else(|| panic!("{bad} was accepted"));
            assert!(!error.contains("s3cret") && error.contains("address 1"), "{error}");
        }
    }

    #[test]
    fn an_answer_without_a_host_means_the_same_host() {
        let from = Server {
            host: "here".into(),
            port: 1,
        };
        let found = |text| redirected(text, &from).map(|server| server.to_string());
        assert_eq!(found(":7").as_deref(), Some("here:7"));
        assert_eq!(found("::1:7").as_deref(), Some("[::1]:7"));
        assert_eq!(found("there"), None);
    }
}
