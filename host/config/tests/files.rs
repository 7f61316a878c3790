//! Files that cannot be read at all, and the two ways to show a report.

use shardwright_config::{CheckOptions, Code, MAX_FILE_BYTES, Report, check, load};
use std::fs::File;
use std::path::PathBuf;

/// Writes `bytes` to a file, checks it, and gives the report back.
fn check_bytes(bytes: &[u8]) -> Report {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("test.toml");
    std::fs::write(&path, bytes).expect("written");
    check(&[path], &CheckOptions::default())
}

fn only(report: &Report) -> (Code, usize, usize) {
    let [problem] = report.problems() else {
        panic!("one problem expected: {report}")
    };
    assert!(!problem.help.is_empty());
    assert!(report.render_text(false).contains(&problem.help), "{report}");
    (problem.code, problem.line, problem.column)
}

#[test]
fn not_utf8() {
    let report = check_bytes(b"# \xc3\xbc\n[cluster]\nname = \"\xff\"\n");
    assert_eq!(only(&report), (Code::NotUtf8, 3, 9));
    assert!(report.problems()[0].message.contains("byte 23"), "{report}");
}

/// Sparse, so that it costs nothing; read as a whole it would cost 100 MB.
#[test]
fn a_huge_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("test.toml");
    File::create(&path).unwrap().set_len(100_000_000).unwrap();
    let report = check(&[path], &CheckOptions::default());
    assert_eq!(only(&report), (Code::FileTooLarge, 0, 0));
}

#[test]
fn the_largest_file_is_read() {
    let mut bytes = b"[cluster]\nnode-id = 1\n#".to_vec();
    bytes.resize(usize::try_from(MAX_FILE_BYTES).unwrap(), b' ');
    assert!(check_bytes(&bytes).problems().is_empty());
    bytes.push(b' ');
    assert_eq!(only(&check_bytes(&bytes)).0, Code::FileTooLarge);
}

#[test]
fn unreadable() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(
        only(&check(&[dir.path().join("absent.toml")], &CheckOptions::default())).0,
        Code::UnreadableFile
    );
    assert_eq!(only(&load(dir.path()).unwrap_err()).0, Code::UnreadableFile);
}

#[test]
fn line_ends_and_byte_order_marks_do_not_matter() {
    let report = check_bytes(b"\xef\xbb\xbf[cluster]\r\nnode-id = 0\r\n");
    assert_eq!(only(&report), (Code::OutOfRange, 2, 11));
}

#[test]
fn relative_paths_begin_at_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("test.toml");
    std::fs::write(dir.path().join("x.wasm"), "").unwrap();
    std::fs::write(&path, "node.state-dir = \"state\"\n[policy.mine]\npath = \"x.wasm\"\n").unwrap();
    let (config, report) = load(&path).unwrap();
    assert!(report.problems().is_empty(), "{report}");
    assert_eq!(config.state_dir, Some(dir.path().join("state")));
    assert_eq!(config.policies["mine"].path, Some(dir.path().join("x.wasm")));
}

/// Hostile files cost no more than their size: nothing here is quadratic.
#[test]
fn hostile_files_are_refused_quickly() {
    let size = usize::try_from(MAX_FILE_BYTES).unwrap();
    let patterns: [&[u8]; 9] = [
        b"=",
        b"%{",
        b"secret=%{",
        b"[",
        b"a.",
        b"\"://\"",
        b"x=1\n",
        b"{a=",
        b"\"1,,\",",
    ];
    for pattern in patterns {
        let bytes = b"cluster.roles.fts-indexing=["
            .iter()
            .chain(pattern.iter().cycle())
            .copied()
            .take(size)
            .collect::<Vec<_>>();
        let started = std::time::Instant::now();
        let report = check_bytes(&bytes);
        assert!(report.has_errors());
        assert!(!report.render_text(true).is_empty());
        let took = started.elapsed();
        assert!(
            took.as_secs() < 20,
            "{:?} took {took:?}",
            String::from_utf8_lossy(pattern)
        );
    }
}

const SEVERAL: &str = include_str!("several-problems.toml");

fn several() -> Report {
    shardwright_config::parse(SEVERAL, "several-problems.toml").expect_err("several problems")
}

/// What people see. To accept a change, run the test with `UPDATE_EXPECTED=1` and look at the difference.
#[test]
fn text_for_people() {
    let expected = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/several-problems.txt");
    let shown = several().render_text(false);
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(&expected, &shown).unwrap();
    }
    assert_eq!(shown, std::fs::read_to_string(&expected).unwrap());
    assert!(several().render_text(true).contains("\x1b["), "colours");
}

#[test]
fn json_for_machines() {
    let report = several();
    let json: serde_json::Value = serde_json::from_str(&report.render_json()).unwrap();
    let all = json.as_array().unwrap();
    assert_eq!(all.len(), report.problems().len());
    let expected = serde_json::json!({
        "severity": "error",
        "code": "out-of-range",
        "file": "several-problems.toml",
        "line": 4,
        "column": 11,
        "end-line": 4,
        "end-column": 12,
        "message": "`cluster.node-id` must be from 1 to 511",
        "help": "ids begin at 1; where pods count from 0, `node-id = \"%{env:POD_INDEX}%+1\"` makes pod 0 node 1",
    });
    assert!(all.contains(&expected), "{json:#}");
}
