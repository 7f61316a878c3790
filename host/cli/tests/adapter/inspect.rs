//! `adapter inspect`.

use crate::common::{command, run};
use crate::workshop::{built, config};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

#[test]
fn every_language_makes_an_adapter_that_says_what_it_is_and_needs() {
    for (lang, largest) in [("rust", 1 << 20), ("javascript", 20 << 20), ("python", 30 << 20)] {
        let component = built(lang);
        let file = component.to_str().expect("UTF-8");
        let found = run(&[
            "adapter",
            "inspect",
            file,
            "-o",
            "json",
            "--config-json",
            &config("http://127.0.0.1:8700"),
        ])
        .code(0)
        .json();
        assert_eq!(found["name"], format!("my-{lang}"), "{found}");
        assert_eq!(found["version"], "0.1.0");
        assert_eq!(found["world"], "shardwright:coordinator/coordinator-adapter@0.1.0");
        assert_eq!(found["grants"], serde_json::json!(["http://127.0.0.1:8700"]));
        assert_eq!(found["options"].as_array().map(Vec::len), Some(3), "{found}");
        let bytes = std::fs::metadata(&component).expect("there").len();
        assert_eq!(found["size"], bytes);
        assert!(bytes < largest, "{lang}: {bytes} bytes");
        let imports: Vec<_> = found["imports"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|import| import["name"].as_str().expect("a name"))
            .collect();
        assert!(
            imports.is_sorted()
                && imports
                    .iter()
                    .any(|import| import.starts_with("wasi:http/outgoing-handler@")),
            "{imports:?}"
        );
        let unknown = found["imports"]
            .as_array()
            .expect("a list")
            .iter()
            .find(|import| import["meaning"] == "known to the host");
        assert!(unknown.is_none(), "{unknown:?} has no meaning");
        let table = run(&["adapter", "inspect", file]).code(0);
        table
            .says("digest")
            .says("sha256:")
            .says("requests, to addresses granted")
            .says("--config-json");
    }
}

#[test]
fn what_is_no_adapter_and_what_is_no_configuration_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let cases: [(&str, &[u8], &str); 3] = [
        ("text", b"hello", "refused"),
        ("module", b"\0asm\x01\0\0\0", "core module"),
        ("other-world", b"\0asm\x0d\0\x01\0", "does not export"),
    ];
    for (name, bytes, says) in cases {
        let file = dir.path().join(name);
        std::fs::write(&file, bytes).expect("written");
        run(&["adapter", "inspect", file.to_str().expect("UTF-8")])
            .code(1)
            .says("refused")
            .says(says);
    }
    let policy = concat!(env!("CARGO_MANIFEST_DIR"), "/../components/bundled/balanced.wasm");
    run(&["adapter", "inspect", policy])
        .code(1)
        .says("refused")
        .says("shardwright:policy");
    run(&["adapter", "inspect", "/nonexistent.wasm"])
        .code(1)
        .says("/nonexistent.wasm");
    run(&["adapter", "inspect", dir.path().to_str().expect("UTF-8")])
        .code(1)
        .says("directory");

    let adapter = built("rust");
    let inspect = |config: &str| {
        run(&[
            "adapter",
            "inspect",
            adapter.to_str().expect("UTF-8"),
            "--config-json",
            config,
        ])
    };
    inspect("{}").code(1).says("--config-json").says("url");
    inspect("{\"url\":\"http://x:1\",\"colour\":1}").code(1).says("colour");
    inspect("/nonexistent.json")
        .code(1)
        .says("neither a JSON object nor a file");
    let file = dir.path().join("config.json");
    std::fs::write(&file, config("https://db.example:443")).expect("written");
    inspect(file.to_str().expect("UTF-8"))
        .code(0)
        .says("https://db.example:443");
}

/// The most memory that a look at the hostile adapter takes while it does this, in KiB.
fn peak(adapter: &Path, misdeed: &str) -> u64 {
    let mut command = command();
    command.args(["adapter", "inspect"]).arg(adapter);
    command.args(["--config", &format!("{{\"misdeed\": \"{misdeed}\"}}")]);
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it runs");
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().expect("a child").is_none() {
        // The mark only rises. A process that has ended has none.
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let mark = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let mark = mark.and_then(|mark| mark.trim().strip_suffix(" kB")?.parse().ok());
        peak = peak.max(mark.unwrap_or(0));
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(peak > 0, "{misdeed}: nothing was measured");
    peak
}

#[test]
fn what_an_adapter_hoards_while_it_is_looked_at_costs_next_to_nothing() {
    let adapter = shardwright_servers::component("shardwright-hostile-adapter").expect("it builds");
    // Compiling it is what a look costs anyway.
    let honest = peak(&adapter, "");
    for misdeed in ["inspected-keep-authority", "inspected-pass-bytes", "require-much"] {
        let took = peak(&adapter, misdeed);
        assert!(
            took < honest + (100 << 10),
            "{misdeed}: {took} KiB, and {honest} KiB without it"
        );
    }
}
