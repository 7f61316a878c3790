//! The times in what a NATS server pushes from its streams, put on or back on the way: what a server says whose clock
//! is wrong. Its program reads the time where no library can stand between, so its clients are told another one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// By how much a server's clock is ahead, and was: a message that is pushed again has the time that it had.
#[derive(Debug, Default)]
pub(crate) struct Stamps(Mutex<Vec<Shift>>);

/// Nanoseconds since the Unix epoch by this machine's clock, and by how many the server's is ahead from then on.
#[derive(Clone, Copy, Debug)]
struct Shift {
    since: i64,
    ahead: i64,
}

impl Stamps {
    /// It is ahead by so many milliseconds from now on.
    pub(crate) fn shift(&self, millis: i64) {
        let mut shifts = self.shifts();
        // Read under the lock: whoever looks up a later time finds this.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        shifts.push(Shift {
            since: i64::try_from(now.as_nanos()).unwrap_or(i64::MAX),
            ahead: millis * 1_000_000,
        });
    }

    /// What the server's clock showed at `time`.
    fn shown(&self, time: i64) -> i64 {
        let shifts = self.shifts();
        let then = shifts.iter().rfind(|shift| shift.since <= time);
        time + then.map_or(0, |shift| shift.ahead)
    }

    fn shifts(&self) -> MutexGuard<'_, Vec<Shift>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a server says on one connection.
pub(crate) struct Speech {
    stamps: Arc<Stamps>,
    /// The beginning of a line whose end has not come.
    line: Vec<u8>,
    /// How much of the message that the last line announced is still to come.
    body: usize,
}

impl Speech {
    pub(crate) fn new(stamps: Arc<Stamps>) -> Self {
        Self {
            stamps,
            line: Vec::new(),
            body: 0,
        }
    }

    /// What to pass on when this has come: all of it but the beginning of a line.
    pub(crate) fn pass(&mut self, mut piece: &[u8]) -> Vec<u8> {
        let mut passed = Vec::with_capacity(piece.len() + self.line.len());
        loop {
            let (body, rest) = piece.split_at(self.body.min(piece.len()));
            passed.extend(body);
            self.body -= body.len();
            let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
                self.line.extend(rest);
                return passed;
            };
            let (line, rest) = rest.split_at(end + 1);
            self.line.extend(line);
            let line = std::mem::take(&mut self.line);
            match std::str::from_utf8(&line).ok().and_then(message) {
                Some((words, body)) => {
                    self.body = body;
                    let words: Vec<_> = words.into_iter().map(|word| self.stamped(word)).collect();
                    passed.extend((words.join(" ") + "\r\n").into_bytes());
                }
                None => passed.extend(line),
            }
            piece = rest;
        }
    }

    /// The subject of an answer to a stream, with another time in it; every other word as it is.
    fn stamped(&self, word: &str) -> String {
        if !word.starts_with("$JS.ACK.") {
            return word.to_owned();
        }
        let mut parts: Vec<_> = word.split('.').map(str::to_owned).collect();
        // Stream, consumer, tries, two numbers, time, how many are to come; newer servers put domain and account first.
        let place = if parts.len() == 9 { 7 } else { 9 };
        if let Some(time) = parts.get_mut(place)
            && let Ok(stored) = time.parse()
        {
            *time = self.stamps.shown(stored).to_string();
        }
        parts.join(".")
    }
}

/// The words of a line that announces a message, and how long that is, its end included.
fn message(line: &str) -> Option<(Vec<&str>, usize)> {
    let words: Vec<_> = line.trim_end().split(' ').collect();
    let announces = matches!(words[..], ["MSG" | "HMSG", _, _, ..]);
    let length: usize = words.last().filter(|_| announces)?.parse().ok()?;
    Some((words, length + "\r\n".len()))
}

#[cfg(test)]
mod test {
    use super::*;

    const OLD: &str = "$JS.ACK.S.c.1.20.4.1700000000123456789.0";
    const NEW: &str = "$JS.ACK._.ACCT.S.c.1.20.4.1700000000123456789.0.rAnd";

    /// A server that was an hour ahead at first, and is two seconds behind since.
    fn server() -> Arc<Stamps> {
        let shifts = [(0, 3_600_000_000_000), (1_700_000_000_000_000_000, -2_000_000_000)];
        Arc::new(Stamps(Mutex::new(
            shifts.map(|(since, ahead)| Shift { since, ahead }).into(),
        )))
    }

    #[test]
    fn what_streams_push_is_dated_anew_however_it_is_cut_and_nothing_else_is() {
        let body = format!("MSG x 1 {OLD} 5\r\n");
        let said = |old: &str, new: &str| {
            format!(
                "INFO {{\"a\":\"{OLD}\"}}\r\nPING\r\nMSG s.k 1 {old} {}\r\n{body}\r\nHMSG s.k 12 {new} 12 14\r\n\
                 NATS/1.0\r\n\r\nhi\r\nMSG answer 1 2\r\nok\r\n+OK\r\n",
                body.len(),
            )
        };
        let came = said(OLD, NEW);
        let later = |subject: &str| subject.replace("1700000000", "1699999998");
        let told = said(&later(OLD), &later(NEW));
        for size in [1, 2, 3, 7, 50, came.len()] {
            let mut speech = Speech::new(server());
            let passed: Vec<u8> = came
                .as_bytes()
                .chunks(size)
                .flat_map(|piece| speech.pass(piece))
                .collect();
            assert_eq!(String::from_utf8(passed), Ok(told.clone()), "in pieces of {size}");
        }
    }

    #[test]
    fn a_message_keeps_the_time_that_it_had() {
        let speech = Speech::new(server());
        let before = OLD.replace("1700000000", "1600000000");
        assert_eq!(speech.stamped(&before), OLD.replace("1700000000", "1600003600"));
        let stamps = server();
        stamps.shift(7_000);
        assert_eq!(stamps.shown(1_700_000_001_000_000_000), 1_699_999_999_000_000_000);
        assert_eq!(stamps.shown(i64::MAX / 2), i64::MAX / 2 + 7_000_000_000);
    }
}
