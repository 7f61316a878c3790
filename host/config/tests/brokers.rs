//! The sections of brokers: every key, in every spelling; what does not fit; what has no effect.

mod common;

use common::{error, sound, warning};
use shardwright_config::{
    Code, CoordinatorConfig, KafkaLogin, KafkaMechanism, KafkaSection, NatsLogin, NatsSection, Pem, RedisSection, RedisTopology, Secret,
    TlsSection,
};
use std::path::PathBuf;
use std::time::Duration;

const SEED: &str = "SUABCDEFGHIJKLMNOPQRSTUVWXYZ234567ABCDEFGHIJKLMNOPQRSTUVWX";
const CREDENTIALS: &str = "-----BEGIN NATS USER JWT-----\nx\n------END NATS USER JWT------\n-----BEGIN USER NKEY SEED-----\nSUx\n";

/// A configuration whose coordinator is a section with these lines.
fn with(section: &str) -> String {
    format!("cluster.coordinator = \"main\"\n[store.main]\n{section}\n")
}

fn redis(lines: &str) -> RedisSection {
    let CoordinatorConfig::Redis(section) = sound(&with(&format!("type = \"redis\"\n{lines}"))).0.coordinator else {
        panic!("redis")
    };
    section
}

fn nats(lines: &str) -> NatsSection {
    let CoordinatorConfig::Nats(section) = sound(&with(&format!("type = \"nats\"\n{lines}"))).0.coordinator else {
        panic!("nats")
    };
    section
}

fn kafka(lines: &str) -> KafkaSection {
    let CoordinatorConfig::Kafka(section) = sound(&with(&format!("type = \"kafka\"\n{lines}"))).0.coordinator else {
        panic!("kafka")
    };
    section
}

fn refused(kind: &str, lines: &str, code: Code, says: &str) {
    error(&with(&format!("type = \"{kind}\"\n{lines}")), code, says);
}

fn warned(kind: &str, lines: &str, code: Code, says: &str) {
    warning(&with(&format!("type = \"{kind}\"\n{lines}")), code, says);
}

fn secrets(texts: &[&str]) -> Vec<Secret> {
    texts.iter().map(|text| Secret::new(*text)).collect()
}

const SECOND: Duration = Duration::from_secs(1);

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
fn redis_in_either_key_style() {
    let kebab = "urls = [\"redis://a:1\", \"redis://b:2/0\"]\nredis-type = \"cluster\"\ntimeout = \"3s\"\nuser = \"u\"\npassword = \"p\"\n\
                 min-replicas = 2\nprotocol-version = \"resp3\"\nread-from-replicas = false\n";
    let camel = "urls = [\"redis://a:1\", \"redis://b:2/0\"]\nredisType = \"cluster\"\ntimeout = 3000\nauthUsername = \"u\"\nauthSecret = \"p\"\n\
                 minReplicas = \"2\"\nprotocolVersion = \"resp3\"\nreadFromReplicas = \"false\"\n";
    let wanted = RedisSection {
        id: "main".into(),
        topology: RedisTopology::Cluster,
        urls: secrets(&["redis://a:1", "redis://b:2/0"]),
        user: Some("u".into()),
        password: Some(Secret::new("p")),
        timeout: 3 * SECOND,
        min_replicas: 2,
        tls: None,
    };
    assert_eq!((redis(kebab), redis(camel)), (wanted.clone(), wanted));
}

#[test]
fn redis_sentinel() {
    let section = redis(
        "urls = [\"redis://a:26379\", \"redis://b\"]\nredis-type = \"sentinel\"\nservice-name = \"mail\"\nuser = \"u\"\npassword = \"p\"\n\
         sentinel-user = \"su\"\nsentinel-password = \"sp\"\n",
    );
    let wanted = RedisTopology::Sentinel {
        service: "mail".into(),
        user: Some("su".into()),
        password: Some(Secret::new("sp")),
    };
    assert_eq!((section.topology, section.user.as_deref()), (wanted, Some("u")));
    let camel = redis("url = \"redis://a\"\nredisType = \"sentinel\"\nsentinelUsername = \"su\"\nsentinelSecret = \"sp\"");
    let wanted = RedisTopology::Sentinel {
        service: "mymaster".into(),
        user: Some("su".into()),
        password: Some(Secret::new("sp")),
    };
    assert_eq!(camel.topology, wanted, "the mail server's default service");
    assert_eq!(camel.min_replicas, 1, "a write that only one server has is lost with it");
    assert_eq!(redis("url = \"redis://a\"\nredis-type = \"cluster\"").min_replicas, 1);
    assert_eq!(
        redis("url = \"redis://a\"\nredis-type = \"cluster\"\nmin-replicas = 0").min_replicas,
        0
    );
}

