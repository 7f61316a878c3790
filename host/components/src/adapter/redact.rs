//! What an adapter says: lines of its log, and what it writes to its standard streams, a panic's last words above all.

use async_trait::async_trait;
use bytes::Bytes;
use shardwright_coordinator::broker::Password;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

/// The most lines that are logged in one [`PERIOD`].
const LINES: u32 = 64;
const PERIOD: Duration = Duration::from_secs(1);
/// How much of a text is told that is only an example, in characters.
const BEGINNING: usize = 60;
/// The longest line, in bytes.
const LINE: usize = 1024;
/// How much of the last words is kept, in bytes: as much as fits into a line together with what they are the last words
/// of.
const LAST: usize = 768;

/// Hides the secrets of a configuration in whatever an adapter says.
#[derive(Clone, Default)]
pub(super) struct Redactor(Arc<Vec<Password>>);

impl Redactor {
    pub(super) fn new(secrets: &[Password]) -> Self {
        // Masking a single letter would only spoil the text, and tell the letter.
        let long = secrets.iter().filter(|secret| secret.expose().len() >= 3);
        // As it is, as it stands in the JSON that the adapter was given, and as errors quote it.
        let in_json = |secret: &Password| Password::new(json(secret.expose()));
        let quoted = |secret: &Password| Password::new(debug(secret.expose()));
        let mut secrets: Vec<_> = long
            .flat_map(|secret| [secret.clone(), in_json(secret), quoted(secret)])
            .collect();
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.expose().len()));
        Self(Arc::new(secrets))
    }

    /// `text` in one line of at most [`LINE`] bytes, without control characters and secrets.
    pub(super) fn line(&self, text: &str) -> String {
        let mut line = String::new();
        let mut rest = text;
        // A secret is hidden as a whole before the line is cut: what is left of one that was cut could not be told from
        // other text.
        while line.len() <= LINE {
            let secret = self.0.iter().find(|secret| rest.starts_with(secret.expose()));
            let Some(first) = rest.chars().next() else {
                line.truncate(line.trim_end().len());
                return line;
            };
            let length = secret.map_or(first.len_utf8(), |secret| secret.expose().len());
            match secret {
                Some(_) => line.push_str("***"),
                None if first.is_whitespace() && line.is_empty() => {}
                None => line.push(if first.is_control() { ' ' } else { first }),
            }
            rest = &rest[length..];
        }
        line.truncate(line.floor_char_boundary(LINE));
        line.push('…');
        line
    }

    /// The beginning of `text`, which is cut only after its secrets are hidden.
    pub(super) fn beginning(&self, text: &str) -> String {
        self.line(text).chars().take(BEGINNING).collect()
    }

    /// The end of a text, of which the beginning was lost: without what is left of a secret there.
    fn without_half_a_secret<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        let left = |secret: &Password| {
            let bytes = secret.expose().as_bytes();
            (1..bytes.len())
                .find(|&from| text.starts_with(&bytes[from..]))
                .map(|from| bytes.len() - from)
        };
        &text[self.0.iter().filter_map(left).max().unwrap_or(0)..]
    }
}

/// `text` as it stands between the quotes of `Debug`.
fn debug(text: &str) -> String {
    let quoted = format!("{text:?}");
    quoted[1..quoted.len() - 1].to_owned()
}

/// `text` as it stands between the quotes of a JSON string.
fn json(text: &str) -> String {
    let mut json = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            '\u{8}' => json.push_str("\\b"),
            '\u{c}' => json.push_str("\\f"),
            c if u32::from(c) < 0x20 => json.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => json.push(c),
        }
    }
    json
}

/// What the lanes of one adapter may still say.
#[derive(Default)]
pub(super) struct LogRateLimiter(Mutex<(Option<Instant>, u32, u64)>);

impl LogRateLimiter {
    /// Whether a line may be logged now; with the number of those that were dropped before it, if it is the first
    /// again.
    pub(super) fn take(&self) -> Option<u64> {
        let (began, count, dropped) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if began.is_none_or(|began| now.duration_since(began) >= PERIOD) {
            (*began, *count) = (Some(now), 0);
        }
        if *count >= LINES {
            *dropped += 1;
            return None;
        }
        *count += 1;
        Some(std::mem::take(dropped))
    }
}

/// The last words of one lane.
#[derive(Clone, Default)]
pub(super) struct StderrTail(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    bytes: VecDeque<u8>,
    /// Whether something came before them.
    cut: bool,
}

