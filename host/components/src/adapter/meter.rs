//! How long a call computes.

use super::fault::CpuBudgetExceeded;
use rustix::time::{ClockId, clock_gettime};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

/// What `call` comes to, unless it takes more than `limit` of processor time altogether. Time for which it waits does
/// not count, nor that in which the machine does something else; what it does in the host's functions does.
pub(super) async fn metered<T>(limit: Duration, call: impl Future<Output = T>) -> Result<T, CpuBudgetExceeded> {
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
    type Output = Result<T, CpuBudgetExceeded>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // A poll stays on one thread from its beginning to its end.
        let began = processor();
        let polled = self.call.as_mut().poll(cx);
        self.used += processor().saturating_sub(began);
        match polled {
            Poll::Ready(done) => Poll::Ready(Ok(done)),
            Poll::Pending if self.used > self.limit => Poll::Ready(Err(CpuBudgetExceeded)),
            Poll::Pending => Poll::Pending,
        }
    }
}

/// Processor time that this thread has had.
fn processor() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

#[cfg(test)]
mod test {
    use super::*;
    use std::time::Instant;

    async fn busy(time: Duration) {
        let began = processor();
        while processor().saturating_sub(began) < time {}
        tokio::task::yield_now().await;
    }

    #[tokio::test]
    async fn waiting_is_not_computing() {
        let (limit, began) = (Duration::from_millis(50), Instant::now());
        let patient = metered(limit, async {
            busy(Duration::from_millis(20)).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
            busy(Duration::from_millis(20)).await;
        });
        assert!(patient.await.is_ok() && began.elapsed() >= Duration::from_millis(200));
        let greedy = metered(limit, async {
            loop {
                busy(Duration::from_millis(5)).await;
            }
        });
        let _: CpuBudgetExceeded = greedy.await.expect_err("it never ends");
    }
}
