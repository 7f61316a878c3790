//! The operations of the store, by way of the log.

use super::client::DeliveryTag;
use super::error;
use super::log_view::{LogView, Verdict};
use super::outbox::Outbox;
use super::record::Operation;
use super::state_machine::StateMachine;
use crate::broker::Backoff;
use bytes::Bytes;
use shardwright_core::store::StoreError;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::OnceCell;
use tokio::time::{sleep, timeout};

/// Writes records and waits until they were read.
pub(super) struct LogStore {
    outbox: Arc<Outbox>,
    board: Arc<LogView>,
    /// Readers who come now share the barrier that stands here.
    barrier: Mutex<Arc<Barrier>>,
    turn: tokio::sync::Mutex<()>,
}

type Barrier = OnceCell<Result<(), StoreError<Bytes>>>;

impl LogStore {
    pub(super) fn new(outbox: Arc<Outbox>) -> Self {
        Self {
            board: outbox.common.board.clone(),
            outbox,
            barrier: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        }
    }

    /// Looks at a state that has everything that was acknowledged before this was called.
    pub(super) async fn view<T>(&self, look: impl FnOnce(&StateMachine) -> T) -> Result<T, StoreError<Bytes>> {
        self.board.usable()?;
        let barrier = self.barrier.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let passed = barrier
            .get_or_init(|| async {
                let _turn = self.turn.lock().await;
                // Whoever asks from here on may know of writes that this record does not follow.
                *self.barrier.lock().unwrap_or_else(PoisonError::into_inner) = Arc::default();
                self.write(Operation::Tick, &[]).await.map(drop)
            })
            .await;
        match passed {
            Ok(()) => self.board.view(look),
            // A read that did not happen is no riddle.
            Err(StoreError::Indeterminate(why)) => Err(StoreError::Unavailable(why.clone())),
            Err(error) => Err(error.clone()),
        }
    }

    /// Writes a record, and says what the log made of it.
    pub(super) async fn write(&self, act: Operation<'_>, value: &[u8]) -> Result<Verdict, StoreError<Bytes>> {
        self.board.usable()?;
        self.try_write(act, value).await
    }

    async fn try_write(&self, act: Operation<'_>, value: &[u8]) -> Result<Verdict, StoreError<Bytes>> {
        let topic = &self.outbox.common.store;
        let prepared = self.board.prepare(act, value)?;
        if let Err(error) = self
            .outbox
            .send(topic, &prepared.record, DeliveryTag::Store(prepared.sequence))
        {
            self.board.forget(prepared.sequence);
            return Err(error::not_given(&error, topic));
        }
        match timeout(self.outbox.common.patience(), prepared.told).await {
            Ok(Ok(told)) => told,
            Ok(Err(_)) => Err(StoreError::Indeterminate("the record was overtaken".into())),
            Err(_) => {
                self.board.timed_out(prepared.sequence);
                Err(StoreError::Indeterminate("no answer in time".into()))
            }
        }
    }

    /// Finds out when the broker answers again after it did not.
    pub(super) async fn watch(&self) {
        loop {
            self.board.silent.notified().await;
            if !self.board.is_down() {
                continue;
            }
            let link = &self.outbox.common.reports.link;
            link.mark_down(&self.outbox.common.reports.why("it does not answer"));
            let mut backoff = Backoff::default();
            while let Err(error) = self.try_write(Operation::Tick, &[]).await {
                if !matches!(error, StoreError::Unavailable(_) | StoreError::Indeterminate(_)) {
                    break;
                }
                sleep(backoff.next_wait()).await;
            }
            self.board.set_up();
            link.mark_up();
        }
    }
}
