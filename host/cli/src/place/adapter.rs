//! Addresses of servers that an adapter speaks to: `etcd://HOST,HOST` and `postgresql://USER:PASSWORD@HOST/DATABASE`.
//!
//! What is said about an address never shows a part of it that may be a password, also where a password is what breaks
//! it.

use super::quoted;
use super::text::{decoded, find};
use anyhow::{Context, anyhow, bail};

const ETCD: &str =
    "etcd://USER:PASSWORD@HOST:2379,HOST:2379, with TLS as etcds, without user and password where etcd asks for none";

const POSTGRESQL: &str = "postgresql://USER:PASSWORD@HOST:5432/DATABASE, with TLS as …/DATABASE?sslmode=require";

/// The lines of the section for `etcd://` or, with TLS, `etcds://`; `rest` is what follows.
pub(super) fn etcd(rest: &str, tls: bool) -> anyhow::Result<String> {
    etcd_section(rest, tls).map_err(|flaw| anyhow!("{flaw}: use {ETCD}"))
}

/// The lines of the section for `postgresql://`; `rest` is what follows.
pub(super) fn postgresql(rest: &str) -> anyhow::Result<String> {
    postgresql_section(rest).map_err(|flaw| anyhow!("{flaw}: use {POSTGRESQL}"))
}

fn etcd_section(rest: &str, tls: bool) -> anyhow::Result<String> {
    let parts = Parts::of(rest)?;
    if !matches!(parts.path, "" | "/") || parts.query.is_some() {
        bail!("something follows the hosts in the address");
    }
    let login = match parts.login()? {
        (Some(user), Some(password)) => format!(", user = {}, password = {}", quoted(&user), quoted(&password)),
        (None, None) => String::new(),
        _ => bail!("of user and password, one is missing in the address"),
    };
    let endpoint = |host: &&str| {
        let (host, port) = host_and_port(host, 2379)?;
        Ok(quoted(&format!(
            "{}://{host}:{port}",
            if tls { "https" } else { "http" }
        )))
    };
    let endpoints: Vec<_> = parts.hosts().iter().map(endpoint).collect::<anyhow::Result<_>>()?;
    let endpoints = endpoints.join(", ");
    Ok(format!(
        "type = \"component\"\nadapter = \"etcd\"\nallow = [{endpoints}]\nconfig = {{ endpoints = \
         [{endpoints}]{login} }}\n"
    ))
}

fn postgresql_section(rest: &str) -> anyhow::Result<String> {
    let parts = Parts::of(rest)?;
    let (Some(user), password) = parts.login()? else {
        bail!("the user is missing in the address");
    };
    let [host] = parts.hosts()[..] else {
        bail!("the address has several hosts, and all nodes of a cluster must meet at one");
    };
    let (host, port) = host_and_port(host, 5432)?;
    let database = decoded(parts.path.strip_prefix('/').unwrap_or_default())?;
    if database.is_empty() {
        bail!("the database is missing in the address");
    }
    let tls = parts.query.map(is_tls).transpose()?.unwrap_or(false);
    let grant = quoted(&format!("{}://{host}:{port}", if tls { "tls" } else { "tcp" }));
    // Brackets belong to addresses only.
    let host = quoted(host.trim_start_matches('[').trim_end_matches(']'));
    let (database, user) = (quoted(&database), quoted(&user));
    let password = password
        .map(|password| format!(", password = {}", quoted(&password)))
        .unwrap_or_default();
    Ok(format!(
        "type = \"component\"\nadapter = \"postgresql\"\nallow = [{grant}]\nconfig = {{ host = {host}, port = {port}, \
         database = {database}, user = {user}{password}, tls = {tls} }}\n"
    ))
}

/// Whether the parameters of an address ask for TLS; certificates are verified whenever it is used.
fn is_tls(query: &str) -> anyhow::Result<bool> {
    let mut mode = None;
    for parameter in query.split('&') {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if name != "sslmode" {
            bail!(
                "the address has the parameter \"{}\", and only sslmode is understood",
                name.escape_debug()
            );
        }
        if mode.replace(value).is_some() {
            bail!("the address has sslmode twice");
        }
    }
    match mode {
        Some("disable") => Ok(false),
        Some("require" | "verify-full") => Ok(true),
        _ => bail!(
            "sslmode in the address must be disable, or require or verify-full, which mean the same: certificates are \
             always verified"
        ),
    }
}

