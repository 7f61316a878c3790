//! `type = "redis"`.

use super::address::{Address, Form};
use super::settings::Settings;
use super::tls::{self, TlsSection};
use crate::problem::Code;
use crate::secret::Secret;
use std::time::Duration;

/// A `[store."<id>"]` section of type `redis`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisSection {
    /// Its id.
    pub id: String,
    /// How the servers stand to each other.
    pub topology: RedisTopology,
    /// The addresses, which may hold user and password, except the sentinels', and, for a single server, a database
    /// number. A single server may be at a socket: `unix:///path`, with `?db=…&user=…&pass=…` as far as given.
    pub urls: Vec<Secret>,
    /// The ACL user, if the addresses name none.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<Secret>,
    /// The longest that connecting and one command may take.
    pub timeout: Duration,
    /// How many replicas must have a write before it counts.
    pub min_replicas: u32,
    /// TLS; `None` for a connection without.
    pub tls: Option<TlsSection>,
}

/// How the servers stand to each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisTopology {
    /// One server.
    Single,
    /// Redis Cluster; the addresses are some of its nodes.
    Cluster,
    /// A master that sentinels watch; the addresses are the sentinels'.
    Sentinel {
        /// The master's name there.
        service: String,
        /// The ACL user at the sentinels.
        user: Option<String>,
        /// Its password.
        password: Option<Secret>,
    },
}

const FORM: Form = Form {
    schemes: &["redis", "rediss", "valkey", "valkeys"],
    bare: false,
    login: true,
    redis: true,
    example: "redis://host:6379",
};

/// What the mail server calls the service of Sentinel unless told otherwise.
const SERVICE: &str = "mymaster";

/// Why the protocol cannot be chosen.
const RESP3: &str = "messages come over RESP3 only, which every supported server speaks";

/// The settings that only Sentinel has.
const SENTINEL: [&str; 3] = ["service-name", "sentinel-user", "sentinel-password"];

pub(super) fn read(settings: &Settings<'_, '_, '_>, id: String) -> RedisSection {
    let kind = settings
        .word("redis-type", &["single", "cluster", "sentinel"])
        .unwrap_or("single");
    let addresses = settings.addresses("urls", &FORM);
    check(settings, kind, &addresses);
    let (user, password) = login(settings, "user", "password");
    let (sentinel_user, sentinel_password) = login(settings, "sentinel-user", "sentinel-password");
    check_logins(settings, kind, &addresses);
    check_extras(settings, &addresses);
    if let Some(item) = settings.get("protocol-version")
        && settings.word("protocol-version", &["resp2", "resp3"]) == Some("resp2")
    {
        settings.ignore(item.key_span, &item.path, RESP3);
    }
    if let Some(item) = settings.get("read-from-replicas")
        && settings.flag("read-from-replicas") == Some(true)
    {
        let why = "a replica may lag behind, and nodes must not act on what was: all reads go to the master";
        settings.ignore(item.key_span, &item.path, why);
    }
    let service = settings.text("service-name").unwrap_or_else(|| SERVICE.to_owned());
    RedisSection {
        id,
        topology: match kind {
            "cluster" => RedisTopology::Cluster,
            "sentinel" => RedisTopology::Sentinel {
                service,
                user: sentinel_user,
                password: sentinel_password,
            },
            _ => RedisTopology::Single,
        },
        tls: tls::read(settings, &addresses, "rediss"),
        urls: addresses.into_iter().map(|address| address.text).collect(),
        user,
        password,
        timeout: settings.duration("timeout").unwrap_or(Duration::from_secs(10)),
        // Where another server may take over, a write that only the old master has would be lost with it.
        min_replicas: settings
            .number("min-replicas", 0..=100)
            .unwrap_or(u32::from(kind != "single")),
    }
}

