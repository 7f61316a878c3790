//! Who may do what, and over which connection.

use super::{VALUE, at, etcd, eventually, fresh, open, options, refused};
use crate::common;
use shardwright_components::adapter::AdapterOptions;
use shardwright_coordinator::broker::{BrokerError, Pem, Tls};
use shardwright_coordinator::{Bus, BusError, Coordinator, Namespace, Store, Verdict};
use shardwright_core::store::{Expected, Revision, StoreError};
use shardwright_servers::{Authority, Certificate, EtcdServer};
use std::time::Duration;

/// Long enough to be masked, and to be searched for.
const SECRET: &str = "correct-horse";

fn login(server: &EtcdServer, user: &str, password: &str) -> AdapterOptions {
    options(&[server.url()], &format!(r#","user":{user:?},"password":{password:?}"#))
}

/// A denial that names these parts, and not the password.
#[track_caller]
fn denied(error: &BrokerError, parts: &[&str]) {
    assert!(matches!(error, BrokerError::Denied { .. }), "{error:?}");
    let text = error.to_string();
    for part in parts {
        assert!(text.contains(part), "{text} does not name {part}");
    }
    assert!(!text.contains(SECRET), "{text}");
}

/// As root, over the JSON API.
fn administer(server: &EtcdServer, method: &str, body: &str) {
    let token = server.call("auth/authenticate", None, r#"{"name":"root","password":"root"}"#);
    let token = token.expect("root is known");
    let token = token
        .split("\"token\":\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next());
    server
        .call(method, token, body)
        .unwrap_or_else(|error| panic!("{method}: {error:#}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_is_told_what_is_missing() {
    let server = EtcdServer::builder().user("node", SECRET).start().expect("a server");
    denied(
        &refused(login(&server, "node", "wrong-password")).await,
        &["`user` and `password`"],
    );
    denied(
        &refused(login(&server, "nobody", SECRET)).await,
        &["`user` and `password`"],
    );
    denied(
        &refused(options(&[server.url()], "")).await,
        &["set `user` and `password`"],
    );

    // The documented permission is enough, and no other.
    administer(
        &server,
        "auth/user/add",
        &format!(r#"{{"name":"less","password":{SECRET:?}}}"#),
    );
    administer(&server, "auth/role/add", r#"{"name":"mail"}"#);
    // "shardwright/mail/" up to "shardwright/mail0".
    let keys = r#"{"permType":"READWRITE","key":"c2hhcmR3cmlnaHQvbWFpbC8=","range_end":"c2hhcmR3cmlnaHQvbWFpbDA="}"#;
    administer(
        &server,
        "auth/role/grant",
        &format!(r#"{{"name":"mail","perm":{keys}}}"#),
    );
    administer(&server, "auth/user/grant", r#"{"user":"less","role":"mail"}"#);
    let less = login(&server, "less", SECRET);
    let other = super::AdapterCoordinator::open(etcd().await, less.clone(), fresh()).await;
    denied(
        &other.expect_err("it may not"),
        &["readwrite on the prefix shardwright/t-"],
    );
    let handle = open(&less, &Namespace::new("mail").expect("a namespace")).await;
    let mut subscription = handle.subscribe(&["t"]).await.expect("subscribed");
    let written = handle.put("k", VALUE, Expected::Absent).await.expect("written");
    handle.publish("t", VALUE).await.expect("published");
    subscription.next(1).await.expect("received");
    handle
        .delete("k", Expected::Revision(written.revision))
        .await
        .expect("deleted");
    handle.list("", Revision(0)).await.expect("listed");

    // Taken away, and given back.
    administer(&server, "auth/user/revoke", r#"{"name":"less","role":"mail"}"#);
    for error in [
        handle.put("k", VALUE, Expected::Any).await.err(),
        handle.get("k").await.err(),
    ] {
        assert!(
            matches!(&error, Some(StoreError::Denied(why)) if why.contains("shardwright/mail/")),
            "{error:?}"
        );
    }
    let unheard = handle.publish("t", VALUE).await;
    assert!(matches!(unheard, Err(BusError::Denied(_))), "{unheard:?}");
    administer(&server, "auth/user/grant", r#"{"user":"less","role":"mail"}"#);
    handle.put("k", VALUE, Expected::Absent).await.expect("given back");
    Coordinator::erase(&handle).await.expect("erased");
}

/// A token lives for a second here, and is renewed in the middle of a call.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_expired_is_renewed() {
    let server = EtcdServer::builder()
        .user("node", SECRET)
        .flag("auth-token-ttl", "1")
        .start();
    let server = server.expect("a server");
    let one_lane = AdapterOptions {
        lanes: 1,
        ..login(&server, "node", SECRET)
    };
    let handle = open(&one_lane, &fresh()).await;
    let mut revision = handle
        .put("k", VALUE, Expected::Absent)
        .await
        .expect("written")
        .revision;
    let opened = handle.status().totals.lanes_opened;
    // What is waited for is an event at the server: it forgets tokens that are older than a second, at its own pace.
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_millis(2500)).await;
        revision = handle
            .put("k", VALUE, Expected::Revision(revision))
            .await
            .expect("written")
            .revision;
    }
    assert_eq!(handle.status().totals.lanes_opened, opened, "by the same lane");
}

/// Users are switched on under a lane that has none, and under one that has.
#[tokio::test(flavor = "multi_thread")]
async fn users_that_are_switched_on_later_are_asked_for() {
    let server = EtcdServer::start().expect("a server");
    let (with, without) = (login(&server, "root", SECRET), options(&[server.url()], ""));
    let (with, without) = (open(&with, &fresh()).await, open(&without, &fresh()).await);
    with.put("k", VALUE, Expected::Absent)
        .await
        .expect("nobody is asked yet");
    server
        .call(
            "auth/user/add",
            None,
            &format!(r#"{{"name":"root","password":{SECRET:?}}}"#),
        )
        .expect("added");
    server.call("auth/role/add", None, r#"{"name":"root"}"#).expect("added");
    server
        .call("auth/user/grant", None, r#"{"user":"root","role":"root"}"#)
        .expect("granted");
    server.call("auth/enable", None, "{}").expect("switched on");
    with.put("k", VALUE, Expected::Any).await.expect("it logged in");
    let refused = without.put("k", VALUE, Expected::Any).await;
    assert!(
        matches!(&refused, Err(StoreError::Denied(why)) if why.contains("`password`")),
        "{refused:?}"
    );
}

fn secured(host: &str, port: u16, authority: &Authority, identity: Option<&Certificate>) -> AdapterOptions {
    AdapterOptions {
        tls: Some(Tls {
            ca: Some(Pem::File(authority.ca())),
            identity: identity.map(|own| (Pem::File(own.certificate.clone()), Pem::File(own.key.clone()))),
            server_name: None,
        }),
        ..options(&[format!("https://{host}:{port}")], "")
    }
}

/// A refusal of TLS, or what else it is.
#[track_caller]
fn insecure(error: &BrokerError, part: &str) {
    assert!(matches!(error, BrokerError::Tls { .. }), "{error:?}");
    assert!(error.to_string().contains(part), "{error} does not name {part}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_says_which_of_the_three_does_not_fit() {
    let (authority, stranger) = (Authority::new().expect("one"), Authority::new().expect("another"));
    let server = EtcdServer::builder().tls(&authority, true).start().expect("a server");
    let port = server.port();
    let (own, foreign) = (
        authority.client("node").expect("ours"),
        stranger.client("node").expect("theirs"),
    );
    insecure(
        &refused(secured("localhost", port, &stranger, Some(&own))).await,
        "tls.ca",
    );
    insecure(
        &refused(secured("localhost", port, &authority, None)).await,
        "client certificate",
    );
    insecure(
        &refused(secured("localhost", port, &authority, Some(&foreign))).await,
        "client certificate",
    );
    let mut named = secured("127.0.0.1", port, &authority, Some(&own));
    named.tls = named.tls.map(|tls| Tls {
        server_name: Some("elsewhere.example".into()),
        ..tls
    });
    insecure(&refused(named).await, "elsewhere.example");
    let handle = open(&secured("localhost", port, &authority, Some(&own)), &fresh()).await;
    handle.put("k", VALUE, Expected::Absent).await.expect("written");

    // etcd's gateway takes no certificate that names somebody, if there are users.
    let server = EtcdServer::builder()
        .tls(&authority, true)
        .user("node", SECRET)
        .start()
        .expect("a server");
    denied(
        &refused(secured("localhost", server.port(), &authority, Some(&own))).await,
        &["must have no common name"],
    );
    let plain = refused(at(port)).await;
    assert!(
        matches!(plain, BrokerError::Unreachable { .. } | BrokerError::Invalid(_)),
        "{plain:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_granted_or_no_etcd_is_named() {
    let server = EtcdServer::start().expect("a server");
    let ungranted = AdapterOptions {
        grants: common::options("{}", &[]).grants,
        ..at(server.port())
    };
    denied(&refused(ungranted).await, &["allow", &server.url()]);
    let error = refused(options(&[server.url()], r#","passwort":"hidden""#)).await;
    assert!(
        matches!(&error, BrokerError::Invalid(why) if why.contains("`passwort`") && !why.contains("hidden")),
        "{error:?}"
    );
    let nobody = refused(at(1)).await;
    assert!(matches!(nobody, BrokerError::Unreachable { .. }), "{nobody:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_is_told_how_it_is() {
    let server = EtcdServer::old().expect("a server");
    let handle = open(&at(server.port()), &fresh()).await;
    let findings = handle.examine().await;
    let verdict = |name: &str| {
        let found = findings.iter().find(|finding| finding.name == name);
        found
            .unwrap_or_else(|| panic!("nothing about {name} in {findings:#?}"))
            .verdict
    };
    for (name, expected) in [
        ("version", Verdict::Good),
        ("members", Verdict::Warning),
        ("users", Verdict::Warning),
        ("clock", Verdict::Good),
        ("space", Verdict::Good),
        ("alarms", Verdict::Good),
        ("compaction", Verdict::Good),
        ("store", Verdict::Good),
    ] {
        assert_eq!(verdict(name), expected, "{name}: {findings:#?}");
    }
    server
        .call("maintenance/alarm", None, r#"{"action":"ACTIVATE","alarm":"NOSPACE"}"#)
        .expect("raised");
    let alarm = eventually("the alarm", async || {
        let findings = handle.examine().await;
        findings
            .into_iter()
            .find(|finding| finding.name == "alarms" && finding.verdict == Verdict::Bad)
    })
    .await;
    assert!(alarm.detail.contains("NOSPACE"), "{alarm:?}");
}
