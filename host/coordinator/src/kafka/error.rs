//! What errors of Kafka mean.

use crate::contract::BusError;
use bytes::Bytes;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use shardwright_core::store::StoreError;

/// What became of a record that was not acknowledged: nobody knows.
///
/// Whatever the library says was told of the last attempt. If the answer to an earlier one was lost, or was one after
/// which it tries again, such as `NotEnoughReplicasAfterAppend` or a time-out, the record may stand in the log all the
/// same: so not even a refusal proves that it does not.
pub(super) fn unstored(error: &KafkaError, topic: &str) -> StoreError<Bytes> {
    StoreError::Indeterminate(reason(error, topic))
}

/// Why a record was not even given to the library: it certainly does not stand anywhere.
pub(super) fn not_given(error: &KafkaError, topic: &str) -> StoreError<Bytes> {
    if is_refused(error) {
        StoreError::Denied(reason(error, topic))
    } else {
        StoreError::Unavailable(reason(error, topic))
    }
}

/// Why a message was not sent.
pub(super) fn unsent(error: &KafkaError, topic: &str) -> BusError {
    if is_refused(error) {
        BusError::Denied(reason(error, topic))
    } else {
        BusError::Unavailable(reason(error, topic))
    }
}

/// Whether it does not pass by itself.
fn is_refused(error: &KafkaError) -> bool {
    let rights = [Code::TopicAuthorizationFailed, Code::ClusterAuthorizationFailed];
    let records = [
        Code::MessageSizeTooLarge,
        Code::PolicyViolation,
        Code::InvalidRecord,
        Code::InvalidMessageSize,
    ];
    code(error).is_some_and(|code| rights.contains(&code) || records.contains(&code))
}

fn reason(error: &KafkaError, topic: &str) -> String {
    match code(error) {
        Some(Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed) => {
            format!("writing to the topic {topic}: grant Write and Describe on it")
        }
        _ if is_refused(error) => format!("{topic} refused a record: {error}"),
        _ => error.to_string(),
    }
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

/// Whether an idempotent producer has lost its place among the records that the brokers remember of it. A server that
/// lost its data deals out the numbers of producers anew, so that two of them may meet under one; the library's
/// producer then fails with every record from there on.
pub(super) fn is_displaced(error: &KafkaError) -> bool {
    matches!(
        code(error),
        Some(
            Code::InvalidProducerEpoch
                | Code::UnknownProducerId
                | Code::InvalidProducerIdMapping
                | Code::OutOfOrderSequenceNumber
                | Code::Fatal
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

#[cfg(test)]
mod test {
    use super::*;

    /// What the library tells of a record that it was given: each of these may come after an attempt that was appended.
    const TOLD: [Code; 33] = [
        // The library's own.
        Code::MessageTimedOut,
        Code::BrokerTransportFailure,
        Code::AllBrokersDown,
        Code::TimedOutQueue,
        Code::OperationTimedOut,
        Code::PurgeQueue,
        Code::PurgeInflight,
        Code::BrokerDestroy,
        Code::Fail,
        Code::BadMessage,
        Code::Fatal,
        Code::UnknownTopic,
        Code::UnknownPartition,
        // The brokers'.
        Code::Unknown,
        Code::InvalidMessage,
        Code::UnknownTopicOrPartition,
        Code::UnknownTopicId,
        Code::LeaderNotAvailable,
        Code::NotLeaderForPartition,
        Code::RequestTimedOut,
        Code::NetworkException,
        Code::MessageSizeTooLarge,
        Code::InvalidMessageSize,
        Code::InvalidRecord,
        Code::PolicyViolation,
        Code::NotEnoughReplicas,
        Code::NotEnoughReplicasAfterAppend,
        Code::TopicAuthorizationFailed,
        Code::ClusterAuthorizationFailed,
        Code::OutOfOrderSequenceNumber,
        Code::DuplicateSequenceNumber,
        Code::InvalidProducerEpoch,
        Code::UnknownProducerId,
    ];

    #[test]
    fn a_record_that_was_sent_may_stand_whatever_is_told() {
        for code in TOLD {
            let told = unstored(&KafkaError::MessageProduction(code), "t");
            assert!(matches!(told, StoreError::Indeterminate(_)), "{code}: {told:?}");
        }
        let told = unstored(&KafkaError::MessageProduction(Code::TopicAuthorizationFailed), "t");
        assert!(told.to_string().contains("grant Write"), "{told}");
    }

    #[test]
    fn a_producer_is_replaced_when_it_has_lost_its_place_and_not_when_a_broker_is_away() {
        let displaced = |code: Code| is_displaced(&KafkaError::MessageProduction(code));
        let told: Vec<_> = TOLD.into_iter().filter(|&code| displaced(code)).collect();
        assert_eq!(
            told,
            [
                Code::Fatal,
                Code::OutOfOrderSequenceNumber,
                Code::InvalidProducerEpoch,
                Code::UnknownProducerId
            ]
        );
    }

    #[test]
    fn a_record_that_the_library_did_not_take_stands_nowhere() {
        for code in [Code::QueueFull, Code::UnknownTopic, Code::Fatal] {
            let told = not_given(&KafkaError::MessageProduction(code), "t");
            assert!(matches!(told, StoreError::Unavailable(_)), "{code}: {told:?}");
        }
        for code in [Code::MessageSizeTooLarge, Code::TopicAuthorizationFailed] {
            let told = not_given(&KafkaError::MessageProduction(code), "t");
            assert!(matches!(told, StoreError::Denied(_)), "{code}: {told:?}");
        }
    }
}
