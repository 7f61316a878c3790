//! Adapters that fill the memory of the host: each way ends in a state with a name or comes to nothing, and the process
//! stays within its bound. Each is measured in a process of its own.

#[allow(dead_code, reason = "each program uses a part of it")]
#[path = "adapter/common.rs"]
mod common;

use shardwright_components::adapter::{
    AdapterBudget, AdapterComponent, AdapterCoordinator, AdapterEngine, AdapterOptions, FaultKind, RequiresError,
};
use shardwright_coordinator::Store;
use shardwright_coordinator::broker::Password;
use shardwright_core::store::StoreError;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// What the child process is to do, and where it finds the compiled adapter.
const HOARD: &str = "SHARDWRIGHT_TEST_HOARD";
const PLACE: &str = "SHARDWRIGHT_TEST_PLACE";
/// What the child says of itself.
const SAYS: &str = "hoarded: ";

/// Memory of a lane and of all.
const MEMORY: usize = 12 << 20;
/// By how much the process may grow: the lane, what it passes into calls, and what allocators and threads keep. Two
/// hundred texts or bodies that were kept beside the lane's memory would be a hundred and fifty mebibytes and more.
const BOUND: usize = 64 << 20;

const OUT_OF_MEMORY: &[&str] = &["OutOfMemory"];
const TOO_MANY: &[&str] = &["TooManyResources"];
const TOO_LONG: &[&str] = &["ArgumentTooLong"];
const NOTHING: &[&str] = &["0 of 200"];

/// Each way, and how it ends.
const HOARDS: [(&str, &[&str]); 28] = [
    ("keep-authority", NOTHING),
    ("keep-path", NOTHING),
    ("keep-scheme", NOTHING),
    ("keep-method", NOTHING),
    ("keep-fields", OUT_OF_MEMORY),
    ("keep-clones", OUT_OF_MEMORY),
    ("keep-list", OUT_OF_MEMORY),
    ("keep-bodies", OUT_OF_MEMORY),
    ("keep-responses", OUT_OF_MEMORY),
    ("keep-trailers", OUT_OF_MEMORY),
    // They are refused, sooner or later.
    ("keep-futures", &["OutOfMemory", "200 of 200"]),
    ("keep-options", TOO_MANY),
    ("keep-sockets", TOO_MANY),
    ("keep-pollables", TOO_MANY),
    ("keep-streams", OUT_OF_MEMORY),
    // They are refused at once.
    ("keep-lookups", &["200 of 200"]),
    ("pass-names", TOO_LONG),
    ("pass-authority", TOO_LONG),
    ("pass-fields", TOO_LONG),
    ("pass-header", TOO_LONG),
    ("pass-headers", TOO_LONG),
    ("pass-bytes", TOO_LONG),
    ("pass-line", TOO_LONG),
    ("pass-pollables", TOO_LONG),
    ("inspected-keep-authority", NOTHING),
    ("inspected-pass-bytes", &["more than the 1048576 bytes that it takes"]),
    ("require-much", &["answered more than the 1048576 bytes"]),
    ("require-many", &["asks for 1000 grants"]),
];

#[test]
fn nobody_fills_the_memory_of_the_host() {
    let place = tempfile::tempdir().expect("a directory");
    std::fs::write(component(place.path()), common::built("shardwright-hostile-adapter")).expect("written");
    // Compiled here, so that the children need not, which takes memory too.
    runtime().block_on(load(place.path()));
    let flaws: Vec<_> = HOARDS
        .iter()
        .filter_map(|(name, ends)| flaw(place.path(), name, ends))
        .collect();
    assert!(flaws.is_empty(), "{}", flaws.join("\n"));
}

/// What is wrong with how a process ended that did `name`.
fn flaw(place: &Path, name: &str, ends: &[&str]) -> Option<String> {
    let program = std::env::current_exe().expect("this program");
    let output = Command::new(program)
        .args(["--exact", "the_child_measures_itself", "--nocapture"])
        .envs([(HOARD, name.as_ref()), (PLACE, place.as_os_str())])
        .output()
        .expect("it runs");
    let (said, complained) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    let Some((grown, end)) = said.lines().find_map(|line| line.split_once(SAYS)?.1.split_once(' ')) else {
        return Some(format!("{name}: {}: {said}{complained}", output.status));
    };
    let grown: usize = grown.parse().expect("a number");
    let fits = ends.iter().any(|expected| end.contains(expected));
    (grown > BOUND || !fits).then(|| format!("{name}: {} MiB, {end}", grown >> 20))
}

/// In a child process: does what it is to do, and says by how much it has grown and how that ended. By itself: an
/// adapter that does nothing wrong.
#[test]
fn the_child_measures_itself() {
    let own = tempfile::tempdir().expect("a directory");
    let place = std::env::var_os(PLACE).map_or_else(
        || {
            std::fs::write(component(own.path()), common::built("shardwright-hostile-adapter")).expect("written");
            own.path().to_owned()
        },
        PathBuf::from,
    );
    let name = std::env::var(HOARD).unwrap_or_default();
    runtime().block_on(async {
        let component = load(&place).await;
        let before = memory("VmRSS:");
        let end = end(component, &name).await;
        let grown = memory("VmHWM:").saturating_sub(before);
        writeln!(std::io::stdout(), "{SAYS}{grown} {end}").expect("somebody reads it");
        if name.is_empty() {
            assert_eq!(end, "well");
        }
    });
}

async fn end(component: AdapterComponent, name: &str) -> String {
    let config = format!("{{\"misdeed\": \"{name}\"}}");
    match component.requires(&Password::new(config.as_str())).await {
        Ok(_) => {}
        Err(RequiresError::Config(said)) => return said,
        Err(error) => return error.to_string(),
    }
    let options = AdapterOptions {
        lanes: 1,
        timeout: Duration::from_secs(60),
        budget: AdapterBudget {
            memory: MEMORY,
            total_memory: MEMORY,
            cpu: Duration::from_secs(30),
            answer: 4 << 20,
        },
        ..common::options(&config, &[])
    };
    let coordinator = AdapterCoordinator::open(component, options, common::space("test"))
        .await
        .expect("it opens");
    let outcome = coordinator.get("k").await;
    let faults = coordinator.status().totals.faults;
    match (faults.keys().next(), outcome) {
        (Some(kind), outcome) => format!("{kind:?}: {outcome:?}"),
        (None, Err(StoreError::Invalid(said))) => said,
        (None, Ok(_)) => "well".into(),
        (None, other) => format!("{other:?}"),
    }
}

fn component(place: &Path) -> PathBuf {
    place.join("adapter.wasm")
}

async fn load(place: &Path) -> AdapterComponent {
    let engine = AdapterEngine::new(Some(place.join("code"))).expect("an engine");
    let bytes = std::fs::read(component(place)).expect("it was written");
    AdapterComponent::load(&engine, bytes).await.expect("an adapter")
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
}

/// Bytes of memory of this process.
fn memory(which: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("memory can be read");
    let line = status.lines().find_map(|line| line.strip_prefix(which));
    let kib: Option<usize> = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
    kib.expect("a figure in kB") << 10
}

/// The names that the table uses are those of the faults.
#[test]
fn the_names_are_those_of_the_faults() {
    for (kind, name) in [
        (FaultKind::OutOfMemory, OUT_OF_MEMORY),
        (FaultKind::TooManyResources, TOO_MANY),
        (FaultKind::ArgumentTooLong, TOO_LONG),
    ] {
        assert_eq!(format!("{kind:?}"), name[0]);
    }
}
