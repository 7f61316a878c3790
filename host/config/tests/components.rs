//! Sections of type `component`: every key, in every form; what does not fit, at its place; and that nothing secret is shown.

mod common;

use common::{error, report, sound, warning};
use shardwright_config::{
    AdapterBudget, AdapterSource, BUNDLED_ADAPTERS, CheckOptions, Code, ComponentSection, CoordinatorConfig, Grant, GrantScheme, Pem,
    Secret, TlsSection, check,
};
use std::path::PathBuf;
use std::time::Duration;

const MIB: u64 = 1 << 20;

/// A configuration whose coordinator is a section of this type with these lines.
fn with(lines: &str) -> String {
    format!("cluster.coordinator = \"main\"\n[store.main]\ntype = \"component\"\n{lines}\n")
}

fn component(lines: &str) -> ComponentSection {
    let CoordinatorConfig::Component(section) = sound(&with(lines)).0.coordinator else {
        panic!("component")
    };
    section
}

/// As [`with`], for a section that names its adapter.
fn etcd(lines: &str) -> String {
    with(&format!("adapter = \"etcd\"\n{lines}"))
}

/// The JSON that an adapter is told by these lines.
fn told(lines: &str) -> String {
    component(&format!("adapter = \"etcd\"\n{lines}")).config.expose().to_owned()
}

/// What must be masked in what an adapter with these settings says.
fn secrets(lines: &str) -> Vec<String> {
    let section = component(&format!("adapter = \"etcd\"\n{lines}"));
    section.secrets.iter().map(|secret| secret.expose().to_owned()).collect()
}

fn connect(scheme: GrantScheme, host: &str, port: u16) -> Grant {
    let host = host.to_owned();
    Grant::Connect { scheme, host, port }
}

#[test]
fn the_least_that_can_be_said() {
    let wanted = ComponentSection {
        id: "main".into(),
        adapter: AdapterSource::Bundled("etcd"),
        grants: Vec::new(),
        timeout: Duration::from_secs(5),
        lanes: 4,
        budget: AdapterBudget {
            memory: 64 * MIB,
            total_memory: 256 * MIB,
            cpu: Duration::from_secs(1),
            answer: 64 * MIB,
        },
        config: Secret::new("{}"),
        secrets: Vec::new(),
        tls: None,
    };
    let (config, report) = sound(&etcd(""));
    assert!(report.problems().is_empty(), "{report}");
    assert_eq!((config.coordinator.kind(), config.coordinator.id()), ("component", Some("main")));
    assert_eq!(config.coordinator, CoordinatorConfig::Component(wanted));
}

