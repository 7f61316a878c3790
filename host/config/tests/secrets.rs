//! Where values come from, and that secrets stay unseen.

mod common;

use common::{error, report, sound};
use shardwright_config::{Code, CoordinatorConfig};

fn secret(text: &str) -> String {
    sound(text).0.secret.expect("a secret").expose().to_owned()
}

#[test]
fn inline() {
    assert_eq!(secret("cluster.secret = \"0123456789abcdef\""), "0123456789abcdef");
}

/// The test runner sets the variable.
#[test]
fn from_the_environment() {
    assert_eq!(
        secret("cluster.secret = \"%{env:CARGO_PKG_NAME}%\""),
        "shardwright-config"
    );
    assert_eq!(
        secret("cluster.secret = { env = \"CARGO_PKG_NAME\" }"),
        "shardwright-config"
    );
    assert_eq!(
        secret("cluster.secret = \"a-%{env:CARGO_PKG_NAME}%-%{env:CARGO_PKG_VERSION_MAJOR}%\""),
        "a-shardwright-config-0"
    );
    let (config, _) =
        sound("cluster.name = \"%{env:CARGO_PKG_NAME}%\"\nnode.capacity = \"%{env:CARGO_PKG_VERSION_MINOR}%\"");
    assert_eq!((config.name.as_str(), config.node.capacity), ("shardwright-config", 1));
}

#[test]
fn from_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret");
    std::fs::write(&path, "0123456789abcdef\n").unwrap();
    let path = path.display();
    for form in [
        format!("\"%{{file:{path}}}%\""),
        format!("{{ file = \"{path}\" }}"),
        format!("\"%{{file://{path}}}%\""),
    ] {
        assert_eq!(
            secret(&format!("cluster.secret = {form}")),
            "0123456789abcdef",
            "{form}"
        );
    }
}

#[test]
fn missing_sources() {
    error(
        "cluster.secret = «\"%{env:SHARDWRIGHT_NO_SUCH}%\"»",
        Code::MissingSecret,
        "SHARDWRIGHT_NO_SUCH",
    );
    error(
        "cluster.secret = «{ env = \"SHARDWRIGHT_NO_SUCH\" }»",
        Code::MissingSecret,
        "is not set",
    );
    error("cluster.secret = «\"%{env:}%\"»", Code::MissingSecret, "is not set");
    error(
        "cluster.secret = «\"%{file:/no/such/file}%\"»",
        Code::MissingSecret,
        "/no/such/file",
    );
    error(
        "cluster.secret = «{ file = \"/\" }»",
        Code::MissingSecret,
        "the file `/`",
    );
    error(
        "cluster.name = «\"%{cfg:other}%\"»",
        Code::MissingSecret,
        "%{env:NAME}%",
    );
    error(
        "cluster.secret = «{ env = \"A\", file = \"b\" }»",
        Code::WrongType,
        "one source",
    );
    error("cluster.secret = «{ vault = \"A\" }»", Code::WrongType, "one source");
    error("cluster.secret = «12345678901234567»", Code::WrongType, "in quotes");
    error(
        "cluster.node-id = «\"%{env:CARGO_PKG_NAME}%\"»",
        Code::WrongType,
        "something else",
    );
    error("cluster.secret = «\"123456789012345\"»", Code::WeakSecret, "16 bytes");
}

const HIDDEN: &str = "hunter2-hunter2-x";

/// Nothing that is rendered or logged shows the secret, in whatever way the file is wrong.
#[test]
fn secrets_are_never_shown() {
    let redis = "cluster.coordinator = \"r\"\n[store.r]\ntype = \"redis\"\n";
    for text in [
        format!("cluster.secret = \"{}\"", &HIDDEN[..15]),
        format!("cluster.sekret-token = \"{HIDDEN}\""),
        format!("cluster.secret = [\"{HIDDEN}\"]"),
        format!("cluster.secret = {{ \"{HIDDEN}\" = 1 }}"),
        format!("cluster.secret = \"{HIDDEN}"),
        format!("cluster.secret = \"\"\"\n{HIDDEN}"),
        format!("cluster.secret = {HIDDEN}"),
        format!("{redis}urls = \"redis://me:{HIDDEN}@host\"\npasword = \"{HIDDEN}\""),
        format!("{redis}url = [[\"redis://me:{HIDDEN}@host\"]]"),
        format!("{redis}urls = \"x\"\npassword = [\"{HIDDEN}\"]"),
        format!("cluster.node-id = 0 # redis://me:{HIDDEN}@host"),
    ] {
        let report = report(&text);
        assert!(!report.problems().is_empty(), "{text}");
        for shown in [
            report.render_text(false),
            report.render_text(true),
            report.render_json(),
            format!("{report:?}"),
        ] {
            assert!(!shown.contains(&HIDDEN[..8]), "{text}\n{shown}");
        }
    }
}

/// Every secret that a section of a coordinator may hold, in the configuration as read and nowhere else.
#[test]
fn a_configuration_is_printed_without_its_secrets() {
    let key = format!("'''\n-----BEGIN PRIVATE KEY-----\n{HIDDEN}\n-----END PRIVATE KEY-----\n'''");
    let certificate = "'''-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----'''";
    let tls = format!("tls.certificate = {certificate}\ntls.key = {key}\n");
    let creds = format!("'''\n-----BEGIN NATS USER JWT-----\nx\n-----BEGIN USER NKEY SEED-----\n{HIDDEN}\n'''");
    for section in [
        format!("type = \"redis\"\nurls = [\"rediss://me:{HIDDEN}@host\"]\n{tls}"),
        format!("type = \"redis\"\nurl = \"redis://host\"\npassword = \"{HIDDEN}\""),
        format!(
            "type = \"redis\"\nurl = \"redis://host\"\nredis-type = \"sentinel\"\nsentinel-user = \
             \"u\"\nsentinel-password = \"{HIDDEN}\""
        ),
        format!("type = \"nats\"\naddress = \"nats://me:{HIDDEN}@host\""),
        format!("type = \"nats\"\naddress = \"h\"\nuser = \"u\"\npassword = \"{HIDDEN}\""),
        format!("type = \"nats\"\naddress = \"h\"\ntoken = \"{HIDDEN}\""),
        format!("type = \"nats\"\naddress = \"h\"\ncredentials = {creds}"),
        format!("type = \"kafka\"\nbrokers = \"h\"\nsasl.mechanism = \"PLAIN\"\nuser = \"u\"\npassword = \"{HIDDEN}\""),
        format!("type = \"zenoh\"\nconfig = \"{HIDDEN}\""),
    ] {
        let (config, _) = sound(&format!(
            "cluster.secret = \"{HIDDEN}\"\ncluster.coordinator = \"r\"\n[store.r]\n{section}\n"
        ));
        assert_ne!(config.coordinator, CoordinatorConfig::Memory);
        let shown = format!("{config:?}");
        assert!(shown.contains("***") && !shown.contains("hunter2"), "{shown}");
    }
}

/// Early releases of the mail server had macros of another kind.
#[test]
fn macros_of_early_releases_are_explained() {
    error(
        "cluster.name = «\"%{DEFAULT_NAME}%\"»",
        Code::MissingSecret,
        "took its value from `[macros]`",
    );
}
