//! What is the same for each broker: the least that can be said, keys without effect, several servers.

use crate::common::sound;
use crate::{SECOND, kafka, nats, redis, refused, secrets, warned, with};
use shardwright_config::{Code, CoordinatorConfig, KafkaSection, NatsLogin, NatsSection, RedisSection, RedisTopology};

#[test]
fn the_least_that_can_be_said() {
    let wanted = RedisSection {
        id: "main".into(),
        topology: RedisTopology::Single,
        urls: secrets(&["redis://h"]),
        user: None,
        password: None,
        timeout: 10 * SECOND,
        min_replicas: 0,
        tls: None,
    };
    assert_eq!(redis("url = \"redis://h\""), wanted);
    let wanted = NatsSection {
        id: "main".into(),
        addresses: secrets(&["h"]),
        login: NatsLogin::None,
        tls: None,
        replicas: 1,
        timeout_connection: 5 * SECOND,
        timeout_request: 10 * SECOND,
        ping_interval: 5 * SECOND,
        capacity_client: 2_048,
        capacity_subscription: 65_536,
        capacity_read_buffer: 65_535,
        max_reconnects: None,
    };
    assert_eq!(nats("address = \"h\""), wanted);
    let wanted = KafkaSection {
        id: "main".into(),
        brokers: vec!["h:9092".into()],
        login: None,
        tls: None,
        replication: 1,
        timeout_message: 5 * SECOND,
        timeout_session: 5 * SECOND,
    };
    assert_eq!(kafka("brokers = \"h:9092\""), wanted);
}

#[test]
fn keys_without_effect_say_why() {
    let r = |key: &str, says| warned("redis", &format!("url = \"redis://h\"\n{key}"), Code::IgnoredKey, says);
    for key in [
        "retry.«total» = 3",
        "«maxRetries» = 3",
        "retry.«min-wait» = false",
        "«max-retry-wait» = \"1s\"",
    ] {
        r(key, "as long as the node runs");
    }
    for key in [
        "max-connections = 10",
        "create-timeout = \"1s\"",
        "wait-timeout = \"1s\"",
        "recycle-timeout = false",
    ] {
        let (name, value) = key.split_once(' ').unwrap();
        r(&format!("pool.«{name}» {value}"), "few connections");
    }
    r("«poolTimeoutCreate» = 1", "few connections");
    r("«protocol-version» = \"resp2\"", "RESP3");
    r("«read-from-replicas» = true", "go to the master");
    r("«service-name» = \"mymaster\"", "sentinel");
    warned(
        "nats",
        "address = \"h\"\n«noEcho» = true",
        Code::IgnoredKey,
        "its own messages",
    );
    warned(
        "nats",
        "address = \"h\"\ntimeout.«request» = false",
        Code::IgnoredKey,
        "10 s",
    );
    assert_eq!(
        nats("address = \"h\"\ntimeout.request = \"false\"").timeout_request,
        10 * SECOND
    );
    warned(
        "kafka",
        "brokers = \"h\"\n«groupId» = \"mail\"",
        Code::IgnoredKey,
        "every node must see every message",
    );
    warned(
        "sqlite",
        "path = \"/x.db\"\npool.«workers» = 4",
        Code::IgnoredKey,
        "one thread",
    );
    let (_, report) = sound(&with(
        "type = \"redis\"\nurl = \"redis://h\"\ncompression = \"lz4\"\npurge.frequency = \"0 3 *\"",
    ));
    assert!(report.problems().is_empty(), "the mail server's business: {report}");
}

#[test]
fn what_only_a_table_can_have() {
    refused(
        "nats",
        "address = \"h\"\ntimeout = «\"5s\"»",
        Code::WrongType,
        "write what is meant of: timeout.connection, timeout.request",
    );
    refused(
        "redis",
        "url = \"redis://h\"\ntls = «true»",
        Code::WrongType,
        "tls.enable",
    );
    refused(
        "kafka",
        "brokers = \"h\"\n«tsl» = { ca = \"x\" }",
        Code::UnknownKey,
        "no key `tsl`",
    );
    refused(
        "kafka",
        "brokers = \"h\"\n[store.main.«slas»]",
        Code::UnknownKey,
        "no key `slas`",
    );
}

#[test]
fn several_servers_and_one_copy() {
    warned(
        "nats",
        "address = [\"a\", «\"b\"»]",
        Code::SingleReplica,
        "replicas = 3",
    );
    warned(
        "kafka",
        "brokers = [\"a\", «\"b\"»]",
        Code::SingleReplica,
        "replication = 3",
    );
}

#[test]
fn zenoh_is_read() {
    let (config, _) = sound(&with("type = \"zenoh\"\nconfig = \"{}\""));
    let CoordinatorConfig::Zenoh(section) = &config.coordinator else {
        panic!("zenoh")
    };
    assert_eq!((section.id.as_str(), section.config.expose()), ("main", "{}"));
    assert_eq!(
        (config.coordinator.kind(), config.coordinator.id()),
        ("zenoh", Some("main"))
    );
}
