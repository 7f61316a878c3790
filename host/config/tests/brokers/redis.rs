//! Sections of type `redis`.

use crate::{SECOND, redis, refused, secrets};
use shardwright_config::{Code, RedisSection, RedisTopology, Secret};

#[test]
fn redis_in_either_key_style() {
    let kebab = "urls = [\"redis://a:1\", \"redis://b:2/0\"]\nredis-type = \"cluster\"\ntimeout = \"3s\"\nuser = \
                 \"u\"\npassword = \"p\"\nmin-replicas = 2\nprotocol-version = \"resp3\"\nread-from-replicas = false\n";
    let camel = "urls = [\"redis://a:1\", \"redis://b:2/0\"]\nredisType = \"cluster\"\ntimeout = 3000\nauthUsername = \
                 \"u\"\nauthSecret = \"p\"\nminReplicas = \"2\"\nprotocolVersion = \"resp3\"\nreadFromReplicas = \
                 \"false\"\n";
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
        "urls = [\"redis://a:26379\", \"redis://b\"]\nredis-type = \"sentinel\"\nservice-name = \"mail\"\nuser = \
         \"u\"\npassword = \"p\"\nsentinel-user = \"su\"\nsentinel-password = \"sp\"\n",
    );
    let wanted = RedisTopology::Sentinel {
        service: "mail".into(),
        user: Some("su".into()),
        password: Some(Secret::new("sp")),
    };
    assert_eq!((section.topology, section.user.as_deref()), (wanted, Some("u")));
    let camel =
        redis("url = \"redis://a\"\nredisType = \"sentinel\"\nsentinelUsername = \"su\"\nsentinelSecret = \"sp\"");
    let wanted = RedisTopology::Sentinel {
        service: "mymaster".into(),
        user: Some("su".into()),
        password: Some(Secret::new("sp")),
    };
    assert_eq!(camel.topology, wanted, "the mail server's default service");
    assert_eq!(
        camel.min_replicas, 1,
        "a write that only one server has is lost with it"
    );
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
    refused(
        "redis",
        "url = \"redis://h\"\ntimeout = «0»",
        Code::OutOfRange,
        "from 1",
    );
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
    refused(
        "redis",
        "url = \"redis://h\"\n«user» = \"u\"",
        Code::MissingKey,
        "add `password`",
    );
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
