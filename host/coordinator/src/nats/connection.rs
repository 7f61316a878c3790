//! The connection: requests that end in time, and what is known of a request that failed.

use crate::broker::{Backoff, Link};
use crate::tasks::End;
use async_nats::connection::State;
use async_nats::{Client, ClientError, Event, HeaderMap, Message, Request, RequestErrorKind, ServerError};
use bytes::Bytes;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How long to wait for an answer before asking again, where that does no harm.
const AGAIN: Duration = Duration::from_secs(2);

/// The library may leave a change untold when much happens at once.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// The connection as the library last told it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ConnectionState {
    Up,
    Down,
    GivenUp,
}

/// What the library tells of the connection.
pub(super) struct ConnectionEvents {
    link: Link,
    /// Grows before each attempt to connect, on the task that reads from the connection: what is received by somebody
    /// who still sees the same number was received on the same connection.
    epoch: watch::Sender<u64>,
    /// The last complaint of the server.
    complaint: watch::Sender<String>,
    opened: AtomicBool,
    state: watch::Sender<ConnectionState>,
    backoff: Mutex<Backoff>,
    /// How often the library tries to connect, in a row.
    limit: Option<usize>,
    /// Told when it will not connect any more.
    end: End,
}

/// What the library drops when the task that connects ends, however that comes about.
pub(super) struct Connecting(pub(super) std::sync::Arc<ConnectionEvents>);

impl Drop for Connecting {
    fn drop(&mut self) {
        self.0.give_up();
    }
}

impl ConnectionEvents {
    /// Of a connection that is tried again `limit` times in a row; `None` for ever.
    pub(super) fn new(location: &str, limit: Option<usize>, end: End) -> Self {
        Self {
            limit,
            end,
            link: Link::new(location),
            epoch: watch::Sender::new(0),
            complaint: watch::Sender::new(String::new()),
            opened: AtomicBool::new(false),
            state: watch::Sender::new(ConnectionState::Up),
            backoff: Mutex::default(),
        }
    }

    /// An attempt to connect comes, the `attempt`th in a row: how long to wait before it.
    pub(super) fn attempt(&self, attempt: usize) -> Duration {
        self.epoch.send_modify(|epoch| *epoch += 1);
        if !self.opened.load(Ordering::Relaxed) {
            return Duration::ZERO;
        }
        let mut backoff = self.backoff.lock().unwrap_or_else(PoisonError::into_inner);
        if attempt <= 1 {
            backoff.reset();
        }
        backoff.next_wait()
    }

    /// The library will never connect again.
    fn give_up(&self) {
        self.state.send_replace(ConnectionState::GivenUp);
        self.end.because(match self.limit {
            Some(limit) => {
                format!("no server could be connected to in {limit} attempts in a row: max-reconnects is reached")
            }
            None => "the task that connects to the server has ended; this is a bug".into(),
        });
    }

    pub(super) fn event(&self, event: &Event) {
        match event {
            Event::Connected => {
                self.state.send_replace(ConnectionState::Up);
                self.link.mark_up();
            }
            Event::Disconnected => {
                self.state.send_replace(ConnectionState::Down);
                self.link.mark_down(&"the connection was lost");
            }
            Event::ClientError(ClientError::MaxReconnects) => self.give_up(),
            Event::ServerError(ServerError::Other(text)) => drop(self.complaint.send_replace(text.clone())),
            _ => {}
        }
    }
}

/// Why a request has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RequestError {
    /// It was not sent.
    Unsent(String),
    /// It was sent, perhaps, and may have been done, or may still be.
    Unknown(String),
    /// The server knows nobody who would answer: it was not done.
    Nobody,
    /// The server does not permit it: it was not done.
    Denied(String),
    /// The server does not permit hearing the answer: it was sent, and may have been done.
    Deaf(String),
}

impl std::fmt::Display for RequestError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unsent(why) | Self::Unknown(why) | Self::Denied(why) | Self::Deaf(why) => f.write_str(why),
            Self::Nobody => f.write_str("no server answers for JetStream"),
        }
    }
}

/// The connection of one handle.
#[derive(Clone)]
pub(super) struct Connection {
    pub(super) client: Client,
    signals: std::sync::Arc<ConnectionEvents>,
    /// The longest that a request may take.
    pub(super) timeout: Duration,
}

impl Connection {
    pub(super) fn new(client: Client, signals: std::sync::Arc<ConnectionEvents>, timeout: Duration) -> Self {
        signals.opened.store(true, Ordering::Relaxed);
        Self {
            client,
            signals,
            timeout,
        }
    }

