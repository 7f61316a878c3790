//! A server's error, as far as it decides what to do next.

use super::address::Server;
use crate::broker::BrokerError;
use redis::{ErrorKind, RedisConnectionInfo, RedisError, Value};

/// What a server answered instead of doing what was asked. Nothing was done, except after `Other`, of which nobody
/// knows.
///
/// Certain are only errors that Redis raises before a command, or the first writing command of a script, has an
/// effect; the script sees to it that what is denied is denied then.
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
    /// What is stored was written by a newer release.
    Newer(String),
    /// Nobody expected this: it may have been raised in the middle of it.
    Other(String),
}

impl Refusal {
    /// What an error means. Each line of `what_an_error_means` says why it is certain.
    pub(super) fn of(error: &RedisError) -> Self {
        let detail = error.detail().unwrap_or_default();
        let text = match error.code() {
            Some(code) => format!("{code} {detail}"),
            None => error.to_string(),
        };
        // The arguments of an unknown command may be passwords.
        let text = text
            .split(", with args beginning with")
            .next()
            .unwrap_or_default()
            .to_owned();
        if error.kind() == ErrorKind::AuthenticationFailed {
            return Self::Denied(text);
        }
        match code(&text) {
            "NOSCRIPT" => Self::NoScript,
            "MOVED" => Self::Elsewhere(text, error.redirect_node().map(|(to, _)| to.to_owned())),
            "READONLY" => Self::Elsewhere(text, None),
            "NOPERM" | "NOAUTH" | "WRONGPASS" => Self::Denied(text),
            "OOM" => Self::NotNow(format!(
                "{text}; give the server more memory (maxmemory), or other data a server of its own"
            )),
            "MISCONF" => Self::NotNow(format!("{text}; is its disk full?")),
            "WRONGTYPE" => Self::NotNow(format!("{text}; somebody else uses the names of this namespace's keys")),
            "ASK" | "TRYAGAIN" | "CROSSSLOT" | "CLUSTERDOWN" | "MASTERDOWN" | "LOADING" | "BUSY" | "NOREPLICAS"
            | "EXECABORT" => Self::NotNow(text),
            // How servers before 7.2 deny what a script does.
            "ERR" if text.contains("The user executing the script can't") || text.contains("ACL failure in script") => {
                Self::Denied(text)
            }
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
            Self::Elsewhere(why, _) | Self::NotNow(why) | Self::Denied(why) | Self::Newer(why) | Self::Other(why) => {
                why
            }
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
            Self::Other(why) if why.contains("unknown command") => BrokerError::Unsafe {
                location,
                why: format!(
                    "it does not take the command HELLO, by which clients ask for RESP3: it was renamed or forbidden \
                     there (rename-command; some hosted services do that), or the server is older than Redis 6 ({why})"
                ),
            },
            Self::Other(why) if why.to_ascii_lowercase().contains("resp3") || why.contains("NOPROTO") => {
                BrokerError::Unsafe {
                    location,
                    why: format!("it does not speak RESP3, as every Redis since 6.0 does ({why})"),
                }
            }
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

/// The code of an error. What fails inside a script is wrapped by servers before 7.0.
fn code(text: &str) -> &str {
    let word = |text: &str| text.split(' ').next().map_or(0, str::len);
    let is_code = |word: &&str| word.len() > 2 && word.bytes().all(|byte| byte.is_ascii_uppercase());
    let first = &text[..word(text)];
    match text.split_once("user_script:") {
        Some((_, inside)) if first == "ERR" => {
            let parts = inside.split(": ").map(|part| part.trim_start_matches('-'));
            parts.map(|part| &part[..word(part)]).find(is_code).unwrap_or(first)
        }
        _ => first,
    }
}

#[cfg(test)]
mod test {
    use super::*;

    /// What a line from the server means.
    fn of(line: &str) -> Refusal {
        let answer =
            redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap_or_else(|error| panic!("{error}"));
        Refusal::check(answer).expect_err("an error")
    }

    fn kind(line: &str) -> &'static str {
        match of(line) {
            Refusal::NoScript => "no script",
            Refusal::Elsewhere(..) => "elsewhere",
            Refusal::NotNow(_) => "not now",
            Refusal::Denied(_) => "denied",
            Refusal::Newer(_) => "newer",
            Refusal::Other(_) => "unknown",
        }
    }

    #[test]
    fn what_an_error_means() {
        for (line, means, why) in [
            (
                "NOSCRIPT No matching script. Please use EVAL.",
                "no script",
                "looked up before it runs",
            ),
            (
                "MOVED 3999 127.0.0.1:6381",
                "elsewhere",
                "keys are looked at before a command runs",
            ),
            (
                "READONLY You can't write against a read only replica.",
                "elsewhere",
                "a script that has written is not refused it",
            ),
            (
                "READONLY this server is no master",
                "elsewhere",
                "the script's own, first of all",
            ),
            ("ASK 3999 127.0.0.1:6381", "not now", "as MOVED"),
            (
                "TRYAGAIN Multiple keys request during rehashing of slot",
                "not now",
                "as MOVED",
            ),
            (
                "CROSSSLOT Keys in request don't hash to the same slot",
                "not now",
                "as MOVED",
            ),
            ("CLUSTERDOWN The cluster is down", "not now", "as MOVED"),
            (
                "MASTERDOWN Link with MASTER is down",
                "not now",
                "before a command runs",
            ),
            (
                "LOADING Redis is loading the dataset in memory",
                "not now",
                "before a command runs",
            ),
            (
                "BUSY Redis is busy running a script.",
                "not now",
                "before a command runs",
            ),
            (
                "OOM command not allowed when used memory > 'maxmemory'.",
                "not now",
                "a script that has written is not refused it",
            ),
            (
                "MISCONF Errors writing to the AOF file: No space left on device",
                "not now",
                "as OOM",
            ),
            ("NOREPLICAS Not enough good replicas to write.", "not now", "as OOM"),
            (
                "WRONGTYPE Operation against a key holding the wrong kind of value",
                "not now",
                "the script looks at all keys first",
            ),
            (
                "EXECABORT Transaction discarded because of previous errors.",
                "not now",
                "none of it ran",
            ),
            (
                "NOPERM this user has no permissions to run the 'evalsha' command",
                "denied",
                "before a command runs",
            ),
            (
                "NOPERM ACL failure in script: User node has no permissions to run the 'zadd' command",
                "denied",
                "the script tries first",
            ),
            ("NOAUTH Authentication required.", "denied", "before a command runs"),
            (
                "WRONGPASS invalid username-password pair or user is disabled.",
                "denied",
                "before a command runs",
            ),
            (
                "ERR The user executing the script can't run this command or subcommand script: 2f, on @user_script:9.",
                "denied",
                "7.0",
            ),
            (
                "ERR The user executing the script can't access at least one of the keys mentioned in the command \
                 arguments",
                "denied",
                "7.0",
            ),
            (
                "ERR Error running script (call to f_2f): @user_script:9: -OOM command not allowed",
                "not now",
                "6.2",
            ),
            (
                "ERR Error running script (call to f_2f): @user_script:9: @user_script: 9: -MISCONF Redis is \
                 configured",
                "not now",
                "6.2",
            ),
            (
                "ERR user_script:9: attempt to concatenate a boolean value script: 2f, on @user_script:9.",
                "unknown",
                "anywhere",
            ),
            (
                "ERR Error running script (call to f_2f): @user_script:9: Script killed by user",
                "unknown",
                "anywhere",
            ),
            ("ERR key BUSY: OOM NOPERM", "unknown", "a code in the text is none"),
            (
                "BUSYGROUP Consumer Group name already exists",
                "unknown",
                "another code that begins like one",
            ),
            (
                "UNBLOCKED force unblock from blocking operation",
                "unknown",
                "what was waited for is unknown",
            ),
            ("INTERNAL of a server that is not Redis", "unknown", "not even known"),
        ] {
            assert_eq!(kind(line), means, "{line} ({why})");
        }
    }

    #[test]
    fn the_arguments_of_an_unknown_command_are_not_repeated() {
        let told = of("ERR unknown command 'HELLO', with args beginning with: '3' 'AUTH' 'node' 's3cret' ");
        assert_eq!(told, Refusal::Other("ERR unknown command 'HELLO'".into()));
    }
}