#[test]
fn redis_refusals() {
    let address = |url: &str| format!("urls = [\"redis://a\", «\"{url}\"»]\nredis-type = \"cluster\"");
    refused("redis", "urls = «[]»", Code::InvalidValue, "at least one address");
    refused("redis", "urls = «\"h:6379\"»", Code::InvalidValue, "`rediss://`");
    refused("redis", &address("http://h"), Code::InvalidValue, "another scheme");
    refused("redis", &address("redis://h:0"), Code::InvalidValue, "65535");
    refused("redis", &address("redis://a b"), Code::InvalidValue, "blank");
    refused("redis", &address("redis://h/3"), Code::InvalidValue, "only number 0");
    refused("redis", &address("redis://h/x"), Code::InvalidValue, "database number");
    refused(
        "redis",
        &address("rediss://h")
            .replace("«", "")
            .replace("»", "")
            .replace("\"redis://a\"", "«\"redis://a\"»"),
        Code::InvalidValue,
        "others without",
    );
    refused(
        "redis",
        "urls = [\"redis://h\", «1»]\nredis-type = \"cluster\"",
        Code::WrongType,
        "in quotes",
    );
    refused(
        "redis",
        "url = «\"redis://h/1\"»\nredis-type = \"sentinel\"",
        Code::InvalidValue,
        "sentinels have none",
    );
    refused(
        "redis",
        "urls = [\"redis://a\", «\"redis://b\"»]",
        Code::InvalidValue,
        "redis-type = \"cluster\"",
    );
    refused(
        "redis",
        "url = \"redis://a\"\n«urls» = \"redis://b\"",
        Code::ConflictingKeys,
        "twice",
    );
    refused(
        "redis",
        "url = \"redis://h\"\nredis-type = «\"clustr\"»",
        Code::InvalidValue,
        "did you mean \"cluster\"?",
    );
    refused(
        "redis",
        "url = \"redis://h\"\ntimeout = «\"10 parsecs\"»",
        Code::InvalidValue,
        "with its unit",
    );
    refused("redis", "url = \"redis://h\"\ntimeout = «0»", Code::OutOfRange, "from 1");
    refused(
        "redis",
        "url = \"redis://h\"\nmin-replicas = «101»",
        Code::OutOfRange,
        "from 0 to 100",
    );
    refused(
        "redis",
        "url = \"redis://h\"\nmin-replicas = «\"101\"»",
        Code::OutOfRange,
        "from 0 to 100",
    );
    refused("redis", "url = \"redis://h\"\n«user» = \"u\"", Code::MissingKey, "add `password`");
    refused(
        "redis",
        "url = \"redis://h\"\nredis-type = \"sentinel\"\n«sentinel-user» = \"u\"",
        Code::MissingKey,
        "add `sentinel-password`",
    );
    refused(
        "redis",
        "url = \"redis://u:p@h\"\n«password» = \"p\"",
        Code::ConflictingKeys,
        "one of the two logins",
    );
    refused(
        "redis",
        "url = «\"redis://u:p@h\"»\nredis-type = \"sentinel\"",
        Code::InvalidValue,
        "for the master",
    );
    refused(
        "redis",
        "urls = [\"redis://u:p@a\", «\"redis://b\"»]\nredis-type = \"cluster\"",
        Code::InvalidValue,
        "write it once",
    );
    refused(
        "redis",
        "url = \"redis://h\"\nprotocol-version = «\"resp4\"»",
        Code::InvalidValue,
        "resp3",
    );
    refused(
        "redis",
        "url = \"redis://h\"\nread-from-replicas = «1»",
        Code::WrongType,
        "`true` or `false`",
    );
    refused(
        "redis",
        "url = \"redis://h\"\n«pasword» = \"y\"",
        Code::UnknownKey,
        "did you mean `password`?",
    );
    refused(
        "redis",
        "url = \"redis://h\"\npool.«max-conections» = 1",
        Code::UnknownKey,
        "`pool.max-connections`",
    );
}

