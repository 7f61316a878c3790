//! Passwords, permissions and TLS: each refusal says which of them it is, and none repeats a secret.

use crate::common::{at, eventually, fresh, open, refused, secured, single, within};
use crate::revoked::COMMANDS;
use bytes::Bytes;
use shardwright_coordinator::broker::{BrokerError, Password, Pem, Tls};
use shardwright_coordinator::redis::{RedisCoordinator, RedisOptions};
use shardwright_coordinator::{Bus, BusError, Coordinator, Namespace, Store};
use shardwright_core::store::{Expected, StoreError};
use shardwright_servers::{Authority, RedisServer};
use std::path::Path;
use std::time::Duration;

const SECRET: &str = "s3cret-of-the-test";
/// A server with a user `node` that may do `what`.
fn server(what: &str) -> RedisServer {
    let user = format!("user node on >{SECRET} {what}");
    RedisServer::builder().line(&user).start().unwrap()
}

/// As that user.
fn node(server: &RedisServer) -> RedisOptions {
    single(&format!("redis://node:{SECRET}@127.0.0.1:{}", server.port()))
}

/// A refusal of the user or its permissions, without secrets.
#[track_caller]
fn denied(error: &BrokerError, parts: &[&str]) {
    let text = format!("{error} {error:?}");
    assert!(matches!(error, BrokerError::Denied { .. }), "{text}");
    assert!(
        parts.iter().all(|part| text.contains(part)),
        "{text} does not name {parts:?}"
    );
    assert!(!text.contains(SECRET), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_or_user_is_named() {
    let server = server(&format!("~* &* {COMMANDS}"));
    denied(
        &refused(single(&format!(
            "redis://node:wrong-{SECRET}@127.0.0.1:{}",
            server.port()
        )))
        .await,
        &["password", "node"],
    );
    denied(
        &refused(single(&format!("redis://nobody:{SECRET}@127.0.0.1:{}", server.port()))).await,
        &["password", "nobody"],
    );
    let options = RedisOptions {
        user: Some("node".into()),
        password: Some(Password::new(SECRET)),
        ..at(server.port())
    };
    assert!(!format!("{options:?}").contains(SECRET));
    let handle = open(&options, &fresh()).await;
    handle.put("k", Bytes::new(), Expected::Absent).await.unwrap();

    let closed = RedisServer::builder().set("requirepass", SECRET).start().unwrap();
    denied(&refused(at(closed.port())).await, &["none is set"]);
    open(
        &single(&format!("redis://:{SECRET}@127.0.0.1:{}", closed.port())),
        &fresh(),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_permissions_are_enough() {
    let server = server(&format!("~shardwright:* &shardwright:* {COMMANDS}"));
    let handle = open(&node(&server), &fresh()).await;
    let mut subscription = handle.subscribe(&["t"]).await.unwrap();
    let written = handle.put("k", Bytes::new(), Expected::Absent).await.unwrap();
    handle.publish("t", Bytes::new()).await.unwrap();
    subscription.next(1).await.unwrap();
    handle.delete("k", Expected::Revision(written.revision)).await.unwrap();
    handle.list("", written.revision).await.unwrap();
    shardwright_coordinator::Coordinator::erase(&handle).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_permission_is_named() {
    let lacking = |command: &str| COMMANDS.replace(&format!("+{command} "), "");
    for command in ["hset", "zadd", "zrem", "hdel", "zscore", "time"] {
        let server = server(&format!("~* &* {}", lacking(command)));
        denied(
            &refused(node(&server)).await,
            &[&command.to_uppercase(), "docs/redis.md"],
        );
    }
    let server = server(&format!("~other:* &* {COMMANDS}"));
    denied(&refused(node(&server)).await, &["~shardwright:{"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permission_that_is_taken_away_is_named_and_can_be_given_back() {
    let server = server(&format!("~* &other {COMMANDS}"));
    let handle = open(&node(&server), &Namespace::new("prod").unwrap()).await;
    for error in [
        handle.publish("t", Bytes::new()).await.err(),
        handle.subscribe(&["t"]).await.err(),
    ] {
        let Some(BusError::Denied(why)) = error else {
            panic!("{error:?}")
        };
        assert!(
            why.contains("&shardwright:{prod}:bus") && !why.contains(SECRET),
            "{why}"
        );
    }
    server.cli(&["acl", "setuser", "node", "-hset"]).unwrap();
    let refused = handle.put("k", Bytes::new(), Expected::Any).await;
    assert!(
        matches!(&refused, Err(StoreError::Denied(why)) if why.contains("HSET")),
        "{refused:?}"
    );
    server.cli(&["acl", "setuser", "node", "+hset", "allchannels"]).unwrap();
    handle.put("k", Bytes::new(), Expected::Absent).await.unwrap();
    handle.subscribe(&["t"]).await.unwrap();
}

/// A refusal of TLS, or what else it is.
#[track_caller]
fn insecure(error: &BrokerError, part: &str) {
    assert!(matches!(error, BrokerError::Tls { .. }), "{error:?}");
    assert!(error.to_string().contains(part), "{error} does not name {part}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_says_which_of_the_three_does_not_fit() {
    let (authority, stranger) = (Authority::new().unwrap(), Authority::new().unwrap());
    let server = RedisServer::builder().tls(&authority, true).start().unwrap();
    let port = server.port();
    let (own, foreign) = (authority.client("node").unwrap(), stranger.client("node").unwrap());

    insecure(
        &refused(secured("localhost", port, &stranger, Some(&own))).await,
        "tls.ca",
    );
    insecure(
        &refused(secured("localhost", port, &authority, None)).await,
        "asks for a client certificate",
    );
    insecure(
        &refused(secured("localhost", port, &authority, Some(&foreign))).await,
        "does not accept our client certificate",
    );
    let named = |name: &str| {
        let mut options = secured("127.0.0.1", port, &authority, Some(&own));
        options.tls = options.tls.map(|tls| Tls {
            server_name: Some(name.into()),
            ..tls
        });
        options
    };
    insecure(&refused(named("elsewhere.example")).await, "elsewhere.example");
    open(&named("localhost"), &fresh()).await;
    let handle = open(&secured("localhost", port, &authority, Some(&own)), &fresh()).await;
    handle.put("k", Bytes::new(), Expected::Absent).await.unwrap();

    let half = RedisCoordinator::open(at(port), fresh()).await.err().unwrap();
    assert!(
        matches!(half, BrokerError::Unreachable { .. }),
        "TLS at the server only: {half:?}"
    );
    let plain = RedisServer::start().unwrap();
    // It waits for the end of a line that never comes.
    let mute = refused(within(
        Duration::from_secs(2),
        secured("localhost", plain.port(), &authority, None),
    ))
    .await;
    assert!(
        mute.is_transient() && mute.to_string().contains("does it speak TLS"),
        "{mute:?}"
    );
}

/// What trusts the certificates in `file`.
fn trusting(file: &Path, host: &str, port: u16) -> RedisOptions {
    RedisOptions {
        tls: Some(Tls {
            ca: Some(Pem::File(file.to_owned())),
            ..Tls::default()
        }),
        ..single(&format!("rediss://{host}:{port}"))
    }
}

/// The usual self-signed certificate, given as `tls.ca`: this very one is accepted, and nothing else by it.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_its_own_authority_is_pinned() {
    let own = Authority::alone(&["localhost"]).unwrap();
    let server = RedisServer::builder().tls(&own, false).start().unwrap();
    let port = server.port();
    let handle = open(&trusting(&own.ca(), "localhost", port), &fresh()).await;
    handle.put("k", Bytes::new(), Expected::Absent).await.unwrap();
    insecure(&refused(trusting(&own.ca(), "127.0.0.1", port)).await, "127.0.0.1");

    let other = Authority::alone(&["localhost"]).unwrap();
    insecure(
        &refused(trusting(&other.ca(), "localhost", port)).await,
        "put this very certificate into tls.ca",
    );
    let authority = Authority::new().unwrap();
    insecure(&refused(trusting(&authority.ca(), "localhost", port)).await, "CA:FALSE");

    let over = Authority::alone_and_expired(&["localhost"]).unwrap();
    let server = RedisServer::builder().tls(&over, false).start().unwrap();
    insecure(
        &refused(trusting(&over.ca(), "localhost", server.port())).await,
        "expired",
    );

    // One that an authority gave out can be pinned without trusting the authority.
    let given = authority.server(&["localhost"]).unwrap();
    let server = RedisServer::builder()
        .tls(&authority, false)
        .line(&format!("tls-cert-file {}", given.certificate.display()))
        .line(&format!("tls-key-file {}", given.key.display()))
        .start()
        .unwrap();
    open(&trusting(&given.certificate, "localhost", server.port()), &fresh()).await;
    let others = authority.server(&["localhost"]).unwrap();
    insecure(
        &refused(trusting(&others.certificate, "localhost", server.port())).await,
        "tls.ca",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_reached_through_its_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("redis.sock");
    let server = RedisServer::builder()
        .set("unixsocket", &path.display().to_string())
        .line(&format!("user node on >{SECRET} ~* &* +select {COMMANDS}"))
        .start()
        .unwrap();
    let namespace = fresh();
    let plain = open(&single(&format!("unix://{}", path.display())), &namespace).await;
    assert_eq!(plain.location(), format!("unix://{}", path.display()));
    let mut subscription = plain.subscribe(&["t"]).await.unwrap();
    plain
        .put("k", Bytes::from_static(b"over the socket"), Expected::Absent)
        .await
        .unwrap();
    // The same place by TCP; the tests of other topics do the rest.
    let far = open(&at(server.port()), &namespace).await;
    assert_eq!(
        &far.get("k").await.unwrap().entry.unwrap().value[..],
        b"over the socket"
    );
    far.publish("t", Bytes::from_static(b"by TCP")).await.unwrap();
    subscription.next(1).await.unwrap();

    let url = format!("redis+unix://{}?db=3&user=node&pass={SECRET}", path.display());
    let third = open(&single(&url), &namespace).await;
    assert!(third.get("k").await.unwrap().entry.is_none(), "another database");
    assert!(third.location().ends_with("redis.sock?db=3"), "{}", third.location());
    let wrong = refused(single(&url.replace(SECRET, "wrong"))).await;
    denied(&wrong, &["password", "node", "redis.sock"]);

    let nowhere = refused(single(&format!("unix://{}x", path.display()))).await;
    assert!(
        nowhere.is_transient() && nowhere.to_string().contains("unixsocket"),
        "{nowhere}"
    );
    // It comes and goes like any other server.
    server.kill().unwrap();
    let down = plain.get("k").await;
    assert!(matches!(down, Err(StoreError::Unavailable(_))), "{down:?}");
    server.start_again().unwrap();
    eventually("the store", async || plain.get("k").await.ok()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_was_renamed_away_is_named() {
    let without = |command: &str| {
        let builder = RedisServer::builder().line(&format!("rename-command {command} \"\""));
        builder.set("requirepass", SECRET).start().unwrap()
    };
    let with_password = |server: &RedisServer| single(&format!("redis://:{SECRET}@127.0.0.1:{}", server.port()));
    let server = without("HELLO");
    let told = refused(with_password(&server)).await;
    let text = format!("{told} {told:?}");
    assert!(matches!(told, BrokerError::Unsafe { .. }), "{text}");
    assert!(text.contains("HELLO") && text.contains("rename-command"), "{text}");
    assert!(!text.contains(SECRET), "{text}");

    let server = without("WAIT");
    open(&with_password(&server), &fresh()).await;
    let waits = RedisOptions {
        min_replicas: 1,
        ..with_password(&server)
    };
    let told = refused(waits).await;
    assert!(
        matches!(&told, BrokerError::Unsafe { why, .. } if why.contains("min-replicas")),
        "{told}"
    );
    let server = without("CONFIG");
    open(&with_password(&server), &fresh()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_make_no_sense_are_refused() {
    let authority = Authority::new().unwrap();
    let mut swapped = secured("localhost", 1, &authority, Some(&authority.client("node").unwrap()));
    if let Some((certificate, key)) = swapped.tls.as_mut().and_then(|tls| tls.identity.as_mut()) {
        std::mem::swap(certificate, key);
    }
    let nowhere = RedisOptions {
        urls: Vec::new(),
        ..at(1)
    };
    for options in [swapped, nowhere, single("redis://"), single("http://localhost")] {
        let error = refused(options).await;
        assert!(matches!(error, BrokerError::Invalid(_)), "{error:?}");
    }
    let server = RedisServer::start().unwrap();
    let error = refused(single(&format!("redis://127.0.0.1:{}/99", server.port()))).await;
    assert!(
        matches!(&error, BrokerError::Invalid(why) if why.contains("database 99")),
        "{error:?}"
    );
    let error = refused(at(1)).await;
    assert!(matches!(error, BrokerError::Unreachable { .. }), "{error:?}");
}
