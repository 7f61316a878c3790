//! The adapter's configuration: a JSON object of few keys, each checked by name.

use serde_json::{Map, Value};

/// The keys that there are, with a line for each.
pub(crate) const OPTIONS: [&str; 4] = [
    "endpoints: list of http://host:port or https://host:port, the members of one etcd cluster, in the same order on \
     all nodes",
    "user: name of an etcd user; together with password",
    "password: the password of that user",
    "prefix: what all keys begin with, letters, digits and . _ - (default \"shardwright\")",
];
/// The most endpoints: etcd advises at most seven members.
const ENDPOINTS: usize = 16;
/// The longest prefix, in bytes.
const PREFIX: usize = 64;

/// What the operator has set.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Config {
    /// `http://host:port`, without a slash at the end.
    pub(crate) endpoints: Vec<String>,
    pub(crate) login: Option<Login>,
    pub(crate) prefix: String,
}

/// Who the adapter is to etcd.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) user: String,
    pub(crate) password: String,
}

impl Config {
    /// Reads `text`.
    ///
    /// # Errors
    /// One sentence: what is wrong, and how to put it right. Without the password.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        // serde_json's own message may quote what is in the text.
        let value: Value = serde_json::from_str(text).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            format!("the configuration is no JSON (line {line}, column {column}): write an object with `endpoints`")
        })?;
        let Value::Object(map) = value else {
            return Err("the configuration is no JSON object: write one with `endpoints`".into());
        };
        if let Some(key) = map.keys().find(|key| {
            !OPTIONS
                .iter()
                .any(|option| option.split(':').next() == Some(key.as_str()))
        }) {
            return Err(format!(
                "there is no key `{}`: there are endpoints, user, password and prefix",
                shorten(key)
            ));
        }
        let login = match (text_of(&map, "user")?, text_of(&map, "password")?) {
            (Some(user), Some(password)) => Some(Login { user, password }),
            (None, None) => None,
            (Some(_), None) => return Err("`user` needs `password`".into()),
            (None, Some(_)) => return Err("`password` needs `user`".into()),
        };
        let prefix = text_of(&map, "prefix")?.unwrap_or_else(|| "shardwright".into());
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        if prefix.len() > PREFIX || !prefix.bytes().all(fits) {
            return Err(format!("`prefix` must be 1 to {PREFIX} of letters, digits and . _ -"));
        }
        Ok(Self {
            endpoints: endpoints(&map)?,
            login,
            prefix,
        })
    }
}

fn endpoints(map: &Map<String, Value>) -> Result<Vec<String>, String> {
    let list = match map.get("endpoints") {
        Some(Value::Array(list)) => list,
        Some(_) => return Err("`endpoints` must be a list: [\"http://host:2379\"]".into()),
        None => return Err("`endpoints` is missing: name the members of the cluster, [\"http://host:2379\"]".into()),
    };
    if list.is_empty() || list.len() > ENDPOINTS {
        return Err(format!(
            "`endpoints` must name 1 to {ENDPOINTS} members, not {}",
            list.len()
        ));
    }
    let mut found = Vec::with_capacity(list.len());
    for (at, one) in list.iter().enumerate() {
        let flaw = |what: &str| format!("`endpoints[{at}]` {what}: write http://host:2379 or https://host:2379");
        let text = one.as_str().ok_or_else(|| flaw("is no text"))?;
        let text = endpoint(text).map_err(flaw)?;
        if found.contains(&text) {
            return Err(format!("`endpoints[{at}]` is named twice"));
        }
        found.push(text);
    }
    Ok(found)
}

/// `text` in its one spelling.
fn endpoint(text: &str) -> Result<String, &'static str> {
    let (scheme, rest) = text.split_once("://").ok_or("has no scheme")?;
    if !["http", "https"].contains(&scheme) {
        return Err("has another scheme");
    }
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.contains('@') {
        return Err("names a user, which belongs into `user`");
    }
    if rest.contains(['/', '?', '#']) {
        return Err("has a path");
    }
    let bracket = rest.rfind(']').unwrap_or(0);
    let at = rest[bracket..].rfind(':').ok_or("has no port")? + bracket;
    let (host, port) = (&rest[..at], &rest[at + 1..]);
    if port.parse::<u16>().ok().filter(|port| *port > 0).is_none() || !port.bytes().all(|b| b.is_ascii_digit()) {
        return Err("has no port from 1 to 65535");
    }
    let inside = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let fits = match inside {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)),
    };
    if !fits {
        return Err("has no host");
    }
    Ok(format!("{scheme}://{}:{port}", host.to_ascii_lowercase()))
}

fn text_of(map: &Map<String, Value>, key: &str) -> Result<Option<String>, String> {
    match map.get(key) {
        None => Ok(None),
        Some(Value::String(text)) if !text.is_empty() => Ok(Some(text.clone())),
        Some(_) => Err(format!("`{key}` must be a text that is not empty")),
    }
}

fn shorten(key: &str) -> String {
    key.chars().take(40).collect()
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn a_configuration_is_read_whole() {
        let text =
            r#"{"endpoints": ["http://A:2379/", "https://[::1]:2380"], "user": "u", "password": "p", "prefix": "x.y"}"#;
        let config = Config::parse(text).unwrap();
        assert_eq!(config.endpoints, ["http://a:2379", "https://[::1]:2380"]);
        assert!(
            config
                .login
                .is_some_and(|login| login.user == "u" && login.password == "p")
        );
        assert_eq!(config.prefix, "x.y");
        let least = Config::parse(r#"{"endpoints":["http://127.0.0.1:1"]}"#).unwrap();
        assert!(least.login.is_none() && least.prefix == "shardwright");
    }

    #[test]
    fn every_mistake_is_named() {
        let with = |endpoint: &str| format!(r#"{{"endpoints":[{endpoint}]}}"#);
        let more = |rest: &str| format!(r#"{{"endpoints":["http://h:1"],{rest}}}"#);
        let cases = [
            ("".to_owned(), "no JSON"),
            ("[]".to_owned(), "no JSON object"),
            ("{}".to_owned(), "`endpoints` is missing"),
            (r#"{"endpoints":"http://h:1"}"#.to_owned(), "must be a list"),
            (with(""), "1 to 16"),
            (with("1"), "`endpoints[0]` is no text"),
            (with(r#""h:1""#), "no scheme"),
            (with(r#""ftp://h:1""#), "another scheme"),
            (with(r#""http://h""#), "no port"),
            (with(r#""http://h:0""#), "no port from"),
            (with(r#""http://h:+1""#), "no port from"),
            (with(r#""http://:1""#), "no host"),
            (with(r#""http://[h]:1""#), "no host"),
            (with(r#""http://h:1/v3""#), "a path"),
            (with(r#""http://u:hidden@h:1""#), "`user`"),
            (with(r#""http://h:1","http://H:1/""#), "`endpoints[1]` is named twice"),
            (more(r#""user":"u""#), "needs `password`"),
            (more(r#""password":"hidden""#), "needs `user`"),
            (more(r#""user":"u","password":7"#), "`password` must be"),
            (more(r#""prefix":"a/b""#), "`prefix`"),
            (more(r#""prefix":"""#), "`prefix`"),
            (more(r#""endpoint":1"#), "no key `endpoint`"),
            (r#"{"endpoints":["http://h:1"],"password":hidden}"#.to_owned(), "column"),
        ];
        for (text, says) in cases {
            let error = Config::parse(&text)
                .err()
                .unwrap_or_else(|| panic!("{text} was accepted"));
            assert!(error.contains(says) && !error.contains("hidden"), "{text}: {error}");
        }
    }
}
