//! What errors of Kafka mean.

use crate::contract::BusError;
use bytes::Bytes;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use shardwright_core::store::StoreError;

/// What became of a record that was not acknowledged.
pub(super) fn unstored(error: &KafkaError, topic: &str) -> StoreError<Bytes> {
    match code(error) {
        Some(Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed) => StoreError::Denied(write_acl(topic)),
        Some(Code::MessageSizeTooLarge | Code::PolicyViolation | Code::InvalidRecord | Code::InvalidMessageSize) => {
            StoreError::Denied(format!("{topic} refused a record: {error}"))
        }
        // It never left this process.
        Some(Code::QueueFull) => StoreError::Unavailable(error.to_string()),
        _ => StoreError::Indeterminate(error.to_string()),
    }
}

/// Why a message was not sent.
pub(super) fn unsent(error: &KafkaError, topic: &str) -> BusError {
    match code(error) {
        Some(Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed) => BusError::Denied(write_acl(topic)),
        Some(Code::MessageSizeTooLarge | Code::PolicyViolation | Code::InvalidRecord | Code::InvalidMessageSize) => {
            BusError::Denied(format!("{topic} refused a message: {error}"))
        }
        _ => BusError::Unavailable(error.to_string()),
    }
}

fn write_acl(topic: &str) -> String {
    format!("writing to the topic {topic}: grant Write and Describe on it")
}

/// The library's code, wherever it stands.
pub(super) fn code(error: &KafkaError) -> Option<Code> {
    error.rdkafka_error_code()
}

/// Whether a reader is told that what it wants to read is not where it was.
pub(super) fn is_elsewhere(error: &KafkaError) -> bool {
    matches!(
        code(error),
        Some(Code::AutoOffsetReset | Code::OffsetOutOfRange | Code::LogTruncation)
    ) || is_missing(error)
}

/// Whether there is no such topic.
pub(super) fn is_missing(error: &KafkaError) -> bool {
    matches!(
        code(error),
        Some(Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition | Code::UnknownTopicId)
    )
}

/// Whether this passes when the brokers have agreed who leads.
pub(super) fn is_passing(error: &KafkaError) -> bool {
    matches!(
        code(error),
        Some(
            Code::LeaderNotAvailable
                | Code::NotLeaderForPartition
                | Code::UnknownLeaderEpoch
                | Code::FencedLeaderEpoch
                | Code::ReplicaNotAvailable
        )
    )
}

/// Whether a connection broke.
pub(super) fn is_disconnected(error: &KafkaError) -> bool {
    matches!(
        code(error),
        Some(Code::BrokerTransportFailure | Code::AllBrokersDown | Code::Resolve)
    )
}
