//! Who may come in.

use super::{open, options};
use shardwright_coordinator::Store;
use shardwright_coordinator::broker::{BrokerError, Password, Pem, Tls};
use shardwright_coordinator::kafka::{KafkaLogin, KafkaMechanism, KafkaOptions};
use shardwright_core::store::Expected;
use shardwright_servers::{Authority, Certificate, KafkaServer, Sasl};

/// Writes and reads once.
async fn works(options: &KafkaOptions, name: &str) {
    let store = open(options, name).await.unwrap();
    store.put("k", "v".into(), Expected::Absent).await.unwrap();
    assert_eq!(store.get("k").await.unwrap().entry.unwrap().value, "v");
}

async fn refused(options: &KafkaOptions) -> BrokerError {
    let Err(error) = open(options, "refused").await else {
        panic!("it was let in: {options:?}")
    };
    assert!(
        !format!("{error} {error:?} {options:?}").contains("secret"),
        "{error} {options:?}"
    );
    error
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_says_what_does_not_fit() {
    let (ours, theirs) = (Authority::new().unwrap(), Authority::new().unwrap());
    let server = KafkaServer::builder().tls(&ours, true).start().unwrap();
    let identity = |certificate: Certificate| Some((Pem::File(certificate.certificate), Pem::File(certificate.key)));
    let tls = Tls {
        ca: Some(Pem::File(ours.ca())),
        identity: identity(ours.client("node-1").unwrap()),
        server_name: None,
    };
    let with = |tls: Tls| KafkaOptions {
        tls: Some(tls),
        ..options(&[server.address()])
    };
    works(&with(tls.clone()), "good").await;
    let ca = Some(Pem::File(theirs.ca()));
    let (missing, foreign) = (None, identity(theirs.client("node-1").unwrap()));
    // This is 127.0.0.1 too, but no certificate says so.
    let elsewhere = KafkaOptions {
        brokers: vec![server.address().replace("127.0.0.1", "127.1")],
        ..with(tls.clone())
    };
    for (options, says) in [
        (with(Tls { ca, ..tls.clone() }), "the authority of its certificate"),
        (
            with(Tls {
                identity: missing,
                ..tls.clone()
            }),
            "asks for a client certificate",
        ),
        (
            with(Tls {
                identity: foreign,
                ..tls.clone()
            }),
            "does not accept our client certificate",
        ),
        (elsewhere, "its certificate has other names"),
    ] {
        let error = refused(&options).await;
        assert!(
            matches!(&error, BrokerError::Tls { why, .. } if why.contains(says)),
            "{error:?}"
        );
    }
    let error = refused(&options(&[server.address()])).await;
    assert!(error.is_transient() && error.to_string().contains("TLS"), "{error:?}");
    let named = Tls {
        server_name: Some("kafka".into()),
        ..tls
    };
    assert!(matches!(refused(&with(named)).await, BrokerError::Invalid(_)));
}

/// The usual self-signed certificate, given as `tls.ca`.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_its_own_authority_is_accepted() {
    let names = ["localhost", "127.0.0.1"];
    let (own, other) = (Authority::alone(&names).unwrap(), Authority::alone(&names).unwrap());
    let server = KafkaServer::builder().tls(&own, false).start().unwrap();
    let trusting = |authority: &Authority| KafkaOptions {
        tls: Some(Tls {
            ca: Some(Pem::File(authority.ca())),
            ..Tls::default()
        }),
        ..options(&[server.address()])
    };
    works(&trusting(&own), "own").await;
    let error = refused(&trusting(&other)).await;
    assert!(
        matches!(&error, BrokerError::Tls { why, .. } if why.contains("the authority of its certificate")),
        "{error:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn logins() {
    let mechanisms = [
        (Sasl::Plain, KafkaMechanism::Plain, "plain"),
        (Sasl::ScramSha256, KafkaMechanism::ScramSha256, "scram-256"),
        (Sasl::ScramSha512, KafkaMechanism::ScramSha512, "scram-512"),
    ];
    let mut server = KafkaServer::builder();
    for (mechanism, ..) in mechanisms {
        server = server.sasl(mechanism, "node", "secret");
    }
    let server = server.start().unwrap();
    let with = |mechanism, password| KafkaOptions {
        login: Some(KafkaLogin {
            mechanism,
            user: "node".into(),
            password: Password::new(password),
        }),
        ..options(&[server.address()])
    };
    for (_, mechanism, name) in mechanisms {
        works(&with(mechanism, "secret"), name).await;
        let error = refused(&with(mechanism, "secret-but-wrong")).await;
        assert!(
            matches!(&error, BrokerError::Denied { why, .. } if why.contains("password")),
            "{error:?}"
        );
    }
    assert!(refused(&options(&[server.address()])).await.is_transient());
}

/// A user without any right is told which are missing.
#[tokio::test(flavor = "multi_thread")]
async fn rights() {
    let server = KafkaServer::builder()
        .sasl(Sasl::Plain, "node", "secret")
        .sasl(Sasl::Plain, "admin", "secret")
        .authorize(&["User:admin"])
        .start()
        .unwrap();
    let with = |user: &str| KafkaOptions {
        login: Some(KafkaLogin {
            mechanism: KafkaMechanism::Plain,
            user: user.into(),
            password: Password::new("secret"),
        }),
        ..options(&[server.address()])
    };
    works(&with("admin"), "good").await;
    for name in ["good", "fresh"] {
        let Err(error) = open(&with("node"), name).await else {
            panic!("it was let in")
        };
        assert!(
            matches!(&error, BrokerError::Denied { why, .. } if why.contains("grant")),
            "{error:?}"
        );
    }
}
