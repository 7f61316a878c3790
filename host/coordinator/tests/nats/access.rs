//! Who is let in, how the way there is secured, and which settings are refused.

use crate::common::{admin, api, eventually, open, options, put, space};
use bytes::Bytes;
use shardwright_coordinator::broker::{BrokerError, Password, Pem, Tls};
use shardwright_coordinator::nats::{NatsCoordinator, NatsLogin, NatsOptions};
use shardwright_coordinator::{Coordinator, Store, Verdict};
use shardwright_core::store::{Expected, StoreError};
use shardwright_servers::{Authority, Certificate, NatsServer};
use std::path::PathBuf;

/// Opens a namespace at `address` and stores something.
async fn try_open(options: NatsOptions) -> Result<(), BrokerError> {
    let handle = NatsCoordinator::open(options, space("access")).await?;
    handle.put("k", Bytes::from_static(b"v"), Expected::Any).await.unwrap();
    assert!(handle.get("k").await.unwrap().entry.is_some());
    Ok(())
}

fn with_login(server: &NatsServer, login: NatsLogin) -> NatsOptions {
    NatsOptions {
        login,
        ..options([server.url().as_str()])
    }
}

/// That `outcome` is a refusal that says `says` and none of `secrets`.
fn expect_denied(outcome: Result<(), BrokerError>, says: &str, secrets: &[&str]) {
    let error = outcome.expect_err(says);
    assert!(matches!(error, BrokerError::Denied { .. }), "{error:?}");
    expect_text(&error, says, secrets);
}

