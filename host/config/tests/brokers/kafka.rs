//! Sections of type `kafka`.

use crate::{SECOND, kafka, refused};
use shardwright_config::{Code, KafkaLogin, KafkaMechanism, KafkaSection, Secret};

#[test]
fn kafka_in_either_key_style() {
    let kebab = "brokers = [\"a:1\", \"b\"]\nsasl.mechanism = \"SCRAM-SHA-256\"\nuser = \"u\"\npassword = \
                 \"p\"\nreplication = 3\ntimeout.session = \"2s\"\ntimeout.message = \"3s\"\n";
    let camel = "brokers = [\"a:1\", \"b\"]\nsaslMechanism = \"SCRAM-SHA-256\"\nsaslUsername = \"u\"\nsaslPassword = \
                 \"p\"\nreplication = \"3\"\ntimeoutSession = 2000\ntimeoutMessage = 3000\n";
    let wanted = KafkaSection {
        id: "main".into(),
        brokers: vec!["a:1".into(), "b".into()],
        login: Some(KafkaLogin {
            mechanism: KafkaMechanism::ScramSha256,
            user: "u".into(),
            password: Secret::new("p"),
        }),
        tls: None,
        replication: 3,
        timeout_message: 3 * SECOND,
        timeout_session: 2 * SECOND,
    };
    assert_eq!((kafka(kebab), kafka(camel)), (wanted.clone(), wanted));
    for (word, mechanism) in [
        ("PLAIN", KafkaMechanism::Plain),
        ("SCRAM-SHA-512", KafkaMechanism::ScramSha512),
    ] {
        let section = kafka(&format!(
            "brokers = \"h\"\nsasl.mechanism = \"{word}\"\nsasl.user = \"u\"\nauth-secret = \"p\""
        ));
        assert_eq!(section.login.map(|login| login.mechanism), Some(mechanism));
    }
}

#[test]
fn kafka_refusals() {
    let h = |lines: &str| format!("brokers = \"h:9092\"\n{lines}");
    refused(
        "kafka",
        "brokers = «\"kafka://h:9092\"»",
        Code::InvalidValue,
        "is to have none",
    );
    refused(
        "kafka",
        "brokers = «\"me@a:9092\"»",
        Code::InvalidValue,
        "keys of their own",
    );
    refused(
        "kafka",
        "brokers = «\"a:9092/x\"»",
        Code::InvalidValue,
        "after its port",
    );
    refused("kafka", &h("replication = «0»"), Code::OutOfRange, "from 1 to 100");
    refused(
        "kafka",
        &h("sasl.mechanism = «\"OAUTHBEARER\"»\nuser = \"u\"\npassword = \"p\""),
        Code::InvalidValue,
        "SCRAM-SHA-512",
    );
    refused(
        "kafka",
        &h("user = \"u\"\n«password» = \"p\"")
            .replace("«", "")
            .replace("»", "")
            .replace("user", "«user»"),
        Code::MissingKey,
        "add `sasl.mechanism`",
    );
    refused(
        "kafka",
        &h("«sasl.mechanism» = \"PLAIN\"\nuser = \"u\"").replace("«sasl.mechanism»", "sasl.«mechanism»"),
        Code::MissingKey,
        "add `password`",
    );
    refused(
        "kafka",
        &h("timeout.session = «\"x\"»"),
        Code::InvalidValue,
        "with its unit",
    );
    refused(
        "kafka",
        &h("timeout.message = «\"2000d\"»"),
        Code::OutOfRange,
        "milliseconds",
    );
}
