//! What an adapter is told: its settings as JSON, with what other places bring in, and which of it is secret.

use crate::common::{error, report};
use crate::{etcd, secrets, told};
use shardwright_config::Code;

#[test]
fn what_an_adapter_is_told_is_json_with_sorted_keys() {
    assert_eq!(
        told(
            "config = { b = [1, -2.5, true, \"ü\\n\"], a = { z = {}, y = 1979-05-27T07:32:00Z }, h = 0xff, big = \
             18446744073709551615, l = [] }"
        ),
        r#"{"a":{"y":"1979-05-27T07:32:00Z","z":{}},"b":[1,-2.5,true,"ü\n"],"big":18446744073709551615,"h":255,"l":[]}"#
    );
    assert_eq!(
        told("[store.main.config]\nb = 1\n[store.main.config.a]\nc = [{ d = 1 }]"),
        r#"{"a":{"c":[{"d":1}]},"b":1}"#
    );
    assert_eq!(
        told("[[store.main.config.servers]]\nport = 1\n[[store.main.config.servers]]\nport = 2"),
        r#"{"servers":[{"port":1},{"port":2}]}"#
    );
    assert_eq!(told("config = {}"), "{}");
    // Keys are the adapter's own: neither their spelling nor their names mean anything here.
    assert_eq!(
        told("config = { type = 1, \"a.b\" = 2, aB = 3, a_b = 4 }"),
        r#"{"a.b":2,"aB":3,"a_b":4,"type":1}"#
    );
    error(&etcd("config = «\"{}\"»"), Code::WrongType, "must be a table");
    error(&etcd("config = «[]»"), Code::WrongType, "must be a table");
    error(
        &etcd("config = { a = [1, «nan»] }"),
        Code::OutOfRange,
        "JSON cannot carry",
    );
    error(
        &etcd("config = { a = { b = «-inf» } }"),
        Code::OutOfRange,
        "`store.\"main\".config.a.b` is not a finite number",
    );
    error(
        &etcd("config = { a = «18446744073709551616» }"),
        Code::OutOfRange,
        "beyond 64 bits",
    );
}

#[test]
fn sources_at_any_depth() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("secret");
    std::fs::write(&file, "from \"a\" file\n").unwrap();
    let file = file.display();
    let version = env!("CARGO_PKG_VERSION");
    let lines = format!(
        "config = {{ a = {{ env = \"CARGO_PKG_NAME\" }}, b = [{{ c = {{ file = \"{file}\" }} }}], d = \
         \"<%{{env:CARGO_PKG_VERSION}}%>\", e = \"%{{file:{file}}}%\" }}"
    );
    assert_eq!(
        told(&lines),
        format!(
            r#"{{"a":"shardwright-config","b":[{{"c":"from \"a\" file"}}],"d":"<{version}>","e":"from \"a\" file"}}"#
        )
    );
    assert_eq!(
        secrets(&lines),
        [
            "shardwright-config",
            "from \"a\" file",
            &format!("<{version}>"),
            version
        ],
        "with a macro, the whole and what it brought in"
    );
    // Whatever is more than a source is a table like any other.
    assert_eq!(
        told("config = { a = { env = \"A\", file = \"b\" }, b = { env = 1 }, c = { envs = \"A\" } }"),
        r#"{"a":{"env":"A","file":"b"},"b":{"env":1},"c":{"envs":"A"}}"#
    );
    error(
        &etcd("config = { a = [«{ env = \"SHARDWRIGHT_NO_SUCH\" }»] }"),
        Code::MissingSecret,
        "`store.\"main\".config.a`: the environment variable `SHARDWRIGHT_NO_SUCH` is not set",
    );
    error(
        &etcd("config = { a = «{ file = \"/no/such/file\" }» }"),
        Code::MissingSecret,
        "/no/such/file",
    );
    error(
        &etcd("[store.main.config]\na.b = «\"x%{env:SHARDWRIGHT_NO_SUCH}%\"»"),
        Code::MissingSecret,
        "`store.\"main\".config.a.b`",
    );
    error(
        &etcd("config = { a = «\"%{cfg:x}%\"» }"),
        Code::MissingSecret,
        "%{env:NAME}%",
    );
    error(
        &etcd("config = «{ env = \"CARGO_PKG_NAME\" }»"),
        Code::WrongType,
        "not a source of one",
    );
    let empty = tempfile::NamedTempFile::new().unwrap();
    let lines = format!(
        "config = {{ password = «{{ file = \"{}\" }}» }}",
        empty.path().display()
    );
    error(&etcd(&lines), Code::InvalidValue, "leave the key out");
}