#[test]
fn all_that_can_be_said() {
    let digest = "cd".repeat(32);
    let written = format!(
        "path = \"Cargo.toml\"\ndigest = \"sha256:{digest}\"\nallow = [\"http://10.0.0.5:2379\", \"tls://db.example:5432\", \"env:NAME\"]\n\
         timeout = \"100ms\"\nlanes = 64\nbudget = {{ memory = \"4GiB\", total-memory = \"256GiB\", cpu = \"1m\", answer = \"1GiB\" }}\n\
         config = {{ endpoints = [\"http://10.0.0.5:2379\"], user = \"node\", password = \"p\" }}\ntls.ca = \"Cargo.toml\"\n"
    );
    let wanted = ComponentSection {
        id: "main".into(),
        adapter: AdapterSource::File {
            path: PathBuf::from("Cargo.toml"),
            digest: Some([0xcd; 32]),
        },
        grants: vec![
            connect(GrantScheme::Http, "10.0.0.5", 2379),
            connect(GrantScheme::Tls, "db.example", 5432),
            Grant::Env("NAME".into()),
        ],
        timeout: Duration::from_millis(100),
        lanes: 64,
        budget: AdapterBudget {
            memory: 4 << 30,
            total_memory: 256 << 30,
            cpu: Duration::from_mins(1),
            answer: 1 << 30,
        },
        config: Secret::new(r#"{"endpoints":["http://10.0.0.5:2379"],"password":"p","user":"node"}"#),
        secrets: vec![Secret::new("p")],
        tls: Some(TlsSection {
            ca: Some(Pem::File(PathBuf::from("Cargo.toml"))),
            identity: None,
            server_name: None,
        }),
    };
    let (config, report) = sound(&with(&written));
    assert!(report.problems().is_empty(), "{report}");
    assert_eq!(config.coordinator, CoordinatorConfig::Component(wanted.clone()));
    let other = format!(
        "path = \"Cargo.toml\"\ndigest = \"sha256:{digest}\"\nallow = [\"http://10.0.0.5:2379\", \"tls://db.example:5432\", \"env:NAME\"]\n\
         timeout = 100\nlanes = \"64\"\nbudgetMemory = 4294967296\nbudget_total_memory = \"256GiB\"\nbudget-cpu = 60000\n\
         [store.main.budget]\nanswer = \"1GiB\"\n[store.main.tls]\nca = \"Cargo.toml\"\n\
         [store.main.config]\nuser = \"node\"\npassword = \"p\"\nendpoints = [\"http://10.0.0.5:2379\"]\n"
    );
    assert_eq!(component(&other), wanted, "in the other spellings");
}

#[test]
fn the_least_of_each_number() {
    let section = component(
        "adapter = \"postgresql\"\ntimeout = \"1m\"\nlanes = 1\nbudget = { memory = \"1MiB\", total-memory = \"1MiB\", cpu = \"1ms\", answer = 1024 }",
    );
    assert_eq!(section.adapter, AdapterSource::Bundled("postgresql"));
    assert_eq!((section.timeout, section.lanes), (Duration::from_mins(1), 1));
    let wanted = AdapterBudget {
        memory: MIB,
        total_memory: MIB,
        cpu: Duration::from_millis(1),
        answer: 1024,
    };
    assert_eq!(section.budget, wanted);
}

#[test]
fn which_adapter() {
    for name in BUNDLED_ADAPTERS {
        assert_eq!(
            component(&format!("adapter = \"{name}\"")).adapter,
            AdapterSource::Bundled(name),
            "{name}"
        );
    }
    error(
        &with("adapter = «\"postgres\"»"),
        Code::InvalidValue,
        "did you mean \"postgresql\"?",
    );
    error(
        &with("adapter = «\"consul\"»"),
        Code::InvalidValue,
        "are: etcd, postgresql; for one of your own",
    );
    error(&with("adapter = «\"\"»"), Code::InvalidValue, "there is no adapter \"\"");
    error(&with("adapter = «1»"), Code::WrongType, "in quotes");
    error(&with("path = «\"\"»"), Code::InvalidValue, "is empty");
    error(
        "cluster.coordinator = \"main\"\n«[store.main]»\ntype = \"component\"\n",
        Code::MissingKey,
        "neither `adapter` nor `path`",
    );
    error(
        &with("adapter = \"etcd\"\n«path» = \"Cargo.toml\""),
        Code::ConflictingKeys,
        "and `adapter` exclude each other",
    );
    error(
        &with(&format!("«digest» = \"sha256:{}\"\nadapter = \"etcd\"", "0".repeat(64))),
        Code::ConflictingKeys,
        "part of this program",
    );
    for digest in ["sha256:12", "0", "md5:0"] {
        error(
            &with(&format!("path = \"Cargo.toml\"\ndigest = «\"{digest}\"»")),
            Code::InvalidValue,
            "64 hexadecimal digits",
        );
    }
    warning(&with("path = «\"absent.wasm\"»"), Code::MissingAdapterFile, "absent.wasm");
}

#[test]
fn a_relative_path_begins_at_the_file() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("adapters")).unwrap();
    std::fs::write(dir.path().join("adapters/etcd.wasm"), "").unwrap();
    let path = dir.path().join("node.toml");
    std::fs::write(&path, with("path = \"adapters/etcd.wasm\"")).unwrap();
    let (config, report) = shardwright_config::load(&path).unwrap();
    assert!(report.problems().is_empty(), "{report}");
    let CoordinatorConfig::Component(section) = config.coordinator else {
        panic!("component")
    };
    let path = dir.path().join("adapters/etcd.wasm");
    assert_eq!(section.adapter, AdapterSource::File { path, digest: None });
}

