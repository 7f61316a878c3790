//! One connection: made, used, given up.

use super::address::Server;
use super::reply::Refusal;
use super::tls::Security;
use crate::broker::BrokerError;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, Pipeline, PushInfo, RedisConnectionInfo, Value};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

/// Takes what the server sends without being asked, at once and without blocking; an error is the end of the connection.
pub(super) type Push = Arc<dyn Fn(PushInfo) -> Result<(), &'static str> + Send + Sync>;

/// How connections are made.
pub(super) struct Dialer {
    pub(super) security: Option<Security>,
    pub(super) timeout: Duration,
}

impl Dialer {
    /// A connection to `server`, logged in.
    ///
    /// # Errors
    /// Any [`BrokerError`].
    pub(super) async fn dial(&self, server: &Server, login: &RedisConnectionInfo, push: Option<Push>) -> Result<Wire, BrokerError> {
        let location = server.to_string();
        let unreachable = |why: String| BrokerError::Unreachable {
            location: location.clone(),
            why,
        };
        let attempt = async {
            let stream = TcpStream::connect((server.host.as_str(), server.port)).await;
            let stream = stream.map_err(|error| unreachable(error.to_string()))?;
            stream.set_nodelay(true).map_err(|error| unreachable(error.to_string()))?;
            match &self.security {
                None => log_in(stream, server, login, push).await,
                Some(security) => log_in(security.secure(stream, &server.host, &location).await?, server, login, push).await,
            }
        };
        let hint = if self.security.is_some() {
            "; does it speak TLS at this port?"
        } else {
            ""
        };
        let late = |_| unreachable(format!("no answer within {:?}{hint}", self.timeout));
        timeout(self.timeout, attempt).await.map_err(late)?
    }
}

async fn log_in<S>(stream: S, server: &Server, login: &RedisConnectionInfo, push: Option<Push>) -> Result<Wire, BrokerError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (end, mut ended) = watch::channel(None);
    let life = Arc::new(Life { end });
    // Time is kept here, call by call.
    let mut config = AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(None);
    if let Some(push) = push {
        let life = Arc::downgrade(&life);
        config = config.set_push_sender(move |info| {
            // What still comes when it was given up is late: another connection may have spoken since.
            let life = life.upgrade().filter(|life| life.end.borrow().is_none()).ok_or("it is over")?;
            push(info).inspect_err(|why| life.end(why))
        });
    }
    let connected = MultiplexedConnection::new_with_config(login, stream, config).await;
    let (connection, driver) = connected.map_err(|error| Refusal::of(&error).at_login(server, login))?;
    let weak = Arc::downgrade(&life);
    tokio::spawn(async move {
        tokio::select! {
            () = driver => {}
            // Ends also when the last clone of the wire is gone.
            _ = ended.wait_for(Option::is_some) => {}
        }
        if let Some(life) = weak.upgrade() {
            life.end("the connection was closed");
        }
    });
    let server = server.clone();
    Ok(Wire { connection, life, server })
}

/// A connection; clones are the same one. It closes when the last is dropped.
#[derive(Clone)]
pub(super) struct Wire {
    connection: MultiplexedConnection,
    life: Arc<Life>,
    /// Whom it leads to.
    pub(super) server: Server,
}

struct Life {
    /// Why it is over, once it is.
    end: watch::Sender<Option<String>>,
}

impl Life {
    fn end(&self, why: &str) {
        self.end.send_if_modified(|end| {
            let first = end.is_none();
            end.get_or_insert_with(|| why.to_owned());
            first
        });
    }
}

/// Why there is no answer.
#[derive(Clone, Debug)]
pub(super) enum Silence {
    /// The request did not leave.
    NotSent(String),
    /// It may have been carried out.
    NoAnswer(String),
}

impl Silence {
    pub(super) fn why(self) -> String {
        match self {
            Self::NotSent(why) | Self::NoAnswer(why) => why,
        }
    }
}

impl Wire {
    /// Whether it can be used.
    pub(super) fn is_open(&self) -> bool {
        self.life.end.borrow().is_none()
    }

    /// Gives it up: calls that wait fail, and whoever keeps it makes a new one.
    pub(super) fn give_up(&self, why: &str) {
        self.life.end(why);
    }

    /// Waits until it is over, and says why.
    pub(super) async fn over(&self) -> String {
        let mut end = self.life.end.subscribe();
        // The sender is in `self`.
        let over = end.wait_for(Option::is_some).await;
        over.ok().and_then(|why| why.clone()).unwrap_or_default()
    }

    /// The answer to one command, which may be a server's error. No answer in time is the end of the connection.
    pub(super) async fn ask(&self, command: &Cmd, deadline: Instant) -> Result<Value, Silence> {
        let mut connection = self.connection.clone();
        self.within(deadline, connection.send_packed_command(command)).await
    }

    /// The answers to several commands that are sent in one piece.
    pub(super) async fn ask_all(&self, commands: &Pipeline, deadline: Instant) -> Result<Vec<Value>, Silence> {
        let mut connection = self.connection.clone();
        self.within(deadline, connection.send_packed_commands(commands, 0, commands.len()))
            .await
    }

    async fn within<T>(&self, deadline: Instant, call: impl Future<Output = redis::RedisResult<T>>) -> Result<T, Silence> {
        if !self.is_open() {
            return Err(Silence::NotSent(self.over().await));
        }
        match timeout_at(deadline, call).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                let why = format!("{}: {error}", self.server);
                self.give_up(&why);
                Err(Silence::NoAnswer(why))
            }
            Err(_) => {
                let why = format!("{} did not answer in time", self.server);
                self.give_up(&why);
                Err(Silence::NoAnswer(why))
            }
        }
    }
}
