//! One reader's events.

use crate::event::NodeEvent;
use futures_util::{Stream, StreamExt, stream};
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

/// One reader's events: from [`Node::events`](crate::Node::events) and [`Role::events`](crate::Role::events). Also a
/// [`Stream`], for whoever combines several.
///
/// A reader that falls more than 1,024 events behind gets [`NodeEvent::Lagged`] once and goes on with the oldest event
/// kept. Nothing follows [`NodeEvent::Ended`].
#[must_use = "events are told to whoever reads"]
pub struct EventStream(Pin<Box<dyn Stream<Item = NodeEvent> + Send>>);

impl EventStream {
    /// All that is told, or what is told of one role.
    pub(crate) fn new(events: broadcast::Receiver<NodeEvent>, role: Option<String>) -> Self {
        let told = stream::unfold(Some(events), |events| async {
            let mut events = events?;
            match events.recv().await {
                Ok(ended @ NodeEvent::Ended { .. }) => Some((ended, None)),
                Ok(event) => Some((event, Some(events))),
                Err(RecvError::Lagged(missed)) => Some((NodeEvent::Lagged { missed }, Some(events))),
                Err(RecvError::Closed) => None,
            }
        });
        let told = told.filter(move |event| {
            let whole = matches!(event, NodeEvent::Lagged { .. } | NodeEvent::Ended { .. });
            std::future::ready(role.is_none() || whole || event.role() == role.as_deref())
        });
        Self(Box::pin(told.fuse()))
    }

    /// Waits for the next event; `None` after [`NodeEvent::Ended`]. Cancel-safe.
    pub async fn next(&mut self) -> Option<NodeEvent> {
        self.0.next().await
    }
}

impl Stream for EventStream {
    type Item = NodeEvent;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<NodeEvent>> {
        self.0.as_mut().poll_next(context)
    }
}

impl fmt::Debug for EventStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStream").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod test {
    use super::*;
    use std::time::Duration;

    fn grace(wait: u64) -> NodeEvent {
        NodeEvent::Grace {
            wait: Duration::from_secs(wait),
        }
    }

    #[tokio::test]
    async fn a_slow_reader_is_told_what_it_missed_and_goes_on() {
        let sender = broadcast::Sender::new(2);
        let mut stream = EventStream::new(sender.subscribe(), None);
        for wait in 0..5 {
            sender.send(grace(wait)).expect("there is a reader");
        }
        assert_eq!(stream.next().await, Some(NodeEvent::Lagged { missed: 3 }));
        assert_eq!(stream.next().await, Some(grace(3)));
        assert_eq!(stream.next().await, Some(grace(4)));
        sender
            .send(NodeEvent::Ended { reason: None })
            .expect("there is a reader");
        assert!(stream.next().await.is_some());
        assert_eq!(stream.next().await, None, "nothing follows the end");
        assert_eq!(stream.next().await, None, "however often it is asked");
    }

    #[tokio::test]
    async fn a_wait_that_is_given_up_loses_nothing() {
        let sender = broadcast::Sender::new(2);
        let mut stream = EventStream::new(sender.subscribe(), None);
        let waiting = tokio::time::timeout(Duration::from_millis(1), stream.next());
        waiting.await.expect_err("there is none yet");
        sender.send(grace(1)).expect("there is a reader");
        let all: Vec<_> = StreamExt::take(stream, 1).collect().await;
        assert_eq!(all, [grace(1)]);
    }

    #[tokio::test]
    async fn a_role_is_told_its_own_events_what_was_missed_and_the_end() {
        let sender = broadcast::Sender::new(8);
        let stream = EventStream::new(sender.subscribe(), Some("work".into()));
        let replaced = |role: &str| NodeEvent::PolicyReplaced { role: role.into() };
        let ended = NodeEvent::Ended { reason: None };
        for event in [grace(1), replaced("other"), replaced("work"), ended.clone()] {
            sender.send(event).expect("there is a reader");
        }
        assert_eq!(stream.collect::<Vec<_>>().await, [replaced("work"), ended]);
    }
}
