//! Messages of the protocol over a wire: what is put together is sent at once, and answered at once.

use crate::refusal::{self, Refusal};
use crate::row::Cells;
use crate::statement::{Statement, Value};
use crate::wire::{ConnectionError, Transport};
use bytes::BytesMut;
use postgres_protocol::message::backend::{Header, Message};
use postgres_protocol::message::frontend;
use std::collections::VecDeque;
use std::time::Duration;

/// The longest silence within an answer. The host's own deadline is usually nearer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// The longest message that makes sense: a value, its key, and some numbers.
const LONGEST: i32 = 2 * 1024 * 1024;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Nothing was sent.
    Unsent(String),
    /// It was sent, in part at least, and nobody knows what came of it.
    Lost(String),
    /// The server says no.
    Refused(Refusal),
}

/// A session, or what will be one.
pub(crate) struct Client<W> {
    pub(crate) wire: W,
    fresh: Vec<u8>,
    incoming: BytesMut,
    outgoing: BytesMut,
    /// The payloads that came with notifications and were not asked for yet.
    pub(crate) notes: VecDeque<String>,
    /// The process that the server has begun for us, as it said at the login.
    pub(crate) process: Option<i32>,
    /// Set for good once nothing can be understood or expected any more.
    broken: Option<String>,
}

impl<W: Transport> Client<W> {
    pub(crate) fn new(wire: W) -> Self {
        Self {
            wire,
            fresh: Vec::new(),
            incoming: BytesMut::new(),
            outgoing: BytesMut::new(),
            notes: VecDeque::new(),
            process: None,
            broken: None,
        }
    }

    /// Where the next messages are put together.
    pub(crate) fn outgoing(&mut self) -> &mut BytesMut {
        &mut self.outgoing
    }

    /// Gives the session up, for this reason.
    pub(crate) fn give_up(&mut self, why: impl Into<String>) -> String {
        self.broken.get_or_insert_with(|| why.into()).clone()
    }

    /// Adds the statement to what is sent next: the server will know it by its name.
    pub(crate) fn prepare(&mut self, statement: &Statement) -> Result<(), Failure> {
        let types = statement.types.iter().copied();
        let closed = frontend::close(b'S', statement.name, &mut self.outgoing);
        let parsed = closed.and_then(|()| frontend::parse(statement.name, &statement.text, types, &mut self.outgoing));
        parsed.map_err(|error| Failure::Unsent(error.to_string()))
    }