/// What stands in an address after its `://`.
struct Parts<'a> {
    login: Option<&'a str>,
    hosts: &'a str,
    /// With its `/`.
    path: &'a str,
    query: Option<&'a str>,
}

impl<'a> Parts<'a> {
    fn of(rest: &'a str) -> anyhow::Result<Self> {
        let end = find(rest, |c| "/?#".contains(c)).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at(end);
        if find(tail, |c| c == '@').is_some() {
            bail!(
                "a `/`, `?` or `#` stands before an `@` in the address: in a user or password, write %2F, %3F or %23"
            );
        }
        if find(tail, |c| c == '#').is_some() {
            bail!("a `#` stands in the address");
        }
        let (login, hosts) = match find(authority, |c| c == '@') {
            Some(at) => (Some(&authority[..at]), &authority[at + 1..]),
            None => (None, authority),
        };
        if find(hosts, |c| c == '@').is_some() || login.is_some_and(|login| find(login, |c| c == ',').is_some()) {
            bail!(
                "user and password stand once, before the first host of the address; in them, write %40 for `@` and \
                 %2C for `,`"
            );
        }
        let (path, query) = match find(tail, |c| c == '?') {
            Some(at) => (&tail[..at], Some(&tail[at + 1..])),
            None => (tail, None),
        };
        Ok(Self {
            login,
            hosts,
            path,
            query,
        })
    }

    fn hosts(&self) -> Vec<&'a str> {
        let (mut hosts, mut rest) = (Vec::new(), self.hosts);
        while let Some(at) = find(rest, |c| c == ',') {
            hosts.push(&rest[..at]);
            rest = &rest[at + 1..];
        }
        hosts.push(rest);
        hosts
    }

    /// User and password; neither is empty.
    fn login(&self) -> anyhow::Result<(Option<String>, Option<String>)> {
        let login = self.login.unwrap_or_default();
        let (user, password) = match find(login, |c| c == ':') {
            Some(at) => (&login[..at], &login[at + 1..]),
            None => (login, ""),
        };
        let part = |text: &str| decoded(text).map(|text| Some(text).filter(|text| !text.is_empty()));
        Ok((part(user)?, part(password)?))
    }
}

/// A host with its brackets, and its port.
fn host_and_port(text: &str, usual: u16) -> anyhow::Result<(&str, u16)> {
    let after = text.rfind(']').unwrap_or(0);
    let (host, port) = match find(&text[after..], |c| c == ':') {
        Some(at) => (&text[..after + at], Some(&text[after + at + 1..])),
        None => (text, None),
    };
    if port.is_some_and(|port| port.contains(':')) {
        bail!("an address of IPv6 stands in brackets, as in [::1]");
    }
    if host.is_empty() {
        bail!("a host is missing in the address");
    }
    let number = |port: &str| {
        port.parse()
            .ok()
            .filter(|number| *number > 0 && port.bytes().all(|b| b.is_ascii_digit()))
    };
    let port = port.map_or(Some(usual), number);
    Ok((
        host,
        port.context("a port in the address is no number from 1 to 65535")?,
    ))
}

#[cfg(test)]
mod test {
    use crate::place::{coordinator, section};
    use shardwright_config::{AdapterSource, ComponentSection, CoordinatorConfig};

    fn component(address: &str) -> ComponentSection {
        match coordinator(address) {
            Ok(CoordinatorConfig::Component(section)) => section,
            other => panic!("{address}: {other:?}"),
        }
    }

    /// Adapter, grants and what the adapter is told.
    fn read(address: &str) -> (AdapterSource, Vec<String>, String) {
        let section = component(address);
        let grants = section.grants.iter().map(ToString::to_string).collect();
        (section.adapter, grants, section.config.expose().to_owned())
    }

