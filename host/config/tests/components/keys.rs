//! Every key of a section, in every form, and what does not fit.

use crate::common::{error, only, sound, warning};
use crate::{MIB, component, connect, etcd, with};
use shardwright_config::{
    AdapterBudget, AdapterSource, BUNDLED_ADAPTERS, Code, ComponentSection, CoordinatorConfig, Grant, GrantScheme, Pem,
    Secret, TlsSection,
};
use std::path::PathBuf;
use std::time::Duration;

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
    assert_eq!(
        (config.coordinator.kind(), config.coordinator.id()),
        ("component", Some("main"))
    );
    assert_eq!(config.coordinator, CoordinatorConfig::Component(wanted));
}

#[test]
fn all_that_can_be_said() {
    let digest = "cd".repeat(32);
    let written = format!(
        "path = \"Cargo.toml\"\ndigest = \"sha256:{digest}\"\n\
         allow = [\"http://10.0.0.5:2379\", \"tls://db.example:5432\", \"env:NAME\"]\n\
         timeout = \"100ms\"\nlanes = 64\n\
         budget = {{ memory = \"4GiB\", total-memory = \"256GiB\", cpu = \"1m\", answer = \"1GiB\" }}\n\
         config = {{ endpoints = [\"http://10.0.0.5:2379\"], user = \"node\", password = \"p\" }}\n\
         tls.ca = \"Cargo.toml\"\n"
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
        "path = \"Cargo.toml\"\ndigest = \"sha256:{digest}\"\n\
         allow = [\"http://10.0.0.5:2379\", \"tls://db.example:5432\", \"env:NAME\"]\n\
         timeout = 100\nlanes = \"64\"\n\
         budgetMemory = 4294967296\nbudget_total_memory = \"256GiB\"\nbudget-cpu = 60000\n\
         [store.main.budget]\nanswer = \"1GiB\"\n[store.main.tls]\nca = \"Cargo.toml\"\n\
         [store.main.config]\nuser = \"node\"\npassword = \"p\"\nendpoints = [\"http://10.0.0.5:2379\"]\n"
    );
    assert_eq!(component(&other), wanted, "in the other spellings");
}

#[test]
fn the_least_of_each_number() {
    let section = component(
        "adapter = \"postgresql\"\ntimeout = \"1m\"\nlanes = 1\nbudget = { memory = \"1MiB\", total-memory = \
         \"1MiB\", cpu = \"1ms\", answer = 1024 }",
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
    error(
        &with("adapter = «\"\"»"),
        Code::InvalidValue,
        "there is no adapter \"\"",
    );
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
    warning(
        &with("path = «\"absent.wasm\"»"),
        Code::MissingAdapterFile,
        "absent.wasm",
    );
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
    let all = granted(
        "allow = [\"https://H.example\", \"http://[0::1]/\", \"tcp://10.0.0.5:65535\", \"tls://[::1]:9\", \"env:a_1\"]",
    );
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
        let problem = only(
            &second(&format!("\"{grant}\"")),
            shardwright_config::Severity::Error,
            Code::InvalidValue,
        );
        assert_eq!(
            problem.help,
            "write `tcp://HOST:PORT`, `tls://HOST:PORT`, `http://HOST[:PORT]`, `https://HOST[:PORT]` or `env:NAME`"
        );
        assert!(
            problem.message.starts_with("a grant in `store.\"main\".allow` "),
            "{problem:?}"
        );
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
    error(
        &etcd("timeout = «\"99ms\"»"),
        Code::OutOfRange,
        "from 100 to 60000 milliseconds",
    );
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
    error(
        &etcd("budget = { «memry» = 1 }"),
        Code::UnknownKey,
        "did you mean `budget.memory`?",
    );
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
    error(
        &etcd("«urls» = []"),
        Code::UnknownKey,
        "one of the keys of `store.\"main\"`: type,",
    );
    error(&etcd("«confg» = {}"), Code::UnknownKey, "did you mean `config`?");
    error(
        &etcd("«confg» = { user = \"u\" }"),
        Code::UnknownKey,
        "did you mean `config`?",
    );
    error(
        &etcd("[store.main.«bugdet»]\ncpu = \"1s\""),
        Code::UnknownKey,
        "no key `bugdet`",
    );
    sound(&etcd("config = { alow = 1, tls = { anything = true }, urls = [] }"));
}

#[test]
fn tls() {
    let details = "tls.ca = \"ca.pem\"\ntls.certificate = \"node.pem\"\ntls.key = \"node.key\"\ntls.server-name = \
                   \"etcd.example\"";
    let wanted = TlsSection {
        ca: Some(Pem::File(PathBuf::from("ca.pem"))),
        identity: Some((
            Pem::File(PathBuf::from("node.pem")),
            Pem::File(PathBuf::from("node.key")),
        )),
        server_name: Some("etcd.example".into()),
    };
    for grant in ["tls://h:1", "https://h"] {
        let section = component(&format!(
            "adapter = \"etcd\"\nallow = [\"tcp://h:1\", \"{grant}\"]\n{details}"
        ));
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
