//! The beginning of a session: who we are, and how the server is to behave for us.

use crate::client::{Client, PATIENCE};
use crate::config::Config;
use crate::refusal::Refusal;
use crate::wire::Transport;
use fallible_iterator::FallibleIterator;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend;
use shardwright_guest::adapter::OpenError;
use std::fmt;

/// How every session is, whatever the role or the database is set to. All of it exists since PostgreSQL 12.
pub(crate) const SETTINGS: [(&str, &str); 15] = [
    ("client_encoding", "UTF8"),
    ("search_path", "pg_catalog"),
    // Each statement sees what was committed before it: the functions rely on that.
    ("default_transaction_isolation", "read committed"),
    ("default_transaction_read_only", "off"),
    // A statement that is cancelled while it waits for standbys would count as committed.
    ("statement_timeout", "0"),
    // Who waits for another writer so long has been given up by its node.
    ("lock_timeout", "5000"),
    // Plans that do not depend on what the tables hold at the moment, made once.
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_bitmapscan", "off"),
    ("max_parallel_workers_per_gather", "0"),
    ("jit", "off"),
    // A node that has gone with its machine must not keep notifications from being thrown away.
    ("tcp_keepalives_idle", "15"),
    ("tcp_keepalives_interval", "5"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "30000"),
];

/// Where a lane is, for texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    at: String,
    database: String,
    user: String,
    pub(crate) schema: String,
    pub(crate) namespace: String,
}

impl Place {
    pub(crate) fn new(config: &Config, namespace: &str) -> Self {
        Self {
            at: format!("{}:{}", config.host, config.port),
            database: config.database.clone(),
            user: config.user.clone(),
            schema: config.schema.clone(),
            namespace: namespace.to_owned(),
        }
    }

    /// The beginning of a sentence about what was refused.
    pub(crate) fn who(&self) -> String {
        format!(
            "user {:?} on database {:?} of PostgreSQL at {}",
            self.user, self.database, self.at
        )
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "postgresql://{}/{}", self.at, self.database)
    }
}

/// A session of the configured user.
pub(crate) fn login<W: Transport>(wire: W, config: &Config, place: &Place) -> Result<Client<W>, OpenError> {
    let mut login = Login {
        client: Client::new(wire),
        config,
        place,
        scram: None,
    };
    let name = format!("shardwright {}", place.namespace);
    let who = [
        ("user", config.user.as_str()),
        ("database", config.database.as_str()),
        ("application_name", name.as_str()),
    ];
    frontend::startup_message(who.into_iter().chain(SETTINGS), login.client.outgoing())
        .map_err(|error| OpenError::InvalidConfig(error.to_string()))?;
    login.send()?;
    while login.step()? {}
    Ok(login.client)
}

struct Login<'a, W> {
    client: Client<W>,
    config: &'a Config,
    place: &'a Place,
    /// While the server has not proved that it knows the password.
    scram: Option<ScramSha256>,
}

impl<W: Transport> Login<'_, W> {
    /// Takes one message; true if there are more to come.
    fn step(&mut self) -> Result<bool, OpenError> {
        let message = self.client.message(PATIENCE).map_err(|why| self.unreachable(&why))?;
        match message {
            None => Err(self.unreachable("no answer to the login")),
            Some(Message::ReadyForQuery(_)) => Ok(false),
            Some(Message::AuthenticationOk) if self.scram.is_some() => {
                Err(self.denied("the server lets us in without proving that it knows the password"))
            }
            Some(Message::BackendKeyData(body)) => {
                self.client.process = Some(body.process_id());
                Ok(true)
            }
            Some(Message::AuthenticationOk | Message::ParameterStatus(_) | Message::NoticeResponse(_)) => Ok(true),
            Some(Message::AuthenticationSasl(body)) => {
                let known = body
                    .mechanisms()
                    .any(|mechanism| Ok(mechanism == SCRAM_SHA_256))
                    .unwrap_or(false);
                if !known {
                    return Err(self.denied("the server offers no SCRAM-SHA-256"));
                }
                // Where there is TLS, the host has done it, so nothing can be bound to it here.
                let scram = ScramSha256::new(self.password()?.as_bytes(), ChannelBinding::unsupported());
                let written = frontend::sasl_initial_response(SCRAM_SHA_256, scram.message(), self.client.outgoing());
                self.scram = Some(scram);
                self.answer(written)
            }
            Some(Message::AuthenticationSaslContinue(body)) => {
                let Some(scram) = &mut self.scram else {
                    return Err(self.strange());
                };
                if let Err(error) = scram.update(body.data()) {
                    return Err(self.denied(&format!("the server's part of SCRAM-SHA-256 does not fit: {error}")));
                }
                let written = frontend::sasl_response(scram.message(), self.client.outgoing());
                self.answer(written)
            }
            Some(Message::AuthenticationSaslFinal(body)) => {
                let Some(mut scram) = self.scram.take() else {
                    return Err(self.strange());
                };
                match scram.finish(body.data()) {
                    Ok(()) => Ok(true),
                    Err(error) => Err(self.denied(&format!("the server does not know the password itself: {error}"))),
                }
            }
            Some(Message::AuthenticationCleartextPassword) => self.bare("in clear", |_, password| password.into()),
            Some(Message::AuthenticationMd5Password(body)) => self.bare("hashed with MD5", |user, password| {
                md5_hash(user.as_bytes(), password.as_bytes(), body.salt())
            }),
            Some(Message::ErrorResponse(body)) => {
                let refusal = Refusal::parse(body.fields()).unwrap_or_default();
                Err(refusal.opening(&self.place.who()))
            }
            Some(
                Message::AuthenticationGss
                | Message::AuthenticationSspi
                | Message::AuthenticationKerberosV5
                | Message::AuthenticationScmCredential,
            ) => Err(self.denied(
                "the server wants a kind of login that an adapter cannot do; set scram-sha-256 in pg_hba.conf",
            )),
            Some(_) => Err(self.strange()),
        }
    }

    /// Sends the password as it is, or almost: over a secured connection alone.
    fn bare(&mut self, how: &str, make: impl FnOnce(&str, &str) -> String) -> Result<bool, OpenError> {
        if !self.config.tls {
            return Err(self.denied(&format!(
                "the server wants the password {how}, which is not sent over a plain connection; set `tls` to true, or \
                 scram-sha-256 in pg_hba.conf and password_encryption, and set the password anew"
            )));
        }
        let password = make(&self.config.user, self.password()?);
        let written = frontend::password_message(password.as_bytes(), self.client.outgoing());
        self.answer(written)
    }

    fn answer(&mut self, written: std::io::Result<()>) -> Result<bool, OpenError> {
        written.map_err(|_| self.strange())?;
        self.send().map(|()| true)
    }

    fn send(&mut self) -> Result<(), OpenError> {
        self.client.push().map_err(|why| self.unreachable(&why))
    }

    fn password(&self) -> Result<&str, OpenError> {
        let password = self.config.password.as_deref();
        password.ok_or_else(|| self.denied("the server asks for a password; set `password`"))
    }

    fn denied(&self, why: &str) -> OpenError {
        OpenError::Denied(format!("{}: {why}", self.place.who()))
    }

    fn unreachable(&self, why: &str) -> OpenError {
        OpenError::Unreachable(format!("{}: {why}", self.place.who()))
    }

    fn strange(&self) -> OpenError {
        OpenError::Other(format!(
            "what answers at {} does not log in as PostgreSQL does",
            self.place.at
        ))
    }
}
