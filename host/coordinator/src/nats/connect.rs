//! From options to a connection: who we are, how it is secured, and what a refusal means.

use super::bus::LEAST_CAPACITY;
use super::connection::{Connecting, ConnectionEvents};
use super::options::{NatsLogin, NatsOptions};
use super::tls;
use crate::broker::{BrokerError, Password, Tls};
use async_nats::{Client, ConnectError, ConnectErrorKind, ConnectOptions, ServerAddr};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

/// The servers and the login, taken apart: no address that the library sees (and logs) holds a secret.
pub(super) struct Target {
    servers: Vec<ServerAddr>,
    login: NatsLogin,
    tls: bool,
}

impl Target {
    /// # Errors
    /// `Invalid`, without the address, which may hold a secret.
    pub(super) fn new(options: &NatsOptions) -> Result<Self, BrokerError> {
        let invalid = |why: String| BrokerError::Invalid(why);
        let mut target = Self {
            servers: Vec::new(),
            login: options.login.clone(),
            tls: options.tls.is_some(),
        };
        for (number, address) in options.addresses.iter().enumerate() {
            let (login, place) = take_login(address.expose());
            target.tls |= place.starts_with("tls://");
            let server = place
                .parse()
                .map_err(|_| invalid(format!("address {} is none: write nats://host:4222", number + 1)))?;
            target.servers.push(server);
            if target.login == NatsLogin::None {
                target.login = login;
            }
        }
        if target.servers.is_empty() {
            return Err(invalid("no address of a NATS server: write nats://host:4222".into()));
        }
        Ok(target)
    }

    /// Where it is, without secrets.
    pub(super) fn location(&self) -> String {
        let places: Vec<_> = self
            .servers
            .iter()
            .map(|server| format!("{}:{}", server.host(), server.port()))
            .collect();
        format!("nats://{}", places.join(","))
    }

    /// Connects, once. `signals` hears of what becomes of the connection.
    ///
    /// # Errors
    /// `Unreachable`, `Denied`, `Tls` or `Invalid`.
    pub(super) async fn connect(
        &self,
        options: &NatsOptions,
        signals: &Arc<ConnectionEvents>,
    ) -> Result<Client, BrokerError> {
        let (delays, events) = (Connecting(signals.clone()), signals.clone());
        let mut connect = ConnectOptions::new()
            .name("shardwright")
            .connection_timeout(options.timeout_connection)
            .request_timeout(None)
            .ping_interval(options.ping_interval)
            .client_capacity(options.capacity_client.max(1))
            .subscription_capacity(options.capacity_subscription.max(LEAST_CAPACITY))
            .read_buffer_capacity(options.capacity_read_buffer)
            .max_reconnects(options.max_reconnects.map(|times| times.max(self.servers.len())))
            .tls_client_config(tls::configure(options.tls.as_ref().unwrap_or(&Tls::default()))?)
            .require_tls(self.tls)
            .reconnect_delay_callback(move |attempt| {
                // All of it, so that it is dropped with this.
                let Connecting(signals) = &delays;
                signals.attempt(attempt)
            })
            .event_callback(move |event| {
                events.event(&event);
                async {}
            });
        connect = match &self.login {
            NatsLogin::None => connect,
            NatsLogin::User { user, password } => connect.user_and_password(user.clone(), password.expose().to_owned()),
            NatsLogin::Token(token) => connect.token(token.expose().to_owned()),
            NatsLogin::Nkey(seed) => connect.nkey(seed.expose().trim().to_owned()),
            NatsLogin::Credentials(text) => connect
                .credentials(text.expose())
                // The library's reason may quote the text.
                .map_err(|_| {
                    BrokerError::Invalid(
                        "the credentials are none: expected a JWT and the seed of an nkey, as `nsc generate creds` \
                         writes them"
                            .into(),
                    )
                })?,
        };
        // Every server gets its chance; names may resolve to more than one address.
        let limit = options
            .timeout_connection
            .saturating_mul(u32::try_from(self.servers.len()).unwrap_or(1) + 1);
        match tokio::time::timeout(limit, connect.connect(&self.servers[..])).await {
            Ok(Ok(client)) => Ok(client),
            Ok(Err(error)) => Err(self.explain(&error, options.timeout_connection)),
            Err(_) => Err(self.unreachable(format!("nobody answered within {limit:?}"))),
        }
    }

    fn unreachable(&self, why: String) -> BrokerError {
        BrokerError::Unreachable {
            location: self.location(),
            why,
        }
    }

    fn explain(&self, error: &ConnectError, limit: Duration) -> BrokerError {
        let location = self.location();
        if let Some(why) = tls::explain(error) {
            return BrokerError::Tls { location, why };
        }
        match error.kind() {
            ConnectErrorKind::AuthorizationViolation => BrokerError::Denied {
                location,
                why: format!("it does not accept {}", self.who()),
            },
            ConnectErrorKind::Authentication => BrokerError::Invalid(format!(
                "{} cannot sign what the server sent: it is damaged",
                self.who()
            )),
            ConnectErrorKind::Tls => BrokerError::Tls {
                location,
                why: chain(error),
            },
            ConnectErrorKind::TimedOut => self.unreachable(format!("no answer within {limit:?}")),
            _ => self.unreachable(chain(error)),
        }
    }

    /// The login in words.
    fn who(&self) -> String {
        match &self.login {
            NatsLogin::None => "a connection without a login: set user and password, token, nkey or credentials".into(),
            NatsLogin::User { user, .. } => format!("the user {user:?} with this password"),
            NatsLogin::Token(_) => "the token".into(),
            NatsLogin::Nkey(_) => "the nkey".into(),
            NatsLogin::Credentials(_) => "the credentials".into(),
        }
    }
}

/// An error with all that caused it.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let more = cause.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        next = cause.source();
    }
    text
}

/// Takes user and password, or a token, out of an address.
fn take_login(address: &str) -> (NatsLogin, String) {
    let (scheme, rest) = address.split_once("://").unwrap_or(("nats", address));
    let Some((login, place)) = rest.rsplit_once('@') else {
        return (NatsLogin::None, format!("{scheme}://{rest}"));
    };
    let login = match login.split_once(':') {
        Some((user, password)) => NatsLogin::User {
            user: decoded(user),
            password: Password::new(decoded(password)),
        },
        None => NatsLogin::Token(Password::new(decoded(login))),
    };
    (login, format!("{scheme}://{place}"))
}

/// With each `%41` as the byte it means.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = tail.get(..2).filter(|_| *first == b'%');
        let byte = escaped.and_then(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn a_login_is_taken_out_of_the_address() {
        let (login, place) = take_login("nats://me:p%40ss:w@host:4222");
        assert_eq!(place, "nats://host:4222");
        let password = Password::new("p@ss:w");
        assert_eq!(
            login,
            NatsLogin::User {
                user: "me".into(),
                password
            }
        );
        let (login, place) = take_login("tls://to%ken@host");
        assert_eq!(login, NatsLogin::Token(Password::new("to%ken")));
        assert_eq!(place, "tls://host");
        assert_eq!(take_login("host:4222"), (NatsLogin::None, "nats://host:4222".into()));
    }
}
