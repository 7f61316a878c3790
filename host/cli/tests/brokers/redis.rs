//! Redis: one server, and one that sentinels replace.

use crate::commands;
use crate::common::{Answer, LIMIT, command, interrupt};
use crate::course::{begin, leader_killed, link_cut, node_stopped, server_restarted, server_wiped};
use crate::trial::{HOSTS, Trial, VALIDITY};
use shardwright_coordinator::clock::boottime;
use shardwright_servers::{Proxy, RedisSentinel, RedisServer};
use std::process::Stdio;
use std::time::Instant;

const PASSWORD: &str = "hidden-in-redis";

fn section(port: u16, password: &str) -> String {
    format!("type = \"redis\"\nurls = [\"redis://127.0.0.1:{port}\"]\npassword = \"{password}\"\n")
}

#[test]
fn one_server() {
    let server = RedisServer::builder()
        .set("requirepass", PASSWORD)
        .start()
        .expect("it starts");
    let proxy = Proxy::to(server.port()).expect("a port");
    let mut trial = Trial::at(&section(server.port(), PASSWORD));
    trial.yard.detour("bravo", section(proxy.port(), PASSWORD));
    begin(&mut trial);
    commands::all(
        &trial,
        "redis",
        &format!("redis://:{PASSWORD}@127.0.0.1:{}", server.port()),
        "redis://127.0.0.1:PORT",
    );
    commands::wrong_password(&section(server.port(), commands::WRONG), PASSWORD);
    an_interrupted_check_leaves_nothing(&trial, &server);
    leader_killed(&mut trial);
    node_stopped(&mut trial, "charlie");
    link_cut(&mut trial, "bravo", &proxy);
    server_restarted(&mut trial, &server);
    server_wiped(&mut trial, &server);
    trial.end();
}

#[test]
fn a_master_that_sentinels_replace() {
    let servers = RedisSentinel::start().expect("they start");
    let section = format!(
        "type = \"redis\"\nredis-type = \"sentinel\"\nservice-name = \"{}\"\nurls = {:?}\n",
        servers.service(),
        servers.urls()
    );
    let mut trial = Trial::at(&section);
    begin(&mut trial);
    servers.master().kill().expect("killed");
    let dead = boottime();
    servers.wait_for_master(servers.replica()).expect("replaced");
    // A write counts when a replica has it, so there must be one.
    servers.master().start_again().expect("it starts");
    trial.worked_on("work to go on at the new master", dead + VALIDITY);
    trial.shared(&HOSTS);
    leader_killed(&mut trial);
    trial.end();
}

fn an_interrupted_check_leaves_nothing(trial: &Trial, server: &RedisServer) {
    let scratch = || {
        server
            .cli(&["-a", PASSWORD, "--no-auth-warning", "keys", "*suite-*"])
            .expect("it answers")
    };
    assert_eq!(scratch(), "", "the check before removed what it made");
    let mut checking = command();
    checking
        .args(["coordinator", "check", "--config"])
        .arg(trial.operator());
    let child = checking
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    let end = Instant::now() + LIMIT;
    // The server tells nobody when a check begins: look until there is something of it.
    while scratch().is_empty() {
        assert!(Instant::now() < end, "the check has not begun");
    }
    interrupt(&child);
    let answer = Answer::from(child.wait_with_output().expect("it ends"));
    answer.code(1).says("interrupted; all scratch namespaces are gone");
    assert_eq!(scratch(), "");
}