#[test]
fn nats_in_either_key_style() {
    let kebab = "address = [\"a:1\", \"tls://b:2\"]\ntimeout.connection = \"2s\"\ntimeout.request = \"3s\"\nping-interval = \"4s\"\nreplicas = 3\n\
                 max-reconnects = \"5\"\ntls.enable = true\ncapacity.client = 6\ncapacity.subscription = 7\ncapacity.read-buffer = 8\n\
                 user = \"u\"\npassword = \"p\"\n";
    let camel = "addresses = [\"a:1\", \"tls://b:2\"]\ntimeoutConnection = 2000\ntimeoutRequest = 3000\npingInterval = 4000\nreplicas = 3\n\
                 maxReconnects = 5\nuseTls = true\ncapacityClient = 6\ncapacitySubscription = 7\ncapacityReadBuffer = 8\n\
                 authUsername = \"u\"\nauthSecret = \"p\"\n";
    let wanted = NatsSection {
        id: "main".into(),
        addresses: secrets(&["a:1", "tls://b:2"]),
        login: NatsLogin::User {
            user: "u".into(),
            password: Secret::new("p"),
        },
        tls: Some(TlsSection::default()),
        replicas: 3,
        timeout_connection: 2 * SECOND,
        timeout_request: 3 * SECOND,
        ping_interval: 4 * SECOND,
        capacity_client: 6,
        capacity_subscription: 7,
        capacity_read_buffer: 8,
        max_reconnects: Some(5),
    };
    assert_eq!((nats(kebab), nats(camel)), (wanted.clone(), wanted));
    assert_eq!(nats("address = \"h\"\nmax-reconnects = false").max_reconnects, None);
    assert_eq!(nats("address = \"h\"\nreplicas = 5").replicas, 5);
}

#[test]
fn nats_logins() {
    let login = |lines: &str| nats(&format!("address = \"h\"\n{lines}")).login;
    assert_eq!(login("token = \"t\""), NatsLogin::Token(Secret::new("t")));
    assert_eq!(login(&format!("nkey = \"{SEED}\"")), NatsLogin::Nkey(Secret::new(SEED)));
    let credentials = NatsLogin::Credentials(Secret::new(CREDENTIALS));
    assert_eq!(login(&format!("credentials = '''\n{CREDENTIALS}'''")), credentials);
    let file = tempfile::NamedTempFile::new().unwrap();
    // One line end at the end of a file is taken for the editor's.
    std::fs::write(file.path(), format!("{CREDENTIALS}\n")).unwrap();
    let path = file.path().display();
    for form in [
        format!("{path:?}"),
        format!("\"%{{file:{path}}}%\""),
        format!("{{ file = {path:?} }}"),
    ] {
        assert_eq!(login(&format!("credentials = {form}")), credentials, "{form}");
    }
}

#[test]
fn nats_refusals() {
    let h = |lines: &str| format!("address = \"h\"\n{lines}");
    refused("nats", "address = «\"http://h\"»", Code::InvalidValue, "`tls://`");
    refused("nats", "address = [\"h\", «\"\"»]\nreplicas = 1", Code::InvalidValue, "is empty");
    refused(
        "nats",
        "address = [«\"nats://a\"», \"tls://b\"]\nreplicas = 1",
        Code::InvalidValue,
        "others without",
    );
    for even in [2, 4] {
        refused("nats", &h(&format!("replicas = «{even}»")), Code::OutOfRange, "1, 3 or 5");
    }
    refused("nats", &h("replicas = «6»"), Code::OutOfRange, "from 1 to 5");
    refused("nats", &h("tls.enable = «1»"), Code::WrongType, "`true` or `false`");
    refused("nats", &h("capacity.client = «\"99999999999\"»"), Code::OutOfRange, "from 1 to");
    refused("nats", &h("capacity.subscription = «0»"), Code::OutOfRange, "from 1 to");
    refused("nats", &h("capacity.read-buffer = «65536»"), Code::OutOfRange, "65535");
    refused("nats", &h("max-reconnects = «true»"), Code::WrongType, "an integer");
    refused("nats", &h("ping-interval = «\"2 days\"»"), Code::InvalidValue, "with its unit");
    refused("nats", &h("timeout.connection = «false»"), Code::WrongType, "a duration");
    refused("nats", &h("timeout.request = «true»"), Code::WrongType, "a duration");
    refused("nats", &h("«user» = \"u\""), Code::MissingKey, "add `password`");
    refused("nats", &h("«password» = \"p\""), Code::MissingKey, "add `user`");
    refused(
        "nats",
        &h(&format!("token = \"t\"\n«nkey» = \"{SEED}\"")),
        Code::ConflictingKeys,
        "one login",
    );
    refused(
        "nats",
        &h("user = \"u\"\npassword = \"p\"\n«token» = \"t\""),
        Code::ConflictingKeys,
        "one login",
    );
    refused(
        "nats",
        &h(&format!("nkey = \"{SEED}\"\n«credentials» = '''{CREDENTIALS}'''")),
        Code::ConflictingKeys,
        "one login",
    );
    refused(
        "nats",
        "address = \"nats://u:p@h\"\n«token» = \"t\"",
        Code::ConflictingKeys,
        "in an address",
    );
    refused("nats", &h("nkey = «\"UABCDEFG\"»"), Code::InvalidValue, "not the public key");
    refused(
        "nats",
        &h("credentials = «'''\n-----BEGIN CERTIFICATE-----\n'''»"),
        Code::InvalidValue,
        "a JWT and a seed",
    );
    refused(
        "nats",
        &h("credentials = «\"/no/such/file\"»"),
        Code::MissingSecret,
        "/no/such/file",
    );
}

