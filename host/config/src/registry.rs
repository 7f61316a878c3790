//! Files that are no configuration: a JSON object, as the mail server keeps it in its database since release 0.16.

use crate::mask;
use serde_json::{Map, Value};

/// What to say about a file that is a JSON object: what it is, and how to write what it says. `None` for any other
/// file.
pub(crate) fn explain(text: &str) -> Option<(String, String)> {
    let text = text.trim_start_matches('\u{feff}').trim_start();
    // A table in braces is not what a TOML file begins with.
    if !text.starts_with('{') {
        return None;
    }
    let Ok(Value::Object(object)) = serde_json::from_str(text) else {
        let message = "the file begins like a JSON object; a configuration is TOML";
        return Some((
            message.into(),
            "write sections and keys, as in `[cluster]` and below it `coordinator = \"redis\"`".into(),
        ));
    };
    let message = "the file is a JSON object, as release 0.16 of the mail server and later ones keep the coordinator \
                   in their database; a configuration is TOML";
    let help = match object.get("@type").and_then(Value::as_str).and_then(kind) {
        Some((kind, redis_type)) => format!("write the same as:\n\n{}", as_toml(&object, kind, redis_type)),
        None => "write a section `[store.\"<id>\"]` with its `type` and the keys in docs/configuration.md, and name \
                 it in `cluster.coordinator`"
            .to_owned(),
    };
    Some((message.into(), help))
}

/// The type of section, and of Redis, that a type of the registry is.
fn kind(name: &str) -> Option<(&'static str, Option<&'static str>)> {
    Some(match name {
        "Kafka" => ("kafka", None),
        "Nats" => ("nats", None),
        "Zenoh" => ("zenoh", None),
        "Redis" => ("redis", None),
        "RedisCluster" => ("redis", Some("cluster")),
        "RedisSentinel" => ("redis", Some("sentinel")),
        _ => return None,
    })
}

/// The object as a section. Only plain texts, numbers and lists of texts are taken over, and nothing that may be
/// secret.
fn as_toml(object: &Map<String, Value>, kind: &str, redis_type: Option<&str>) -> String {
    let mut lines = vec![
        "[cluster]".to_owned(),
        "coordinator = \"main\"".to_owned(),
        String::new(),
        "[store.\"main\"]".to_owned(),
        format!("type = \"{kind}\""),
    ];
    lines.extend(redis_type.map(|kind| format!("redis-type = \"{kind}\"")));
    for (key, value) in object.iter().filter(|(key, _)| *key != "@type") {
        let key = crate::keys::canonical(key);
        let plain = key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        // A whole configuration of Zenoh may hold passwords.
        let secret = mask::sounds_secret(&key) || kind == "zenoh";
        match value {
            _ if !plain || value.is_null() => {}
            Value::Bool(_) | Value::Number(_) if !secret => lines.push(format!("{key} = {value}")),
            Value::String(text) if !secret && is_plain(text) => lines.push(format!("{key} = {value}")),
            Value::Array(list) if !secret && list.iter().all(|text| text.as_str().is_some_and(is_plain)) => {
                let list: Vec<_> = list.iter().map(Value::to_string).collect();
                lines.push(format!("{key} = [{}]", list.join(", ")));
            }
            _ => lines.push(format!("{key} = \"…\"")),
        }
    }
    lines.join("\n")
}

/// Whether a text is the same in TOML and shows no login.
fn is_plain(text: &str) -> bool {
    text.chars().all(|c| !c.is_control() && !matches!(c, '"' | '\\' | '@')) && text.len() <= 200
}
