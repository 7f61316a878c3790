//! Tidying up: what has been of no use for a day is removed from the stream, so that it does not grow with every key that ever was.
//!
//! A deletion must stay until every mirror has seen it. A mirror counts as whole for an hour after it was proven to be; after that it is built
//! again from nothing. So a day is long enough.

use super::api::CallError;
use super::shared::Shared;
use shardwright_core::store::StoreTime;
use std::sync::Arc;
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
        let shared = shared.clone();
        tokio::spawn(async move { sweep(&shared, StoreTime(limit)).await });
    }
}

/// Removes what has been of no use since before `limit`.
pub(super) async fn sweep(shared: &Shared, limit: StoreTime) {
    for message in shared.mirror.useless(limit) {
        match shared.wire.delete_message(&shared.names.stream, message).await {
            // What is not there was removed by somebody else.
            Ok(()) | Err(CallError::Refused(_)) => shared.mirror.forget(message),
            // Later, then.
            Err(_) => return,
        }
        tokio::time::sleep(REST).await;
    }
}
