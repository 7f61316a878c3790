//! How long a call computes.

use super::fault::Spun;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// What `call` comes to, unless it holds a worker for longer than `limit` altogether. Time for which it waits does not count; what it does in the host's
/// functions does.
pub(super) async fn metered<T>(limit: Duration, call: impl Future<Output = T>) -> Result<T, Spun> {
    let call = pin!(call);
    Metered {
        call,
        limit,
        used: Duration::ZERO,
    }
    .await
}

struct Metered<'c, F> {
    call: Pin<&'c mut F>,
    limit: Duration,
    used: Duration,
}

impl<T, F: Future<Output = T>> Future for Metered<'_, F> {
    type Output = Result<T, Spun>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let began = Instant::now();
        let polled = self.call.as_mut().poll(cx);
        self.used += began.elapsed();
        match polled {
            Poll::Ready(done) => Poll::Ready(Ok(done)),
            Poll::Pending if self.used > self.limit => Poll::Ready(Err(Spun)),
            Poll::Pending => Poll::Pending,
        }
    }
}
