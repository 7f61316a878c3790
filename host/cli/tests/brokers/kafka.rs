//! Kafka: one broker.

use crate::commands;
use crate::course::{all_cut, begin, leader_killed, node_stopped, server_restarted, server_wiped};
use crate::trial::Trial;
use shardwright_servers::{KafkaServer, Sasl};

#[test]
fn one_broker() {
    // A broker tells its clients where it is: all of them reach it through the proxy.
    let server = KafkaServer::builder().proxied().start().expect("it starts");
    let mut trial = Trial::at(&format!("type = \"kafka\"\nbrokers = [\"{}\"]\n", server.address()));
    begin(&mut trial);
    commands::all(
        &trial,
        "kafka",
        &format!("kafka://{}", server.address()),
        "kafka://127.0.0.1:PORT",
    );
    leader_killed(&mut trial);
    node_stopped(&mut trial, "charlie");
    all_cut(
        &mut trial,
        || server.proxy().cut(),
        || server.proxy().heal().expect("healed"),
    );
    server_restarted(&mut trial, &server);
    server_wiped(&mut trial, &server);
    trial.end();
}

#[test]
fn a_wrong_password() {
    let password = "hidden-in-kafka";
    let server = KafkaServer::builder()
        .sasl(Sasl::Plain, "node", password)
        .start()
        .expect("it starts");
    let section = format!(
        "type = \"kafka\"\nbrokers = [\"{}\"]\nsasl.mechanism = \"PLAIN\"\nuser = \"node\"\npassword = \"{}\"\n",
        server.address(),
        commands::WRONG
    );
    commands::wrong_password(&section, password);
}
