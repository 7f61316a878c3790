//! NATS servers come up, live through what tests do to them, and keep or lose their data as told.
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use shardwright_servers::{Authority, NatsCluster, NatsServer};

/// Sends a request over the plain protocol until it is answered, and gives the answer's text: nobody answers while a
/// leader is elected.
fn ask(server: &NatsServer, subject: &str, body: &str) -> String {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        match try_ask(server, subject, body) {
            Ok(answer) if !answer.is_empty() => return answer,
            other => assert!(Instant::now() < deadline, "{subject}: {other:?}"),
        }
    }
}

fn try_ask(server: &NatsServer, subject: &str, body: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port()))?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    let length = body.len();
    let request =
        format!("CONNECT {{\"verbose\":false}}\r\nSUB answer 1\r\nPUB {subject} answer {length}\r\n{body}\r\n");
    stream.write_all(request.as_bytes())?;
    let mut lines = BufReader::new(stream).lines();
    while !lines
        .next()
        .ok_or(ErrorKind::UnexpectedEof)??
        .starts_with("MSG answer ")
    {}
    lines.next().ok_or(ErrorKind::UnexpectedEof)?
}

fn make_stream(server: &NatsServer, replicas: u8) -> String {
    let config = format!("{{\"name\":\"S\",\"subjects\":[\"s\"],\"storage\":\"file\",\"num_replicas\":{replicas}}}");
    ask(server, "$JS.API.STREAM.CREATE.S", &config)
}

fn stream(server: &NatsServer) -> String {
    ask(server, "$JS.API.STREAM.INFO.S", "")
}

fn data_outlives_a_kill_and_not_a_wipe(server: &NatsServer) {
    let made = make_stream(server, 1);
    assert!(made.contains("\"created\""), "{made}");
    assert!(ask(server, "s", "hello").contains("\"seq\":1"));
    server.kill().unwrap();
    server.start_again().unwrap();
    assert!(stream(server).contains("\"messages\":1"), "{}", stream(server));
    server.stop().unwrap();
    server.wipe().unwrap();
    server.start_again().unwrap();
    assert!(stream(server).contains("stream not found"), "{}", stream(server));
}

#[test]
fn the_new_server() {
    let server = NatsServer::start().unwrap();
    assert!(server.log().contains("Version:  2.15"), "{}", server.log());
    data_outlives_a_kill_and_not_a_wipe(&server);
}

#[test]
fn the_old_server() {
    let server = NatsServer::old().unwrap();
    assert!(server.log().contains("Version:  2.9.10"), "{}", server.log());
    data_outlives_a_kill_and_not_a_wipe(&server);
}

#[test]
fn settings_and_tls() {
    let authority = Authority::new().unwrap();
    let server = NatsServer::builder()
        .config("max_payload: 64KB")
        .tls(&authority, true)
        .start()
        .unwrap();
    assert!(server.url().starts_with("tls://"));
    let mut greeting = String::new();
    BufReader::new(TcpStream::connect(("127.0.0.1", server.port())).unwrap())
        .read_line(&mut greeting)
        .unwrap();
    for expected in ["\"tls_required\":true", "\"tls_verify\":true", "\"max_payload\":65536"] {
        assert!(greeting.contains(expected), "{greeting}");
    }
}

#[test]
fn a_cluster_goes_on_without_one_node() {
    for cluster in [NatsCluster::start().unwrap(), NatsCluster::old().unwrap()] {
        assert_eq!(cluster.urls().len(), 3);
        let made = make_stream(cluster.node(0), 3);
        assert!(made.contains("\"created\""), "{made}");
        cluster.node(2).kill().unwrap();
        cluster.wait_until_whole().unwrap();
        let answer = ask(cluster.node(0), "s", "hello");
        assert!(answer.contains("\"seq\":"), "{answer}");
        cluster.node(2).start_again().unwrap();
        cluster.wait_until_whole().unwrap();
    }
}
