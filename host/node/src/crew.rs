//! Tasks that last as long as their node: whichever ends before it, by a panic or by itself, is told with its name, and
//! ends the node.

use std::any::Any;
use std::collections::HashMap;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};

/// Running tasks, each with what it does. They end with this.
#[derive(Default)]
pub(crate) struct Crew {
    tasks: JoinSet<()>,
    names: HashMap<Id, &'static str>,
}

impl Crew {
    /// Has a task do `work`; `name` completes "the task that …".
    pub(crate) fn spawn(&mut self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        let handle = self.tasks.spawn(work);
        self.names.insert(handle.id(), name);
        handle
    }

    /// Waits until a task has ended that was not told to, and says which and how. For ever if there is none.
    /// Cancel-safe.
    pub(crate) async fn deserted(&mut self) -> String {
        loop {
            let Some(ended) = self.tasks.join_next_with_id().await else {
                return std::future::pending().await;
            };
            let (id, how) = match ended {
                Ok((id, ())) => (id, "has ended".to_owned()),
                Err(error) if error.is_cancelled() => continue,
                Err(error) => (error.id(), failure(error)),
            };
            let name = self.names.remove(&id).unwrap_or("does something");
            return format!("the task that {name} {how}");
        }
    }

    /// Ends all of them.
    pub(crate) async fn end(&mut self) {
        self.tasks.shutdown().await;
    }
}

/// How a task failed, with what its panic said.
pub(crate) fn failure(error: JoinError) -> String {
    match error.try_into_panic() {
        Ok(panic) => format!("panicked: {}", said(&*panic)),
        Err(_) => "was cancelled".to_owned(),
    }
}

/// What a panic said.
pub(crate) fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("it did not say why")
}

#[cfg(test)]
mod test {
    use super::*;

    #[tokio::test]
    async fn who_ends_is_named_and_who_was_told_to_is_not() {
        let mut crew = Crew::default();
        crew.spawn("waits", std::future::pending());
        crew.spawn("is not wanted any more", std::future::pending()).abort();
        crew.spawn("looks", async { panic!("no {}", "eyes") });
        assert_eq!(crew.deserted().await, "the task that looks panicked: no eyes");
        crew.spawn("listens", async {});
        assert_eq!(crew.deserted().await, "the task that listens has ended");
        crew.end().await;
    }
}