#[test]
fn an_empty_text_is_no_value() {
    let h = "address = \"h\"\n";
    refused("nats", &format!("{h}token = «\"\"»"), Code::InvalidValue, "leave the key out");
    refused(
        "nats",
        &format!("{h}user = «\"\"»\npassword = \"p\""),
        Code::InvalidValue,
        "leave the key out",
    );
    refused(
        "redis",
        "url = \"redis://h\"\nredis-type = \"sentinel\"\nservice-name = «\"\"»",
        Code::InvalidValue,
        "is empty",
    );
    refused("sqlite", "path = «\"\"»", Code::InvalidValue, "is empty");
}

#[test]
fn kafka_in_either_key_style() {
    let kebab = "brokers = [\"a:1\", \"b\"]\nsasl.mechanism = \"SCRAM-SHA-256\"\nuser = \"u\"\npassword = \"p\"\nreplication = 3\n\
                 timeout.session = \"2s\"\ntimeout.message = \"3s\"\n";
    let camel = "brokers = [\"a:1\", \"b\"]\nsaslMechanism = \"SCRAM-SHA-256\"\nsaslUsername = \"u\"\nsaslPassword = \"p\"\nreplication = \"3\"\n\
                 timeoutSession = 2000\ntimeoutMessage = 3000\n";
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
    for (word, mechanism) in [("PLAIN", KafkaMechanism::Plain), ("SCRAM-SHA-512", KafkaMechanism::ScramSha512)] {
        let section = kafka(&format!(
            "brokers = \"h\"\nsasl.mechanism = \"{word}\"\nsasl.user = \"u\"\nauth-secret = \"p\""
        ));
        assert_eq!(section.login.map(|login| login.mechanism), Some(mechanism));
    }
}

#[test]
fn kafka_refusals() {
    let h = |lines: &str| format!("brokers = \"h:9092\"\n{lines}");
    refused("kafka", "brokers = «\"kafka://h:9092\"»", Code::InvalidValue, "is to have none");
    refused("kafka", "brokers = «\"me@a:9092\"»", Code::InvalidValue, "keys of their own");
    refused("kafka", "brokers = «\"a:9092/x\"»", Code::InvalidValue, "after its port");
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
    refused("kafka", &h("timeout.session = «\"x\"»"), Code::InvalidValue, "with its unit");
    refused("kafka", &h("timeout.message = «\"2000d\"»"), Code::OutOfRange, "milliseconds");
}

#[test]
fn tls_of_every_broker() {
    let certificate = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
    let key = "-----BEGIN EC PRIVATE KEY-----\nAA==\n-----END EC PRIVATE KEY-----\n";
    let lines = format!(
        "tls.ca = \"ca.pem\"\ntls.certificate = '''\n{certificate}'''\ntls.key = '''\n{key}'''\ntls.server-name = \"broker.example\"\n\
         tls.allow-invalid-certs = false"
    );
    let wanted = Some(TlsSection {
        ca: Some(Pem::File(PathBuf::from("ca.pem"))),
        identity: Some((Pem::Text(Secret::new(certificate)), Pem::Text(Secret::new(key)))),
        server_name: Some("broker.example".into()),
    });
    assert_eq!(redis(&format!("url = \"redis://h\"\n{lines}")).tls, wanted);
    assert_eq!(nats(&format!("address = \"h\"\n{lines}")).tls, wanted);
    let unnamed = lines.replace("tls.server-name = \"broker.example\"\n", "");
    let wanted = wanted.map(|tls| TlsSection { server_name: None, ..tls });
    assert_eq!(kafka(&format!("brokers = \"h\"\n{unnamed}")).tls, wanted);
    let named = "brokers = \"h\"\ntls.server-name = «\"broker.example\"»";
    refused("kafka", named, Code::InvalidValue, "advertised.listeners");
    let camel = "[store.main.tls]\nenable = \"true\"\nca = \"/ca.pem\"\nserverName = \"x\"";
    let wanted = Some(TlsSection {
        ca: Some(Pem::File(PathBuf::from("/ca.pem"))),
        identity: None,
        server_name: Some("x".into()),
    });
    assert_eq!(nats(&format!("address = \"h\"\n{camel}")).tls, wanted);
}

