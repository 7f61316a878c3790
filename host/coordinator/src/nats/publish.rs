//! Writing one message to the stream, and what came of it.

use super::api::{Ack, ApiError};
use super::connection::RequestError;
use super::follow::identify;
use super::record::{Body, Record};
use super::shared::Shared;
use async_nats::{HeaderMap, HeaderValue};
use bytes::Bytes;
use shardwright_core::store::StoreError;

/// What must hold for a message to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guard {
    /// The last message to the same subject is this one; 0 for none.
    Subject(u64),
    /// The last message of the stream is this one.
    Stream(u64),
}

/// Why a message was not stored, or not for sure.
#[derive(Debug)]
pub(super) enum PublishError {
    /// The guard did not hold.
    Guard,
    Error(StoreError<Bytes>),
}

impl PublishError {
    /// As an error; a guard that did not hold means that others write, too.
    pub(super) fn into_error(self) -> StoreError<Bytes> {
        match self {
            Self::Error(error) => error,
            Self::Guard => StoreError::Unavailable("others write at the same time; try again".into()),
        }
    }
}

impl Shared {
    /// Stores `record` and returns its revision.
    pub(super) async fn publish(
        &self,
        subject: String,
        guard: Option<Guard>,
        record: &Record,
    ) -> Result<u64, PublishError> {
        self.mirror.check().map_err(PublishError::Error)?;
        let highest = self.mirror.highest();
        let headers = guard.map(|guard| {
            let mut headers = HeaderMap::new();
            match guard {
                Guard::Subject(last) => headers.insert("Nats-Expected-Last-Subject-Sequence", HeaderValue::from(last)),
                Guard::Stream(last) => headers.insert("Nats-Expected-Last-Sequence", HeaderValue::from(last)),
            }
            headers
        });
        let sent = if record.body == Body::Tick {
            self.wire.request_again(&subject, record.encode()).await
        } else {
            self.wire.request(&subject, headers, record.encode()).await
        };
        let answer = match sent {
            Ok(answer) => answer,
            Err(trouble) => return Err(PublishError::Error(self.judge(trouble).await)),
        };
        let unknown = |why: String| PublishError::Error(StoreError::Indeterminate(why));
        let ack: Ack =
            serde_json::from_slice(&answer.payload).map_err(|error| unknown(format!("the answer is none: {error}")))?;
        match ack.error {
            None if ack.seq > highest => Ok(ack.seq),
            None if ack.seq == 0 => Err(unknown("the answer names no sequence".into())),
            None => {
                let why = format!("the stream gave out revision {} again, after {highest}", ack.seq);
                Err(PublishError::Error(self.mirror.lose(&why)))
            }
            Some(error) => Err(refused(&error)),
        }
    }

    /// What a request without an answer means to the write that it was.
    async fn judge(&self, trouble: RequestError) -> StoreError<Bytes> {
        match trouble {
            RequestError::Unsent(why) => StoreError::Unavailable(why),
            RequestError::Unknown(why) | RequestError::Deaf(why) => StoreError::Indeterminate(why),
            RequestError::Denied(why) => StoreError::Denied(why),
            RequestError::Nobody => {
                // No stream takes this subject: it has no leader for now, or it is gone.
                let found = identify(self).await;
                let why = found
                    .err()
                    .map_or_else(|| "the stream has no leader".into(), |error| error.to_string());
                self.mirror.check().err().unwrap_or(StoreError::Unavailable(why))
            }
        }
    }
}

/// What a refusal by the stream means to a write.
///
/// "Nothing was written" may only be said of what a server finds before it proposes the message to the others that keep
/// the stream, or what all of them find alike: what the leader finds when it comes to store the message holds for the
/// leader alone, while the others do store it. So every code that is not here leaves the outcome open, and whoever
/// wrote reads back:
///
/// - 10023, no room on the server: up to nats-server 2.12 looked at both before proposing and when storing.
/// - 10002, no room in the account: nats-server 2.9 stores the message, then looks, and removes it again, at the leader
///   alone; with it the former message of the subject is gone.
/// - 10047 and 10028 are about making streams; nothing is known of them here.
/// - 10063, another sequence than the one proposed; 10077, the store failed; 10054 and 10109, limits of the stream and
///   sealing, which are looked at when storing, too: all of them at the leader alone.
fn refused(error: &ApiError) -> PublishError {
    match error.err_code {
        // Looked at before proposing, or by all alike, since they have the same messages before this one.
        code if ApiError::WRONG_LAST.contains(&code) => PublishError::Guard,
        // Looked at before proposing.
        ApiError::NOT_YET => PublishError::Error(StoreError::Unavailable(error.to_string())),
        code if ApiError::FULL.contains(&code) => PublishError::Error(StoreError::Indeterminate(format!(
            "the server's store is full ({error}): raise max_file_store, or the limits of the account"
        ))),
        _ => PublishError::Error(StoreError::Indeterminate(error.to_string())),
    }
}

#[cfg(test)]
mod test {
    use super::*;

    /// What each code says of a write, on any version of the server.
    #[test]
    fn only_what_is_found_before_proposing_is_certain() {
        let error = |err_code| ApiError {
            err_code,
            ..ApiError::default()
        };
        for code in [10071, 10164] {
            assert!(matches!(refused(&error(code)), PublishError::Guard), "{code}");
        }
        assert!(matches!(
            refused(&error(10163)),
            PublishError::Error(StoreError::Unavailable(_))
        ));
        for code in (0..=u16::MAX).filter(|code| ![10071, 10164, 10163].contains(code)) {
            let meaning = refused(&error(code));
            assert!(
                matches!(meaning, PublishError::Error(StoreError::Indeterminate(_))),
                "{code}: {meaning:?}"
            );
        }
    }
}
