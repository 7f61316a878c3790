//! etcd servers come up, live through what tests do to them, and keep or lose their data as told.
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use shardwright_servers::{Authority, Certificate, EtcdCluster, EtcdServer, Proxy};

fn put(server: &EtcdServer, token: Option<&str>, value: &str) -> anyhow::Result<String> {
    let (key, value) = (BASE64.encode(b"key"), BASE64.encode(value.as_bytes()));
    server.call("kv/put", token, &format!("{{\"key\":\"{key}\",\"value\":\"{value}\"}}"))
}

/// The value of the key, if it has one.
fn get(server: &EtcdServer) -> Option<String> {
    let answer = server
        .call("kv/range", None, &format!("{{\"key\":\"{}\"}}", BASE64.encode(b"key")))
        .unwrap();
    let value = field(&answer, "value")?;
    Some(String::from_utf8(BASE64.decode(value.as_bytes()).unwrap()).unwrap())
}

/// The text of a field in an answer.
fn field(answer: &str, name: &str) -> Option<String> {
    let (_, rest) = answer.split_once(&format!("\"{name}\":\""))?;
    Some(rest.split('"').next().unwrap().to_owned())
}

fn login(server: &EtcdServer, name: &str, password: &str) -> anyhow::Result<String> {
    let answer = server.call(
        "auth/authenticate",
        None,
        &format!("{{\"name\":\"{name}\",\"password\":\"{password}\"}}"),
    )?;
    Ok(field(&answer, "token").unwrap())
}

fn data_outlives_a_kill_and_not_a_wipe(server: &EtcdServer) {
    for number in 0..100 {
        put(server, None, &format!("value {number}")).unwrap();
    }
    server.kill().unwrap();
    put(server, None, "nothing").unwrap_err();
    server.start_again().unwrap();
    assert_eq!(get(server).unwrap(), "value 99");
    server.stop().unwrap();
    server.start_again().unwrap();
    assert_eq!(get(server).unwrap(), "value 99");
    server.stop().unwrap();
    server.wipe().unwrap();
    server.start_again().unwrap();
    assert_eq!(get(server), None);
}

#[test]
fn the_new_server() {
    let server = EtcdServer::start().unwrap();
    assert!(
        server
            .call("maintenance/status", None, "{}")
            .unwrap()
            .contains("\"version\":\"3.6.")
    );
    data_outlives_a_kill_and_not_a_wipe(&server);
}

#[test]
fn the_old_server() {
    let server = EtcdServer::old().unwrap();
    assert!(
        server
            .call("maintenance/status", None, "{}")
            .unwrap()
            .contains("\"version\":\"3.4.")
    );
    data_outlives_a_kill_and_not_a_wipe(&server);
}

#[test]
fn a_paused_server_answers_when_it_is_resumed() {
    let server = EtcdServer::start().unwrap();
    server.pause().unwrap();
    std::thread::scope(|scope| {
        let answer = scope.spawn(|| put(&server, None, "late"));
        std::thread::sleep(Duration::from_millis(300));
        assert!(!answer.is_finished());
        server.resume().unwrap();
        answer.join().unwrap().unwrap();
    });
    assert_eq!(get(&server).unwrap(), "late");
}

#[test]
fn only_its_users_may_do_anything() {
    for builder in [EtcdServer::builder(), EtcdServer::builder().old()] {
        let server = builder.user("alice", "secret").start().unwrap();
        // The users are back when they went with the data.
        for _ in 0..2 {
            put(&server, None, "value").unwrap_err();
            login(&server, "alice", "wrong").unwrap_err();
            let token = login(&server, "alice", "secret").unwrap();
            put(&server, Some(&token), "value").unwrap();
            server.kill().unwrap();
            server.start_again().unwrap();
            put(&server, None, "value").unwrap_err();
            login(&server, "alice", "secret").unwrap();
            server.kill().unwrap();
            server.wipe().unwrap();
            server.start_again().unwrap();
        }
    }
}

/// Asks for the version over TLS.
fn version(port: u16, authority: &Authority, client: Option<&Certificate>) -> std::io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(authority.ca()).unwrap())
        .unwrap();
    let config = ClientConfig::builder().with_root_certificates(roots);
    let config = match client {
        None => config.with_no_client_auth(),
        Some(own) => {
            let certificate = CertificateDer::from_pem_file(&own.certificate).unwrap();
            let key = PrivateKeyDer::from_pem_file(&own.key).unwrap();
            config.with_client_auth_cert(vec![certificate], key).unwrap()
        }
    };
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = StreamOwned::new(connection, TcpStream::connect(("127.0.0.1", port))?);
    stream.write_all(b"GET /version HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[test]
fn tls_asks_for_a_certificate_of_the_authority() {
    let authority = Authority::new().unwrap();
    let stranger = Authority::new().unwrap();
    let own = authority.client("node").unwrap();
    for builder in [EtcdServer::builder(), EtcdServer::builder().old()] {
        let server = builder.clone().tls(&authority, false).start().unwrap();
        assert_eq!(server.url(), format!("https://127.0.0.1:{}", server.port()));
        assert!(version(server.port(), &authority, None).unwrap().contains("etcdserver"));
        version(server.port(), &stranger, None).unwrap_err();
        let server = builder.tls(&authority, true).user("alice", "secret").start().unwrap();
        assert!(
            version(server.port(), &authority, Some(&own))
                .unwrap()
                .contains("etcdserver")
        );
        version(server.port(), &authority, None).unwrap_err();
        version(server.port(), &authority, Some(&stranger.client("node").unwrap())).unwrap_err();
        put(&server, Some(&login(&server, "alice", "secret").unwrap()), "value").unwrap();
    }
}

#[test]
fn a_server_is_reached_through_a_proxy_with_flags_of_its_own() {
    let server = EtcdServer::builder().flag("max-request-bytes", "100").start().unwrap();
    put(&server, None, &"long".repeat(100)).unwrap_err();
    let proxy = Proxy::to(server.port()).unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
    stream.write_all(b"GET /version HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("etcdserver"), "{answer}");
}

#[test]
fn a_cluster_goes_on_without_its_leader() {
    for cluster in [EtcdCluster::start().unwrap(), EtcdCluster::old().unwrap()] {
        assert_eq!(cluster.urls().len(), 3);
        put(cluster.node(0), None, "first").unwrap();
        let leader = cluster.leader().unwrap();
        leader.kill().unwrap();
        cluster.wait_until_whole().unwrap();
        let heir = cluster.leader().unwrap();
        assert_ne!(heir.port(), leader.port());
        assert_eq!(get(heir).unwrap(), "first");
        put(heir, None, "second").unwrap();
        leader.start_again().unwrap();
        cluster.wait_until_whole().unwrap();
        for node in cluster.nodes() {
            assert_eq!(get(node).unwrap(), "second");
        }
    }
}

#[test]
fn a_cluster_has_users_too() {
    let cluster = EtcdCluster::start_with(EtcdServer::builder().user("alice", "secret")).unwrap();
    for node in cluster.nodes() {
        put(node, None, "value").unwrap_err();
        let token = login(node, "alice", "secret").unwrap();
        put(node, Some(&token), "value").unwrap();
    }
}