#[test]
fn grants() {
    let granted = |lines: &str| component(&format!("adapter = \"etcd\"\n{lines}")).grants;
    assert_eq!(granted("allow = []"), []);
    assert_eq!(
        granted("allow = \"tcp://h:1\""),
        [connect(GrantScheme::Tcp, "h", 1)],
        "one needs no list"
    );
    let all = granted("allow = [\"https://H.example\", \"http://[0::1]/\", \"tcp://10.0.0.5:65535\", \"tls://[::1]:9\", \"env:a_1\"]");
    let wanted = [
        connect(GrantScheme::Https, "h.example", 443),
        connect(GrantScheme::Http, "::1", 80),
        connect(GrantScheme::Tcp, "10.0.0.5", 65_535),
        connect(GrantScheme::Tls, "::1", 9),
        Grant::Env("a_1".into()),
    ];
    assert_eq!(all, wanted);
    let shown: Vec<_> = all.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "https://h.example:443",
            "http://[::1]:80",
            "tcp://10.0.0.5:65535",
            "tls://[::1]:9",
            "env:a_1"
        ]
    );
    // The test runner sets the variable.
    assert_eq!(
        granted("allow = \"tcp://%{env:CARGO_PKG_NAME}%:1\""),
        [connect(GrantScheme::Tcp, "shardwright-config", 1)]
    );
}

#[test]
fn what_is_no_grant_shows_the_forms() {
    let second = |grant: &str| etcd(&format!("allow = [\"tcp://h:1\", «{grant}»]"));
    for grant in [
        "",
        "h",
        "h:1",
        "udp://h:1",
        "http://",
        "http://h/x",
        "http://h?x",
        "tcp://h",
        "tcp://h:0",
        "tls://h:65536",
        "tcp://*:1",
        "http://*.example",
        "tcp://::1:1",
        "tcp://[h]:1",
        "tcp://10.1:1",
        "tcp://a b:1",
        "http://me:pass@h",
        "env:",
        "env:A-B",
        "env:A*",
    ] {
        let problem = common::only(
            &second(&format!("\"{grant}\"")),
            shardwright_config::Severity::Error,
            Code::InvalidValue,
        );
        assert_eq!(
            problem.help,
            "write `tcp://HOST:PORT`, `tls://HOST:PORT`, `http://HOST[:PORT]`, `https://HOST[:PORT]` or `env:NAME`"
        );
        assert!(problem.message.starts_with("a grant in `store.\"main\".allow` "), "{problem:?}");
    }
    error(&second("5"), Code::WrongType, "in quotes");
    error(&etcd("allow = «{ http = \"h\" }»"), Code::WrongType, "must be a string");
    error(
        &second("\"tcp://%{env:SHARDWRIGHT_NO_SUCH}%:1\""),
        Code::MissingSecret,
        "SHARDWRIGHT_NO_SUCH",
    );
}

#[test]
fn a_grant_twice_is_one() {
    let lines = "allow = [\"http://H/\", \"env:A\", «\"http://h:80\"»]";
    warning(&etcd(lines), Code::DuplicateGrant, "grants `http://h:80` twice");
    let section = component(&format!("adapter = \"etcd\"\n{}", lines.replace(['«', '»'], "")));
    assert_eq!(section.grants.len(), 2);
}

#[test]
fn limits() {
    error(&etcd("timeout = «\"99ms\"»"), Code::OutOfRange, "from 100 to 60000 milliseconds");
    error(&etcd("timeout = «\"61s\"»"), Code::OutOfRange, "from 100 to 60000");
    error(&etcd("timeout = «false»"), Code::WrongType, "a duration");
    error(&etcd("lanes = «0»"), Code::OutOfRange, "from 1 to 64");
    error(&etcd("lanes = «\"65\"»"), Code::OutOfRange, "from 1 to 64");
    error(&etcd("budget.memory = «\"1KiB\"»"), Code::OutOfRange, "from 1048576 to");
    error(&etcd("budget.memory = «\"64MB\"»"), Code::InvalidValue, "MiB");
    error(&etcd("budget.total-memory = «\"257GiB\"»"), Code::OutOfRange, "bytes");
    error(&etcd("budget.cpu = «\"2m\"»"), Code::OutOfRange, "from 1 to 60000");
    error(&etcd("budget.cpu = «1.5»"), Code::WrongType, "a duration");
    error(&etcd("budget.answer = «1023»"), Code::OutOfRange, "from 1024 to");
    error(&etcd("budget = { «memry» = 1 }"), Code::UnknownKey, "did you mean `budget.memory`?");
    error(
        &etcd("budget = «\"64MiB\"»"),
        Code::WrongType,
        "budget.memory, budget.total-memory, budget.cpu, budget.answer",
    );
    error(
        &etcd("budget = { memory = \"65MiB\", total-memory = «\"64MiB\"» }"),
        Code::OutOfRange,
        "`budget.total-memory` to 68157440 or more",
    );
    error(
        &etcd("budget.memory = «\"512MiB\"»"),
        Code::OutOfRange,
        "268435456 bytes for all lanes together",
    );
    error(
        &etcd("budget.total-memory = «\"63MiB\"»"),
        Code::OutOfRange,
        "67108864 bytes for each",
    );
}