#[test]
fn what_is_secret() {
    for key in [
        "password",
        "PASSWORD",
        "dbPassword",
        "client_secret",
        "token",
        "authToken",
        "api-key",
        "\"tls.key\"",
        "credentials",
    ] {
        assert_eq!(
            secrets(&format!("config = {{ {key} = \"hunter2\" }}")),
            ["hunter2"],
            "{key}"
        );
    }
    for key in ["passwords-file", "tokens", "keys", "user", "secretary"] {
        assert!(
            secrets(&format!("config = {{ {key} = \"hunter2\" }}")).is_empty(),
            "{key}"
        );
    }
    // Under such a key however deep, each once, no empty one, and the longest first, so that none is masked in part.
    let lines = "config = { credentials = [{ user = \"me\", more = [\"abc\", \"ab\"] }, \"abc\", \"\", 12345], \
                 password = \"abcd\", plain = \"p\" }";
    assert_eq!(secrets(lines), ["abcd", "abc", "ab", "me"]);
    // A login in an address.
    assert_eq!(
        secrets(
            "config = { url = \"postgres://me:pw%40x@h/db\", other = [\"nats://tok@h\"], plain = \"http://h/a@b\" }"
        ),
        ["me:pw%40x", "pw%40x", "tok"]
    );
    assert_eq!(
        secrets("config = { url = \"postgres://me:%{env:CARGO_PKG_NAME}%@h\" }"),
        [
            "postgres://me:shardwright-config@h",
            "me:shardwright-config",
            "shardwright-config"
        ]
    );
}

#[test]
fn the_limits_of_what_is_told() {
    // The table of settings is the first level.
    let nested = |open: &str, close: &str, levels: usize| {
        format!("config = {{ a = {}{} }}", open.repeat(levels), close.repeat(levels))
    };
    assert!(told(&nested("[", "]", 31)).ends_with("]}"));
    error(
        &etcd(&nested("[", "]", 31).replace("[]", "[«[]»]")),
        Code::OutOfRange,
        "nested more than 32 deep",
    );
    let tables = |levels: usize| format!("config.{} = 1", vec!["a"; levels].join("."));
    told(&tables(32));
    let report = report(&etcd(&tables(33)));
    assert!(report.has(Code::OutOfRange), "{report}");

    // {"a":"…"} has 8 bytes besides.
    let long = |length: usize| format!("config = {{ a = \"{}\" }}", "x".repeat(length));
    assert_eq!(told(&long(65_528)).len(), 65_536);
    for length in [65_529, 500_000] {
        error(
            &etcd(&long(length).replace("config", "«config»")),
            Code::OutOfRange,
            "longer than 65536 bytes",
        );
    }
    let many = format!("«config» = {{ a = [{}] }}", "1,".repeat(100_000));
    error(&etcd(&many), Code::OutOfRange, "64 KiB");
    let escaped = format!("«config» = {{ a = \"{}\" }}", "\\n".repeat(40_000));
    error(&etcd(&escaped), Code::OutOfRange, "64 KiB");
}

/// Every value is read at most once, and nothing of a table that is too long is fetched any more.
#[test]
fn a_hostile_table_is_refused_quickly() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "x".repeat(60_000)).unwrap();
    let source = format!("{{ file = \"{}\" }},", file.path().display());
    for (first, again) in [
        ("", "1,"),
        ("", "\"%{env:CARGO_PKG_NAME}%\","),
        ("", "[[[[[[[[]]]]]]]],"),
        ("", source.as_str()),
        ("\"a\",", "{ secret = [\"b\"] },"),
    ] {
        let key = "k".repeat(30_000);
        let text = etcd(&format!(
            "config = {{ {key} = [{first}{}] }}",
            again.repeat(900_000 / again.len())
        ));
        let started = std::time::Instant::now();
        let report = report(&text);
        assert!(report.has_errors(), "{again}");
        let took = started.elapsed();
        assert!(took.as_secs() < 20, "{again} took {took:?}");
    }
}
