//! etcd through its adapter: one member, old and new, and three of which one dies.

use crate::commands;
use crate::course::{begin, leader_killed, link_cut, node_stopped, server_restarted, server_wiped};
use crate::trial::{HOSTS, Trial, VALIDITY};
use shardwright_coordinator::clock::boottime;
use shardwright_servers::{EtcdCluster, EtcdServer, Proxy};

const PASSWORD: &str = "hidden-in-etcd";

fn section(port: u16, login: &str) -> String {
    let url = format!("http://127.0.0.1:{port}");
    format!(
        "type = \"component\"\nadapter = \"etcd\"\nallow = [\"{url}\"]\nconfig = {{ endpoints = [\"{url}\"]{login} \
         }}\n"
    )
}

fn login(password: &str) -> String {
    format!(", user = \"node\", password = \"{password}\"")
}

#[test]
fn one_member() {
    let server = EtcdServer::builder().user("node", PASSWORD).start().expect("it starts");
    let proxy = Proxy::to(server.port()).expect("a port");
    let mut trial = Trial::at(&section(server.port(), &login(PASSWORD)));
    trial.yard.detour("bravo", section(proxy.port(), &login(PASSWORD)));
    begin(&mut trial);
    commands::all(
        &trial,
        "etcd",
        &format!("etcd://node:{PASSWORD}@127.0.0.1:{}", server.port()),
        "etcd://127.0.0.1:PORT",
    );
    commands::wrong_password(&section(server.port(), &login(commands::WRONG)), PASSWORD);
    leader_killed(&mut trial);
    node_stopped(&mut trial, "charlie");
    link_cut(&mut trial, "bravo", &proxy);
    server_restarted(&mut trial, &server);
    trial.end();
}

/// Debian's 3.4; wiped too, which takes its users along.
#[test]
fn an_old_member() {
    let server = EtcdServer::old().expect("it starts");
    let mut trial = Trial::at(&section(server.port(), ""));
    begin(&mut trial);
    leader_killed(&mut trial);
    server_restarted(&mut trial, &server);
    server_wiped(&mut trial, &server);
    trial.end();
}

#[test]
fn three_members_of_which_one_dies() {
    let servers = EtcdCluster::start().expect("they start");
    let urls = servers.urls();
    let section =
        format!("type = \"component\"\nadapter = \"etcd\"\nallow = {urls:?}\nconfig = {{ endpoints = {urls:?} }}\n");
    let mut trial = Trial::at(&section);
    begin(&mut trial);
    // One after another, so that whoever leads is among them.
    for server in servers.nodes() {
        server.kill().expect("killed");
        let dead = boottime();
        trial.worked_on("work to go on with two members", dead + VALIDITY);
        server.start_again().expect("it starts");
        servers.wait_until_whole().expect("whole again");
    }
    trial.shared(&HOSTS);
    leader_killed(&mut trial);
    trial.end();
}