/// What does not fit the kind of installation.
fn check(settings: &Settings<'_, '_, '_>, kind: &str, addresses: &[Address<'_>]) {
    if kind == "single"
        && let [_, second, ..] = addresses
    {
        let help = "keep one, or say what they are: `redis-type = \"cluster\"` or `redis-type = \"sentinel\"`";
        settings.error(
            Code::InvalidValue,
            second.item.span,
            format!("`{}` has several addresses of a single server", second.item.path),
            help,
        );
    }
    for socket in addresses.iter().filter(|address| address.scheme == Some("unix")) {
        if kind != "single" {
            let message = format!(
                "an address in `{}` is a socket of this machine, where only a single server can be",
                socket.item.path
            );
            let help = "write the addresses of the servers in the network, as in `redis://host:6379`";
            settings.error(Code::InvalidValue, socket.item.span, message, help);
        }
        let on = settings
            .get("tls.enable")
            .filter(|_| settings.flag("tls.enable") == Some(true));
        if let Some(item) = tls::detail(settings).or(on) {
            settings.conflict(
                item,
                "the address of a socket",
                "remove it: nothing leaves this machine, and sockets have no TLS",
            );
        }
    }
    for address in addresses.iter().filter(|address| !address.path.is_empty()) {
        let flaw = match address.path.parse::<u8>() {
            Ok(0) => continue,
            Ok(_) if kind == "single" => continue,
            Ok(_) if kind == "cluster" => "names a database, and Redis Cluster has only number 0",
            Ok(_) => "names a database, and sentinels have none",
            Err(_) => "has something after `/` that is no database number from 0 to 255",
        };
        let message = format!("an address in `{}` {flaw}", address.item.path);
        let help =
            "end the address with the port: clusters of different `cluster.name` share a database without meeting";
        settings.error(Code::InvalidValue, address.item.span, message, help);
    }
    if kind != "sentinel" {
        for item in SENTINEL.iter().filter_map(|name| settings.get(name)) {
            settings.ignore(item.key_span, &item.path, "it is for `redis-type = \"sentinel\"` only");
        }
    }
}

/// What addresses say besides where the servers are, and what has no effect.
fn check_extras(settings: &Settings<'_, '_, '_>, addresses: &[Address<'_>]) {
    if let Some(address) = addresses.iter().find(|address| address.extras.insecure) {
        settings.ignore_part(
            address.item.span,
            &format!("`#insecure` in `{}`", address.item.path),
            tls::VERIFIED,
        );
    }
    if let Some(address) = addresses.iter().find(|address| address.extras.resp2) {
        settings.ignore_part(
            address.item.span,
            &format!("`protocol=resp2` in `{}`", address.item.path),
            RESP3,
        );
    }
}

/// One login for all servers of a kind, written in one place.
fn check_logins(settings: &Settings<'_, '_, '_>, kind: &str, addresses: &[Address<'_>]) {
    let Some(address) = addresses.iter().find(|address| address.login.is_some()) else {
        return;
    };
    let path = &address.item.path;
    if kind == "sentinel" {
        let message = format!("an address in `{path}` has a user or password, and it cannot be told for whom");
        let help =
            "write `user` and `password` for the master, `sentinel-user` and `sentinel-password` for the sentinels";
        settings.error(Code::InvalidValue, address.item.span, message, help);
    } else if let Some(item) = settings.get("password").or(settings.get("user")) {
        settings.conflict(item, "a user or password in an address", "keep one of the two logins");
    } else if let Some(other) = addresses.iter().find(|other| other.login != address.login) {
        let message = format!("the addresses in `{path}` have different logins, and all nodes of a cluster have one");
        settings.error(
            Code::InvalidValue,
            other.item.span,
            message,
            "write it once, as `user` and `password`",
        );
    }
}

/// A user, who needs a password, and a password, which needs no user.
fn login(
    settings: &Settings<'_, '_, '_>,
    user: &'static str,
    password: &'static str,
) -> (Option<String>, Option<Secret>) {
    if let (Some(item), None) = (settings.get(user), settings.get(password)) {
        settings.missing(item.key_span, password);
    }
    (settings.text(user), settings.secret(password))
}
