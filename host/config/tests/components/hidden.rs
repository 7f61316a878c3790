//! Nothing secret is shown of a section, however wrong it is; and who can meet whom.

use crate::common::{error, report, sound};
use crate::{etcd, with};
use shardwright_config::{CheckOptions, Code, check};

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
        "cluster.coordinator = \"main\"\nstore.main = {{ type = \"component\", adapter = \"etcd\", config = {{ a = \
         [{wide}], token = [\n\"{HIDDEN}\"] }}, lanes = 0 }}"
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
    for (kind, adapter) in [
        ("etcd", "etcd"),
        ("postgres", "postgresql"),
        ("postgresq", "postgresql"),
    ] {
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
    assert!(
        !differ(["adapter = \"etcd\"", "path = \"etcd.wasm\""]),
        "it may be the same"
    );
}
