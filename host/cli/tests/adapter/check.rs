//! `adapter check`: good adapters pass, in every language, and bad ones do not.

use crate::common::{Answer, run};
use crate::workshop::{built, config, quickly, run_in};
use serde_json::Value;
use shardwright_servers::ExampleServer;
use std::path::Path;

fn check(adapter: &Path, url: &str) -> Answer {
    quickly(adapter, &config(url))
}

fn failed(found: &Value) -> Vec<&str> {
    let checks = found["checks"].as_array().expect("a list").iter();
    let failed = checks.filter(|check| check["verdict"] == "failed");
    failed.map(|check| check["check"].as_str().expect("a name")).collect()
}

fn passes(lang: &str) {
    let server = ExampleServer::forgetful(&[]).expect("a server");
    let found = check(&built(lang), &server.url());
    assert_eq!(found.code, Some(0), "{found:?}");
    let found = found.json();
    assert_eq!(
        (found["kind"].as_str(), found["ok"].as_bool()),
        (Some(&*format!("my-{lang}")), Some(true)),
        "{found}"
    );
    for row in [
        "cas-many-keys",
        "bus-slow",
        "erase",
        "grants-refused",
        "grants-enough",
        "config",
        "interrupted",
        "memory",
        "history-lost",
    ] {
        let row = found["checks"]
            .as_array()
            .and_then(|rows| rows.iter().find(|check| check["check"] == row))
            .expect(row);
        assert_eq!(row["verdict"], "ok", "{row}");
    }
}

#[test]
fn what_is_made_in_rust_keeps_the_contract() {
    passes("rust");
}

#[test]
fn what_is_made_in_javascript_keeps_the_contract() {
    passes("javascript");
}

/// Changes the source of a new adapter and checks what becomes of it.
fn changed(change: &[(&str, &str)]) -> Value {
    let dir = tempfile::tempdir().expect("a folder");
    run_in(dir.path(), &["adapter", "new", "bad", "--lang", "rust"]).code(0);
    let source = dir.path().join("bad/src/lib.rs");
    let mut text = std::fs::read_to_string(&source).expect("read");
    for (from, to) in change {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    std::fs::write(&source, text).expect("written");
    run_in(dir.path(), &["adapter", "build", "bad"]).code(0);
    let server = ExampleServer::forgetful(&[]).expect("a server");
    check(&dir.path().join("bad/bad.wasm"), &server.url()).code(3).json()
}

#[test]
fn an_adapter_that_ignores_expectations_is_found_out() {
    let found = changed(&[(
        "Expected::Absent => \"absent\".into()",
        "Expected::Absent => \"any\".into()",
    )]);
    assert!(failed(&found).contains(&"expectations"), "{found}");
}

#[test]
fn an_adapter_that_grows_with_each_call_is_found_out() {
    let found = changed(&[(
        "    fn get(&mut self, key: &str) -> Result<Reading, StoreError> {\n",
        "    fn get(&mut self, key: &str) -> Result<Reading, StoreError> {\n        std::mem::forget(vec![1_u8; 1 << \
         20]);\n",
    )]);
    assert_eq!(failed(&found), ["memory"], "{found}");
}

#[test]
fn an_adapter_that_makes_its_history_up_is_found_out() {
    let found = changed(&[("server.belong_to(&history);", "server.belong_to(\"\");")]);
    assert!(failed(&found).contains(&"history-lost"), "{found}");
}

#[test]
fn an_adapter_that_takes_any_configuration_is_found_out() {
    let dir = tempfile::tempdir().expect("a folder");
    run_in(dir.path(), &["adapter", "new", "lax", "--lang", "rust"]).code(0);
    let source = dir.path().join("lax/src/server.rs");
    let text = std::fs::read_to_string(&source).expect("read");
    std::fs::write(&source, text.replace("#[serde(deny_unknown_fields)]\n", "")).expect("written");
    run_in(dir.path(), &["adapter", "build", "lax"]).code(0);
    let server = ExampleServer::forgetful(&[]).expect("a server");
    let found = check(&dir.path().join("lax/lax.wasm"), &server.url()).code(3).json();
    assert_eq!(failed(&found), ["config"], "{found}");
}

#[test]
fn a_configuration_of_a_cluster_says_how_the_adapter_is_run() {
    let (dir, adapter) = (tempfile::tempdir().expect("a folder"), built("rust"));
    let server = ExampleServer::forgetful(&["--token", "hush"]).expect("a server");
    let write = |name: &str, section: &str| {
        let file = dir.path().join(name);
        std::fs::write(&file, format!("[store.s]\n{section}\n[cluster]\ncoordinator = \"s\"\n")).expect("written");
        file.to_str().expect("UTF-8").to_owned()
    };
    let url = server.url();
    let component = |allow: &str, token: &str| {
        format!(
            "type = \"component\"\npath = \"/nonexistent.wasm\"\nallow = [{allow}]\nconfig = {{ url = \"{url}\", \
             token = \"{token}\" }}"
        )
    };
    let check = |config: &str| {
        run(&[
            "adapter",
            "check",
            adapter.to_str().expect("UTF-8"),
            "--quick",
            "--config",
            config,
        ])
    };
    let granted = format!("\"{url}\"");
    check(&write("good.toml", &component(&granted, "hush")))
        .code(0)
        .says("Every promise that was checked is kept");
    check(&write("tight.toml", &component("", "hush")))
        .code(1)
        .says("allow")
        .says(&url);
    check(&write("wrong.toml", &component(&granted, "loud")))
        .code(1)
        .says("token");
    check(&write("other.toml", "type = \"memory\""))
        .code(1)
        .says("\"memory\"")
        .says("--config-json");
    check("/nonexistent.toml").code(1).says("/nonexistent.toml");
}

#[test]
fn what_cannot_be_checked_is_no_broken_promise() {
    let adapter = built("rust");
    let adapter = adapter.to_str().expect("UTF-8");
    let with = |json: &str| run(&["adapter", "check", adapter, "--quick", "--config-json", json]);
    // Nobody listens on the discard port.
    with("{\"url\":\"http://127.0.0.1:9\"}").code(1).says("127.0.0.1:9");
    with("{}").code(1).says("url");
    with("[]").code(1).says("--config-json");
    run(&["adapter", "check", adapter]).code(2).says("--config");
    run(&["adapter", "check", "/nonexistent.wasm", "--config-json", "{}"])
        .code(1)
        .says("/nonexistent.wasm");
}
