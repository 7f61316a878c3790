//! Adapters that were broken on purpose: each must fail the check that names its fault, with a text that says the
//! cause.
//!
//! One component has all faults; its configuration says which. It is what `adapter new` makes, changed in the places
//! where a newcomer goes wrong.

use crate::workshop::{quickly, run_in};
use serde_json::{Value, json};
use shardwright_servers::ExampleServer;
use std::path::PathBuf;
use std::sync::LazyLock;
use tempfile::TempDir;

/// In which file what is replaced by what.
const CHANGES: &[(&str, &str, &str)] = &[
    (
        "server",
        r"    token: Option<String>,
",
        r"    token: Option<String>,
    pub fault: Option<String>,
",
    ),
    (
        "server",
        r"    pub fn url(&self)",
        r"    /// Whether the configuration wants this fault.
    pub fn fault(&self, name: &str) -> bool {
        self.config.fault.as_deref() == Some(name)
    }

    pub fn url(&self)",
    ),
    // A write whose answer is lost is called unavailable.
    (
        "lib",
        r"        Failure::Lost(why) => StoreError::Indeterminate(why),
",
        r#"        Failure::Lost(why) if server.fault("lost-is-unavailable") => StoreError::Unavailable(why),
        Failure::Lost(why) if server.fault("impatient") && why.contains("in time") => StoreError::Unavailable(why),
        Failure::Lost(why) => StoreError::Indeterminate(why),
"#,
    ),
    // A write whose answer is lost is made once more.
    (
        "lib",
        r"    let answer = server.ask(method, what, query, value, Duration::ZERO).map_err(|failure| match failure {
",
        r#"    let mut answer = server.ask(method, what, query, value, Duration::ZERO);
    if server.fault("repeats") && matches!(answer, Err(Failure::Lost(_))) {
        answer = server.ask(method, what, query, value, Duration::ZERO);
    }
    let answer = answer.map_err(|failure| match failure {
"#,
    ),
    // A listing that breaks off is taken for an empty one.
    (
        "lib",
        r#"        let Many { entries, revision, now } = read(&self.0, "/entries", &query)?;
"#,
        r#"        let many = read(&self.0, "/entries", &query);
        if self.0.fault("broken-off-is-empty") && matches!(many, Err(StoreError::Unavailable(_))) {
            return Ok(Listing { entries: Vec::new(), revision: since.max(1), now: 1, unsure_before: 0 });
        }
        let Many { entries, revision, now } = many?;
"#,
    ),
    // All topics are delivered, whatever was asked for.
    (
        "lib",
        r"        let topics = self.topics.clone();
",
        r#"        let topics = if self.server.fault("topics") { Vec::new() } else { self.topics.clone() };
"#,
    ),
    // What the server says was lost is kept to itself.
    (
        "lib",
        r"        if news.lost {
",
        r#"        if news.lost && !self.server.fault("gap-untold") {
"#,
    ),
    // The namespace is made again, under the old name.
    (
        "lib",
        r#"    let method = if context.history.is_some() { "GET" } else { "POST" };
    let answer = server.ask("#,
        r#"    let dead = server.fault("history-made-again");
    if dead {
        server.belong_to("");
    }
    let method = if context.history.is_some() && !dead { "GET" } else { "POST" };
    let answer = server.ask("#,
    ),
    (
        "lib",
        r"    server.belong_to(&history);
",
        r#"    let history = context.history.clone().filter(|_| dead).unwrap_or(history);
    server.belong_to(if dead || server.fault("history-looked-at-once") { "" } else { &history });
"#,
    ),
    // Erasing is only said to be done.
    (
        "lib",
        r#"        write::<serde::de::IgnoredAny>(&self.0, "DELETE", "", &[], &[]).map(drop)
"#,
        r#"        if self.0.fault("erases-nothing") {
            return Ok(());
        }
        write::<serde::de::IgnoredAny>(&self.0, "DELETE", "", &[], &[]).map(drop)
"#,
    ),
    // Subscribers of every history hear the same.
    (
        "lib",
        r#"    let wait = server.ask(method, "/messages", query, payload, patience);
"#,
        r#"    let config = server::Config::read(&server.raw()).map_err(BusError::Other)?;
    let anyone = Server::new(config, server.namespace(), None);
    let server = if server.fault("bus-of-any-history") { &anyone } else { server };
    let wait = server.ask(method, "/messages", query, payload, patience);
"#,
    ),
    (
        "server",
        r"    pub fn url(&self)",
        r#"    pub fn raw(&self) -> String {
        format!("{{\"url\":\"{}\"}}", self.config.url)
    }

    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    pub fn url(&self)"#,
    ),
];

/// The component with the faults, built once for all tests.
fn faulty() -> PathBuf {
    static BUILT: LazyLock<TempDir> = LazyLock::new(|| {
        let dir = tempfile::tempdir().expect("a folder");
        run_in(dir.path(), &["adapter", "new", "faulty", "--lang", "rust"]).code(0);
        for (file, from, to) in CHANGES {
            let source = dir.path().join(format!("faulty/src/{file}.rs"));
            let text = std::fs::read_to_string(&source).expect("read");
            assert!(text.contains(from), "{file}: {from}");
            std::fs::write(&source, text.replacen(from, to, 1)).expect("written");
        }
        run_in(dir.path(), &["adapter", "build", "faulty"]).code(0);
        dir
    });
    BUILT.path().join("faulty/faulty.wasm")
}

/// What `adapter check` finds out about the adapter with this fault.
fn check(fault: Option<&str>) -> Value {
    let server = ExampleServer::forgetful(&[]).expect("a server");
    let config = json!({ "url": server.url(), "fault": fault, "timeout-ms": 2000 }).to_string();
    let found = quickly(&faulty(), &config);
    assert_eq!(found.code, Some(if fault.is_some() { 3 } else { 0 }), "{found:?}");
    found.json()
}

/// Makes sure that the fault is found by `name`, which says `cause`, and that `innocent` is not accused.
fn found(fault: &str, name: &str, cause: &str, innocent: &str) -> Value {
    let found = check(Some(fault));
    let row = |name: &str| {
        let rows = found["checks"].as_array().expect("a list");
        rows.iter().find(|row| row["check"] == name).expect("a check").clone()
    };
    let seen = row(name);
    assert_eq!(seen["verdict"], "failed", "{found:#}");
    assert!(seen["seen"].as_str().expect("text").contains(cause), "{seen:#}");
    assert_eq!(row(innocent)["verdict"], "ok", "{found:#}");
    found
}

#[test]
fn without_a_fault_it_passes() {
    check(None);
}

#[test]
fn a_lost_answer_that_is_called_unavailable() {
    found(
        "lost-is-unavailable",
        "answer-lost",
        "how locks are held twice",
        "cas-one-key",
    );
}

#[test]
fn patience_that_ends_and_is_called_unavailable() {
    found("impatient", "answer-lost", "no answer came to a put", "halved");
}

#[test]
fn a_write_that_is_repeated() {
    found(
        "repeats",
        "answer-lost",
        "its own first write stood in the way",
        "cas-one-key",
    );
}

#[test]
fn a_listing_that_broke_off_and_is_believed() {
    found(
        "broken-off-is-empty",
        "answer-lost",
        "the end of a connection was taken for the end of the answer",
        "list-many",
    );
}

#[test]
fn topics_that_nobody_asked_for() {
    let found = found("topics", "topics", "and only [\"t\"] were subscribed to", "cas-one-key");
    let rows = found["checks"].as_array().expect("a list");
    let complaint = rows.iter().find(|row| row["check"] == "no-faults").expect("a check");
    assert!(
        complaint["seen"]
            .as_str()
            .expect("text")
            .contains("which was not subscribed to"),
        "{complaint:#}"
    );
}

#[test]
fn a_gap_that_is_not_told() {
    found("gap-untold", "overflow", "and the adapter told no gap", "bus-order");
}

#[test]
fn a_history_that_is_made_again_under_the_old_name() {
    found(
        "history-made-again",
        "history-dead",
        "made again under the old name",
        "cas-one-key",
    );
}

#[test]
fn a_history_that_is_looked_at_only_once() {
    found(
        "history-looked-at-once",
        "history-dead",
        "after another history had begun",
        "cas-one-key",
    );
}

#[test]
fn an_erase_that_is_only_claimed() {
    found("erases-nothing", "erase", "erase is incomplete: it left", "cas-one-key");
}

#[test]
fn messages_that_pass_into_another_history() {
    found("bus-of-any-history", "history-bus", "history", "bus-order");
}
