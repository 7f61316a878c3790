//! The deadline of this node's session, enforced without the driver and without tokio.
//!
//! A node may act only until its deadline. The driver moves the deadline with every renewal; if the driver or the whole
//! runtime is stuck, nobody moves it, and a thread of its own turns the node off in time.

use crate::clock;
use shardwright_core::time::Instant;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// The longest sleep between two looks at the clock: timers do not run while the machine is suspended, the clock does.
const NAP: Duration = Duration::from_millis(250);

/// Whether this node may act.
#[derive(Debug, Default)]
pub(crate) struct Fence {
    /// What `owns` reads: set while the deadline lies ahead, as of the last look at the clock.
    live: AtomicBool,
    /// Milliseconds on the local clock; 0: not at all.
    deadline: AtomicU64,
    state: Mutex<State>,
    changed: Condvar,
    /// Whether it is closed; sent, too, whenever the node may act again.
    news: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct State {
    closed: bool,
    /// `live` was turned off, and the claims have not been told yet.
    tripped: bool,
}

impl Fence {
    // The state is two flags, each valid in every combination: a poisoned lock harms nothing.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the node was allowed to act when the clock was last looked at. Wait-free.
    #[inline]
    pub(crate) fn is_live(&self) -> bool {
        self.live.load(Ordering::Acquire)
    }

    /// Whether the node may act at this very moment. Reads the clock.
    pub(crate) fn permits(&self) -> bool {
        self.is_live() && clock::now() < self.deadline()
    }

    /// The present deadline; 0 if the node may not act.
    pub(crate) fn deadline(&self) -> Instant {
        Instant(self.deadline.load(Ordering::Acquire))
    }

    /// Allows acting until `deadline`, or forbids it.
    pub(crate) fn set(&self, deadline: Option<Instant>) {
        let mut state = self.lock();
        let deadline = deadline.filter(|_| !state.closed).unwrap_or_default();
        let live = clock::now() < deadline;
        self.deadline.store(deadline.0, Ordering::Release);
        let was = self.live.swap(live, Ordering::AcqRel);
        if was && !live {
            state.tripped = true;
        }
        drop(state);
        self.changed.notify_all();
        if live && !was {
            self.news.send_modify(|_| {});
        }
    }

    /// Forbids acting for ever and lets the watchdog end.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.set(None);
        self.news.send_replace(true);
    }

    /// Changes whenever the node may act again, and to `true` when it never may.
    pub(crate) fn news(&self) -> watch::Receiver<bool> {
        self.news.subscribe()
    }

    /// Starts the thread that turns `live` off at the deadline and then calls `cancel`, which must not block for long.
    /// If it panics, nobody keeps the deadline: the node is off for good, and `broken` is called.
    pub(crate) fn watch(
        self: &Arc<Self>,
        cancel: impl Fn() + Send + 'static,
        broken: impl Fn() + Send + 'static,
    ) -> std::io::Result<()> {
        let fence = self.clone();
        std::thread::Builder::new()
            .name("shardwright-fence".into())
            .spawn(move || {
                let _unguarded = Unguarded(fence.clone(), broken);
                fence.guard(&cancel);
            })?;
        Ok(())
    }

    fn guard(&self, cancel: &dyn Fn()) {
        let mut state = self.lock();
        loop {
            let now = clock::now();
            let deadline = self.deadline();
            if now >= deadline && self.live.swap(false, Ordering::AcqRel) {
                state.tripped = true;
            }
            if std::mem::take(&mut state.tripped) {
                // Under the lock: no new deadline comes into force while claims of the old one are being cancelled.
                cancel();
            }
            if state.closed {
                return;
            }
            state = if self.is_live() {
                let (state, _) = self
                    .changed
                    .wait_timeout(state, nap(deadline, now))
                    .unwrap_or_else(PoisonError::into_inner);
                state
            } else {
                self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
            };
        }
    }
}

/// How long to sleep before the next look at the clock, while `deadline` lies ahead: never past it, and never for long.
fn nap(deadline: Instant, now: Instant) -> Duration {
    Duration::from_millis(deadline.since(now)).min(NAP)
}

