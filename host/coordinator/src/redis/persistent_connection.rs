//! A connection that is made again whenever it ends.

use super::connection::Connection;
use crate::broker::{Backoff, BrokerError, Link};
use redis::cmd;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout_at};

/// A connection that ended sooner than this does not count as success.
const STABLE_AFTER: Duration = Duration::from_secs(5);
/// How often to ask whether the other side is still there: those who wait for answers may give up before they notice.
const PROBE: Duration = Duration::from_secs(5);

/// Makes a connection.
pub(super) type Connect =
    Box<dyn Fn() -> Pin<Box<dyn Future<Output = Result<Connection, BrokerError>> + Send>> + Send + Sync>;

/// Keeps one connection up. Ends, and closes it, when dropped.
pub(super) struct PersistentConnection {
    state: watch::Receiver<State>,
    keeper: JoinHandle<()>,
}

#[derive(Clone)]
enum State {
    Connecting,
    Up(Connection),
    /// Until the next attempt.
    Down(BrokerError),
}

/// How a [`PersistentConnection`] is kept.
pub(super) struct ConnectionPlan {
    pub(super) connect: Connect,
    /// What the log calls it.
    pub(super) link: Link,
    /// How long the other side may take to say that it is there.
    pub(super) patience: Duration,
}

impl Drop for PersistentConnection {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

impl PersistentConnection {
    /// Keeps a line up, beginning with `first` if there is one already.
    pub(super) fn keep(first: Option<Connection>, keeping: ConnectionPlan) -> Self {
        let (state, watched) = watch::channel(first.clone().map_or(State::Connecting, State::Up));
        let keeper = tokio::spawn(keep(first, keeping, state));
        Self { state: watched, keeper }
    }

    /// The connection, as soon as there is one.
    ///
    /// # Errors
    /// Why there is none: the last attempt failed and the next is yet to come, or none ended before `deadline`.
    pub(super) async fn wire(&self, deadline: Instant) -> Result<Connection, BrokerError> {
        if let State::Up(wire) = &*self.state.borrow()
            && wire.is_open()
        {
            return Ok(wire.clone());
        }
        let mut state = self.state.clone();
        loop {
            match &*state.borrow_and_update() {
                State::Up(wire) if wire.is_open() => return Ok(wire.clone()),
                State::Down(error) => return Err(error.clone()),
                _ => {}
            }
            if !matches!(timeout_at(deadline, state.changed()).await, Ok(Ok(()))) {
                let (location, why) = ("redis".into(), "the connection could not be made again in time".into());
                return Err(BrokerError::Unreachable { location, why });
            }
        }
    }
}

async fn keep(mut first: Option<Connection>, keeping: ConnectionPlan, state: watch::Sender<State>) {
    let ConnectionPlan {
        connect,
        link,
        patience,
    } = keeping;
    let mut backoff = Backoff::default();
    loop {
        let connected = match first.take() {
            Some(wire) => Ok(wire),
            None => connect().await,
        };
        match connected {
            Ok(wire) => {
                let begun = Instant::now();
                link.mark_up();
                state.send_replace(State::Up(wire.clone()));
                let why = tokio::select! {
                    why = wire.over() => why,
                    why = silent(&wire, patience) => why,
                };
                link.mark_down(&why);
                state.send_replace(State::Connecting);
                if begun.elapsed() < STABLE_AFTER {
                    sleep(backoff.next_wait()).await;
                } else {
                    backoff.reset();
                }
            }
            Err(error) => {
                link.mark_down(&error);
                state.send_replace(State::Down(error));
                sleep(backoff.next_wait()).await;
                state.send_replace(State::Connecting);
            }
        }
    }
}

/// Asks now and then whether the other side is there; ends when it is not.
async fn silent(wire: &Connection, patience: Duration) -> String {
    loop {
        sleep(PROBE).await;
        if let Err(silence) = wire.ask(&cmd("PING"), Instant::now() + patience).await {
            return silence.why();
        }
    }
}