    /// Changes whenever the connection is lost.
    pub(super) fn epoch(&self) -> watch::Receiver<u64> {
        self.signals.epoch.subscribe()
    }

    pub(super) fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// The last complaint of the server.
    pub(super) fn complaint(&self) -> watch::Receiver<String> {
        self.signals.complaint.subscribe()
    }

    /// Waits until it is connected, and for `wait` in any case; false if it never will be again.
    pub(super) async fn connected(&self, wait: Duration) -> bool {
        tokio::time::sleep(wait).await;
        let mut state = self.signals.state.subscribe();
        while !self.is_connected() {
            let changed = state.wait_for(|state| *state != ConnectionState::Down);
            if let Ok(Ok(state)) = tokio::time::timeout(LOOK_AGAIN, changed).await
                && *state == ConnectionState::GivenUp
            {
                return false;
            }
            // It may be told before it is so.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        true
    }

    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    /// [`RequestError`], within the time-out.
    pub(super) async fn request(
        &self,
        subject: &str,
        headers: Option<HeaderMap>,
        payload: Bytes,
    ) -> Result<Message, RequestError> {
        self.ask(subject, headers, payload, self.timeout).await
    }

    /// Sends a request that may be done more than once, again and again until there is an answer: whoever should give
    /// it may have been about to hand over to another server.
    ///
    /// # Errors
    /// [`RequestError`], within the time-out.
    pub(super) async fn request_again(&self, subject: &str, payload: Bytes) -> Result<Message, RequestError> {
        let begun = Instant::now();
        loop {
            let left = self.timeout.saturating_sub(begun.elapsed());
            match self.ask(subject, None, payload.clone(), left.min(AGAIN)).await {
                Err(RequestError::Unknown(_)) if self.is_connected() && left > AGAIN => {}
                other => return other,
            }
        }
    }

    async fn ask(
        &self,
        subject: &str,
        headers: Option<HeaderMap>,
        payload: Bytes,
        limit: Duration,
    ) -> Result<Message, RequestError> {
        let (mut epoch, mut complaint) = (self.signals.epoch.subscribe(), self.signals.complaint.subscribe());
        // What would wait for the connection to come back might be done long after it was given up.
        if !self.is_connected() {
            return Err(RequestError::Unsent("not connected".into()));
        }
        let mut request = Request::new().payload(payload).timeout(None);
        if let Some(headers) = headers {
            request = request.headers(headers);
        }
        let answer = self.client.send_request(subject.to_owned(), request);
        let denied = async {
            loop {
                if complaint.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
                let text = complaint.borrow_and_update().clone();
                if let Some(trouble) = complaint_about(&text, subject) {
                    return trouble;
                }
            }
        };
        tokio::select! {
            biased;
            answer = answer => match answer {
                Ok(message) => Ok(message),
                Err(error) => Err(match error.kind() {
                    RequestErrorKind::NoResponders => RequestError::Nobody,
                    RequestErrorKind::MaxPayloadExceeded | RequestErrorKind::InvalidSubject => {
                        RequestError::Unsent(error.to_string())
                    }
                    _ => RequestError::Unknown("the connection was closed".into()),
                }),
            },
            trouble = denied => Err(trouble),
            _ = epoch.changed() => Err(RequestError::Unknown("the connection was lost before the answer came".into())),
            () = tokio::time::sleep(limit) => Err(RequestError::Unknown(format!("no answer within {limit:?}"))),
        }
    }
}

/// What a complaint of the server says of a request to `subject`, if it is about it.
fn complaint_about(text: &str, subject: &str) -> Option<RequestError> {
    if text.contains("Subscription to \"_INBOX") {
        return Some(RequestError::Deaf(text.to_owned()));
    }
    text.contains(&format!("\"{subject}\""))
        .then(|| RequestError::Denied(text.to_owned()))
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn a_request_whose_answer_may_not_be_heard_may_have_been_done() {
        let about = |text| complaint_about(text, "a.b");
        let publish = "Permissions Violation for Publish to \"a.b\"";
        assert_eq!(about(publish), Some(RequestError::Denied(publish.into())));
        let answer = "Permissions Violation for Subscription to \"_INBOX.x.*\"";
        assert_eq!(about(answer), Some(RequestError::Deaf(answer.into())));
        for other in [
            "Permissions Violation for Publish to \"a.c\"",
            "Permissions Violation for Publish to \"a.b.c\"",
            "",
        ] {
            assert_eq!(about(other), None, "{other}");
        }
    }
}
