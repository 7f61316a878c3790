//! The way to the brokers: one producer for the store and the bus.

use super::client::{ClosingClient, Common, DeliveryTag, KafkaContext};
use super::error;
use crate::broker::BrokerError;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

pub(super) type Reader = StreamConsumer<KafkaContext>;
type Writer = Arc<ClosingClient<ThreadedProducer<KafkaContext>>>;

/// Sends records, and asks what only a blocking call can ask.
pub(super) struct Outbox {
    pub(super) common: Arc<Common>,
    writer: RwLock<Writer>,
}

impl Outbox {
    pub(super) fn new(common: Arc<Common>) -> Result<Self, BrokerError> {
        let writer = RwLock::new(Arc::new(ClosingClient::new(common.producer()?)));
        Ok(Self { common, writer })
    }

    fn writer(&self) -> Writer {
        self.writer.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The producer, or a fresh one in place of one that has lost its place: that is of no more use.
    fn placed(&self) -> Result<Writer, KafkaError> {
        let writer = self.writer();
        if !writer.client().context().is_displaced() {
            return Ok(writer);
        }
        let mut present = self.writer.write().unwrap_or_else(PoisonError::into_inner);
        if Arc::ptr_eq(&present, &writer) {
            let fresh = self
                .common
                .producer()
                .map_err(|error| KafkaError::ClientCreation(error.to_string()))?;
            *present = Arc::new(ClosingClient::new(fresh));
        }
        Ok(present.clone())
    }

    /// Sends `record`; `ticket` is told what became of it, unless this fails: then it was not sent.
    pub(super) fn send(&self, topic: &str, record: &[u8], ticket: DeliveryTag) -> Result<(), KafkaError> {
        let mut ticket = Box::new(ticket);
        for attempt in 0.. {
            let writer = self.placed()?;
            let message = BaseRecord::<(), [u8], Box<DeliveryTag>>::with_opaque_to(topic, ticket)
                .partition(0)
                .payload(record);
            match writer.send(message) {
                Ok(()) => break,
                Err((error, message)) => {
                    writer.client().context().note(&error);
                    if attempt > 0 || !error::is_displaced(&error) {
                        return Err(error);
                    }
                    ticket = message.delivery_opaque;
                }
            }
        }
        Ok(())
    }

    /// What the brokers say about `topic`.
    pub(super) async fn metadata(&self, topic: &str, patience: Duration) -> Result<Metadata, KafkaError> {
        let (writer, topic) = (self.writer(), topic.to_owned());
        blocking(move || writer.client().fetch_metadata(Some(&topic), patience)).await
    }

    /// The first offset of `topic` and the one after its last.
    pub(super) async fn range(&self, topic: &str, patience: Duration) -> Result<(u64, u64), KafkaError> {
        let (writer, topic) = (self.writer(), topic.to_owned());
        let (low, high) = blocking(move || writer.client().fetch_watermarks(&topic, 0, patience)).await?;
        let offset = |offset: i64| {
            u64::try_from(offset).map_err(|_| KafkaError::OffsetFetch(RDKafkaErrorCode::OffsetOutOfRange))
        };
        Ok((offset(low)?, offset(high)?))
    }

    /// A reader of `topic` from `offset` on.
    pub(super) fn reader(&self, topic: &str, offset: u64) -> Result<ClosingClient<Reader>, BrokerError> {
        let reader: Reader = self.common.consumer()?;
        let mut place = TopicPartitionList::new();
        let offset = Offset::Offset(i64::try_from(offset).unwrap_or(i64::MAX));
        place
            .add_partition_offset(topic, 0, offset)
            .and_then(|()| reader.assign(&place))
            .map_err(|error| BrokerError::Invalid(error.to_string()))?;
        Ok(ClosingClient::new(reader))
    }
}

/// Does a blocking call of the library where it disturbs nobody.
async fn blocking<T: Send + 'static>(
    call: impl FnOnce() -> Result<T, KafkaError> + Send + 'static,
) -> Result<T, KafkaError> {
    tokio::task::spawn_blocking(call)
        .await
        .unwrap_or(Err(KafkaError::Canceled))
}