impl StderrTail {
    fn keep(&self, bytes: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let skipped = bytes.len().saturating_sub(LAST);
        kept.bytes.extend(&bytes[skipped..]);
        let surplus = kept.bytes.len().saturating_sub(LAST);
        kept.bytes.drain(..surplus);
        kept.cut |= skipped + surplus > 0;
    }

    /// What was written last, as one line; `None` if nothing was.
    pub(super) fn say(&self, mask: &Redactor) -> Option<String> {
        let (bytes, cut) = {
            let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            (kept.bytes.iter().copied().collect::<Vec<u8>>(), kept.cut)
        };
        let whole = if cut {
            mask.without_half_a_secret(&bytes)
        } else {
            &bytes
        };
        let line = mask.line(&String::from_utf8_lossy(whole));
        (!line.is_empty()).then_some(line)
    }
}

impl IsTerminal for StderrTail {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for StderrTail {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

// Written at once, not by a task: what a panic says must be here when the trap is.
impl OutputStream for StderrTail {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.keep(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(LAST)
    }
}

#[async_trait]
impl Pollable for StderrTail {
    async fn ready(&mut self) {}
}

impl AsyncWrite for StderrTail {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.keep(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn secrets_are_masked_and_lines_are_lines() {
        let mask = Redactor::new(&[
            Password::new("hunter2"),
            Password::new("hunter2-long"),
            Password::new("x"),
        ]);
        assert_eq!(mask.line(" a\nhunter2-long b hunter2\u{7} x "), "a *** b ***  x");
        let long = mask.line(&"ä".repeat(LINE));
        assert!(long.len() <= LINE + '…'.len_utf8() && long.ends_with('…'));
    }

    /// The first ones, which become short, must not bring what is left of a later one into the line.
    #[test]
    fn a_secret_across_the_end_of_a_line_is_masked() {
        let secret = "0123456789abcdef".repeat(40);
        let mask = Redactor::new(&[Password::new(secret.clone())]);
        for before in 0..2 * LINE {
            let line = mask.line(&format!("{secret} {} {secret}{secret}", "-".repeat(before)));
            assert!(!line.contains("0123"), "{before}: {line}");
            assert!(line.len() <= LINE + '…'.len_utf8());
        }
    }

    #[test]
    fn a_secret_across_the_beginning_of_the_last_words_is_masked() {
        let secret = "0123456789abcdef".repeat(4);
        let mask = Redactor::new(&[Password::new(secret.clone())]);
        for after in LAST - 2 * secret.len()..=LAST {
            let words = StderrTail::default();
            words.keep(secret.as_bytes());
            words.keep(" ".repeat(after).as_bytes());
            words.keep(b".");
            let said = words.say(&mask).expect("words");
            assert!(said.chars().all(|c| "*. …".contains(c)), "{after}: {said}");
        }
    }

    #[test]
    fn secrets_are_masked_as_json_has_them_too() {
        let mask = Redactor::new(&[Password::new("a\"b\\c")]);
        let key = Redactor::new(&[Password::new("BEGIN\nKEY\u{1}")]);
        assert_eq!(key.line("a BEGIN\nKEY\u{1} b"), "a *** b");
        assert_eq!(key.line(r"a BEGIN\nKEY\u0001 b"), "a *** b");
        assert_eq!(
            mask.line(r#"{"password": "a\"b\\c"} a"b\c"#),
            r#"{"password": "***"} ***"#
        );
    }

    #[test]
    fn secrets_are_masked_as_errors_quote_them_too() {
        let mask = Redactor::new(&[Password::new("a\u{7f}b\u{200b}\"c'd")]);
        assert_eq!(
            mask.line(&format!("{:?} is no grant", "tcp://a\u{7f}b\u{200b}\"c'd")),
            "\"tcp://***\" is no grant"
        );
    }

    #[test]
    fn a_beginning_shows_no_part_of_a_secret() {
        let secret = "0123456789abcdef".repeat(4);
        let mask = Redactor::new(&[Password::new(secret.as_str())]);
        for before in 0..=BEGINNING {
            let told = mask.beginning(&format!("{}{secret}", "-".repeat(before)));
            assert!(!told.contains('0') && told.chars().count() <= BEGINNING, "{told}");
        }
    }

    #[test]
    fn who_talks_too_much_is_cut_off_and_it_is_counted() {
        let quota = LogRateLimiter::default();
        assert!((0..LINES).all(|_| quota.take() == Some(0)));
        assert!((0..5).all(|_| quota.take().is_none()));
        quota.0.lock().expect("not poisoned").0 = Instant::now().checked_sub(PERIOD);
        assert_eq!(quota.take(), Some(5));
    }
}
