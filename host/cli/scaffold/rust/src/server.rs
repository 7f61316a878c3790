//! Requests to the server, and what became of them.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use shardwright_guest::adapter::Deadline;
use shardwright_guest::adapter::http::{HttpError, Request};
use std::fmt::Write;
use std::time::Duration;

/// The longest answer that is read.
const MAX_ANSWER: usize = 64 << 20;

/// What the operator writes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub url: String,
    token: Option<String>,
    #[serde(rename = "timeout-ms", default = "five_seconds")]
    timeout: u64,
}

const fn five_seconds() -> u64 {
    5000
}

impl Config {
    /// Reads it, or says in one sentence what is wrong.
    pub fn read(text: &str) -> Result<Self, String> {
        let mut config: Self =
            serde_json::from_str(text).map_err(|error| format!("the configuration makes no sense: {error}"))?;
        config.url.truncate(config.url.trim_end_matches('/').len());
        let host = config.url.strip_prefix("http://").or_else(|| config.url.strip_prefix("https://"));
        let fits = |host: &str| {
            let port = host.rsplit_once(':').and_then(|(name, port)| Some((name, port.parse::<u16>().ok()?)));
            port.is_some_and(|(name, port)| port > 0 && !name.is_empty()) && !host.contains(['/', '?', '#', '@', ' '])
        };
        if !host.is_some_and(fits) {
            return Err("the option `url` must be http://HOST:PORT or https://HOST:PORT".into());
        }
        if !(100..=60_000).contains(&config.timeout) {
            return Err("the option `timeout-ms` must be from 100 to 60000".into());
        }
        Ok(config)
    }
}

/// Why there is no answer.
pub enum Failure {
    /// The server has not seen the request.
    Unsent(String),
    /// The operator has not allowed this address.
    NotGranted(String),
    /// There is no secure connection.
    NoTls(String),
    /// The server may have seen the request, and may still act on it.
    Lost(String),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::Unsent(why) | Self::NotGranted(why) | Self::NoTls(why) | Self::Lost(why)) = self;
        f.write_str(why)
    }
}

/// An answer, whatever its status.
pub struct Answer {
    pub status: u16,
    body: Vec<u8>,
}

impl Answer {
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, String> {
        serde_json::from_slice(&self.body).map_err(|error| format!("the server's answer makes no sense: {error}"))
    }

    /// What the server says is wrong.
    pub fn said(&self) -> String {
        #[derive(Deserialize)]
        struct Said {
            error: String,
        }
        match self.json::<Said>() {
            Ok(said) => format!("the server says: {}", said.error),
            Err(_) => format!("the server answers with status {}", self.status),
        }
    }
}

/// The one that this lane talks to, about one namespace.
pub struct Server {
    config: Config,
    authorization: Option<String>,
    namespace: String,
    history: String,
}

impl Server {
    pub fn new(config: Config, namespace: &str, history: Option<String>) -> Self {
        Self {
            authorization: config.token.as_ref().map(|token| format!("Bearer {token}")),
            config,
            namespace: namespace.to_owned(),
            history: history.unwrap_or_default(),
        }
    }

    pub fn url(&self) -> &str {
        &self.config.url
    }

    /// From now on the server only answers if this is the namespace's history.
    pub fn belong_to(&mut self, history: &str) {
        history.clone_into(&mut self.history);
    }

    /// One request about the namespace.
    pub fn ask(
        &self,
        method: &str,
        what: &str,
        query: &[(&str, &str)],
        body: &[u8],
        patience: Duration,
    ) -> Result<Answer, Failure> {
        let mut path = format!("/v1/{}{what}?history={}", self.namespace, self.history);
        for (name, value) in query {
            let _ = write!(path, "&{name}=");
            for byte in value.bytes() {
                let _ = match byte {
                    b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => {
                        write!(path, "{}", char::from(byte))
                    }
                    other => write!(path, "%{other:02X}"),
                };
            }
        }
        self.request(method, &path, body, patience)
    }

    /// One request.
    pub fn request(&self, method: &str, path: &str, body: &[u8], patience: Duration) -> Result<Answer, Failure> {
        let deadline = Deadline::after(Duration::from_millis(self.config.timeout) + patience);
        let headers: Vec<_> = self.authorization.iter().map(|value| ("authorization", value.as_str())).collect();
        let url = format!("{}{path}", self.config.url);
        let request = Request {
            method,
            url: &url,
            headers: &headers,
            body,
        };
        let failure = |error: HttpError| match error {
            HttpError::NotGranted(why) => Failure::NotGranted(why),
            HttpError::Tls(why) => Failure::NoTls(why),
            HttpError::TimedOut => Failure::Lost(format!("{} has not answered in time", self.config.url)),
            error if error.unsent() => Failure::Unsent(error.to_string()),
            error => Failure::Lost(error.to_string()),
        };
        let mut response = request.send(deadline).map_err(failure)?;
        let body = response.body.read_all(MAX_ANSWER, deadline).map_err(failure)?;
        Ok(Answer {
            status: response.status,
            body,
        })
    }
}
