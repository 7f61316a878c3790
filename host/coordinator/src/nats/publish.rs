//! Writing one message to the stream, and what came of it.

use super::api::{Ack, ApiError};
use super::follow::identify;
use super::record::{Body, Record};
use super::shared::Shared;
use super::wire::Trouble;
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
pub(super) enum Failed {
    /// The guard did not hold.
    Guard,
    Error(StoreError<Bytes>),
}

impl Failed {
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
    pub(super) async fn publish(&self, subject: String, guard: Option<Guard>, record: &Record) -> Result<u64, Failed> {
        self.mirror.check().map_err(Failed::Error)?;
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
            Err(trouble) => return Err(Failed::Error(self.judge(trouble).await)),
        };
        let unknown = |why: String| Failed::Error(StoreError::Indeterminate(why));
        let ack: Ack = serde_json::from_slice(&answer.payload).map_err(|error| unknown(format!("the answer is none: {error}")))?;
        match ack.error {
            None if ack.seq > highest => Ok(ack.seq),
            None if ack.seq == 0 => Err(unknown("the answer names no sequence".into())),
            None => {
                let why = format!("the stream gave out revision {} again, after {highest}", ack.seq);
                Err(Failed::Error(self.mirror.lose(&why)))
            }
            Some(error) if ApiError::WRONG_LAST.contains(&error.err_code) => Err(Failed::Guard),
            Some(error) if error.err_code == ApiError::STORE_FAILED => Err(unknown(error.to_string())),
            Some(error) if ApiError::FULL.contains(&error.err_code) => Err(Failed::Error(StoreError::Unavailable(format!(
                "the server's store is full ({error}): raise max_file_store, or the limits of the account"
            )))),
            Some(error) => Err(Failed::Error(StoreError::Unavailable(error.to_string()))),
        }
    }

    /// What a request without an answer means to the write that it was.
    async fn judge(&self, trouble: Trouble) -> StoreError<Bytes> {
        match trouble {
            Trouble::Unsent(why) => StoreError::Unavailable(why),
            Trouble::Unknown(why) => StoreError::Indeterminate(why),
            Trouble::Denied(why) => StoreError::Denied(why),
            Trouble::Nobody => {
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
