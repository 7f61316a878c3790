//! NATS: one server, and three of which one dies.

use crate::commands;
use crate::course::{begin, leader_killed, link_cut, node_stopped, server_restarted, server_wiped};
use crate::trial::{HOSTS, Trial, VALIDITY};
use shardwright_coordinator::clock::boottime;
use shardwright_servers::{NatsCluster, NatsServer, Proxy};

const PASSWORD: &str = "hidden-in-nats";

fn section(port: u16, password: &str) -> String {
    format!("type = \"nats\"\naddresses = [\"nats://127.0.0.1:{port}\"]\nuser = \"node\"\npassword = \"{password}\"\n")
}

#[test]
fn one_server() {
    let login = format!("authorization {{ user: node, password: \"{PASSWORD}\" }}");
    let server = NatsServer::builder().config(&login).start().expect("it starts");
    let proxy = Proxy::to(server.port()).expect("a port");
    let mut trial = Trial::at(&section(server.port(), PASSWORD));
    trial.yard.detour("bravo", section(proxy.port(), PASSWORD));
    begin(&mut trial);
    commands::all(
        &trial,
        "nats",
        &format!("nats://node:{PASSWORD}@127.0.0.1:{}", server.port()),
        "nats://127.0.0.1:PORT",
    );
    commands::wrong_password(&section(server.port(), commands::WRONG), PASSWORD);
    leader_killed(&mut trial);
    node_stopped(&mut trial, "charlie");
    link_cut(&mut trial, "bravo", &proxy);
    server_restarted(&mut trial, &server);
    server_wiped(&mut trial, &server);
    trial.end();
}

#[test]
fn three_servers_of_which_one_dies() {
    let servers = NatsCluster::start().expect("they start");
    let section = format!("type = \"nats\"\naddresses = {:?}\nreplicas = 3\n", servers.urls());
    let mut trial = Trial::at(&section);
    begin(&mut trial);
    // One after another, so that whoever leads the stream is among them.
    for server in servers.nodes() {
        server.kill().expect("killed");
        let dead = boottime();
        trial.worked_on("work to go on with two servers", dead + VALIDITY);
        server.start_again().expect("it starts");
        servers.wait_until_whole().expect("whole again");
    }
    trial.shared(&HOSTS);
    leader_killed(&mut trial);
    trial.end();
}
