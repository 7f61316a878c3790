//! A coordinator that breaks a promise must fail the suite: one fault at a time, each found by the check that is there
//! for it.

mod faulty;

use faulty::{Broken, Fault};
use shardwright_coordinator::suite::{Disturb, Factory, Opening, Options, Outcome, run_some};
use shardwright_coordinator::{Coordinator, MemoryBroker, Namespace};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// Runs one check on a coordinator with this fault; what it says if it fails. One that something never comes to takes
/// all of the `patience`.
async fn found(fault: Fault, check: &str, patience: Duration) -> Option<String> {
    let broker = MemoryBroker::new();
    let (count, wrote) = (Arc::new(AtomicU64::new(0)), Arc::new(Notify::new()));
    let counts: Arc<std::sync::Mutex<BTreeMap<String, u64>>> = Arc::default();
    let opened: Arc<std::sync::Mutex<BTreeSet<Namespace>>> = Arc::default();
    let cut = Arc::new(AtomicBool::new(false));
    let cutting = cut.clone();
    let disturb: Disturb = Arc::new(move || {
        let cut = cut.clone();
        Box::pin(async move {
            cut.store(true, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(100)).await;
            cut.store(false, Ordering::SeqCst);
        })
    });
    let factory: &Factory = &move |namespace| -> Opening {
        let namespace = if fault == Fault::NamespacesMeet {
            Namespace::new("one").expect("valid")
        } else {
            namespace
        };
        opened.lock().expect("no panic").insert(namespace.clone());
        let (inner, count, wrote) = (broker.open(namespace.clone()), count.clone(), wrote.clone());
        let broken: Arc<dyn Coordinator> = Arc::new(Broken {
            inner,
            fault,
            count,
            wrote,
            held: Default::default(),
            before: Default::default(),
            counts: counts.clone(),
            cut: cutting.clone(),
            broker: broker.clone(),
            namespace,
            opened: opened.clone(),
        });
        Box::pin(async { Ok(broken) })
    };
    let options = Options {
        keys: 500,
        flood: 1500,
        patience,
        disturb: Some(disturb),
        ..Options::default()
    };
    let report = run_some(factory, options, |name| name == check).await;
    let [row] = &report.rows[..] else {
        panic!("{check}: {:?}", report.rows)
    };
    assert!(!row.detail.is_empty());
    (row.outcome == Outcome::Failed).then(|| row.detail.clone())
}

macro_rules! faults {
    ($($test:ident: $fault:ident => $check:literal $(says $cause:literal)?, not $innocent:literal;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $test() {
            let said = found(Fault::$fault, $check, Duration::from_secs(8)).await;
            assert!(said.is_some(), "the fault was not found");
            $(assert!(said.as_ref().is_some_and(|said| said.contains($cause)), "{said:?}");)?
            let accused = found(Fault::$fault, $innocent, Duration::from_secs(120)).await;
            assert_eq!(accused, None, "what is sound was accused");
        }
    )*};
}

faults! {
    a_lost_update: LostUpdate => "cas-one-key"
        says "the expectation is checked in one step and the write made in another", not "bus-order";
    a_repeated_revision: RepeatedRevision => "cas-many-keys", not "bus-order";
    a_stale_read: StaleRead => "cas-one-key" says "a copy that is behind", not "list";
    an_empty_conflict: EmptyConflict => "conflict", not "list";
    a_silent_loss: SilentLoss => "bus-slow", not "cas-one-key";
    messages_out_of_order: Reordered => "bus-order", not "cas-one-key";
    a_listing_that_misses: ListMisses => "list-many", not "cas-one-key";
    a_listing_ahead_of_itself: ListAhead => "list-live", not "bus-order";
    a_truncated_value: Truncated => "sizes", not "cas-one-key";
    namespaces_that_meet: NamespacesMeet => "namespaces", not "time";
    a_clock_that_goes_back: ClockBack => "time", not "cas-one-key";
    a_late_subscription: LateSubscription => "bus-subscribe", not "cas-one-key";
    a_write_that_was_done_and_called_unavailable: DoneAndUnavailable => "reconnect"
        says "how locks are held twice", not "cas-one-key";
    topics_that_nobody_asked_for: TopicsUnasked => "bus-topics" says "which was not subscribed to", not "bus-order";
    a_clock_that_is_read_after_the_entries: ClockAfterEntries => "ages"
        says "the clock was read after the entries", not "time";
    a_prefix_that_is_a_pattern: PrefixPattern => "list" says "prefix \"a_\" lists", not "list-many";
    keys_that_are_sorted_as_words: SortedAsWords => "list" says "instead of", not "list-many";
    an_erase_that_is_incomplete: EraseIncomplete => "erase"
        says "erase is incomplete: it left [\"Z\"]", not "namespaces";
    an_erase_that_goes_too_far: EraseTooMuch => "erase" says "erase went too far", not "namespaces";
    a_namespace_that_is_a_prefix: NamespacePrefix => "namespaces" says "whose name begins with its own", not "list";
    a_revision_for_each_key: RevisionPerKey => "cas-many-keys" says "both given revision", not "bus-order";
    a_revision_without_a_lock: RevisionWithoutLock => "cas-many-keys"
        says "in the same indivisible step", not "expectations";
}
