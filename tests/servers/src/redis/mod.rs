//! Redis: one server, a cluster, a master that sentinels watch.

mod cluster;
mod sentinel;

use std::collections::BTreeMap;
use std::fs;
use std::ops::Deref;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};

use crate::authority::{Authority, Certificate};
use crate::clock::Clock;
use crate::port::Port;
use crate::server::{Folder, Recipe, Server, text};
use crate::tools;

pub use cluster::RedisCluster;
pub use sentinel::RedisSentinel;

/// A Redis server that keeps what it acknowledged (`appendonly`), also when it is killed.
pub struct RedisServer {
    server: Server,
    access: Option<Access>,
    clock: Option<Arc<Clock>>,
}

/// With which certificates a server with TLS is talked to.
struct Access {
    ca: PathBuf,
    client: Certificate,
}

impl RedisServer {
    /// One with the default settings.
    ///
    /// # Errors
    /// It is not installed, or does not come up within a minute; its log is shown.
    pub fn start() -> Result<Self> {
        Self::builder().start()
    }

    /// One with settings of your own.
    #[must_use]
    pub fn builder() -> RedisBuilder {
        RedisBuilder::default()
    }

    /// Its address: `redis://…` or, with TLS, `rediss://…`.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.access.is_some() { "rediss" } else { "redis" };
        format!("{scheme}://127.0.0.1:{}", self.port())
    }

    /// Its clock is ahead of this machine's by so many milliseconds from now on.
    ///
    /// # Errors
    /// It was not started with [`RedisBuilder::clock_ahead_by`].
    pub fn shift_clock(&self, millis: i64) -> Result<()> {
        self.clock
            .as_ref()
            .context("this server lives by the clock of this machine")?
            .shift(millis)
    }

    /// Runs one command by redis-cli and gives what it prints.
    ///
    /// # Errors
    /// The command fails; the answer is shown.
    pub fn cli(&self, command: &[&str]) -> Result<String> {
        let mut cli = Command::new(tools::redis_cli()?);
        cli.args(["-e", "-h", "127.0.0.1", "-p", &self.port().to_string()]);
        if let Some(access) = &self.access {
            cli.arg("--tls").arg("--cacert").arg(&access.ca);
            cli.arg("--cert")
                .arg(&access.client.certificate)
                .arg("--key")
                .arg(&access.client.key);
        }
        cli.args(command);
        let output = cli
            .stdin(Stdio::null())
            .output()
            .context("redis-cli could not be started")?;
        let answer = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        ensure!(
            output.status.success(),
            "redis-cli {}: {answer} {}",
            command.first().unwrap_or(&""),
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(answer)
    }
}

impl Deref for RedisServer {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

/// The settings of a Redis server that is to be started.
#[derive(Clone, Default)]
pub struct RedisBuilder {
    settings: BTreeMap<String, String>,
    lines: Vec<String>,
    tls: Option<(Authority, bool)>,
    clock_ahead_by: Option<i64>,
}

impl RedisBuilder {
    /// A setting as in `redis.conf`, such as `appendfsync` and `always`; it replaces the default one.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.insert(name.to_owned(), value.to_owned());
        self
    }

    /// A line of `redis.conf` that may be there several times, such as `user alice on >secret ~* &* +@all`.
    #[must_use]
    pub fn line(mut self, line: &str) -> Self {
        self.lines.push(line.to_owned());
        self
    }

    /// TLS only, with a certificate of `authority` for `localhost` and `127.0.0.1`; clients need one too if
    /// `client_certificates`.
    #[must_use]
    pub fn tls(mut self, authority: &Authority, client_certificates: bool) -> Self {
        self.tls = Some((authority.clone(), client_certificates));
        self
    }

    /// A wall clock of its own, ahead of this machine's by so many milliseconds; [`RedisServer::shift_clock`] shifts
    /// it again.
    #[must_use]
    pub fn clock_ahead_by(mut self, millis: i64) -> Self {
        self.clock_ahead_by = Some(millis);
        self
    }

    /// Starts it and waits until it serves.
    ///
    /// # Errors
    /// It is not installed, or does not come up within a minute; its log is shown.
    pub fn start(self) -> Result<RedisServer> {
        self.start_as(Role::Server)
    }

    fn start_as(mut self, role: Role) -> Result<RedisServer> {
        let port = Port::free()?;
        let number = port.number().to_string();
        let mut access = None;
        self = match self.tls.take() {
            None => self.set("port", &number),
            Some((authority, client_certificates)) => {
                access = Some(Access {
                    ca: authority.ca(),
                    client: authority.client("redis-cli")?,
                });
                let own = authority.server(&["localhost", "127.0.0.1"])?;
                self.set("port", "0")
                    .set("tls-port", &number)
                    .set("tls-cert-file", text(&own.certificate)?)
                    .set("tls-key-file", text(&own.key)?)
                    .set("tls-ca-cert-file", text(&authority.ca())?)
                    .set("tls-auth-clients", if client_certificates { "yes" } else { "no" })
            }
        };
        let program = tools::redis_server()?;
        let clock = self.clock_ahead_by.map(Clock::ahead_by).transpose()?.map(Arc::new);
        let recipe = Redis {
            program,
            clock: clock.clone(),
            role,
            settings: self.settings,
            lines: self.lines,
        };
        Ok(RedisServer {
            server: Server::start(port, recipe)?,
            access,
            clock,
        })
    }
}

/// What the program `redis-server` is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Server,
    Sentinel,
}

struct Redis {
    program: PathBuf,
    clock: Option<Arc<Clock>>,
    role: Role,
    settings: BTreeMap<String, String>,
    lines: Vec<String>,
}

impl Redis {
    /// The text of the configuration file.
    fn configuration(&self, folder: &Folder) -> Result<String> {
        let data = folder.data();
        let mut all = BTreeMap::from([("bind", "127.0.0.1"), ("daemonize", "no"), ("dir", text(&data)?)]);
        if self.role == Role::Server {
            all.extend([("appendonly", "yes"), ("save", "\"\"")]);
        }
        all.extend(
            self.settings
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str())),
        );
        let settings = all.iter().map(|(name, value)| format!("{name} {value}\n"));
        Ok(settings
            .chain(self.lines.iter().map(|line| format!("{line}\n")))
            .collect())
    }
}

impl Recipe for Redis {
    fn ready(&self) -> &str {
        match self.role {
            Role::Server => "Ready to accept connections",
            Role::Sentinel => "Sentinel ID is",
        }
    }

    fn prepare(&self, folder: &Folder) -> Result<()> {
        let file = folder.data().join(CONFIGURATION);
        // Written once: the server itself may change it.
        if !file.exists() {
            fs::write(&file, self.configuration(folder)?)
                .with_context(|| format!("{} cannot be written", file.display()))?;
        }
        Ok(())
    }

    fn command(&self, folder: &Folder) -> Result<Command> {
        let mut command = Command::new(&self.program);
        command.arg(folder.data().join(CONFIGURATION));
        if let Some(clock) = &self.clock {
            clock.give_to(&mut command);
        }
        if self.role == Role::Sentinel {
            command.arg("--sentinel");
        }
        Ok(command)
    }
}

const CONFIGURATION: &str = "redis.conf";