    #[test]
    fn the_lines_of_a_section() {
        assert_eq!(
            section("etcds://u:p%22%5C%20@a,b:1").expect("an address"),
            "type = \"component\"\nadapter = \"etcd\"\nallow = [\"https://a:2379\", \"https://b:1\"]\n\
             config = { endpoints = [\"https://a:2379\", \"https://b:1\"], user = \"u\", password = \"p\\\"\\\\ \" }\n"
        );
        assert_eq!(
            section("postgres://u:p@h/d").expect("an address"),
            "type = \"component\"\nadapter = \"postgresql\"\nallow = [\"tcp://h:5432\"]\nconfig = { host = \"h\", \
             port = 5432, database = \"d\", user = \"u\", password = \"p\", tls = false }\n"
        );
    }

    #[test]
    fn etcd() {
        for (address, grants, told) in [
            ("etcd://h", vec!["http://h:2379"], r#"{"endpoints":["http://h:2379"]}"#),
            ("etcd://h/", vec!["http://h:2379"], r#"{"endpoints":["http://h:2379"]}"#),
            (
                "etcds://u:p@a:1,b,[::1],[::2]:3",
                vec!["https://a:1", "https://b:2379", "https://[::1]:2379", "https://[::2]:3"],
                concat!(
                    r#"{"endpoints":["https://a:1","https://b:2379","https://[::1]:2379","https://[::2]:3"],"#,
                    r#""password":"p","user":"u"}"#,
                ),
            ),
            (
                "etcd://%C3%BC%40:%3A%2F%2C%25x:y@h",
                vec!["http://h:2379"],
                r#"{"endpoints":["http://h:2379"],"password":":/,%x:y","user":"ü@"}"#,
            ),
        ] {
            let wanted = (
                AdapterSource::Bundled("etcd"),
                grants.into_iter().map(str::to_owned).collect(),
                told.to_owned(),
            );
            assert_eq!(read(address), wanted, "{address}");
            assert_eq!(
                component(address).tls.is_some(),
                address.starts_with("etcds"),
                "{address}"
            );
        }
    }

    #[test]
    fn postgresql() {
        let told = |host: &str, port: u16, rest: &str| {
            format!("{{\"database\":\"d\",\"host\":\"{host}\",{rest}}}").replace("PORT", &port.to_string())
        };
        for (address, grant, told) in [
            (
                "postgresql://u@h/d",
                "tcp://h:5432",
                told("h", 5432, r#""port":PORT,"tls":false,"user":"u""#),
            ),
            (
                "postgres://u:p@h:1/d?sslmode=disable",
                "tcp://h:1",
                told("h", 1, r#""password":"p","port":PORT,"tls":false,"user":"u""#),
            ),
            (
                "postgres://u:p@[::1]/d?sslmode=require",
                "tls://[::1]:5432",
                told("::1", 5432, r#""password":"p","port":PORT,"tls":true,"user":"u""#),
            ),
            (
                "postgresql://%22u:p%2F@h/%64?sslmode=verify-full",
                "tls://h:5432",
                told("h", 5432, r#""password":"p/","port":PORT,"tls":true,"user":"\"u""#),
            ),
        ] {
            assert_eq!(
                read(address),
                (AdapterSource::Bundled("postgresql"), vec![grant.to_owned()], told),
                "{address}"
            );
            assert_eq!(component(address).tls.is_some(), grant.starts_with("tls"), "{address}");
        }
        assert!(read("postgres://u@h/a%2Fb%20c/d").2.contains(r#""database":"a/b c/d""#));
    }

    /// The test runner sets the variable. What a macro names may have any character in it.
    #[test]
    fn macros_are_left_to_the_configuration() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("a@b:c,d");
        std::fs::write(&file, "p/@:%41\n").expect("written");
        let address = format!(
            "etcd://%{{env:CARGO_PKG_NAME}}%:x%{{file:{}}}%%41@%{{env:CARGO_PKG_NAME}}%,b",
            file.display()
        );
        let section = component(&address);
        assert_eq!(
            section.config.expose(),
            concat!(
                r#"{"endpoints":["http://shardwright-cli:2379","http://b:2379"],"#,
                r#""password":"xp/@:%41A","user":"shardwright-cli"}"#,
            )
        );
        assert!(section.secrets.iter().any(|secret| secret.expose() == "p/@:%41"));
        assert!(
            read("postgres://%{env:CARGO_PKG_NAME}%@h/d")
                .2
                .contains(r#""user":"shardwright-cli""#)
        );
    }

    #[test]
    fn what_is_none_is_refused_without_its_password() {
        for (address, says) in [
            ("etcd://", "host is missing"),
            ("etcd://a,", "host is missing"),
            ("etcd://u:hunter2@", "host is missing"),
            ("etcd://u:hunter2@a,,b", "host is missing"),
            ("etcd://u:hunter2@h:x", "1 to 65535"),
            ("etcd://u:hunter2@h:0", "1 to 65535"),
            ("etcd://u:hunter2@h:65536", "1 to 65535"),
            ("etcd://u:hunter2", "1 to 65535"),
            ("etcd://u:hunter2@::1", "in brackets"),
            ("etcd://u:hunter2@[::g]", "no IPv6"),
            ("etcd://u:hunter2@h_%41", "neither a name"),
            ("etcd://u:hunter2@*", "`*`"),
            ("etcd://hunter2@h", "one is missing"),
            ("etcd://u:@h", "one is missing"),
            ("etcd://:hunter2@h", "one is missing"),
            ("etcd://u:hunter2@h/path", "follows the hosts"),
            ("etcd://u:hunter2@h?x=1", "follows the hosts"),
            ("etcd://u:hunter2@h#x", "`#`"),
            ("etcd://u:hun/ter2@h", "%2F"),
            ("etcd://u:hun?ter2@h", "%3F"),
            ("etcd://u:hun#ter2@h", "%23"),
            ("etcd://u:hun@ter2@h", "%40"),
            ("etcd://u:hun,ter2@h", "%2C"),
            ("etcd://a,u:hunter2@b", "before the first host"),
            ("etcd://u:hunter2@a,v:hunter2@b", "before the first host"),
            ("etcd://u:hunter2%@h", "%25"),
            ("etcd://u:hunter2%4@h", "%25"),
            ("etcd://u:hunter2%+1@h", "%25"),
            ("etcd://u:hunter2%ff@h", "UTF-8"),
            ("etcd://u:hunter2%00@h", "control character"),
            ("etcd://u:hunter2%25%7Benv:X}%25@h", "begins a macro"),
            ("etcd://u:%{env:SHARDWRIGHT_NO_SUCH}%@h", "SHARDWRIGHT_NO_SUCH"),
            ("postgres://h/d", "user is missing"),
            ("postgres://:hunter2@h/d", "user is missing"),
            ("postgres://u:hunter2@h", "database is missing"),
            ("postgres://u:hunter2@h/", "database is missing"),
            ("postgres://u:hunter2@/d", "host is missing"),
            ("postgres://u:hunter2@a,b/d", "several hosts"),
            ("postgres://u:hunter2@h:p/d", "1 to 65535"),
            ("postgres://u:hunter2@h/d?sslmode=prefer", "must be disable, or require"),
            ("postgres://u:hunter2@h/d?sslmode", "must be disable, or require"),
            (
                "postgres://u:hunter2@h/d?sslmode=require&sslmode=disable",
                "sslmode twice",
            ),
            (
                "postgres://u:hunter2@h/d?sslmode=require&connect_timeout=1",
                "parameter \"connect_timeout\"",
            ),
            ("postgres://u@h/d?password=hunter2", "parameter \"password\""),
            ("postgres://u:hun?ter2@h/d", "%3F"),
            ("postgres://u:hun?ter2=x@h/d", "%3F"),
            ("postgres://u:hunter2@h/d?", "parameter \"\""),
        ] {
            let error = format!("{:#}", coordinator(address).expect_err(address));
            assert!(error.contains(says), "{address}: {error}");
            for part in ["hunter2", "hun", "ter2"] {
                assert!(!error.contains(part), "{address}: {error}");
            }
        }
    }
}
