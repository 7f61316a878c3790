//! A policy's file that is replaced under running nodes: by a better one, by a worse one, by the same.

use crate::common::{Cluster, LIMIT};
use crate::{started, with};
use rustix::process::Signal;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

fn bundled(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../components/bundled/{name}.wasm"))
}

/// Puts what `bytes` are in the place of `file` in one step, and tells the node.
fn replaced(cluster: &mut Cluster, file: &Path, bytes: &[u8]) {
    let beside = file.with_extension("new");
    std::fs::write(&beside, bytes).expect("written");
    std::fs::rename(beside, file).expect("moved");
    cluster.node("alpha").signal(Signal::HUP).expect("it lives");
}

/// Waits until the node has logged a line with this text, and gives it.
fn logged(cluster: &Cluster, text: &str) -> String {
    let end = Instant::now() + LIMIT;
    loop {
        let log = cluster.yard.log("alpha");
        if let Some(line) = log.lines().find(|line| line.contains(text)) {
            return line.to_owned();
        }
        assert!(Instant::now() < end, "{text:?} is not in {log}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn what_became_of_a_policy_that_is_read_again_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("mine.wasm");
    std::fs::copy(bundled("balanced"), &file).expect("copied");
    let mine = format!("nightly = {{ shards = 4, policy = \"mine\" }}\n\n[policy.mine]\npath = {file:?}");
    let mut cluster = started(&with(&mine), &["alpha"]);

    cluster.node("alpha").signal(Signal::HUP).expect("it lives");
    logged(&cluster, "the files of the policies were read again: none has changed");
    let before = cluster.told.len();
    let other = std::fs::read(bundled("rendezvous")).expect("read");
    replaced(&mut cluster, &file, &other);
    let line = logged(&cluster, "policies were read again, and replaced");
    assert!(line.contains("replaced=\"mine\""), "{line}");
    assert_eq!(cluster.event("alpha", "policy-replaced", before).role(), "nightly");

    replaced(&mut cluster, &file, b"no component");
    let line = logged(&cluster, "a policy was not replaced, and the present one goes on");
    for says in [
        "ERROR",
        "the policy \"mine\"",
        "this is not a WebAssembly component",
        "refuses it",
    ] {
        assert!(line.contains(says), "{says} is not in {line}");
    }
    // It acts as before; whoever tries the file learns what a start would say.
    cluster.ask_until(&["status"], |answer| answer.code == Some(0));
    let config = cluster.yard.config("alpha").expect("written");
    crate::common::run(&["check", config.to_str().expect("UTF-8")])
        .code(1)
        .says("this is not a WebAssembly component");
}