fn expect_text(error: &BrokerError, says: &str, secrets: &[&str]) {
    for text in [error.to_string(), format!("{error:?}")] {
        assert!(text.contains(says), "{text}");
        assert!(!secrets.iter().any(|secret| text.contains(secret)), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_needs_the_right_password() {
    let server = NatsServer::builder()
        .config("authorization { user: sven, password: geheim1 }")
        .start()
        .unwrap();
    let user = |password: &str| NatsLogin::User {
        user: "sven".into(),
        password: Password::new(password),
    };
    try_open(with_login(&server, user("geheim1"))).await.unwrap();
    expect_denied(
        try_open(with_login(&server, user("falsch2"))).await,
        "sven",
        &["falsch2", "geheim1"],
    );
    expect_denied(
        try_open(with_login(&server, NatsLogin::None)).await,
        "set user and password",
        &[],
    );
    let address = |password: &str| format!("nats://sven:{password}@127.0.0.1:{}", server.port());
    let in_address = options([address("geheim%31").as_str()]);
    assert!(!format!("{in_address:?}").contains("geheim"));
    let handle = NatsCoordinator::open(in_address, space("access")).await.unwrap();
    assert_eq!(handle.location(), format!("nats://127.0.0.1:{}", server.port()));
    expect_denied(
        try_open(options([address("falsch2").as_str()])).await,
        "sven",
        &["falsch2"],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_must_be_the_right_one() {
    let server = NatsServer::builder()
        .config("authorization { token: geheim1 }")
        .start()
        .unwrap();
    let token = |text: &str| with_login(&server, NatsLogin::Token(Password::new(text)));
    try_open(token("geheim1")).await.unwrap();
    expect_denied(try_open(token("falsch2")).await, "the token", &["falsch2"]);
    let address = format!("nats://geheim1@127.0.0.1:{}", server.port());
    try_open(options([address.as_str()])).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_nkey_must_be_known_to_the_server() {
    let (known, other) = (nkeys::KeyPair::new_user(), nkeys::KeyPair::new_user());
    let users = format!("authorization {{ users: [ {{ nkey: {} }} ] }}", known.public_key());
    let server = NatsServer::builder().config(&users).start().unwrap();
    let nkey = |pair: &nkeys::KeyPair| with_login(&server, NatsLogin::Nkey(Password::new(pair.seed().unwrap())));
    try_open(nkey(&known)).await.unwrap();
    let seed = other.seed().unwrap();
    expect_denied(try_open(nkey(&other)).await, "the nkey", &[seed.as_str()]);
    let broken = try_open(with_login(&server, NatsLogin::Nkey(Password::new("SUxyz"))))
        .await
        .unwrap_err();
    assert!(matches!(broken, BrokerError::Invalid(_)), "{broken:?}");
    expect_text(&broken, "nkey", &["SUxyz"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_are_a_jwt_and_a_seed() {
    let (operator, account) = (nkeys::KeyPair::new_operator(), nkeys::KeyPair::new_account());
    let limits = r#""subs":-1,"data":-1,"payload":-1"#;
    let operator_jwt = jwt(&operator, &operator.public_key(), r#"{"type":"operator","version":2}"#);
    let storage = r#""disk_storage":-1,"mem_storage":-1,"streams":-1,"consumer":-1"#;
    let account_jwt = |account: &nkeys::KeyPair, storage: &str| {
        let rest = r#""imports":-1,"exports":-1,"wildcards":true,"conn":-1,"leaf":-1"#;
        let claims = format!(r#"{{"type":"account","version":2,"limits":{{{limits},{rest}{storage}}}}}"#);
        format!(
            "{}: {}",
            account.public_key(),
            jwt(&operator, &account.public_key(), &claims)
        )
    };
    let system = nkeys::KeyPair::new_account();
    let configuration = format!(
        "operator: {operator_jwt}\nsystem_account: {}\nresolver: MEMORY\nresolver_preload: {{ {}\n{} }}\n",
        system.public_key(),
        account_jwt(&account, &format!(",{storage}")),
        account_jwt(&system, ""),
    );
    let server = NatsServer::builder().config(&configuration).start().unwrap();
    let credentials = |issuer: &nkeys::KeyPair| {
        let user = nkeys::KeyPair::new_user();
        let user_jwt = jwt(
            issuer,
            &user.public_key(),
            &format!(r#"{{"type":"user","version":2,{limits}}}"#),
        );
        let seed = user.seed().unwrap();
        let (open, close) = ("-----BEGIN", "-----END");
        let text = format!(
            "{open} NATS USER JWT-----\n{user_jwt}\n{close} NATS USER JWT-----\n\n{open} USER NKEY \
             SEED-----\n{seed}\n{close} USER NKEY SEED-----\n"
        );
        (with_login(&server, NatsLogin::Credentials(Password::new(text))), seed)
    };
    try_open(credentials(&account).0).await.unwrap();
    let (stranger, seed) = credentials(&nkeys::KeyPair::new_account());
    expect_denied(try_open(stranger).await, "the credentials", &[seed.as_str()]);
    let broken = try_open(with_login(&server, NatsLogin::Credentials(Password::new("no seed"))))
        .await
        .unwrap_err();
    assert!(matches!(broken, BrokerError::Invalid(_)), "{broken:?}");
    expect_text(&broken, "credentials", &["no seed"]);
}

/// A token about `subject` that `issuer` signed.
fn jwt(issuer: &nkeys::KeyPair, subject: &str, claims: &str) -> String {
    use data_encoding::BASE64URL_NOPAD as encoding;
    let head = encoding.encode(br#"{"typ":"JWT","alg":"ed25519-nkey"}"#);
    let body = format!(
        r#"{{"jti":"1","iat":1700000000,"iss":"{}","name":"test","sub":"{subject}","nats":{claims}}}"#,
        issuer.public_key()
    );
    let signed = format!("{head}.{}", encoding.encode(body.as_bytes()));
    let signature = encoding.encode(&issuer.sign(signed.as_bytes()).unwrap());
    format!("{signed}.{signature}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_permissions_are_named() {
    let users = r#"authorization { users: [
        { user: all, password: p, permissions: {
            publish: ["shardwright.>", "$JS.API.>", "$SYS.REQ.ACCOUNT.PING.CONNZ", "$JS.FC.>"],
            subscribe: ["shardwright.>", "_INBOX.>"]
        } }
        { user: deaf, password: p, permissions: { publish: ">", subscribe: "_INBOX.>" } }
        { user: mute, password: p, permissions: { publish: { deny: "shardwright.access.bus.>" }, subscribe: ">" } }
        { user: reader, password: p, permissions: { publish: { deny: "shardwright.access.store.>" }, subscribe: ">" } }
        { user: stranger, password: p, permissions: { publish: { deny: "$JS.API.>" }, subscribe: ">" } }
        { user: keyless, password: p, permissions: {
            publish: { deny: "shardwright.access.store.*.k.secret" }, subscribe: ">"
        } }
    ] }"#;
    let server = NatsServer::builder().config(users).start().unwrap();
    let user = |name: &str| {
        let password = Password::new("p");
        with_login(
            &server,
            NatsLogin::User {
                user: name.into(),
                password,
            },
        )
    };
    try_open(user("all")).await.unwrap();
    for (name, subject) in [
        ("deaf", "shardwright.access.bus.*"),
        ("mute", "shardwright.access.bus.~"),
        ("reader", "shardwright.access.store."),
        ("stranger", "$JS.API.STREAM.INFO"),
    ] {
        expect_denied(try_open(user(name)).await, subject, &[]);
    }
    let handle = open(user("keyless"), space("access")).await.unwrap();
    let outcome = handle.put("secret", Bytes::new(), Expected::Any).await;
    assert!(
        matches!(&outcome, Err(StoreError::Denied(why)) if why.contains("secret")),
        "{outcome:?}"
    );
    put(&*handle, "k", "still works").await;
}

fn tls(authority: Option<&Authority>, identity: Option<&Certificate>, name: Option<&str>) -> Tls {
    let file = |path: &PathBuf| Pem::File(path.clone());
    Tls {
        ca: authority.map(|authority| file(&authority.ca())),
        identity: identity.map(|own| (file(&own.certificate), file(&own.key))),
        server_name: name.map(str::to_owned),
    }
}

/// That `outcome` is trouble with TLS that says `says`.
fn expect_tls(outcome: Result<(), BrokerError>, says: &str) {
    let error = outcome.expect_err(says);
    assert!(matches!(error, BrokerError::Tls { .. }), "{error:?}");
    expect_text(&error, says, &["PRIVATE KEY"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_says_which_part_does_not_fit() {
    let (authority, other) = (Authority::new().unwrap(), Authority::new().unwrap());
    let server = NatsServer::builder().tls(&authority, true).start().unwrap();
    let (own, foreign) = (authority.client("node").unwrap(), other.client("node").unwrap());
    let with = |tls| NatsOptions {
        tls: Some(tls),
        ..options([server.url().as_str()])
    };
    try_open(with(tls(Some(&authority), Some(&own), None))).await.unwrap();
    try_open(with(tls(Some(&authority), Some(&own), Some("localhost"))))
        .await
        .unwrap();
    expect_tls(try_open(with(tls(Some(&other), Some(&own), None))).await, "set tls.ca");
    expect_tls(try_open(with(tls(None, Some(&own), None))).await, "set tls.ca");
    expect_tls(
        try_open(with(tls(Some(&authority), Some(&own), Some("elsewhere.example")))).await,
        "set tls.server-name",
    );
    expect_tls(
        try_open(with(tls(Some(&authority), None, None))).await,
        "set tls.certificate",
    );
    expect_tls(
        try_open(with(tls(Some(&authority), Some(&foreign), None))).await,
        "tls.certificate",
    );
    // As the text itself instead of a file; and without saying that TLS is wanted, since the server does.
    let mut text = tls(None, Some(&own), None);
    text.ca = Some(Pem::parse(&std::fs::read_to_string(authority.ca()).unwrap()));
    let plain = server.url().replace("tls://", "nats://");
    let settings = NatsOptions {
        tls: Some(text),
        ..options([plain.as_str()])
    };
    try_open(settings).await.unwrap();
    let none = tls(Some(&authority), None, None);
    let missing = Tls {
        ca: Some(Pem::File("/nowhere/ca.pem".into())),
        ..none
    };
    let error = try_open(with(missing)).await.unwrap_err();
    assert!(
        matches!(&error, BrokerError::Invalid(why) if why.contains("tls.ca") && why.contains("/nowhere")),
        "{error:?}"
    );
}

/// The usual self-signed certificate, given as `tls.ca`: this very one is accepted, and nothing else by it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_is_its_own_authority_is_pinned() {
    let (own, other) = (
        Authority::alone(&["127.0.0.1"]).unwrap(),
        Authority::alone(&["127.0.0.1"]).unwrap(),
    );
    let server = NatsServer::builder().tls(&own, false).start().unwrap();
    let with = |tls| NatsOptions {
        tls: Some(tls),
        ..options([server.url().as_str()])
    };
    try_open(with(tls(Some(&own), None, None))).await.unwrap();
    expect_tls(
        try_open(with(tls(Some(&other), None, None))).await,
        "put this very certificate into tls.ca",
    );
    expect_tls(
        try_open(with(tls(Some(&own), None, Some("localhost")))).await,
        "set tls.server-name",
    );
    let over = Authority::alone_and_expired(&["127.0.0.1"]).unwrap();
    let server = NatsServer::builder().tls(&over, false).start().unwrap();
    let settings = NatsOptions {
        tls: Some(tls(Some(&over), None, None)),
        ..options([server.url().as_str()])
    };
    expect_tls(try_open(settings).await, "has expired");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_tls_is_told_from_one_with() {
    let authority = Authority::new().unwrap();
    let server = NatsServer::start().unwrap();
    let settings = NatsOptions {
        tls: Some(tls(Some(&authority), None, None)),
        ..options([server.url().as_str()])
    };
    expect_tls(try_open(settings).await, "does not speak TLS");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unsafe_servers_are_refused() {
    let off = NatsServer::builder().without_jetstream().start().unwrap();
    let small = NatsServer::builder().config("max_payload: 64KB").start().unwrap();
    let alone = NatsServer::start().unwrap();
    let three = NatsOptions {
        replicas: 3,
        ..options([alone.url().as_str()])
    };
    for (settings, says) in [
        (options([off.url().as_str()]), "JetStream is off"),
        (options([small.url().as_str()]), "max_payload"),
        (three, "replicas = 3"),
    ] {
        let error = try_open(settings).await.expect_err(says);
        assert!(matches!(error, BrokerError::Unsafe { .. }), "{error:?}");
        expect_text(&error, says, &[]);
    }
    let gone = alone.url();
    drop(alone);
    let error = try_open(options([gone.as_str()])).await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_with_other_settings_is_refused_until_it_is_set_back() {
    let server = NatsServer::start().unwrap();
    let settings = || options([server.url().as_str()]);
    let handle = open(settings(), space("edited")).await.unwrap();
    put(&*handle, "k", "kept").await;
    let admin = admin(&server.url()).await;
    let good = crate::common::info(&server.url(), "edited").await["config"].clone();
    for (field, value) in [
        ("max_age", serde_json::json!(3_600_000_000_000_u64)),
        ("allow_direct", serde_json::json!(true)),
        ("discard", serde_json::json!("old")),
        ("max_bytes", serde_json::json!(100_000_000)),
        ("subjects", serde_json::json!(["other.>"])),
    ] {
        let mut edited = good.clone();
        edited[field] = value;
        api(&admin, "STREAM.UPDATE.SHARDWRIGHT_edited", &edited.to_string()).await;
        let error = NatsCoordinator::open(settings(), space("edited")).await.err().unwrap();
        assert!(matches!(error, BrokerError::Unsafe { .. }), "{error:?}");
        let named = if field == "subjects" { "other.>" } else { field };
        assert!(
            error.to_string().contains(named) && error.to_string().contains("nats stream edit"),
            "{error}"
        );
        if field == "max_age" {
            let findings = handle.examine().await;
            assert!(
                findings
                    .iter()
                    .any(|found| found.verdict == Verdict::Bad && found.detail.contains("max_age")),
                "{findings:?}"
            );
        }
        api(&admin, "STREAM.UPDATE.SHARDWRIGHT_edited", &good.to_string()).await;
    }
    let again = open(settings(), space("edited")).await.unwrap();
    assert_eq!(again.get("k").await.unwrap().entry.unwrap().value, "kept");
    assert_eq!(eventually(|| handle.get("k")).await.entry.unwrap().value, "kept");
    // Nobody empties it by accident.
    let purge = admin
        .request("$JS.API.STREAM.PURGE.SHARDWRIGHT_edited", Bytes::new())
        .await
        .unwrap();
    assert!(String::from_utf8_lossy(&purge.payload).contains("error"), "{purge:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_examination_tells_what_is_there() {
    let server = NatsServer::start().unwrap();
    let handle = open(options([server.url().as_str()]), space("examined")).await.unwrap();
    let mut others = handle.subscribe(&[]).await.unwrap();
    let findings = handle.examine().await;
    let names: Vec<_> = findings.iter().map(|found| &*found.name).collect();
    let expected = [
        "version",
        "settings",
        "compare-and-set",
        "persistence",
        "clock",
        "store round trip",
        "bus round trip",
    ];
    assert_eq!(names, expected, "{findings:?}");
    assert!(
        findings
            .iter()
            .all(|found| found.verdict == Verdict::Good && found.remedy.is_none()),
        "{findings:?}"
    );
    handle.publish("t", Bytes::from_static(b"x")).await.unwrap();
    let heard = others.next(10).await.unwrap();
    assert_eq!(heard.len(), 1, "subscribers saw the examination: {heard:?}");
}
