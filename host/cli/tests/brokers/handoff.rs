//! Whoever leaves in good order is followed at once, on every server.

use crate::common::handoffs::{CALM, followed_at_once};
use crate::common::yard;
use shardwright_servers::{EtcdServer, KafkaServer, NatsServer, PostgresServer, RedisServer};

fn followed_at_once_at(section: &str) {
    followed_at_once(yard(CALM).meeting_at(section));
}

#[test]
fn on_redis() {
    let server = RedisServer::builder().start().expect("it starts");
    followed_at_once_at(&format!(
        "type = \"redis\"\nurls = [\"redis://127.0.0.1:{}\"]\n",
        server.port()
    ));
}

#[test]
fn on_nats() {
    let server = NatsServer::builder().start().expect("it starts");
    followed_at_once_at(&format!(
        "type = \"nats\"\naddresses = [\"nats://127.0.0.1:{}\"]\n",
        server.port()
    ));
}

#[test]
fn on_kafka() {
    let server = KafkaServer::builder().start().expect("it starts");
    followed_at_once_at(&format!("type = \"kafka\"\nbrokers = [\"{}\"]\n", server.address()));
}

#[test]
fn on_etcd() {
    let server = EtcdServer::builder().start().expect("it starts");
    let url = format!("http://127.0.0.1:{}", server.port());
    followed_at_once_at(&format!(
        "type = \"component\"\nadapter = \"etcd\"\nallow = [\"{url}\"]\nconfig = {{ endpoints = [\"{url}\"] }}\n"
    ));
}

#[test]
fn on_postgresql() {
    let server = PostgresServer::builder().start().expect("it starts");
    let (port, database, user, password) = (server.port(), server.database(), server.user(), server.password());
    followed_at_once_at(&format!(
        "type = \"component\"\nadapter = \"postgresql\"\nallow = [\"tcp://127.0.0.1:{port}\"]\nconfig = {{ host = \
         \"127.0.0.1\", port = {port}, database = \"{database}\", user = \"{user}\", password = \"{password}\" }}\n"
    ));
}
