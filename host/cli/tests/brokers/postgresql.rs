//! PostgreSQL through its adapter: one server, and one whose standby is promoted.

use crate::commands;
use crate::course::{begin, leader_killed, link_cut, node_stopped, server_restarted, server_wiped};
use crate::trial::{HOSTS, Trial};
use shardwright_coordinator::clock::boottime;
use shardwright_servers::{PostgresPair, PostgresServer, Proxy};

const PASSWORD: &str = "hidden-in-postgres";

fn section(server: &PostgresServer, port: u16, password: &str) -> String {
    format!(
        "type = \"component\"\nadapter = \"postgresql\"\nallow = [\"tcp://127.0.0.1:{port}\"]\nconfig = {{ host = \
         \"127.0.0.1\", port = {port}, database = \"{}\", user = \"{}\", password = \"{password}\" }}\n",
        server.database(),
        server.user()
    )
}

#[test]
fn one_server() {
    let server = PostgresServer::builder().password(PASSWORD).start().expect("it starts");
    let proxy = Proxy::to(server.port()).expect("a port");
    let mut trial = Trial::at(&section(&server, server.port(), PASSWORD));
    trial.yard.detour("bravo", section(&server, proxy.port(), PASSWORD));
    begin(&mut trial);
    commands::all(
        &trial,
        "postgresql",
        &server.url(),
        "postgres://node:word@127.0.0.1:PORT/nowhere",
    );
    commands::wrong_password(&section(&server, server.port(), commands::WRONG), PASSWORD);
    leader_killed(&mut trial);
    node_stopped(&mut trial, "charlie");
    link_cut(&mut trial, "bravo", &proxy);
    server_restarted(&mut trial, &server);
    server_wiped(&mut trial, &server);
    trial.end();
}

/// What the standby lacks was acknowledged: whoever knows of it cannot go on as if nothing had been.
#[test]
fn a_standby_that_is_promoted() {
    let pair = PostgresPair::start().expect("they start");
    // The nodes know one address: behind it is first the one server, then the other.
    let proxy = Proxy::to(pair.primary().port()).expect("a port");
    let password = pair.primary().password().to_owned();
    let mut trial = Trial::at(&section(pair.primary(), proxy.port(), &password));
    begin(&mut trial);
    pair.primary().kill().expect("killed");
    let dead = boottime();
    pair.promote().expect("promoted");
    proxy.lead_to(pair.standby().port());
    for host in HOSTS {
        trial.event(host, "history-lost", dead);
    }
    trial.shared(&HOSTS);
    leader_killed(&mut trial);
    trial.end();
}