#[test]
fn unknown_keys() {
    error(&etcd("«alow» = []"), Code::UnknownKey, "did you mean `allow`?");
    error(&etcd("«urls» = []"), Code::UnknownKey, "one of the keys of `store.\"main\"`: type,");
    error(&etcd("«confg» = {}"), Code::UnknownKey, "did you mean `config`?");
    error(&etcd("«confg» = { user = \"u\" }"), Code::UnknownKey, "did you mean `config`?");
    error(&etcd("[store.main.«bugdet»]\ncpu = \"1s\""), Code::UnknownKey, "no key `bugdet`");
    sound(&etcd("config = { alow = 1, tls = { anything = true }, urls = [] }"));
}

#[test]
fn tls() {
    let details = "tls.ca = \"ca.pem\"\ntls.certificate = \"node.pem\"\ntls.key = \"node.key\"\ntls.server-name = \"etcd.example\"";
    let wanted = TlsSection {
        ca: Some(Pem::File(PathBuf::from("ca.pem"))),
        identity: Some((Pem::File(PathBuf::from("node.pem")), Pem::File(PathBuf::from("node.key")))),
        server_name: Some("etcd.example".into()),
    };
    for grant in ["tls://h:1", "https://h"] {
        let section = component(&format!("adapter = \"etcd\"\nallow = [\"tcp://h:1\", \"{grant}\"]\n{details}"));
        assert_eq!(section.tls, Some(wanted.clone()), "{grant}");
        let section = component(&format!("adapter = \"etcd\"\nallow = [\"{grant}\"]"));
        assert_eq!(section.tls, Some(TlsSection::default()), "{grant}");
    }
    assert_eq!(
        component("adapter = \"etcd\"\nallow = [\"tcp://h:1\", \"http://h\", \"env:A\"]").tls,
        None
    );
    // A connection is never without TLS because somebody took it for granted.
    for lines in [
        "allow = [\"http://h\"]\ntls.«ca» = \"ca.pem\"",
        "tls.«server-name» = \"h\"",
        "allow = [\"tcp://h:1\"]\n[store.main.tls]\n«certificate» = \"c.pem\"\nkey = \"k.pem\"",
    ] {
        error(&etcd(lines), Code::InvalidValue, "no grant in `allow` uses TLS");
    }
    for enable in ["true", "false"] {
        for grant in ["http://h", "https://h"] {
            let lines = format!("allow = [\"{grant}\"]\ntls.«enable» = {enable}");
            error(&etcd(&lines), Code::InvalidValue, "say by their schemes");
        }
    }
    error(
        &etcd("allow = [\"https://h\"]\ntls.«certificate» = \"c.pem\""),
        Code::MissingKey,
        "add `tls.key`",
    );
    error(
        &etcd("allow = [\"https://h\"]\ntls.server-name = «\"https://h\"»"),
        Code::InvalidValue,
        "without scheme",
    );
    warning(
        &etcd("allow = [\"https://h\"]\ntls.«allow-invalid-certs» = true"),
        Code::IgnoredKey,
        "always verified",
    );
}

