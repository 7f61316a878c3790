//! Which blocks are run, and which are not: none is left out unseen.

use crate::blocks::{of, root};

/// The documents whose commands are typed by a test.
const TYPED: [&str; 5] = [
    "README.md",
    "docs/configuration.md",
    "docs/coordinators.md",
    "docs/writing-a-policy.md",
    // By `tests/adapter/docs.rs`.
    "docs/writing-an-adapter.md",
];

/// The blocks that no test can run, by their first line: each is marked in its document with the reason.
const NOT_RUN: [(&str, &str); 21] = [
    ("README.md", "cargo run -- demo"),
    ("README.md", "cargo build --release"),
    ("CONTRIBUTING.md", "cargo run -- demo"),
    ("docs/chaos.md", "cargo xtask chaos"),
    ("docs/coordinators.md", "shardwright coordinator watch"),
    ("docs/etcd.md", "# each of three members"),
    ("docs/etcd.md", "# this is all that a node needs"),
    ("docs/etcd.md", "etcdctl del"),
    ("docs/fuzzing.md", "cargo xtask fuzz"),
    ("docs/fuzzing.md", "rustup run nightly"),
    ("docs/kafka.md", "kafka-acls"),
    ("docs/ledger.md", "cargo test"),
    ("docs/model.md", "cargo test --profile model"),
    ("docs/mutants.md", "cargo xtask mutants"),
    ("docs/operating.md", "shardwright status"),
    ("docs/operating.md", "shardwright nodes drain"),
    ("docs/sandbox.md", "shardwright adapter inspect kv.wasm --config-json …"),
    ("docs/simulation.md", "cargo test --profile model"),
    ("docs/writing-a-policy.md", "rustup target add"),
    ("docs/writing-a-policy.md", "wasm-tools component new"),
    ("docs/writing-an-adapter.md", "rustup target add"),
];

/// README.md, CONTRIBUTING.md and all of docs.
fn documents() -> Vec<String> {
    let files = std::fs::read_dir(root().join("docs")).expect("the documents");
    let names = files.map(|file| format!("docs/{}", file.expect("a document").file_name().to_string_lossy()));
    let mut all: Vec<_> = names.filter(|name| name.ends_with(".md")).collect();
    all.extend(["README.md".to_owned(), "CONTRIBUTING.md".to_owned()]);
    all.sort();
    all
}

#[test]
fn every_command_is_typed_or_says_why_not() {
    let mut marked = Vec::new();
    for path in documents() {
        for block in of(&path) {
            match &block.not_run {
                Some(reason) => {
                    assert!(reason.len() > 10, "{path}: a reason");
                    marked.push((path.clone(), block.text));
                }
                None if block.language == "sh" => {
                    assert!(TYPED.contains(&path.as_str()), "{path}: nobody types\n{}", block.text);
                }
                None => assert!(
                    ["rust", "toml", "json", "text", "conf", "sql"].contains(&block.language.as_str()),
                    "{path}: a block of {:?}, which nobody tests",
                    block.language
                ),
            }
        }
    }
    let known = |(path, text): &(String, String)| NOT_RUN.iter().any(|(p, t)| p == path && text.starts_with(t));
    let unknown: Vec<_> = marked.iter().filter(|block| !known(block)).collect();
    assert!(
        unknown.is_empty(),
        "marked as not run, and not in this test's list: {unknown:#?}"
    );
    assert_eq!(marked.len(), NOT_RUN.len(), "{marked:#?}");
    println!("{} blocks are not run", marked.len());
}

/// What looks like code to some readers of Markdown, and is found by nobody here.
#[test]
fn no_code_is_only_indented() {
    for path in documents() {
        let text = std::fs::read_to_string(root().join(&path)).expect("read");
        let (mut fenced, mut before) = (false, "");
        for line in text.lines() {
            fenced ^= line.starts_with("```");
            assert!(
                fenced || !before.is_empty() || !line.starts_with("    "),
                "{path}: fence this block:\n{line}"
            );
            before = line;
        }
    }
}
