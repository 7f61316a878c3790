//! The span that a node's log lines stand in. A span keeps every value that it was ever given, so a node that comes
//! back under another id gets another span, and whatever works for it goes on in that one.

use shardwright_core::id::NodeId;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use tracing::Span;

/// The present span of a node. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Life(Arc<Inner>);

struct Inner {
    cluster: String,
    host: String,
    /// In which the node was started.
    around: Span,
    present: Mutex<(Option<NodeId>, Span)>,
}

impl Life {
    pub(crate) fn new(cluster: &str, host: &str) -> Self {
        let around = Span::current();
        let first = span(&around, cluster, host);
        Self(Arc::new(Inner {
            cluster: cluster.to_owned(),
            host: host.to_owned(),
            around,
            present: Mutex::new((None, first)),
        }))
    }

    // Both parts are replaced at once: a poisoned lock guards a sound pair.
    fn lock(&self) -> MutexGuard<'_, (Option<NodeId>, Span)> {
        self.0.present.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The span of now.
    pub(crate) fn span(&self) -> Span {
        self.lock().1.clone()
    }

    /// The node holds this id from now on.
    pub(crate) fn holds(&self, node: NodeId) {
        let mut present = self.lock();
        if present.0 == Some(node) {
            return;
        }
        if present.0.replace(node).is_some() {
            present.1 = span(&self.0.around, &self.0.cluster, &self.0.host);
        }
        present.1.record("node", node.get());
    }

    /// `work`, whose every step stands in the span of then.
    pub(crate) fn follow<W: Future>(&self, work: W) -> Follow<W> {
        Follow {
            life: self.clone(),
            work: Box::pin(work),
        }
    }
}

fn span(around: &Span, cluster: &str, host: &str) -> Span {
    tracing::info_span!(parent: around, "shardwright", cluster, host, node = tracing::field::Empty)
}

/// From [`Life::follow`].
pub(crate) struct Follow<W> {
    life: Life,
    work: Pin<Box<W>>,
}

impl<W: Future> Future for Follow<W> {
    type Output = W::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<W::Output> {
        let _in = self.life.span().entered();
        self.work.as_mut().poll(context)
    }
}

#[cfg(test)]
mod test {
    use super::*;
    use std::io::{Read, Seek};

    #[test]
    fn a_line_has_the_id_of_then_and_no_other() {
        let file = Arc::new(tempfile::tempfile().expect("a file"));
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .without_time()
            .with_target(false)
            .with_writer(file.clone())
            .finish();
        let id = |n| NodeId::new(n).expect("not 0");
        tracing::subscriber::with_default(subscriber, || {
            let life = Life::new("c", "h");
            let runtime = tokio::runtime::Builder::new_current_thread()
                .build()
                .expect("a runtime");
            let mut work = life.follow(async {
                for n in [1, 1, 7] {
                    life.holds(id(n));
                    tokio::task::yield_now().await;
                    tracing::info!("working");
                }
            });
            runtime.block_on(&mut work);
            life.span().in_scope(|| tracing::info!("done"));
        });
        let mut told = String::new();
        (&*file).rewind().expect("a file");
        (&*file).read_to_string(&mut told).expect("text");
        let ids: Vec<_> = told
            .lines()
            .map(|line| line.split("node=").skip(1).collect::<Vec<_>>().join("|"))
            .collect();
        assert_eq!(ids, ["1}: working", "1}: working", "7}: working", "7}: done"], "{told}");
    }
}
