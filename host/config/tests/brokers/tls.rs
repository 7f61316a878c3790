//! TLS of every broker.

use crate::{kafka, nats, redis, refused, warned};
use shardwright_config::{Code, Pem, Secret, TlsSection};
use std::path::PathBuf;

#[test]
fn tls_of_every_broker() {
    let certificate = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
    let key = "-----BEGIN EC PRIVATE KEY-----\nAA==\n-----END EC PRIVATE KEY-----\n";
    let lines = format!(
        "tls.ca = \"ca.pem\"\ntls.certificate = '''\n{certificate}'''\ntls.key = '''\n{key}'''\ntls.server-name = \
         \"broker.example\"\ntls.allow-invalid-certs = false"
    );
    let wanted = Some(TlsSection {
        ca: Some(Pem::File(PathBuf::from("ca.pem"))),
        identity: Some((Pem::Text(Secret::new(certificate)), Pem::Text(Secret::new(key)))),
        server_name: Some("broker.example".into()),
    });
    assert_eq!(redis(&format!("url = \"redis://h\"\n{lines}")).tls, wanted);
    assert_eq!(nats(&format!("address = \"h\"\n{lines}")).tls, wanted);
    let unnamed = lines.replace("tls.server-name = \"broker.example\"\n", "");
    let wanted = wanted.map(|tls| TlsSection {
        server_name: None,
        ..tls
    });
    assert_eq!(kafka(&format!("brokers = \"h\"\n{unnamed}")).tls, wanted);
    let named = "brokers = \"h\"\ntls.server-name = «\"broker.example\"»";
    refused("kafka", named, Code::InvalidValue, "advertised.listeners");
    let camel = "[store.main.tls]\nenable = \"true\"\nca = \"/ca.pem\"\nserverName = \"x\"";
    let wanted = Some(TlsSection {
        ca: Some(Pem::File(PathBuf::from("/ca.pem"))),
        identity: None,
        server_name: Some("x".into()),
    });
    assert_eq!(nats(&format!("address = \"h\"\n{camel}")).tls, wanted);
}

#[test]
fn what_turns_tls_on() {
    let on = Some(TlsSection::default());
    assert_eq!(redis("url = \"rediss://h\"").tls, on);
    assert_eq!(redis("url = \"redis://h\"\ntls.enable = true").tls, on);
    assert_eq!(redis("url = \"redis://h\"\ntls.enable = false").tls, None);
    assert_eq!(nats("address = \"tls://h\"").tls, on);
    assert_eq!(kafka("brokers = \"h\"\ntls.enable = true").tls, on);
    let all = "urls = [\"redis://a\", \"redis://b\"]\nredis-type = \"cluster\"\ntls.enable = true";
    assert_eq!(redis(all).tls, on);
}

#[test]
fn tls_refusals() {
    for (kind, first) in [
        ("redis", "url = \"redis://h\""),
        ("nats", "address = \"h\""),
        ("kafka", "brokers = \"h\""),
    ] {
        let r = |lines: &str, code, says| refused(kind, &format!("{first}\n{lines}"), code, says);
        r("tls.«certificate» = \"c.pem\"", Code::MissingKey, "add `tls.key`");
        r("tls.«key» = \"k.pem\"", Code::MissingKey, "add `tls.certificate`");
        r(
            "tls.enable = false\ntls.«ca» = \"ca.pem\"",
            Code::ConflictingKeys,
            "tls.enable = false",
        );
        r("tls.ca = «\"\"»", Code::InvalidValue, "neither a path nor PEM");
        r(
            "tls.ca = «'''\n-----BEGIN RSA PRIVATE KEY-----\n'''»",
            Code::InvalidValue,
            "else than a certificate",
        );
        r(
            "tls.ca = «\"%{file:/no/such/ca}%\"»",
            Code::MissingSecret,
            "/no/such/ca",
        );
        r(
            "tls.server-name = «\"https://x/\"»",
            Code::InvalidValue,
            "without scheme",
        );
        r("tls.allow-invalid-certs = «1»", Code::WrongType, "`true` or `false`");
        r("tls.«cert» = \"c.pem\"", Code::UnknownKey, "did you mean");
        warned(
            kind,
            &format!("{first}\ntls.«allow-invalid-certs» = true"),
            Code::IgnoredKey,
            "always verified",
        );
    }
    refused(
        "redis",
        "url = \"rediss://h\"\ntls.«enable» = false",
        Code::ConflictingKeys,
        "rediss://",
    );
}
