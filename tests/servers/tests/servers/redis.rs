//! Redis servers come up, live through what tests do to them, and keep or lose their data as told.
use std::time::{Duration, Instant};

use shardwright_servers::{Authority, RedisCluster, RedisSentinel, RedisServer};

/// Waits until the replica has all that was written. (`WAIT` looks only at what its own connection wrote.)
fn wait_for_replica(master: &RedisServer) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let info = master.cli(&["info", "replication"]).unwrap();
        let written = info
            .lines()
            .find_map(|line| line.trim().strip_prefix("master_repl_offset:"))
            .unwrap();
        if info.contains(&format!(",offset={written},")) {
            return;
        }
        assert!(Instant::now() < deadline, "{info}");
    }
}

#[test]
fn data_outlives_a_kill_and_a_stop_and_not_a_wipe() {
    let server = RedisServer::start().unwrap();
    let port = server.port();
    assert_eq!(server.cli(&["set", "key", "value"]).unwrap(), "OK");
    server.kill().unwrap();
    server.cli(&["ping"]).unwrap_err();
    server.start_again().unwrap();
    assert_eq!(server.port(), port);
    assert_eq!(server.cli(&["get", "key"]).unwrap(), "value");
    server.wipe().unwrap_err();
    server.stop().unwrap();
    server.start_again().unwrap();
    assert_eq!(server.cli(&["get", "key"]).unwrap(), "value");
    server.stop().unwrap();
    server.wipe().unwrap();
    server.start_again().unwrap();
    assert_eq!(server.cli(&["dbsize"]).unwrap(), "0");
}

#[test]
fn a_paused_server_answers_when_it_is_resumed() {
    let server = RedisServer::start().unwrap();
    server.pause().unwrap();
    std::thread::scope(|scope| {
        let answer = scope.spawn(|| server.cli(&["ping"]));
        std::thread::sleep(Duration::from_millis(300));
        assert!(!answer.is_finished());
        server.resume().unwrap();
        assert_eq!(answer.join().unwrap().unwrap(), "PONG");
    });
}

#[test]
fn settings_replace_the_default_ones() {
    let server = RedisServer::builder()
        .set("appendonly", "no")
        .set("maxmemory", "10mb")
        .line("user alice on >secret ~app:* &* +@all")
        .start()
        .unwrap();
    assert_eq!(server.cli(&["config", "get", "appendonly"]).unwrap(), "appendonly\nno");
    assert_eq!(
        server.cli(&["config", "get", "maxmemory"]).unwrap(),
        "maxmemory\n10485760"
    );
    assert!(server.cli(&["acl", "list"]).unwrap().contains("user alice"));
}

#[test]
fn a_server_that_cannot_start_shows_its_log() {
    let Err(error) = RedisServer::builder().set("no-such-setting", "1").start() else {
        panic!("it started");
    };
    let text = format!("{error:#}");
    assert!(
        text.contains("before it was ready") && text.contains("no-such-setting"),
        "{text}"
    );
}

#[test]
fn tls_asks_for_a_certificate_of_the_authority() {
    let authority = Authority::new().unwrap();
    let server = RedisServer::builder().tls(&authority, true).start().unwrap();
    assert!(server.url().starts_with("rediss://"));
    assert_eq!(server.cli(&["ping"]).unwrap(), "PONG");
}

#[test]
fn a_cluster_replaces_a_master() {
    let cluster = RedisCluster::start().unwrap();
    assert_eq!(cluster.urls().len(), 6);
    let master = cluster.master_of("key").unwrap();
    let port = master.port();
    assert_eq!(master.cli(&["set", "key", "value"]).unwrap(), "OK");
    wait_for_replica(master);
    master.kill().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let heir = loop {
        match cluster.master_of("key") {
            Ok(heir) if heir.port() != port => break heir,
            other => assert!(
                Instant::now() < deadline,
                "nobody took over: {:?}",
                other.map(|node| node.port())
            ),
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(heir.cli(&["get", "key"]).unwrap(), "value");
    master.start_again().unwrap();
    cluster.wait_until_whole().unwrap();
}

#[test]
fn sentinels_replace_a_master() {
    let group = RedisSentinel::start().unwrap();
    assert_eq!(group.urls().len(), 3);
    assert_eq!(group.master().cli(&["set", "key", "value"]).unwrap(), "OK");
    wait_for_replica(group.master());
    group.master().kill().unwrap();
    group.wait_for_master(group.replica()).unwrap();
    assert_eq!(group.replica().cli(&["get", "key"]).unwrap(), "value");
}
