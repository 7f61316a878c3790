//! A server's error, as far as it decides what to do next.

use super::address::Server;
use crate::broker::BrokerError;
use redis::{ErrorKind, RedisConnectionInfo, RedisError, ServerErrorKind, Value};

/// What a server answered instead of doing what was asked. Nothing was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It does not have the script.
    NoScript,
    /// It is the wrong server by now: another one must be looked for. Where, if it says so.
    Elsewhere(String, Option<String>),
    /// It cannot for now.
    NotNow(String),
    /// We may not.
    Denied(String),
    /// Nobody expected this.
    Other(String),
}

impl Refusal {
    /// What an error means.
    pub(super) fn of(error: &RedisError) -> Self {
        let detail = error.detail().unwrap_or_default();
        let text = match error.code() {
            Some(code) => format!("{code} {detail}"),
            None => error.to_string(),
        };
        // What fails inside a script may be wrapped in what failed there.
        let has = |code: &str| text.starts_with(code) || text.contains(&format!(" -{code} ")) || text.contains(&format!(": {code} "));
        match error.kind() {
            ErrorKind::Server(ServerErrorKind::NoScript) => Self::NoScript,
            ErrorKind::Server(ServerErrorKind::Moved) => Self::Elsewhere(text, error.redirect_node().map(|(to, _)| to.to_owned())),
            ErrorKind::Server(ServerErrorKind::ReadOnly) => Self::Elsewhere(text, None),
            _ if has("READONLY") => Self::Elsewhere(text, None),
            ErrorKind::AuthenticationFailed | ErrorKind::Server(ServerErrorKind::NoPerm) => Self::Denied(text),
            _ if ["NOPERM", "NOAUTH", "WRONGPASS"].iter().any(|code| has(code)) || text.contains("can't run this command") => {
                Self::Denied(text)
            }
            ErrorKind::Server(
                ServerErrorKind::Ask
                | ServerErrorKind::TryAgain
                | ServerErrorKind::ClusterDown
                | ServerErrorKind::MasterDown
                | ServerErrorKind::BusyLoading,
            ) => Self::NotNow(text),
            _ if has("OOM") => Self::NotNow(format!(
                "{text}; give the server more memory (maxmemory), or other data a server of its own"
            )),
            _ if has("MISCONF") => Self::NotNow(format!("{text}; is its disk full?")),
            _ if has("NOREPLICAS") || has("BUSY") || has("LOADING") || has("MASTERDOWN") || has("CLUSTERDOWN") => Self::NotNow(text),
            _ => Self::Other(text),
        }
    }

    /// What `answer` means if it is an error.
    ///
    /// # Errors
    /// The refusal.
    pub(super) fn check(answer: Value) -> Result<Value, Self> {
        match answer {
            Value::ServerError(error) => Err(Self::of(&error.into())),
            answer => Ok(answer),
        }
    }

    /// The text of it.
    pub(super) fn why(self) -> String {
        match self {
            Self::NoScript => "the server lost the script".into(),
            Self::Elsewhere(why, _) | Self::NotNow(why) | Self::Denied(why) | Self::Other(why) => why,
        }
    }

    /// What it means while connecting.
    pub(super) fn at_login(self, server: &Server, login: &RedisConnectionInfo) -> BrokerError {
        let (location, user) = (server.to_string(), login.username().unwrap_or("default"));
        match self {
            Self::Denied(why) if login.password().is_some() => BrokerError::Denied {
                location,
                why: format!("user or password is wrong, or the user {user:?} may not connect ({why})"),
            },
            Self::Denied(why) => BrokerError::Denied {
                location,
                why: format!("it asks for a password and none is set ({why})"),
            },
            Self::Other(why) if why.to_ascii_lowercase().contains("resp3") || why.contains("HELLO") => BrokerError::Unsafe {
                location,
                why: format!("it does not speak RESP3, so it is older than Redis 6.2 ({why})"),
            },
            Self::Other(why) if why.contains("database") || why.contains("DB index") => {
                BrokerError::Invalid(format!("{location} has no database {}: {why}", login.db()))
            }
            other => BrokerError::Unreachable {
                location,
                why: other.why(),
            },
        }
    }
}
