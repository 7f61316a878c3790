//! One connection: made, used, given up.

use super::address::Server;
use super::reply::Refusal;
use super::tls;
use crate::broker::{BrokerError, Security};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, Pipeline, PushInfo, RedisConnectionInfo, Value};
use shardwright_core::human::Span;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// Takes what the server sends without being asked, at once and without blocking.
pub(super) trait PushHandler: Send + Sync {
    /// Takes one thing; an error is the end of the connection.
    fn take(&self, info: PushInfo) -> Result<(), &'static str>;

    /// All that had arrived together has been taken.
    fn pause(&self);
}

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
    pub(super) async fn dial(
        &self,
        server: &Server,
        login: &RedisConnectionInfo,
        push: Option<Arc<dyn PushHandler>>,
    ) -> Result<Connection, BrokerError> {
        let location = server.to_string();
        let unreachable = |why: String| BrokerError::Unreachable {
            location: location.clone(),
            why,
        };
        let attempt = async {
            let (host, port) = match server {
                Server::Tcp { host, port } => (host.as_str(), *port),
                Server::Socket(path) => {
                    let stream = UnixStream::connect(path)
                        .await
                        .map_err(|error| unreachable(unopened(&error)))?;
                    return self.log_in(stream, server, login, push).await;
                }
            };
            let stream = TcpStream::connect((host, port)).await;
            let stream = stream.map_err(|error| unreachable(error.to_string()))?;
            stream
                .set_nodelay(true)
                .map_err(|error| unreachable(error.to_string()))?;
            match &self.security {
                None => self.log_in(stream, server, login, push).await,
                Some(security) => {
                    let stream = tls::secure(security, stream, host, &location).await?;
                    self.log_in(stream, server, login, push).await
                }
            }
        };
        let hint = if self.security.is_some() {
            "; does it speak TLS at this port?"
        } else {
            ""
        };
        let late = |_| unreachable(format!("no answer within {}{hint}", Span::from(self.timeout)));
        timeout(self.timeout, attempt).await.map_err(late)?
    }

    async fn log_in<S>(
        &self,
        stream: S,
        server: &Server,
        login: &RedisConnectionInfo,
        push: Option<Arc<dyn PushHandler>>,
    ) -> Result<Connection, BrokerError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (end, mut ended) = watch::channel(None);
        let life = Arc::new(ConnectionState {
            server: server.clone(),
            end,
            over: AtomicBool::new(false),
            begun: AtomicU64::new(0),
            ended: AtomicU64::new(0),
        });
        // Time is kept here, call by call.
        let mut config = AsyncConnectionConfig::new()
            .set_response_timeout(None)
            .set_connection_timeout(None);
        if let Some(push) = push.clone() {
            let life = Arc::downgrade(&life);
            config = config.set_push_sender(move |info| {
                // What still comes when it was given up is late: another connection may have spoken since.
                let life = life.upgrade().filter(|life| life.is_open()).ok_or("it is over")?;
                push.take(info).inspect_err(|why| life.end(why))
            });
        }
        let connected = MultiplexedConnection::new_with_config(login, stream, config).await;
        let (connection, driver) = connected.map_err(|error| Refusal::of(&error).at_login(server, login))?;
        let (weak, patience) = (Arc::downgrade(&life), self.timeout);
        tokio::spawn(async move {
            let mut driver = pin!(driver);
            let drive = poll_fn(|context| {
                let polled = driver.as_mut().poll(context);
                if let Some(push) = &push {
                    push.pause();
                }
                polled
            });
            tokio::select! {
                () = drive => {}
                () = stall(&weak, patience) => {}
                // Ends also when the last clone of the wire is gone.
                _ = ended.wait_for(Option::is_some) => {}
            }
            if let Some(life) = weak.upgrade() {
                life.end("the connection was closed");
            }
        });
        Ok(Connection(Arc::new(ConnectionHandle { connection, life })))
    }
}

/// Why a socket could not be connected to.
fn unopened(error: &io::Error) -> String {
    let hint = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "; this user may not write to it: add it to the server's group, and set unixsocketperm 770"
        }
        io::ErrorKind::NotFound => "; is the server's `unixsocket` another path?",
        io::ErrorKind::ConnectionRefused => "; nobody listens there",
        _ => "",
    };
    format!("{error}{hint}")
}

