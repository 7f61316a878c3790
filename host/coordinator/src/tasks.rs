//! The tasks of a handle, and its end: a task that panicked is no longer there, and whoever waits for it must be told.

use tokio::sync::watch;
use tokio::task::JoinSet;

/// Whether a handle is of no use any more, and why: for good.
#[derive(Clone, Debug)]
pub(crate) struct End(watch::Sender<Option<String>>);

impl End {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    /// It has come. The first reason stays.
    pub(crate) fn because(&self, why: impl Into<String>) {
        self.0.send_if_modified(|end| {
            let first = end.is_none();
            if first {
                *end = Some(why.into());
            }
            first
        });
    }

    /// Waits for it.
    pub(crate) async fn wait(&self) -> String {
        let mut end = self.0.subscribe();
        // The sender is here.
        let why = end.wait_for(Option::is_some).await.ok().and_then(|why| why.clone());
        why.unwrap_or_default()
    }
}

/// Tasks that end with this, and whose panic is the end of the handle.
#[derive(Debug)]
pub(crate) struct Tasks {
    running: JoinSet<()>,
    end: End,
}

impl Tasks {
    pub(crate) fn new(end: End) -> Self {
        let running = JoinSet::new();
        Self { running, end }
    }

    /// Runs `task`, which is known as `name`. If it returns, it has said why, or it does not matter.
    pub(crate) fn spawn(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let end = self.end.clone();
        self.running.spawn(async move {
            let _watched = Watched { name, end };
            task.await;
        });
    }
}

/// Tells of a panic.
struct Watched {
    name: &'static str,
    end: End,
}

impl Drop for Watched {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.end.because(format!("{} panicked; this is a bug", self.name));
        }
    }
}

#[cfg(test)]
mod test {
    use super::*;
    use std::future::pending;

    #[tokio::test]
    async fn a_panic_is_the_end_and_the_first_reason_stays() {
        let end = End::new();
        let mut tasks = Tasks::new(end.clone());
        tasks.spawn("what goes on", pending());
        tasks.spawn("what returns", async {});
        tasks.spawn("what fails", async {
            tokio::task::yield_now().await;
            panic!("on purpose");
        });
        assert_eq!(end.wait().await, "what fails panicked; this is a bug");
        end.because("another reason");
        assert_eq!(end.wait().await, "what fails panicked; this is a bug");
    }

    #[tokio::test]
    async fn what_is_stopped_or_returns_is_no_end() {
        let end = End::new();
        let mut tasks = Tasks::new(end.clone());
        let (running, stopped) = tokio::sync::oneshot::channel::<()>();
        let (returning, returned) = tokio::sync::oneshot::channel::<()>();
        tasks.spawn("what goes on", async move {
            let _running = running;
            pending::<()>().await;
        });
        tasks.spawn("what returns", async move { drop(returning) });
        returned.await.expect_err("it has returned");
        drop(tasks);
        stopped.await.expect_err("it was stopped");
        assert_eq!(*end.0.borrow(), None);
    }
}
