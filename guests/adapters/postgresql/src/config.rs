//! The configuration: a JSON object, each mistake named.

use serde_json::{Map, Value};
use std::fmt;

/// What an operator may write, a line each.
pub(crate) const OPTIONS: [&str; 7] = [
    "host: the name or address of the primary server",
    "port: 5432 if not given",
    "database: its name; it must exist",
    "user: the role that nodes log in as",
    "password: for SCRAM-SHA-256; not needed where the server asks for none",
    "tls: true to have the connection secured; false if not given",
    "schema: where the tables are; \"shardwright\" if not given",
];

/// A configuration without mistakes.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Config {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) database: String,
    pub(crate) user: String,
    pub(crate) password: Option<String>,
    pub(crate) tls: bool,
    pub(crate) schema: String,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Config of {}@{}/{}", self.user, self.grant(), self.database)
    }
}

impl Config {
    /// # Errors
    /// One sentence about the first mistake.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        // serde_json's own message may quote what is in the text.
        let mut given: Map<String, Value> = serde_json::from_str(text).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            format!("the configuration of the adapter is no JSON object (line {line}, column {column})")
        })?;
        let config = Self {
            host: host(&required(&mut given, "host")?)?,
            port: port(given.remove("port"))?,
            database: required(&mut given, "database")?,
            user: required(&mut given, "user")?,
            password: text_of("password", given.remove("password"))?,
            tls: flag("tls", given.remove("tls"))?,
            schema: schema(text_of("schema", given.remove("schema"))?)?,
        };
        match given.keys().next() {
            Some(unknown) => Err(format!(
                "{unknown:?} is no option of this adapter; there are host, port, database, user, password, tls and \
                 schema"
            )),
            None => Ok(config),
        }
    }

    /// The one address that this configuration needs.
    pub(crate) fn grant(&self) -> String {
        let scheme = if self.tls { "tls" } else { "tcp" };
        format!("{scheme}://{}:{}", self.host, self.port)
    }
}

fn text_of(name: &str, value: Option<Value>) -> Result<Option<String>, String> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.contains('\0') => Err(format!("{name:?} contains a zero byte")),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("{name:?} must be a text in quotes")),
    }
}

fn required(given: &mut Map<String, Value>, name: &str) -> Result<String, String> {
    match text_of(name, given.remove(name))? {
        Some(text) if !text.is_empty() => Ok(text),
        Some(_) => Err(format!("{name:?} is empty")),
        None => Err(format!("{name:?} is missing")),
    }
}

fn flag(name: &str, value: Option<Value>) -> Result<bool, String> {
    match value {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(flag)) => Ok(flag),
        Some(_) => Err(format!("{name:?} must be true or false")),
    }
}

fn port(value: Option<Value>) -> Result<u16, String> {
    match value {
        None | Some(Value::Null) => Ok(5432),
        Some(value) => match value.as_u64().and_then(|port| u16::try_from(port).ok()) {
            Some(port) if port > 0 => Ok(port),
            _ => Err("\"port\" must be a number from 1 to 65535, without quotes".into()),
        },
    }
}

/// A name, an IPv4 address, or an IPv6 address, which gets its brackets.
fn host(text: &str) -> Result<String, String> {
    if text.starts_with('/') {
        return Err(
            "\"host\" is the path of a socket, which an adapter cannot reach; give a name or an address".into(),
        );
    }
    if text.contains("://") || text.contains('/') || text.contains('@') {
        return Err("\"host\" must be a name or an address alone, without a scheme, a path or a user".into());
    }
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = bare.parse::<std::net::Ipv6Addr>() {
        return Ok(format!("[{address}]"));
    }
    if text.contains(':') {
        return Err("\"host\" contains a colon; the port has an option of its own, \"port\"".into());
    }
    if text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)) {
        Ok(text.to_owned())
    } else {
        Err(format!("\"host\" is {text:?}, which is neither a name nor an address"))
    }
}

/// A schema's name, which needs no quotes in SQL and none of PostgreSQL's own.
fn schema(text: Option<String>) -> Result<String, String> {
    let Some(text) = text else {
        return Ok("shardwright".into());
    };
    let first = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b == b'_');
    let rest = text
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if !first || !rest || text.len() > 63 {
        return Err(format!(
            "\"schema\" is {text:?}; it must be 1 to 63 of a-z, 0-9 and _, and not begin with a digit"
        ));
    }
    if text.starts_with("pg_") || text == "information_schema" {
        return Err(format!("\"schema\" is {text:?}, which belongs to PostgreSQL"));
    }
    Ok(text)
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn what_is_left_out_has_its_usual_value() {
        let config = Config::parse(r#"{"host": "db.example.org", "database": "mail", "user": "node"}"#).unwrap();
        assert_eq!(
            (config.port, config.tls, config.schema.as_str(), &config.password),
            (5432, false, "shardwright", &None)
        );
        assert_eq!(config.grant(), "tcp://db.example.org:5432");
        let config = Config::parse(
            r#"{"host": "::1", "port": 6000, "database": "d", "user": "u", "password": "hush", "tls": true,
                "schema": "mail_2"}"#,
        );
        let config = config.unwrap();
        assert_eq!(
            (config.grant().as_str(), config.schema.as_str()),
            ("tls://[::1]:6000", "mail_2")
        );
        assert!(!format!("{config:?}").contains("hush"));
    }

    #[test]
    fn what_is_no_object_is_not_repeated() {
        for text in ["\"hush\"", "hush", "{\"password\": \"hush\"", "[\"hush\"]"] {
            let error = Config::parse(text).unwrap_err();
            assert!(error.contains("no JSON object") && !error.contains("hush"), "{error}");
        }
    }

    #[test]
    fn each_mistake_is_named() {
        for (wrong, says) in [
            ("", "no JSON object"),
            ("[]", "no JSON object"),
            ("{}", "\"host\" is missing"),
            (r#"{"host": ""}"#, "\"host\" is empty"),
            (r#"{"host": 7}"#, "\"host\" must be a text"),
            (r#"{"host": "postgres://a/b"}"#, "alone"),
            (r#"{"host": "/run/postgresql"}"#, "socket"),
            (r#"{"host": "a:5432"}"#, "\"port\""),
            (r#"{"host": "a b"}"#, "neither"),
            (r#"{"host": "a", "port": "5432"}"#, "\"port\""),
            (r#"{"host": "a", "port": 0}"#, "\"port\""),
            (r#"{"host": "a", "port": 65536}"#, "\"port\""),
            (r#"{"host": "a"}"#, "\"database\" is missing"),
            (r#"{"host": "a", "database": "d"}"#, "\"user\" is missing"),
            (
                r#"{"host": "a", "database": "d", "user": "u", "password": 1}"#,
                "\"password\"",
            ),
            (r#"{"host": "a", "database": "d", "user": "u\u0000"}"#, "zero byte"),
            (
                r#"{"host": "a", "database": "d", "user": "u", "tls": "yes"}"#,
                "\"tls\"",
            ),
            (
                r#"{"host": "a", "database": "d", "user": "u", "schema": "My"}"#,
                "\"schema\"",
            ),
            (
                r#"{"host": "a", "database": "d", "user": "u", "schema": "pg_catalog"}"#,
                "belongs to PostgreSQL",
            ),
            (
                r#"{"host": "a", "database": "d", "user": "u", "prot": 1}"#,
                "\"prot\" is no option",
            ),
        ] {
            let error = Config::parse(wrong).expect_err(wrong);
            assert!(error.contains(says), "{wrong}: {error}");
        }
    }
}
