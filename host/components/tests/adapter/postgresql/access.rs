//! Who is let in, where, and what is said otherwise.

use super::{adapter, at, eventually, fresh, local, open, refused, server, settings};
use bytes::Bytes;
use shardwright_components::adapter::{AdapterCoordinator, AdapterOptions, Grants};
use shardwright_coordinator::broker::{BrokerError, Password, Pem, Tls};
use shardwright_coordinator::finding::Verdict;
use shardwright_coordinator::{Coordinator, Store};
use shardwright_core::store::{Expected, StoreError};
use shardwright_servers::{Authority, PgBouncer, PostgresPair, PostgresServer};

/// The options for `server`, with `what` in the configuration instead of what is there.
fn with(server: &PostgresServer, from: &str, what: &str) -> AdapterOptions {
    let options = local(server.port());
    let config = options.config.expose().replace(from, what);
    AdapterOptions {
        config: Password::new(config.as_str()),
        ..options
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_come_in_is_told_why() {
    let server = server();
    for (from, what, says) in [
        (
            "\"secret\"",
            "\"other\"",
            "password authentication failed for user \"node\"",
        ),
        (", \"password\": \"secret\"", "", "set `password`"),
        ("\"node\"", "\"nobody\"", "\"nobody\""),
        ("\"shardwright\"", "\"nothing\"", "create the database"),
    ] {
        let denied = refused(with(&server, from, what)).await;
        assert!(
            matches!(&denied, BrokerError::Denied { why, .. } if why.contains(says) && !why.contains("secret")),
            "{denied:?}"
        );
    }
    let denied = refused(AdapterOptions {
        grants: Grants::default(),
        ..local(server.port())
    })
    .await;
    let grant = format!("\"tcp://127.0.0.1:{}\"", server.port());
    assert!(
        matches!(&denied, BrokerError::Denied { why, .. } if why.contains(&grant)),
        "{denied:?}"
    );
    let invalid = refused(with(&server, "\"user\"", "\"usr\"")).await;
    assert!(
        matches!(&invalid, BrokerError::Invalid(why) if why.contains("\"user\" is missing")),
        "{invalid:?}"
    );
    server.stop().unwrap();
    let gone = refused(local(server.port())).await;
    assert!(
        gone.is_transient() && gone.to_string().contains("cannot connect"),
        "{gone}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_is_not_sent_as_it_is() {
    let server = settings().md5().start().unwrap();
    let denied = refused(local(server.port())).await;
    assert!(
        matches!(&denied, BrokerError::Denied { why, .. } if why.contains("MD5") && why.contains("scram-sha-256")),
        "{denied:?}"
    );
    let server = settings().trust().start().unwrap();
    open(&local(server.port()), &fresh()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_who_may_create_nothing_uses_what_an_owner_has_made() {
    let server = server();
    server.sql("ALTER DATABASE shardwright OWNER TO postgres").unwrap();
    let options = local(server.port());
    let denied = refused(options.clone()).await;
    assert!(
        matches!(&denied, BrokerError::Denied { why, .. } if why.contains("schema.sql")),
        "{denied:?}"
    );
    server
        .sql(include_str!("../../../../../guests/adapters/postgresql/schema.sql"))
        .unwrap();
    let denied = refused(options.clone()).await;
    assert!(
        matches!(&denied, BrokerError::Denied { why, .. } if why.contains("permission denied for schema")),
        "{denied:?}"
    );
    server.sql("GRANT USAGE ON SCHEMA shardwright TO node").unwrap();
    server
        .sql("GRANT SELECT ON ALL TABLES IN SCHEMA shardwright TO node")
        .unwrap();
    let denied = refused(options.clone()).await;
    assert!(
        matches!(&denied, BrokerError::Denied { why, .. } if why.contains("permission denied for the tables")),
        "{denied:?}"
    );
    server
        .sql("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA shardwright TO node")
        .unwrap();
    let handle = open(&options, &fresh()).await;
    handle
        .put("k", Bytes::from_static(b"v"), Expected::Absent)
        .await
        .unwrap();
    // Taken away and given back while it is in use.
    server.sql("REVOKE UPDATE ON shardwright.entries FROM node").unwrap();
    let denied = handle.put("k", Bytes::new(), Expected::Any).await;
    assert!(
        matches!(&denied, Err(StoreError::Denied(why)) if why.contains("permission denied")),
        "{denied:?}"
    );
    server.sql("GRANT UPDATE ON shardwright.entries TO node").unwrap();
    handle.put("k", Bytes::new(), Expected::Any).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_schemas_of_one_database_do_not_meet() {
    let server = server();
    let namespace = fresh();
    let one = open(&local(server.port()), &namespace).await;
    let other = open(&at("127.0.0.1", server.port(), ", \"schema\": \"other_2\""), &namespace).await;
    one.put("k", Bytes::from_static(b"v"), Expected::Absent).await.unwrap();
    assert_eq!(other.get("k").await.unwrap().entry, None);
    other.erase().await.unwrap();
    assert!(one.get("k").await.unwrap().entry.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_could_lose_writes_is_refused() {
    let careless = PostgresServer::builder().set("fsync", "off").start().unwrap();
    let unsafe_ = refused(local(careless.port())).await;
    assert!(
        matches!(&unsafe_, BrokerError::Unsafe { why, .. } if why.contains("fsync = on")),
        "{unsafe_:?}"
    );

    let server = server();
    let options = local(server.port());
    open(&options, &fresh()).await;
    server.sql("ALTER TABLE shardwright.entries SET UNLOGGED").unwrap();
    let unsafe_ = refused(options.clone()).await;
    assert!(
        matches!(&unsafe_, BrokerError::Unsafe { why, .. } if why.contains("SET LOGGED")),
        "{unsafe_:?}"
    );
    server.sql("ALTER TABLE shardwright.entries SET LOGGED").unwrap();

    // What the role is set to does not matter.
    for setting in [
        "synchronous_commit = off",
        "default_transaction_isolation = serializable",
        "default_transaction_read_only = on",
        "statement_timeout = 1",
        "search_path = nowhere",
        "idle_session_timeout = 1000",
    ] {
        server.sql(&format!("ALTER ROLE node SET {setting}")).unwrap();
    }
    let namespace = fresh();
    let handle = open(&options, &namespace).await;
    handle.put("k", Bytes::new(), Expected::Absent).await.unwrap();
    let findings = handle.examine().await;
    let durability = findings.iter().find(|finding| finding.name == "durability").unwrap();
    assert!(
        durability.verdict == Verdict::Good && durability.detail.contains("synchronous_commit on"),
        "{findings:?}"
    );
    for name in [
        "version",
        "durability",
        "replication",
        "room",
        "clock",
        "tables",
        "round trip",
    ] {
        assert!(
            findings
                .iter()
                .any(|finding| finding.name == name && finding.verdict == Verdict::Good),
            "{name}: {findings:?}"
        );
    }

    server.sql("UPDATE shardwright.namespaces SET format = 2").unwrap();
    let newer = AdapterCoordinator::open(adapter().await, options, namespace)
        .await
        .expect_err("refused");
    assert!(
        matches!(&newer, BrokerError::Invalid(why) if why.contains("format 2")),
        "{newer:?}"
    );
}

/// As it is set up by default, it refuses the settings that a session begins with; told to ignore them, it hands out
/// sessions without them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_is_named_and_refused() {
    let server = server();
    let all = "ignore_startup_parameters = search_path, default_transaction_isolation, default_transaction_read_only, \
               statement_timeout, lock_timeout, plan_cache_mode, enable_seqscan, enable_bitmapscan, \
               max_parallel_workers_per_gather, jit, tcp_keepalives_idle, tcp_keepalives_interval, \
               tcp_keepalives_count, tcp_user_timeout";
    for settings in [
        vec!["pool_mode = session"],
        vec!["pool_mode = transaction"],
        vec![all, "pool_mode = session"],
        vec![all, "pool_mode = transaction"],
        vec![all, "pool_mode = statement"],
    ] {
        let pooler = PgBouncer::before(&server, &settings).unwrap();
        let error = refused(local(pooler.port())).await;
        assert!(
            matches!(&error, BrokerError::Unsafe { why, .. }
                if why.contains("PgBouncer") && why.contains("address of the server itself")),
            "{settings:?}: {error:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_is_not_used_until_it_is_promoted() {
    let pair = PostgresPair::start_with(settings()).unwrap();
    let standby = refused(local(pair.standby().port())).await;
    assert!(
        standby.is_transient() && standby.to_string().contains("standby"),
        "{standby}"
    );
    let handle = open(&local(pair.primary().port()), &fresh()).await;
    let replication = eventually("a replica is seen", async || {
        let findings = handle.examine().await;
        findings
            .into_iter()
            .find(|finding| finding.name == "replication" && finding.verdict == Verdict::Warning)
    });
    assert!(
        replication
            .await
            .remedy
            .is_some_and(|remedy| remedy.contains("synchronous_standby_names"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_must_fit() {
    let (authority, other) = (Authority::new().unwrap(), Authority::new().unwrap());
    let server = settings().tls(&authority, false).start().unwrap();
    let secured = |ca: &Authority, name: Option<&str>| AdapterOptions {
        tls: Some(Tls {
            ca: Some(Pem::File(ca.ca())),
            identity: None,
            server_name: name.map(str::to_owned),
        }),
        ..at("localhost", server.port(), ", \"tls\": true")
    };
    let handle = open(&secured(&authority, None), &fresh()).await;
    handle.put("k", Bytes::new(), Expected::Absent).await.unwrap();
    for wrong in [secured(&other, None), secured(&authority, Some("db.example.org"))] {
        let error = refused(wrong).await;
        assert!(matches!(error, BrokerError::Tls { .. }), "{error:?}");
    }
    // Neither side goes on in the clear.
    let plain = refused(at("localhost", server.port(), "")).await;
    assert!(
        matches!(&plain, BrokerError::Denied { why, .. } if why.contains("pg_hba.conf")),
        "{plain:?}"
    );
    let without = super::server();
    let error = refused(at("localhost", without.port(), ", \"tls\": true")).await;
    assert!(
        matches!(&error, BrokerError::Tls { why, .. } if why.contains("ssl = on")),
        "{error:?}"
    );
}
