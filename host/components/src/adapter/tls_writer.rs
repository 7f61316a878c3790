//! What an adapter sends over a secured connection. Wasmtime's own stream writes every byte to the log at its most
//! talkative level, passwords too.

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
pub(super) struct TlsWriter {
    queue: mpsc::UnboundedSender<Bytes>,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    /// Bytes that were taken and not sent yet.
    waiting: AtomicUsize,
    sent: Notify,
}

impl TlsWriter {
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

/// Wakes whoever waits when nothing is sent any more, whatever the reason.
struct Ending(Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.sent.notify_one();
    }
}

async fn send(mut writer: impl AsyncWrite + Unpin, taken: mpsc::UnboundedReceiver<Bytes>, shared: Arc<Shared>) {
    // What is declared last is dropped first: the queue is closed when they wake.
    let _ending = Ending(shared.clone());
    let mut taken = taken;
    while let Some(bytes) = taken.recv().await {
        // Nothing is kept back: whoever wrote it waits for an answer.
        if writer.write_all(&bytes).await.is_err() || writer.flush().await.is_err() {
            break;
        }
        shared.waiting.fetch_sub(bytes.len(), Ordering::Release);
        shared.sent.notify_one();
    }
}

impl OutputStream for TlsWriter {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if bytes.is_empty() {
            // It would take a place in the queue and no room.
            return self.flush();
        }
        if bytes.len() > self.room() {
            return Err(StreamError::trap("more was written than there was room for"));
        }
        self.shared.waiting.fetch_add(bytes.len(), Ordering::AcqRel);
        self.queue.send(bytes).map_err(|_| StreamError::Closed)
    }

    fn flush(&mut self) -> StreamResult<()> {
        if self.queue.is_closed() {
            Err(StreamError::Closed)
        } else {
            Ok(())
        }
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
impl Pollable for TlsWriter {
    async fn ready(&mut self) {
        while self.room() == 0 && !self.queue.is_closed() {
            self.shared.sent.notified().await;
        }
    }
}

impl Drop for TlsWriter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod test {
    use super::*;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    /// A connection on whose first byte the host panics.
    struct Broken;

    impl AsyncWrite for Broken {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<std::io::Result<usize>> {
            panic!("planted")
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn who_waits_for_a_sender_that_panicked_is_told() {
        let mut stream = TlsWriter::new(Broken);
        stream.write(Bytes::from(vec![0; AHEAD])).expect("there is room");
        stream.ready().await;
        assert!(matches!(stream.check_write(), Err(StreamError::Closed)));
    }

    #[tokio::test]
    async fn nothing_takes_no_place_in_the_queue() {
        let (queue, taken) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            waiting: AtomicUsize::new(0),
            sent: Notify::new(),
        });
        let task = tokio::spawn(std::future::pending());
        let mut stream = TlsWriter { queue, shared, task };
        for bytes in [Bytes::new(), Bytes::from_static(b"x"), Bytes::new()] {
            stream.write(bytes).expect("there is room");
        }
        assert_eq!(taken.len(), 1);
    }
}
