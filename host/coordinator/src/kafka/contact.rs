//! The first contact with a broker: what is wrong, if it fails, is found out here.

use super::client::{ClosingClient, Common, KafkaContext};
use super::error;
use super::outbox::Outbox;
use super::reports::Reports;
use super::topic::refused;
use crate::broker::BrokerError;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::producer::{Producer, ThreadedProducer};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// How long to wait for what explains a failure, or for a better broker of the list.
const GRACE: Duration = Duration::from_secs(1);

/// How many partitions a topic has; none if there is no such topic.
async fn partitions(outbox: &Outbox, topic: &str) -> Result<Option<usize>, KafkaError> {
    let metadata = outbox.metadata(topic, outbox.common.session()).await?;
    let Some(found) = metadata.topics().first() else {
        return Ok(None);
    };
    match found.error().map(Code::from) {
        Some(Code::UnknownTopicOrPartition | Code::UnknownTopic) => Ok(None),
        Some(Code::LeaderNotAvailable) | None => Ok(Some(found.partitions().len())),
        Some(code) => Err(KafkaError::MetadataFetch(code)),
    }
}

/// [`partitions`] at the first contact: says what is wrong with the connection.
pub(super) async fn reach(outbox: &Outbox, topic: &str) -> Result<Option<usize>, BrokerError> {
    let common = &outbox.common;
    let until = Instant::now() + common.session();
    let asked = async {
        loop {
            match partitions(outbox, topic).await {
                // One that is just being made or deleted.
                Err(error) if error::is_passing(&error) && Instant::now() < until => {
                    sleep(Duration::from_millis(20)).await;
                }
                answer => break answer,
            }
        }
    };
    tokio::pin!(asked);
    let answer = tokio::select! {
        answer = &mut asked => answer,
        // Another broker of the list may be better; but not for long.
        () = common.reports.decisive.notified() => {
            timeout(GRACE, &mut asked).await.unwrap_or(Err(KafkaError::MetadataFetch(Code::AllBrokersDown)))
        }
    };
    match answer {
        Ok(answer) => {
            common.reports.forget();
            Ok(answer)
        }
        Err(error) if error::code(&error) == Some(Code::TopicAuthorizationFailed) => Err(refused(
            common,
            "looking for",
            "Describe",
            topic,
            Code::TopicAuthorizationFailed,
        )),
        Err(error) => {
            // The reason may come a moment after the failure.
            let _ = timeout(GRACE, common.reports.anything.notified()).await;
            let why = match error::code(&error) {
                Some(Code::BrokerTransportFailure) => {
                    common.reports.closed("nobody is there, or closes the connection")
                }
                _ => error.to_string(),
            };
            Err(explain(common, common.reports.why(&why)).await)
        }
    }
}

/// Says whether it is the authority or the name that is wrong with the certificate of a broker: the library does not.
///
/// A connection that does not look at the name tells. It goes no further than the handshake: no password is sent over
/// it.
async fn explain(common: &Common, error: BrokerError) -> BrokerError {
    if !common.reports.is_unverified() {
        return error;
    }
    let reports = Arc::new(Reports::new(&common.location, &common.options));
    let nameless = [
        ("security.protocol", "ssl"),
        ("ssl.endpoint.identification.algorithm", "none"),
    ];
    let probe = match common.reporting::<ThreadedProducer<KafkaContext>>(&nameless, reports.clone()) {
        Ok(probe) => ClosingClient::new(probe),
        Err(_) => return error,
    };
    let session = common.session();
    let asked = tokio::task::spawn_blocking(move || probe.client().fetch_metadata(None, session).map(drop));
    tokio::select! {
        _ = asked => {}
        () = reports.decisive.notified() => {}
    }
    let why = if reports.is_unverified() {
        "the authority of its certificate is not the one of tls.ca"
    } else {
        "its certificate has other names than the one that is connected to: add that name to it, or connect to one \
         that it has"
    };
    BrokerError::Tls {
        location: common.location.clone(),
        why: why.into(),
    }
}
