//! Keeps the log short: writes snapshots, and cuts off what they make superfluous.

use super::log_view::FollowUp;
use super::outbox::Outbox;
use super::record::Operation;
use super::snapshot::Pages;
use super::store::LogStore;
use super::topic;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Does what falls to this handle. Whatever fails is left: it falls to another one later.
pub(super) async fn keep(store: Arc<LogStore>, outbox: Arc<Outbox>, mut duties: mpsc::Receiver<FollowUp>) {
    let mut told = false;
    while let Some(duty) = duties.recv().await {
        match duty {
            FollowUp::Begin(after) => drop(store.write(Operation::Begin(after), &[]).await),
            FollowUp::Write(of, facts, entries) => write(&store, of, Pages::new(&facts, entries)).await,
            FollowUp::Cut(before) => {
                if let Err(error) = topic::cut(&outbox.common, before).await
                    && !std::mem::replace(&mut told, true)
                {
                    let location = &outbox.common.location;
                    tracing::warn!(
                        coordinator = location, %error,
                        "the log cannot be cut off and grows: grant Delete on its topic"
                    );
                }
            }
        }
    }
}

async fn write(store: &LogStore, of: u64, pages: Pages) {
    for (number, page) in (0..).zip(pages) {
        let act = Operation::Page {
            of,
            number,
            last: page.last,
        };
        match store.write(act, &page.bytes).await {
            Ok(verdict) if verdict.refused.is_none() => {}
            // Another snapshot was begun meanwhile, or the broker is away.
            _ => return,
        }
    }
}