#[test]
fn what_an_adapter_is_told_is_json_with_sorted_keys() {
    assert_eq!(
        told(
            "config = { b = [1, -2.5, true, \"ü\\n\"], a = { z = {}, y = 1979-05-27T07:32:00Z }, h = 0xff, big = 18446744073709551615, l = [] }"
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
    error(&etcd("config = { a = [1, «nan»] }"), Code::OutOfRange, "JSON cannot carry");
    error(
        &etcd("config = { a = { b = «-inf» } }"),
        Code::OutOfRange,
        "`store.\"main\".config.a.b` is not a finite number",
    );
    error(&etcd("config = { a = «18446744073709551616» }"), Code::OutOfRange, "beyond 64 bits");
}

#[test]
fn sources_at_any_depth() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("secret");
    std::fs::write(&file, "from \"a\" file\n").unwrap();
    let file = file.display();
    let version = env!("CARGO_PKG_VERSION");
    let lines = format!(
        "config = {{ a = {{ env = \"CARGO_PKG_NAME\" }}, b = [{{ c = {{ file = \"{file}\" }} }}], d = \"<%{{env:CARGO_PKG_VERSION}}%>\", \
         e = \"%{{file:{file}}}%\" }}"
    );
    assert_eq!(
        told(&lines),
        format!(r#"{{"a":"shardwright-config","b":[{{"c":"from \"a\" file"}}],"d":"<{version}>","e":"from \"a\" file"}}"#)
    );
    assert_eq!(
        secrets(&lines),
        ["shardwright-config", "from \"a\" file", &format!("<{version}>"), version],
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
    error(&etcd("config = { a = «\"%{cfg:x}%\"» }"), Code::MissingSecret, "%{env:NAME}%");
    error(
        &etcd("config = «{ env = \"CARGO_PKG_NAME\" }»"),
        Code::WrongType,
        "not a source of one",
    );
    let empty = tempfile::NamedTempFile::new().unwrap();
    let lines = format!("config = {{ password = «{{ file = \"{}\" }}» }}", empty.path().display());
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
        assert_eq!(secrets(&format!("config = {{ {key} = \"hunter2\" }}")), ["hunter2"], "{key}");
    }
    for key in ["passwords-file", "tokens", "keys", "user", "secretary"] {
        assert!(secrets(&format!("config = {{ {key} = \"hunter2\" }}")).is_empty(), "{key}");
    }
    // Under such a key however deep, each once, no empty one, and the longest first, so that none is masked in part.
    let lines = "config = { credentials = [{ user = \"me\", more = [\"abc\", \"ab\"] }, \"abc\", \"\", 12345], password = \"abcd\", plain = \"p\" }";
    assert_eq!(secrets(lines), ["abcd", "abc", "ab", "me"]);
    // A login in an address.
    assert_eq!(
        secrets("config = { url = \"postgres://me:pw%40x@h/db\", other = [\"nats://tok@h\"], plain = \"http://h/a@b\" }"),
        ["me:pw%40x", "pw%40x", "tok"]
    );
    assert_eq!(
        secrets("config = { url = \"postgres://me:%{env:CARGO_PKG_NAME}%@h\" }"),
        ["postgres://me:shardwright-config@h", "me:shardwright-config", "shardwright-config"]
    );
}

#[test]
fn the_limits_of_what_is_told() {
    // The table of settings is the first level.
    let nested = |open: &str, close: &str, levels: usize| format!("config = {{ a = {}{} }}", open.repeat(levels), close.repeat(levels));
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
        let text = etcd(&format!("config = {{ {key} = [{first}{}] }}", again.repeat(900_000 / again.len())));
        let started = std::time::Instant::now();
        let report = report(&text);
        assert!(report.has_errors(), "{again}");
        let took = started.elapsed();
        assert!(took.as_secs() < 20, "{again} took {took:?}");
    }
}

const HIDDEN: &str = "hunter2-hunter2-x";

/// Nothing that is shown of a file has a secret in it, in whatever way the section is wrong.
#[test]
fn secrets_are_never_shown() {
    let deep = format!("{}\"{HIDDEN}\"{}", "[".repeat(40), "]".repeat(40));
    let wide = "1,".repeat(70_000);
    for lines in [
        // Errors on the same line, or in the same value.
        format!("config = {{ x = nan, password = \"{HIDDEN}\" }}"),
        format!("config = {{ password = \"{HIDDEN}\", x = nan }}"),
        format!("config = {{ x = nan, a = [\"{HIDDEN}%{{env:CARGO_PKG_NAME}}%\"] }}"),
        format!("config = {{ a = \"{HIDDEN}%{{env:SHARDWRIGHT_NO_SUCH}}%\" }}"),
        format!("config = {{ secret = \"{HIDDEN}%{{cfg:x}}%\" }}"),
        format!("config = {{ x = nan, credentials = {{ a = [\"{HIDDEN}\"] }} }}"),
        format!("config = {{ token = [\n\"{HIDDEN}\", nan] }}"),
        format!("config = {{ token = [\nnan, {{ a = \"{HIDDEN}\" }}] }}"),
        format!("config = {{ x = nan, url = \"postgres://me:{HIDDEN}@h\" }}"),
        format!("config = {{ x = {deep} }}"),
        format!("config = {{ x = \"{HIDDEN}\", {} = 1 }}", vec!["a"; 40].join(".")).replace("x =", "password ="),
        format!("config = {{ a = [{wide}], password = \"{HIDDEN}\" }}"),
        format!("config = {{ a = [\"{HIDDEN}\", {wide}] }}").replace("a =", "key ="),
        // In the wrong place.
        format!("config = \"{HIDDEN}\""),
        format!("config = [\"{HIDDEN}\"]"),
        format!("config = '''\n{{ \"password\": \"{HIDDEN}\" }}'''"),
        format!("password = \"{HIDDEN}\""),
        format!("config = {{}}\nConfig = {{ password = \"{HIDDEN}\" }}"),
        // In a grant.
        format!("allow = [\"http://me:{HIDDEN}@h\"]"),
        format!("allow = [\"http://me:a/{HIDDEN}@h\"]"),
        format!("allow = [\"me:{HIDDEN}@h:1\"]"),
        format!("allow = \"tcp:/me:{HIDDEN}@h\""),
        format!("allow = [\"tcp://h\", \"{HIDDEN}@h\"]"),
    ] {
        never_shown(&etcd(&lines));
    }
    // The line of another error, after the table has become too long.
    never_shown(&format!(
        "cluster.coordinator = \"main\"\nstore.main = {{ type = \"component\", adapter = \"etcd\", config = {{ a = [{wide}], token = [\n\"{HIDDEN}\"] }}, \
         lanes = 0 }}"
    ));
}

fn never_shown(text: &str) {
    let report = report(text);
    assert!(report.has_errors(), "{text}");
    for shown in [
        report.render_text(false),
        report.render_text(true),
        report.render_json(),
        format!("{report:?}"),
    ] {
        assert!(!shown.contains(&HIDDEN[..8]), "{shown}");
    }
}

#[test]
fn a_configuration_is_printed_without_its_secrets() {
    let (config, _) = sound(&etcd(&format!(
        "config = {{ password = \"{HIDDEN}\", url = \"http://me:{HIDDEN}@h\", plain = \"{HIDDEN}\" }}"
    )));
    let shown = format!("{config:?}");
    assert!(shown.contains("***") && !shown.contains("hunter2"), "{shown}");
}

#[test]
fn stores_that_an_adapter_speaks_to() {
    error(
        "cluster.coordinator = «\"main\"»\n[store.main]\ntype = \"postgresql\"",
        Code::NotACoordinator,
        "a section with `type = \"component\"` and `adapter = \"postgresql\"`",
    );
    error(
        "cluster.coordinator = «\"main\"»\n[store.main]\ntype = \"PostgreSQL\"",
        Code::NotACoordinator,
        "adapter = \"postgresql\"",
    );
    for (kind, adapter) in [("etcd", "etcd"), ("postgres", "postgresql"), ("postgresq", "postgresql")] {
        error(
            &format!("cluster.coordinator = \"main\"\n[store.main]\ntype = «\"{kind}\"»"),
            Code::UnknownStoreType,
            &format!("`adapter = \"{adapter}\"`"),
        );
    }
    error(
        "cluster.coordinator = \"main\"\n[store.main]\ntype = «\"componet\"»",
        Code::UnknownStoreType,
        "did you mean \"component\"?",
    );
}

#[test]
fn nodes_with_different_bundled_adapters_never_meet() {
    let dir = tempfile::tempdir().unwrap();
    let differ = |lines: [&str; 2]| {
        let paths = ["a.toml", "b.toml"].map(|name| dir.path().join(name));
        for (path, lines) in paths.iter().zip(lines) {
            std::fs::write(path, with(lines)).unwrap();
        }
        check(&paths, &CheckOptions::default()).has(Code::SettingsDiffer)
    };
    assert!(differ(["adapter = \"etcd\"", "adapter = \"postgresql\""]));
    assert!(!differ(["adapter = \"etcd\"", "adapter = \"etcd\"\nlanes = 1"]));
    assert!(!differ(["adapter = \"etcd\"", "path = \"etcd.wasm\""]), "it may be the same");
}
