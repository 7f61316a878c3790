//! Store operations of the engine, performed on the coordinator: typed values in, bytes out, and every one ends in
//! time.

use crate::backend::{BackendError, covers};
use bytes::Bytes;
use shardwright_coordinator::{Coordinator, PutRequest};
use shardwright_core::codec;
use shardwright_core::human::Span;
use shardwright_core::join::{Answer, Outcome, Request};
use shardwright_core::store::{Entry, Expected, Listing, Reading, StoreError, StoreTime, Written};
use shardwright_core::values::{Key, Value};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// The store as the engine uses it.
pub(crate) struct StoreCalls {
    coordinator: Arc<dyn Coordinator>,
    /// After this long an operation counts as failed, or, if it writes, as indeterminate.
    limit: Duration,
    /// What the backend's times may be wrong by.
    margin: Duration,
    /// Whether they are known to be wrong by more.
    doubted: AtomicBool,
    /// The backend's time of this node's last session write.
    session_written: AtomicU64,
}

impl StoreCalls {
    pub(crate) fn new(coordinator: Arc<dyn Coordinator>, limit: Duration, margin: Duration) -> Self {
        Self {
            coordinator,
            limit,
            margin,
            doubted: AtomicBool::new(false),
            session_written: AtomicU64::new(0),
        }
    }

    /// The backend's time of the last session write that succeeded: later in every later life of a node.
    pub(crate) fn session_written(&self) -> StoreTime {
        StoreTime(self.session_written.load(Ordering::Relaxed))
    }

    /// Performs `request` for somebody who was told of no later partial loss than `heard`.
    pub(crate) async fn perform(&self, request: Request, heard: StoreTime) -> Outcome {
        let writes = request.is_write();
        let failed = |text: String| match writes {
            true => StoreError::Indeterminate(text),
            false => StoreError::Unavailable(text),
        };
        if writes {
            // What would be written was decided by its times.
            self.trust()
                .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        }
        let outcome = tokio::time::timeout(self.limit, self.call(request, heard)).await;
        match outcome.unwrap_or_else(|_| Err(failed(format!("no answer within {}", Span::from(self.limit))))) {
            outcome @ (Ok(_) | Err(StoreError::Conflict(_))) => match self.trust() {
                Ok(()) => outcome,
                Err(error) => Err(failed(error.to_string())),
            },
            failure => failure,
        }
    }

    /// Whether the margin covers by how much the backend's times may be wrong. A backend that was one server can become
    /// several, and a connection made later knows.
    fn trust(&self) -> Result<(), BackendError> {
        let trust = covers(self.margin, &*self.coordinator);
        let news = self.doubted.swap(trust.is_err(), Ordering::Relaxed) != trust.is_err();
        if let (Err(error), true) = (&trust, news) {
            tracing::error!(%error, "the coordinator's times are too inexact by now: this node does nothing by them");
        }
        trust
    }

    async fn call(&self, request: Request, heard: StoreTime) -> Outcome {
        match request {
            Request::Get(key) => {
                let reading = self
                    .coordinator
                    .get(&key.to_string())
                    .await
                    .map_err(|e| error(&key, e))?;
                let entry = reading.entry.map(|entry| decode(&key, entry)).transpose()?;
                Ok(Answer::Reading(Reading {
                    entry,
                    now: reading.now,
                    unsure_before: reading.unsure_before,
                }))
            }
            Request::List { prefix, since } => {
                // A conflict is no answer to a listing; its entry would belong to no known key.
                let no_entry = |_| Err(StoreError::Invalid("a listing was answered with a conflict".into()));
                let list = self
                    .coordinator
                    .list(prefix, since)
                    .await
                    .map_err(|e| e.map(no_entry))?;
                let entries = list.entries.into_iter().filter_map(known);
                Ok(Answer::Listing(Listing {
                    entries: entries.collect::<Result<_, _>>()?,
                    revision: list.revision,
                    now: list.now,
                    unsure_before: list.unsure_before,
                }))
            }
            Request::Put { key, value, expected } => {
                let bytes = codec::encode(&key, &value)?;
                let name = key.to_string();
                let request = PutRequest::new(&name, bytes.into(), expected).heard(heard);
                let written = self.coordinator.put_with(request).await;
                let written: Written = written.map_err(|e| error(&key, e))?;
                if matches!(key, Key::Session(_)) {
                    self.session_written.fetch_max(written.now.0, Ordering::Relaxed);
                }
                Ok(Answer::Written(written))
            }
            // Nothing rests on what is removed, whoever has not heard of a loss.
            Request::Delete { key, revision } => {
                let removed = self
                    .coordinator
                    .delete(&key.to_string(), Expected::Revision(revision))
                    .await;
                Ok(Answer::Written(removed.map_err(|e| error(&key, e))?))
            }
        }
    }
}

