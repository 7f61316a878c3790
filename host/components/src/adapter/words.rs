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
/// The longest line, in bytes.
const LINE: usize = 1024;
/// How much of the last words is kept, in bytes.
const LAST: usize = 2048;

/// Hides the secrets of a configuration in whatever an adapter says.
#[derive(Clone, Default)]
pub(super) struct Mask(Arc<Vec<Password>>);

impl Mask {
    pub(super) fn new(secrets: &[Password]) -> Self {
        // Masking a single letter would only spoil the text, and tell the letter.
        let long = secrets.iter().filter(|secret| secret.expose().len() >= 3);
        // As it is, and as it stands in the JSON that the adapter was given.
        let escaped = |secret: &Password| Password::new(json(secret.expose()));
        let mut secrets: Vec<_> = long.flat_map(|secret| [secret.clone(), escaped(secret)]).collect();
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.expose().len()));
        Self(Arc::new(secrets))
    }

    fn longest(&self) -> usize {
        self.0.first().map_or(0, |secret| secret.expose().len())
    }

    /// `text` in one line of at most [`LINE`] bytes, without control characters and secrets.
    pub(super) fn line(&self, text: &str) -> String {
        // Enough for a line and a secret across its end; what is longer need not be looked through.
        let mut text = text[..text.floor_char_boundary(LINE + self.longest())].to_owned();
        for secret in self.0.iter() {
            if text.contains(secret.expose()) {
                text = text.replace(secret.expose(), "***");
            }
        }
        let mut line: String = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        if line.len() > LINE {
            line.truncate(line.floor_char_boundary(LINE));
            line.push('…');
        }
        line
    }
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
pub(super) struct Quota(Mutex<(Option<Instant>, u32, u64)>);

impl Quota {
    /// Whether a line may be logged now; with the number of those that were dropped before it, if it is the first again.
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
pub(super) struct LastWords(Arc<Mutex<VecDeque<u8>>>);

impl LastWords {
    fn keep(&self, bytes: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend(&bytes[bytes.len().saturating_sub(LAST)..]);
        let surplus = kept.len().saturating_sub(LAST);
        kept.drain(..surplus);
    }

    /// What was written last, as one line; `None` if nothing was.
    pub(super) fn say(&self, mask: &Mask) -> Option<String> {
        let bytes: Vec<u8> = self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect();
        let line = mask.line(&String::from_utf8_lossy(&bytes));
        (!line.is_empty()).then_some(line)
    }
}

impl IsTerminal for LastWords {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for LastWords {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

// Written at once, not by a task: what a panic says must be here when the trap is.
impl OutputStream for LastWords {
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
impl Pollable for LastWords {
    async fn ready(&mut self) {}
}

impl AsyncWrite for LastWords {
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
        let mask = Mask::new(&[Password::new("hunter2"), Password::new("hunter2-long"), Password::new("x")]);
        assert_eq!(mask.line(" a\nhunter2-long b hunter2\u{7} x "), "a *** b ***  x");
        let long = mask.line(&"ä".repeat(LINE));
        assert!(long.len() <= LINE + '…'.len_utf8() && long.ends_with('…'));
    }

    #[test]
    fn secrets_are_masked_as_json_has_them_too() {
        let mask = Mask::new(&[Password::new("a\"b\\c")]);
        let key = Mask::new(&[Password::new("BEGIN\nKEY\u{1}")]);
        assert_eq!(key.line("a BEGIN\nKEY\u{1} b"), "a *** b");
        assert_eq!(key.line(r"a BEGIN\nKEY\u0001 b"), "a *** b");
        assert_eq!(mask.line(r#"{"password": "a\"b\\c"} a"b\c"#), r#"{"password": "***"} ***"#);
    }

    #[test]
    fn who_talks_too_much_is_cut_off_and_it_is_counted() {
        let quota = Quota::default();
        assert!((0..LINES).all(|_| quota.take() == Some(0)));
        assert!((0..5).all(|_| quota.take().is_none()));
        quota.0.lock().expect("not poisoned").0 = Instant::now().checked_sub(PERIOD);
        assert_eq!(quota.take(), Some(5));
    }
}
