//! What a file may cost, and what of it may be seen: macros are bounded, what is no file is not waited for, no value
//! from elsewhere is shown.

mod common;

use common::{error, report};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use shardwright_config::{CheckOptions, Code, check, load};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

fn case(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/cases/configs");
    std::fs::read_to_string(folder.join(format!("limits-{name}.toml")))
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn pipe(dir: &Path) -> PathBuf {
    let path = dir.join("pipe");
    mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).expect("a pipe");
    path
}

/// Without a common limit, this file brings in 390 MB.
#[test]
fn macros_of_one_file_have_one_limit() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("large");
    std::fs::write(&file, "x".repeat(64 << 10)).expect("written");
    let (head, line) = case("macros-without-end")
        .rsplit_once("\nlabel")
        .map(|(head, line)| (head.to_owned(), line.to_owned()))
        .unwrap();
    let mut text = head;
    for i in 0..3_000 {
        let line = line
            .replace("NUMBER", &i.to_string())
            .replace("FILE", &file.display().to_string());
        text.push_str(&format!("\nlabel{}", line.trim_end()));
    }
    let started = Instant::now();
    let report = report(&text);
    assert!(
        report
            .problems()
            .iter()
            .any(|p| p.message.contains("more than 1048576 bytes")),
        "{:?}",
        report.problems().first()
    );
    // Sixteen values of 64 KiB are within the limit, and each of the others is refused without being read any further.
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
}

/// Nobody writes to it: whoever opens it as a file waits for ever.
#[test]
fn a_pipe_is_refused_and_not_waited_for() {
    let dir = tempfile::tempdir().expect("a folder");
    let pipe = pipe(dir.path());
    let shown = pipe.display();
    assert!(load(&pipe).expect_err("no file").has(Code::UnreadableFile));
    assert!(check(std::slice::from_ref(&pipe), &CheckOptions::default()).has(Code::UnreadableFile));
    error(
        &format!("cluster.secret = «\"%{{file:{shown}}}%\"»"),
        Code::MissingSecret,
        "a pipe",
    );
    error(
        &format!("cluster.secret = «{{ file = \"{shown}\" }}»"),
        Code::MissingSecret,
        "a pipe",
    );
    let nats = "cluster.coordinator = \"n\"\n[store.n]\ntype = \"nats\"\naddress = \"h\"\n";
    error(
        &format!("{nats}credentials = «\"{shown}\"»\n"),
        Code::MissingSecret,
        "a pipe",
    );
    error(
        "cluster.secret = «{ file = \"/dev/zero\" }»",
        Code::MissingSecret,
        "a device",
    );
}

/// A file with one setting, `value` in its place, in a section where everything else is sound.
fn with(setting: &str, value: &str) -> String {
    let setting = setting.replace("VALUE", value);
    let (section, rest) = setting.split_once('.').expect("a section");
    let store = |kind: &str, needed: &str| {
        let (key, _) = rest.split_once(" = ").expect("a key");
        let needed = if needed.starts_with(key) { "" } else { needed };
        format!("cluster.coordinator = \"s\"\n[store.s]\ntype = \"{kind}\"\n{needed}\n{rest}\n")
    };
    match section {
        "redis" => store("redis", "urls = \"redis://h\""),
        "nats" => store("nats", "address = \"h\""),
        "kafka" => store("kafka", "brokers = \"h\""),
        "component" => store(
            "component",
            if rest.starts_with("adapter") || rest.starts_with("path") {
                ""
            } else {
                "adapter = \"etcd\""
            },
        ),
        "store" => format!("cluster.coordinator = \"s\"\n{setting}\n"),
        _ => format!("{setting}\n"),
    }
}

/// Whatever is wrong with a value from elsewhere, no part of it is in what is said about it.
#[test]
fn values_from_elsewhere_are_never_shown() {
    let dir = tempfile::tempdir().expect("a folder");
    // One like a password, and others that get further before they are refused.
    for content in [
        "Hunter2, and 4x",
        "hunter2.example",
        "1,hunter2,3",
        "hunter2://a",
        "9hunter2-4",
    ] {
        let file = dir.path().join("value");
        std::fs::write(&file, content).expect("written");
        for setting in case("values-from-files").lines().filter(|line| line.contains("VALUE")) {
            let text = with(setting, &format!("\"%{{file:{}}}%\"", file.display()));
            let report = report(&text);
            for shown in [report.render_text(false), report.render_json(), format!("{report:?}")] {
                assert!(!shown.to_ascii_lowercase().contains("hunter2"), "{text}\n{shown}");
            }
        }
    }
}

/// A text over lines is hidden to its end, also in a list and where no reader knows that it is secret.
#[test]
fn secrets_over_lines_are_masked() {
    for text in [
        "[cluster]\nsecrets = [\n  \"hunter2-a\",\n  \"hunter2-b\"\n]\n",
        "[cluster]\nmy-token = \"a\nhunter2\"\n",
        "[node]\nzone = { password = \"a\nhunter2\" }\n",
        "[node]\npassword = {\n  a = \"hunter2\" }\n",
    ] {
        let shown = report(text).to_string();
        assert!(!shown.is_empty() && !shown.contains("hunter2"), "{text}\n{shown}");
    }
}

/// What the tolerant reader gives up, it does not read again and again: nothing here is quadratic.
#[test]
fn hostile_dialect_is_read_quickly() {
    let size = 256 << 10;
    let patterns = [
        "x=[\n",
        "x = \"a\n",
        "x = 'a\n",
        "x={a={\n",
        "x=\"\"\"\n",
        "x='''\n",
        "[[x]]\n",
        "[a.b.c]\n",
        "[x]\n",
        "x=[{\"\n",
        "x=://a:b",
        "token=[\n",
        "a.b=c\n",
        "x=[1,\n",
        "]\n",
        "x=\"\\\n",
    ];
    for pattern in patterns {
        let head = "[cluster]\nname = mail\n[other]\n";
        let text: String = head.chars().chain(pattern.chars().cycle()).take(size).collect();
        let started = Instant::now();
        let report = report(&text);
        assert!(!report.render_text(false).is_empty(), "{pattern:?}");
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "{pattern:?} took {:?}",
            started.elapsed()
        );
    }
}
