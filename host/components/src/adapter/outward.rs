//! What an adapter sends over a secured connection. Wasmtime's own stream writes every byte to the log at its most talkative level, passwords too.

use async_trait::async_trait;
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

/// How much is taken ahead of what was sent, in bytes.
const AHEAD: usize = 64 * 1024;

/// A stream whose bytes a task of its own sends, in order.
pub(super) struct Outward {
    queue: mpsc::UnboundedSender<Bytes>,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    /// Bytes that were taken and not sent yet.
    waiting: AtomicUsize,
    sent: Notify,
}

impl Outward {
    pub(super) fn new(writer: impl AsyncWrite + Send + Unpin + 'static) -> Self {
        // Bounded by what `check_write` allows.
        let (queue, taken) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            waiting: AtomicUsize::new(0),
            sent: Notify::new(),
        });
        let task = tokio::spawn(send(writer, taken, shared.clone()));
        Self { queue, shared, task }
    }

    fn room(&self) -> usize {
        AHEAD.saturating_sub(self.shared.waiting.load(Ordering::Acquire))
    }
}

async fn send(mut writer: impl AsyncWrite + Unpin, mut taken: mpsc::UnboundedReceiver<Bytes>, shared: Arc<Shared>) {
    while let Some(bytes) = taken.recv().await {
        // Nothing is kept back: whoever wrote it waits for an answer.
        if writer.write_all(&bytes).await.is_err() || writer.flush().await.is_err() {
            break;
        }
        shared.waiting.fetch_sub(bytes.len(), Ordering::Release);
        shared.sent.notify_one();
    }
    taken.close();
    shared.sent.notify_one();
}

impl OutputStream for Outward {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if bytes.len() > self.room() {
            return Err(StreamError::trap("more was written than there was room for"));
        }
        self.shared.waiting.fetch_add(bytes.len(), Ordering::AcqRel);
        self.queue.send(bytes).map_err(|_| StreamError::Closed)
    }

    fn flush(&mut self) -> StreamResult<()> {
        if self.queue.is_closed() { Err(StreamError::Closed) } else { Ok(()) }
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        if self.queue.is_closed() {
            Err(StreamError::Closed)
        } else {
            Ok(self.room())
        }
    }
}

#[async_trait]
impl Pollable for Outward {
    async fn ready(&mut self) {
        while self.room() == 0 && !self.queue.is_closed() {
            self.shared.sent.notified().await;
        }
    }
}

impl Drop for Outward {
    fn drop(&mut self) {
        self.task.abort();
    }
}
