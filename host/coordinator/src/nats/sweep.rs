//! Tidying up: what has been of no use for a day is removed from the stream, so that it does not grow with every key
//! that ever was.
//!
//! A deletion must stay until every mirror has seen it. A mirror counts as whole for an hour after it was proven to be;
//! after that it is built again from nothing. So a day is long enough.

use super::api::CallError;
use super::shared::Shared;
use shardwright_core::store::StoreTime;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// How long a mirror that was whole may be believed to be, in milliseconds.
pub(super) const TRUST: u64 = 60 * 60 * 1000;
/// How long what is of no use is kept, in milliseconds.
const KEEP: u64 = 24 * TRUST;
/// How often a handle tidies up.
const EVERY: u64 = TRUST;
/// How long to rest between two messages: there is no hurry.
const REST: Duration = Duration::from_millis(5);

/// Tidies up in the background, now and then.
pub(super) fn start_if_due(shared: &Arc<Shared>) {
    if shared.sweep_is_due(EVERY) {
        let limit = shared.mirror.now().0.saturating_sub(KEEP);
        // It must not keep a handle that is dropped.
        tokio::spawn(sweep(Arc::downgrade(shared), StoreTime(limit)));
    }
}

/// Looks at the servers again, and removes what has been of no use since before `limit`.
pub(super) async fn sweep(shared: Weak<Shared>, limit: StoreTime) {
    if let Some(shared) = shared.upgrade()
        && let Ok(info) = shared.wire.stream_info(&shared.names.stream).await
    {
        shared.look_at_servers(&info).await;
    }
    let useless = shared.upgrade().map(|shared| shared.mirror.useless(limit));
    for message in useless.into_iter().flatten() {
        let Some(shared) = shared.upgrade() else { return };
        match shared.wire.delete_message(&shared.names.stream, message).await {
            // What is not there was removed by somebody else.
            Ok(()) | Err(CallError::Refused(_)) => shared.mirror.forget(message),
            // Later, then.
            Err(_) => return,
        }
        drop(shared);
        tokio::time::sleep(REST).await;
    }
}

#[cfg(test)]
mod test {
    use super::*;
    use crate::broker::Password;
    use crate::contract::{Coordinator, Store};
    use crate::limits::Namespace;
    use crate::nats::record::{Body, Record};
    use crate::nats::{NatsCoordinator, NatsLogin, NatsOptions};
    use bytes::Bytes;
    use shardwright_core::store::Expected;
    use shardwright_servers::NatsServer;

    fn options(server: &NatsServer) -> NatsOptions {
        let second = Duration::from_secs(1);
        NatsOptions {
            addresses: vec![Password::new(server.url())],
            login: NatsLogin::None,
            tls: None,
            replicas: 1,
            timeout_connection: 10 * second,
            timeout_request: 20 * second,
            ping_interval: 60 * second,
            capacity_client: 2048,
            capacity_subscription: 65_536,
            capacity_read_buffer: u16::MAX,
            max_reconnects: None,
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_is_of_no_use_is_removed_and_nobody_is_confused() {
        let server = NatsServer::start().expect("a server");
        let open = async || {
            NatsCoordinator::open(options(&server), Namespace::new("sweep").expect("a namespace"))
                .await
                .expect("a handle")
        };
        let (one, two) = (open().await, open().await);
        let value = Bytes::from_static(b"v");
        for key in ["gone", "kept"] {
            one.put(key, value.clone(), Expected::Absent).await.expect("written");
        }
        one.delete("gone", Expected::Any).await.expect("deleted");
        // A part whose writer died before its head.
        let part = Record {
            known: 0,
            body: Body::Part(value.clone()),
        };
        one.shared
            .publish(one.shared.subjects.part("orphan", 0), None, &part)
            .await
            .expect("written");
        for handle in [&one, &two] {
            handle.get("gone").await.expect("read");
            assert_eq!(handle.shared.mirror.useless(StoreTime(u64::MAX)).len(), 2);
        }
        sweep(Arc::downgrade(&one.shared), StoreTime(u64::MAX)).await;
        assert!(one.shared.mirror.useless(StoreTime(u64::MAX)).is_empty());
        // The other still believes in the deletion that was removed.
        let again = two.put("gone", value.clone(), Expected::Absent).await.expect("written");
        assert_eq!(
            one.get("gone").await.expect("read").entry.expect("there").revision,
            again.revision
        );
        let fresh = open().await;
        assert!(fresh.shared.mirror.useless(StoreTime(u64::MAX)).is_empty());
        assert!(fresh.get("kept").await.expect("read").entry.is_some());
        sweep(Arc::downgrade(&two.shared), StoreTime(u64::MAX)).await;
        assert!(
            two.get("gone").await.expect("read").entry.is_some(),
            "a value was swept"
        );
        fresh.erase().await.expect("erased");
    }
}