/// Ends when calls without a deadline of their own get no answers: one that had begun by the last look waits still, and
/// none has ended since. Answers come in order, so such a call waits between half of `patience` and all of it.
async fn stall(life: &Weak<ConnectionState>, patience: Duration) {
    let mut last = (0, 0);
    loop {
        sleep(patience / 2).await;
        let Some(life) = life.upgrade() else { return };
        let ended = life.ended.load(Ordering::Relaxed);
        if last.0 > ended && last.1 == ended {
            return life.end("it does not answer");
        }
        last = (life.begun.load(Ordering::Relaxed), ended);
    }
}

/// A connection; clones are the same one. It closes when the last is dropped.
#[derive(Clone)]
pub(super) struct Connection(Arc<ConnectionHandle>);

struct ConnectionHandle {
    connection: MultiplexedConnection,
    life: Arc<ConnectionState>,
}

struct ConnectionState {
    /// Whom it leads to.
    server: Server,
    /// Why it is over, once it is.
    end: watch::Sender<Option<String>>,
    /// Whether it is, for those who ask at every call.
    over: AtomicBool,
    /// How many calls without a deadline of their own were begun, and how many have ended.
    begun: AtomicU64,
    ended: AtomicU64,
}

impl ConnectionState {
    fn is_open(&self) -> bool {
        !self.over.load(Ordering::Acquire)
    }

    fn end(&self, why: &str) {
        self.over.store(true, Ordering::Release);
        self.end.send_if_modified(|end| {
            let first = end.is_none();
            end.get_or_insert_with(|| why.to_owned());
            first
        });
    }
}

/// Counts a call as ended, also one that was given up.
struct PendingCall<'a>(&'a ConnectionState);

impl Drop for PendingCall<'_> {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Relaxed);
    }
}

/// Why there is no answer.
#[derive(Clone, Debug)]
pub(super) enum NoReply {
    /// The request did not leave.
    NotSent(String),
    /// It may have been carried out.
    NoAnswer(String),
}

impl NoReply {
    pub(super) fn why(self) -> String {
        match self {
            Self::NotSent(why) | Self::NoAnswer(why) => why,
        }
    }
}

impl Connection {
    /// Whom it leads to.
    pub(super) fn server(&self) -> &Server {
        &self.0.life.server
    }

    /// Whether it can be used.
    pub(super) fn is_open(&self) -> bool {
        self.0.life.is_open()
    }

    /// Gives it up: calls that wait fail, and whoever keeps it makes a new one.
    pub(super) fn give_up(&self, why: &str) {
        self.0.life.end(why);
    }

    /// Waits until it is over, and says why.
    pub(super) async fn over(&self) -> String {
        let mut end = self.0.life.end.subscribe();
        // The sender is in `self`.
        let over = end.wait_for(Option::is_some).await;
        over.ok().and_then(|why| why.clone()).unwrap_or_default()
    }

    /// The answer to one command, which may be a server's error. No answer in time is the end of the connection.
    pub(super) async fn ask(&self, command: &Cmd, deadline: Instant) -> Result<Value, NoReply> {
        let mut connection = self.0.connection.clone();
        self.within(deadline, connection.send_packed_command(command)).await
    }

    /// As [`Connection::ask`] for those who ask very often: no timer for each call, but the connection ends when it
    /// gives no answers any more.
    pub(super) async fn ask_often(&self, command: &Cmd) -> Result<Value, NoReply> {
        let life = &self.0.life;
        if !life.is_open() {
            return Err(NoReply::NotSent(self.over().await));
        }
        life.begun.fetch_add(1, Ordering::Relaxed);
        let ended = PendingCall(life);
        let answer = self.0.connection.clone().send_packed_command(command).await;
        drop(ended);
        answer.map_err(|error| {
            let why = format!("{}: {error}", self.server());
            self.give_up(&why);
            NoReply::NoAnswer(why)
        })
    }

    /// The answers to several commands that are sent in one piece.
    pub(super) async fn ask_all(&self, commands: &Pipeline, deadline: Instant) -> Result<Vec<Value>, NoReply> {
        let mut connection = self.0.connection.clone();
        self.within(deadline, connection.send_packed_commands(commands, 0, commands.len()))
            .await
    }

    async fn within<T>(
        &self,
        deadline: Instant,
        call: impl Future<Output = redis::RedisResult<T>>,
    ) -> Result<T, NoReply> {
        if !self.is_open() {
            return Err(NoReply::NotSent(self.over().await));
        }
        match timeout_at(deadline, call).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                let why = format!("{}: {error}", self.server());
                self.give_up(&why);
                Err(NoReply::NoAnswer(why))
            }
            Err(_) => {
                let why = format!("{} did not answer in time", self.server());
                self.give_up(&why);
                Err(NoReply::NoAnswer(why))
            }
        }
    }
}
