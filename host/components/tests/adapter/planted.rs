//! The host's own mistakes, planted through its log: a panic ends what it happened in, and nothing else. And what the
//! log says.

use crate::common::{hostile, open, options};
use shardwright_components::adapter::{AdapterCoordinator, AdapterOptions, AdapterState, FaultKind};
use shardwright_coordinator::broker::Password;
use shardwright_coordinator::{Bus, BusError, Delivery, Store};
use std::fmt::{Debug, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// The log of one thread, which does something for each line.
struct Log<F>(F);

#[derive(Default)]
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = write!(self.0, "{field}={value:?} ");
    }
}

impl<F: Fn(&str) + Send + Sync + 'static> Subscriber for Log<F> {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        self.0(&line.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// From now on, the first line with `text` in it is where the host panics.
fn plant(text: &'static str) -> tracing::subscriber::DefaultGuard {
    let planted = AtomicBool::new(true);
    tracing::subscriber::set_default(Log(move |line: &str| {
        assert!(
            !line.contains(text) || !planted.swap(false, Ordering::Relaxed),
            "planted"
        );
    }))
}

async fn opened(misdeed: &str) -> AdapterCoordinator {
    let options = options(&format!("{{\"misdeed\": \"{misdeed}\"}}"), &[]);
    open(&hostile().await, options).await.expect("it opens")
}

#[tokio::test]
async fn a_host_function_that_panics_ends_the_lane_and_nothing_else() {
    let adapter = hostile().await;
    let _log = plant("line 0");
    let error = open(&adapter, options("{\"misdeed\": \"talk\"}", &[]))
        .await
        .expect_err("its lane ended");
    assert!(error.to_string().contains("mistake of the host"), "{error}");
    opened("talk").await.get("k").await.expect("the next is well");
}

#[tokio::test]
async fn a_call_in_which_the_host_panics_is_a_fault_with_a_name() {
    let coordinator = opened("say").await;
    let _log = plant("said in a call");
    let error = coordinator.get("k").await.expect_err("its lane ended");
    assert!(error.to_string().contains("planted"), "{error}");
    assert_eq!(coordinator.status().totals.faults, [(FaultKind::HostFailed, 1)].into());
    coordinator.get("k").await.expect("another lane is opened");
    assert_eq!(coordinator.status().state, AdapterState::Running);
}

#[tokio::test]
async fn a_subscription_whose_task_panics_begins_anew_with_a_gap() {
    let coordinator = opened("break-off").await;
    let _log = plant("a subscription is begun again");
    let mut subscription = coordinator.subscribe(&["t"]).await.expect("subscribed");
    let mut seen = Vec::new();
    while !matches!(seen.last(), Some(Delivery::Message { .. })) || !seen.contains(&Delivery::Gap { lost: 0 }) {
        seen.extend(subscription.next(1).await.expect("it goes on"));
    }
    assert!(matches!(seen.first(), Some(Delivery::Message { .. })), "{seen:?}");
}

/// Ten thousand lines at once, with a secret in each.
#[tokio::test]
async fn what_an_adapter_logs_is_little_and_holds_no_secret() {
    let lines: Arc<Mutex<Vec<String>>> = Arc::default();
    let written = lines.clone();
    let _log = tracing::subscriber::set_default(Log(move |line: &str| {
        written.lock().expect("not poisoned").push(line.to_owned());
    }));
    let options = AdapterOptions {
        secrets: vec![Password::new("hunter2")],
        ..options("{\"misdeed\": \"talk\"}", &[])
    };
    let began = Instant::now();
    let coordinator = open(&hostile().await, options).await.expect("lines are no error");
    let about = |text: &str| -> Vec<String> {
        let lines = lines.lock().expect("not poisoned");
        lines.iter().filter(|line| line.contains(text)).cloned().collect()
    };
    let said = about("message=line ");
    let seconds = began.elapsed().as_secs() as usize + 1;
    assert!(
        said.len() >= 64 && said.len() <= 64 * seconds,
        "{} lines in {seconds} s",
        said.len()
    );
    assert!(
        said[0].contains("line 0, ***") && said[63].contains("line 63, ***"),
        "{:?}",
        &said[..64]
    );
    // What was left out is told with the first line of a later second: each subscription has a lane that talks as much.
    while about("dropped=").is_empty() {
        let _subscription = coordinator.subscribe(&["t"]).await.expect("subscribed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let dropped = &about("dropped=")[0];
    let number = dropped.split("dropped=").nth(1).and_then(|rest| rest.split(' ').next());
    assert!(
        number
            .and_then(|text| text.parse::<u64>().ok())
            .is_some_and(|count| count >= 9_000),
        "{dropped}"
    );
    assert!(about("hunter2").is_empty());
}

#[tokio::test]
async fn why_a_history_is_lost_is_told_everywhere() {
    let coordinator = opened("lost").await;
    let lines = Arc::new(Mutex::new(String::new()));
    let written = lines.clone();
    let _log = tracing::subscriber::set_default(Log(move |line: &str| {
        written.lock().expect("not poisoned").push_str(line);
    }));
    let mut subscription = coordinator.subscribe(&["t"]).await.expect("subscribed");
    coordinator.get("k").await.expect_err("lost");
    let status = coordinator.status();
    assert_eq!(
        (status.state, status.lost.as_deref(), status.why()),
        (AdapterState::Lost, Some("gone"), Some("gone"))
    );
    let publishing = coordinator.publish("t", "x".into()).await;
    assert_eq!(
        publishing,
        Err(BusError::Unavailable("the store lost its history: gone".into()))
    );
    let over = loop {
        if let Err(over) = subscription.next(10).await {
            break over;
        }
    };
    assert_eq!(over, BusError::Unavailable("the store lost its history: gone".into()));
    let lines = lines.lock().expect("not poisoned");
    assert!(lines.contains("lost its history") && lines.contains("gone"), "{lines}");
}
