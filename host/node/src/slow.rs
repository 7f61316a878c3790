//! What takes long is said, while it lasts.

use std::pin::pin;
use std::time::Duration;

/// After this long, whoever waits is told for what.
const PATIENCE: Duration = Duration::from_secs(1);

/// What comes of `work`; `tell` is called if it takes longer than a second.
pub(crate) async fn tell<T>(work: impl Future<Output = T>, tell: impl FnOnce()) -> T {
    let mut work = pin!(work);
    tokio::select! {
        biased;
        done = &mut work => return done,
        () = tokio::time::sleep(PATIENCE) => tell(),
    }
    work.await
}

#[cfg(test)]
mod test {
    use std::cell::Cell;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn only_what_takes_longer_than_a_second_is_told_and_once() {
        for (ms, times) in [(0, 0), (900, 0), (1_100, 1), (60_000, 1)] {
            let told = Cell::new(0);
            let work = async {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                ms
            };
            let done = super::tell(work, || told.set(told.get() + 1)).await;
            assert_eq!((done, told.get()), (ms, times));
        }
    }
}