#[test]
fn what_turns_tls_on() {
    let on = Some(TlsSection::default());
    assert_eq!(redis("url = \"rediss://h\"").tls, on);
    assert_eq!(redis("url = \"redis://h\"\ntls.enable = true").tls, on);
    assert_eq!(redis("url = \"redis://h\"\ntls.enable = false").tls, None);
    assert_eq!(nats("address = \"tls://h\"").tls, on);
    assert_eq!(kafka("brokers = \"h\"\ntls.enable = true").tls, on);
    let all = "urls = [\"redis://a\", \"redis://b\"]\nredis-type = \"cluster\"\ntls.enable = true";
    assert_eq!(redis(all).tls, on);
}

#[test]
fn tls_refusals() {
    for (kind, first) in [
        ("redis", "url = \"redis://h\""),
        ("nats", "address = \"h\""),
        ("kafka", "brokers = \"h\""),
    ] {
        let r = |lines: &str, code, says| refused(kind, &format!("{first}\n{lines}"), code, says);
        r("tls.«certificate» = \"c.pem\"", Code::MissingKey, "add `tls.key`");
        r("tls.«key» = \"k.pem\"", Code::MissingKey, "add `tls.certificate`");
        r(
            "tls.enable = false\ntls.«ca» = \"ca.pem\"",
            Code::ConflictingKeys,
            "tls.enable = false",
        );
        r("tls.ca = «\"\"»", Code::InvalidValue, "neither a path nor PEM");
        r(
            "tls.ca = «'''\n-----BEGIN RSA PRIVATE KEY-----\n'''»",
            Code::InvalidValue,
            "else than a certificate",
        );
        r("tls.ca = «\"%{file:/no/such/ca}%\"»", Code::MissingSecret, "/no/such/ca");
        r("tls.server-name = «\"https://x/\"»", Code::InvalidValue, "without scheme");
        r("tls.allow-invalid-certs = «1»", Code::WrongType, "`true` or `false`");
        r("tls.«cert» = \"c.pem\"", Code::UnknownKey, "did you mean");
        warned(
            kind,
            &format!("{first}\ntls.«allow-invalid-certs» = true"),
            Code::IgnoredKey,
            "always verified",
        );
    }
    refused(
        "redis",
        "url = \"rediss://h\"\ntls.«enable» = false",
        Code::ConflictingKeys,
        "rediss://",
    );
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
    warned("nats", "address = \"h\"\n«noEcho» = true", Code::IgnoredKey, "its own messages");
    warned("nats", "address = \"h\"\ntimeout.«request» = false", Code::IgnoredKey, "10 s");
    assert_eq!(nats("address = \"h\"\ntimeout.request = \"false\"").timeout_request, 10 * SECOND);
    warned(
        "kafka",
        "brokers = \"h\"\n«groupId» = \"mail\"",
        Code::IgnoredKey,
        "every node must see every message",
    );
    warned("sqlite", "path = \"/x.db\"\npool.«workers» = 4", Code::IgnoredKey, "one thread");
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
    refused("redis", "url = \"redis://h\"\ntls = «true»", Code::WrongType, "tls.enable");
    refused("kafka", "brokers = \"h\"\n«tsl» = { ca = \"x\" }", Code::UnknownKey, "no key `tsl`");
    refused("kafka", "brokers = \"h\"\n[store.main.«slas»]", Code::UnknownKey, "no key `slas`");
}

#[test]
fn several_servers_and_one_copy() {
    warned("nats", "address = [\"a\", «\"b\"»]", Code::SingleReplica, "replicas = 3");
    warned("kafka", "brokers = [\"a\", «\"b\"»]", Code::SingleReplica, "replication = 3");
}

#[test]
fn zenoh_is_read() {
    let (config, _) = sound(&with("type = \"zenoh\"\nconfig = \"{}\""));
    let CoordinatorConfig::Zenoh(section) = &config.coordinator else {
        panic!("zenoh")
    };
    assert_eq!((section.id.as_str(), section.config.expose()), ("main", "{}"));
    assert_eq!((config.coordinator.kind(), config.coordinator.id()), ("zenoh", Some("main")));
}
