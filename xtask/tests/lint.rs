//! What cargo calls in place of the compiler: each kind of warning comes with what was built, and again from the cache.
#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

/// A library about which the compiler, Clippy and rustdoc each have something to say.
const LIBRARY: &str = "//! Looks like [nothing].

fn unused() {}

/// Clones.
pub fn cloned(number: u32) -> u32 {
    number.clone()
}
";

/// Builds the package in `folder` as `cargo xtask test` does, and returns the codes of the warnings and how it ended.
fn build(folder: &Path) -> (Vec<String>, bool) {
    let output = Command::new("cargo")
        .args(["build", "--offline", "--message-format", "json", "--manifest-path"])
        .arg(folder.join("Cargo.toml"))
        .env("CARGO_TARGET_DIR", folder.join("target"))
        .env("RUSTC_WORKSPACE_WRAPPER", env!("CARGO_BIN_EXE_xtask"))
        .env("XTASK_LINT_DOCUMENTATION", folder.join("documentation"))
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    let messages = String::from_utf8(output.stdout).unwrap();
    let messages = messages
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let codes = messages.filter_map(|message| Some(message["message"]["code"]["code"].as_str()?.to_owned()));
    let mut codes: Vec<_> = codes.collect();
    codes.sort();
    (codes, output.status.success())
}

#[test]
fn every_kind_of_warning_is_told_each_time() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("src")).unwrap();
    let manifest = "[package]\nname = 'planted'\nedition = '2024'\n[workspace]\n";
    fs::write(folder.path().join("Cargo.toml"), manifest).unwrap();
    let library = folder.path().join("src/lib.rs");
    fs::write(&library, LIBRARY).unwrap();
    let expected = ["clippy::clone_on_copy", "dead_code", "rustdoc::broken_intra_doc_links"];
    for built in ["anew", "from the cache"] {
        let (codes, success) = build(folder.path());
        assert_eq!(codes, expected, "{built}");
        assert!(success, "{built}: warnings do not end the build");
    }
    assert!(folder.path().join("documentation/planted/index.html").exists());

    fs::write(&library, "//! Fine.\n").unwrap();
    assert_eq!(build(folder.path()), (Vec::new(), true));
    fs::write(&library, "//! None.\nfn").unwrap();
    assert!(!build(folder.path()).1, "what does not compile fails");
}
