//! What the adapter needs of the world: requests over HTTP, a clock, and rest. In a component it is the host's; in
//! tests it is something else.

use std::time::Duration;

/// A point on the local monotonic clock, in nanoseconds. It also counts while the machine is suspended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub(crate) u64);

impl Moment {
    /// `wait` later.
    pub fn plus(self, wait: Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX)),
        )
    }

    /// `wait` earlier.
    pub fn minus(self, wait: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX)),
        )
    }

    /// How long it is from `earlier` to this; nothing if it is not later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// A request. With a body it is a `POST`, without one a `GET`.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    /// `http://host:port/path`.
    pub url: &'a str,
    /// Names and values.
    pub headers: &'a [(&'a str, &'a str)],
    pub body: Option<&'a [u8]>,
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    /// 200 and so on.
    pub status: u16,
    /// The header `Date`.
    pub date: Option<String>,
    pub body: Vec<u8>,
    /// Before the request was sent.
    pub sent: Moment,
    /// After the answer's head had come.
    pub received: Moment,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing was sent: nobody answers there, the address is not granted, the request makes no sense.
    Unreachable(String),
    /// Nothing was sent: no secure connection.
    Tls(String),
    /// The connection was lost, after the request may have been sent.
    Lost(String),
    /// No answer in time; the request may have been sent.
    TimedOut,
    /// The answer is longer than what was asked for.
    TooLong,
}

/// An answer that comes bit by bit.
pub trait Stream {
    /// Waits for bytes, appends what has come, and returns how many that were; 0 at the end.
    ///
    /// # Errors
    /// [`Fault`]; after `TimedOut` more may still come.
    fn read(&mut self, into: &mut Vec<u8>, until: Moment) -> Result<usize, Fault>;
}

/// The world.
pub trait HttpClient: Sized + 'static {
    type Stream: Stream + 'static;

    fn now(&self) -> Moment;

    fn sleep(&self, until: Moment);

    /// Says something to the operator that is not as it should be.
    fn warn(&self, text: &str);

    /// The same world, for another member.
    #[must_use]
    fn again(&self) -> Self;

    /// Asks, and takes an answer of at most `limit` bytes.
    ///
    /// # Errors
    /// [`Fault`].
    fn call(&mut self, call: &Call<'_>, limit: usize, until: Moment) -> Result<Answer, Fault>;

    /// Asks for an answer that does not end: its status and what brings the rest.
    ///
    /// # Errors
    /// [`Fault`].
    fn stream(&mut self, call: &Call<'_>, until: Moment) -> Result<(u16, Self::Stream), Fault>;
}