    /// Adds one execution of a prepared statement.
    pub(crate) fn bind(&mut self, name: &str, values: &[Value<'_>]) -> Result<(), Failure> {
        let write = |value: &Value<'_>, buffer: &mut BytesMut| Ok(value.write(buffer));
        let bound = frontend::bind("", name, [1], values, write, [1], &mut self.outgoing);
        let done = bound.is_ok() && frontend::execute("", 0, &mut self.outgoing).is_ok();
        if done {
            return Ok(());
        }
        self.outgoing.clear();
        Err(Failure::Unsent(
            "what was asked for does not fit into a message of the protocol".into(),
        ))
    }

    /// One execution of a prepared statement, in one round trip.
    pub(crate) fn ask(
        &mut self,
        name: &str,
        values: &[Value<'_>],
        row: impl FnMut(&mut Cells<'_>) -> Result<(), String>,
    ) -> Result<(), Failure> {
        self.outgoing.clear();
        self.bind(name, values)?;
        self.exchange(row)
    }

    /// Sends what was put together as one transaction, and takes in the answer to the end: only then is it committed.
    pub(crate) fn exchange(&mut self, row: impl FnMut(&mut Cells<'_>) -> Result<(), String>) -> Result<(), Failure> {
        frontend::sync(&mut self.outgoing);
        self.transmit()?;
        self.answer(row)
    }

    /// Runs statements without parameters as one transaction, and leaves their rows alone.
    pub(crate) fn run(&mut self, text: &str) -> Result<(), Failure> {
        self.outgoing.clear();
        frontend::query(text, &mut self.outgoing).map_err(|error| Failure::Unsent(error.to_string()))?;
        self.transmit()?;
        self.answer(|_| Ok(()))
    }

    fn transmit(&mut self) -> Result<(), Failure> {
        let settled = self.settle();
        settled.and_then(|()| self.push().map_err(Failure::Lost))
    }

    /// Sends what was put together, whatever was said meanwhile.
    ///
    /// # Errors
    /// Why the session is over; some of it may have been sent.
    pub(crate) fn push(&mut self) -> Result<(), String> {
        let sent = self.wire.send(&self.outgoing, PATIENCE);
        self.outgoing.clear();
        sent.map_err(|error| self.cut(error))
    }

    /// Takes in what the server said of itself since the last answer: a connection that has ended is found before
    /// anything is sent over it.
    fn settle(&mut self) -> Result<(), Failure> {
        if let Some(why) = &self.broken {
            return Err(Failure::Unsent(why.clone()));
        }
        let swept = self.wire.sweep(&mut self.fresh);
        self.incoming.extend_from_slice(&self.fresh);
        self.fresh.clear();
        // What the server said last tells more than that the connection ended then.
        loop {
            match self.parse() {
                Ok(None) => break,
                Ok(Some(Message::ErrorResponse(body))) => {
                    let why = Refusal::parse(body.fields()).unwrap_or_default().to_string();
                    return Err(Failure::Unsent(self.give_up(why)));
                }
                Ok(Some(message)) => drop(self.between(message).map_err(Failure::Unsent)?),
                Err(why) => return Err(Failure::Unsent(why)),
            }
        }
        swept.map_err(|error| Failure::Unsent(self.cut(error)))
    }

    fn answer(&mut self, mut row: impl FnMut(&mut Cells<'_>) -> Result<(), String>) -> Result<(), Failure> {
        let mut refusal = None;
        let mut unconfirmed = false;
        loop {
            let message = self.message(PATIENCE).map_err(Failure::Lost)?;
            match message {
                Some(Message::DataRow(body)) => {
                    row(&mut Cells::of(&body)).map_err(|why| Failure::Lost(self.give_up(why)))?;
                }
                Some(
                    Message::BindComplete
                    | Message::ParseComplete
                    | Message::CloseComplete
                    | Message::CommandComplete(_)
                    | Message::NoData
                    | Message::EmptyQueryResponse
                    | Message::RowDescription(_),
                ) => {}
                Some(Message::ErrorResponse(body)) => {
                    let told = Refusal::parse(body.fields())
                        .ok_or_else(|| Failure::Lost(self.give_up("an error that makes no sense")))?;
                    if told.fatal {
                        self.give_up(told.to_string());
                        return Err(Failure::Refused(told));
                    }
                    refusal.get_or_insert(told);
                }
                Some(Message::ReadyForQuery(body)) if body.status() == b'I' => break,
                Some(Message::NoticeResponse(body)) => unconfirmed |= refusal::unconfirmed(&body),
                Some(message) => drop(self.between(message).map_err(Failure::Lost)?),
                None => {
                    return Err(Failure::Lost(
                        self.give_up(format!("no answer for {} s", PATIENCE.as_secs())),
                    ));
                }
            }
        }
        match refusal {
            Some(refusal) => Err(Failure::Refused(refusal)),
            None if unconfirmed => Err(Failure::Lost(
                "the wait for synchronous standbys was cancelled on the server".into(),
            )),
            None => Ok(()),
        }
    }

    /// Takes what the server may say at any time.
    fn between(&mut self, message: Message) -> Result<(), String> {
        match message {
            Message::NoticeResponse(_) | Message::ParameterStatus(_) => Ok(()),
            Message::NotificationResponse(body) => {
                // What is not text was not sent by us.
                self.notes.extend(body.message().ok().map(str::to_owned));
                Ok(())
            }
            _ => Err(self.give_up("the server said what does not belong here")),
        }
    }

    /// The next message; nothing if none comes in time.
    ///
    /// # Errors
    /// Why the session is over.
    pub(crate) fn message(&mut self, patience: Duration) -> Result<Option<Message>, String> {
        loop {
            if let Some(message) = self.parse()? {
                return Ok(Some(message));
            }
            if !self.more(patience)? {
                return Ok(None);
            }
        }
    }

    /// Waits for more bytes; false if none come in time.
    ///
    /// # Errors
    /// Why the session is over.
    pub(crate) fn more(&mut self, patience: Duration) -> Result<bool, String> {
        match self.wire.receive(&mut self.fresh, patience) {
            Ok(()) => {
                self.incoming.extend_from_slice(&self.fresh);
                self.fresh.clear();
                Ok(true)
            }
            Err(ConnectionError::TimedOut) => Ok(false),
            Err(error) => Err(self.cut(error)),
        }
    }

    /// The next message, if all of it has come.
    pub(crate) fn parse(&mut self) -> Result<Option<Message>, String> {
        if let Some(why) = &self.broken {
            return Err(why.clone());
        }
        match Header::parse(&self.incoming) {
            Ok(Some(header)) if header.len() > LONGEST => {
                Err(self.give_up(format!("a message of {} bytes from the server", header.len())))
            }
            Ok(_) => match Message::parse(&mut self.incoming) {
                Ok(message) => Ok(message),
                Err(error) => Err(self.give_up(format!("what answers does not speak as PostgreSQL does: {error}"))),
            },
            Err(error) => Err(self.give_up(format!("what answers does not speak as PostgreSQL does: {error}"))),
        }
    }

    fn cut(&mut self, cut: ConnectionError) -> String {
        match cut {
            ConnectionError::Lost(why) => self.give_up(why),
            ConnectionError::TimedOut => self.give_up("the server takes nothing"),
        }
    }
}
