//! Kafka brokers come up, live through what tests do to them, and keep or lose their data as told.
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use shardwright_servers::{Authority, KafkaCluster, KafkaServer, Sasl};

/// Asks a broker which versions of the protocol it speaks, and gives its answer's error code.
fn ask(address: &str) -> std::io::Result<u16> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    // Length, ApiVersions (18) in version 0, correlation 7, no client id.
    stream.write_all(&[0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff])?;
    let mut answer = [0; 10];
    stream.read_exact(&mut answer)?;
    assert_eq!(answer[4..8], [0, 0, 0, 7]);
    Ok(u16::from_be_bytes([answer[8], answer[9]]))
}

/// What formatting the data made up.
fn identity(server: &KafkaServer) -> String {
    let text = std::fs::read_to_string(server.data_folder().join("meta.properties")).unwrap();
    text.lines()
        .find(|line| line.starts_with("directory.id="))
        .unwrap()
        .to_owned()
}

#[test]
fn data_outlives_a_kill_and_not_a_wipe() {
    let server = KafkaServer::start().unwrap();
    assert_eq!(ask(&server.address()).unwrap(), 0);
    let first = identity(&server);
    server.kill().unwrap();
    ask(&server.address()).unwrap_err();
    server.start_again().unwrap();
    assert_eq!(ask(&server.address()).unwrap(), 0);
    assert_eq!(identity(&server), first);
    server.stop().unwrap();
    server.wipe().unwrap();
    server.start_again().unwrap();
    assert_eq!(ask(&server.address()).unwrap(), 0);
    assert_ne!(identity(&server), first);
}

#[test]
fn a_proxied_broker_is_reached_through_its_proxy() {
    let server = KafkaServer::builder().proxied().start().unwrap();
    assert_eq!(server.address(), format!("127.0.0.1:{}", server.proxy().port()));
    assert_eq!(ask(&server.address()).unwrap(), 0);
    assert_eq!(server.proxy().connections(), 1);
    server.proxy().cut();
    ask(&server.address()).unwrap_err();
}

#[test]
fn logins_with_and_without_tls() {
    let authority = Authority::new().unwrap();
    let logins = KafkaServer::builder()
        .sasl(Sasl::Plain, "alice", "secret")
        .sasl(Sasl::ScramSha256, "bob", "hidden")
        .sasl(Sasl::ScramSha512, "carol", "quiet")
        .authorize(&["User:alice"]);
    let server = logins.clone().start().unwrap();
    assert_eq!(ask(&server.address()).unwrap(), 0);
    drop(server);
    let server = logins.tls(&authority, true).start().unwrap();
    ask(&server.address()).unwrap_err();
}

#[test]
fn a_cluster_comes_up() {
    let cluster = KafkaCluster::start().unwrap();
    let addresses = cluster.addresses();
    assert_eq!(addresses.len(), 3);
    for address in &addresses {
        assert_eq!(ask(address).unwrap(), 0);
    }
    cluster.node(0).kill().unwrap();
    cluster.node(0).start_again().unwrap();
    assert_eq!(ask(&addresses[0]).unwrap(), 0);
}