fn decode(key: &Key, entry: Entry<Bytes>) -> Result<Entry<Value>, StoreError<Value>> {
    let value = codec::decode(key, &entry.value)?;
    Ok(Entry {
        revision: entry.revision,
        written: entry.written,
        value,
    })
}

fn error(key: &Key, error: StoreError<Bytes>) -> StoreError<Value> {
    error.map(|entry| decode(key, entry))
}

type Listed = (String, Entry<Value>);

/// A listed entry, if this version knows its key. A value that does not decode spoils the listing: left out, it would
/// pass for absent, and a plan that was not read for one that was applied.
fn known((text, entry): (String, Entry<Bytes>)) -> Option<Result<Listed, StoreError<Value>>> {
    let key = Key::parse(&text)?;
    Some(decode(&key, entry).map(|entry| (text, entry)))
}

#[cfg(test)]
mod test {
    use super::*;
    use shardwright_coordinator::{MemoryBroker, Namespace};
    use shardwright_core::id::NodeId;
    use shardwright_core::store::Revision;
    use shardwright_core::values::IdOwner;

    const LIMIT: Duration = Duration::from_secs(5);
    const MARGIN: Duration = Duration::from_millis(50);

    fn calls() -> (StoreCalls, Arc<dyn Coordinator>) {
        let coordinator: Arc<dyn Coordinator> =
            Arc::new(MemoryBroker::new().open(Namespace::new("test").expect("a name")));
        (StoreCalls::new(coordinator.clone(), LIMIT, MARGIN), coordinator)
    }

    async fn perform(calls: &StoreCalls, request: Request) -> Outcome {
        calls.perform(request, StoreTime::default()).await
    }

    fn put(n: u32, expected: Expected) -> (Key, Request) {
        let key = Key::Id(NodeId::new(n).expect("not 0"));
        let value = Value::Id(IdOwner {
            hostname: format!("h{n}"),
        });
        (key.clone(), Request::Put { key, value, expected })
    }

    #[tokio::test]
    async fn values_come_back_as_they_went() {
        let (calls, _) = calls();
        let (key, request) = put(3, Expected::Absent);
        perform(&calls, request.clone()).await.expect("written");
        let Ok(Answer::Reading(Reading { entry: Some(entry), .. })) = perform(&calls, Request::Get(key)).await else {
            panic!("it is there")
        };
        assert_eq!(entry.value, Value::Id(IdOwner { hostname: "h3".into() }));
        let Err(StoreError::Conflict(Some(there))) = perform(&calls, request).await else {
            panic!("a conflict")
        };
        assert_eq!(there, entry);
    }

    #[tokio::test]
    async fn unknown_keys_are_left_out_and_what_does_not_decode_is_invalid() {
        let (calls, raw) = calls();
        perform(&calls, put(1, Expected::Absent).1).await.expect("written");
        raw.put("unknown/key", Bytes::from_static(b"x"), Expected::Any)
            .await
            .expect("written");
        let list = Request::List {
            prefix: "",
            since: Revision(0),
        };
        let Ok(Answer::Listing(listing)) = perform(&calls, list.clone()).await else {
            panic!("a listing")
        };
        assert_eq!(
            listing.entries.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(),
            ["ids/1"]
        );
        raw.put("ids/2", Bytes::from_static(b"\x07junk"), Expected::Any)
            .await
            .expect("written");
        let error = perform(&calls, list)
            .await
            .expect_err("it must not pass for absent")
            .to_string();
        assert!(error.contains("ids/2") && error.contains("format 7"), "{error}");
        let (key, request) = put(2, Expected::Absent);
        let read = perform(&calls, Request::Get(key))
            .await
            .expect_err("format 7")
            .to_string();
        assert!(read.contains("ids/2") && read.contains("format 7"), "{read}");
        assert!(
            matches!(perform(&calls, request).await, Err(StoreError::Invalid(_))),
            "a conflict with it, too"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_indeterminate_for_writes_and_unavailable_for_reads() {
        let calls = StoreCalls::new(Arc::new(crate::fakes::Mute), LIMIT, MARGIN);
        assert!(matches!(
            perform(&calls, put(1, Expected::Any).1).await,
            Err(StoreError::Indeterminate(_))
        ));
        assert!(matches!(
            perform(&calls, Request::Get(Key::Meta)).await,
            Err(StoreError::Unavailable(_))
        ));
    }
}