/// In the hands of the thread: if that panics, nobody guards the fence any more.
struct Unguarded<B: Fn()>(Arc<Fence>, B);

impl<B: Fn()> Drop for Unguarded<B> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.close();
            (self.1)();
        }
    }
}

#[cfg(test)]
mod test {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn the_watchdog_turns_the_node_off_at_the_deadline_and_never_before() {
        let fence = Arc::new(Fence::default());
        let (send, cancelled) = mpsc::channel();
        fence
            .watch(move || send.send(clock::now()).expect("the test listens"), || {})
            .expect("a thread");
        assert!(!fence.permits(), "nothing is permitted before the first deadline");

        let deadline = clock::now().plus(100);
        fence.set(Some(deadline));
        assert!(fence.is_live() && fence.permits());
        let at = cancelled
            .recv_timeout(Duration::from_secs(5))
            .expect("the watchdog fires");
        assert!(at >= deadline, "it fired {} ms early", deadline.since(at));
        assert!(!fence.is_live() && !fence.permits());

        fence.set(Some(clock::now().plus(60_000)));
        assert!(fence.permits(), "a later renewal resumes");
        fence.set(None);
        assert!(!fence.permits());
        cancelled
            .recv_timeout(Duration::from_secs(5))
            .expect("claims are told at once");

        fence.close();
        fence.set(Some(clock::now().plus(60_000)));
        assert!(!fence.permits(), "closed is for ever");
        assert!(
            cancelled.recv_timeout(Duration::from_secs(5)).is_err(),
            "the thread has ended and dropped its closure"
        );
    }

    #[test]
    fn the_watchdog_sleeps_up_to_the_deadline_and_never_without_looking_for_long() {
        let now = Instant(1_000_000);
        for left in (0..600).chain([60_000, 3_600_000]) {
            let nap = nap(now.plus(left), now);
            assert!(nap <= Duration::from_millis(left), "{nap:?} with {left} ms left");
            // However long the machine was suspended: so much after it goes on, the watchdog has looked.
            assert!(nap <= Duration::from_millis(250), "{nap:?} with {left} ms left");
            assert!(left == 0 || nap > Duration::ZERO, "it spins with {left} ms left");
        }
    }

    /// Nobody watches: who asks the clock is told the truth all the same.
    #[test]
    fn nothing_is_permitted_after_the_deadline_however_late_the_watchdog_is() {
        let fence = Fence::default();
        let deadline = clock::now().plus(20);
        fence.set(Some(deadline));
        while clock::now() < deadline {
            std::thread::yield_now();
        }
        assert!(fence.is_live() && !fence.permits());
    }

    /// By the millisecond, where the clock stood still around the question.
    #[test]
    fn at_the_deadline_itself_nothing_is_permitted_any_more() {
        let (mut set, mut asked) = (false, false);
        for _ in 0..1_000 {
            let fence = Fence::default();
            let now = clock::now();
            fence.set(Some(now));
            if clock::now() == now {
                assert!(!fence.is_live());
                set = true;
            }
            let deadline = clock::now().plus(2);
            fence.set(Some(deadline));
            while clock::now() < deadline {
                std::hint::spin_loop();
            }
            let permits = fence.permits();
            if clock::now() == deadline && fence.is_live() {
                assert!(!permits);
                asked = true;
            }
            if set && asked {
                return;
            }
        }
        panic!("the clock never stood still: {set} {asked}");
    }

    #[test]
    fn a_watchdog_that_panics_turns_the_node_off_for_good_and_says_so() {
        let fence = Arc::new(Fence::default());
        let (send, broken) = mpsc::channel();
        fence
            .watch(|| panic!("planted"), move || send.send(()).expect("the test listens"))
            .expect("a thread");
        fence.set(Some(clock::now().plus(60_000)));
        assert!(fence.permits());
        fence.set(None);
        broken.recv_timeout(Duration::from_secs(5)).expect("it says so");
        fence.set(Some(clock::now().plus(60_000)));
        assert!(!fence.permits() && !fence.is_live());
    }
}
