//! NATS with JetStream: one server, new or old, or a cluster.

mod cluster;

use std::fs;
use std::ops::Deref;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, Result};

use crate::authority::Authority;
use crate::port::Port;
use crate::proxy::Proxy;
use crate::server::{Folder, Recipe, Server, text};
use crate::stamps::Stamps;
use crate::tools;

pub use cluster::NatsCluster;

/// A NATS server with JetStream on disk.
pub struct NatsServer {
    server: Server,
    tls: bool,
    clock: Option<Clock>,
}

/// A clock of its own, as far as its clients can see: the way to it on which they are told another time.
struct Clock {
    way: Proxy,
    stamps: Arc<Stamps>,
}

impl NatsServer {
    /// The newer one, with the default settings.
    ///
    /// # Errors
    /// It is not installed, or does not come up within a minute; its log is shown.
    pub fn start() -> Result<Self> {
        Self::builder().start()
    }

    /// Debian 12's 2.9.10, whose compare-and-set in a cluster is not atomic.
    ///
    /// # Errors
    /// It is not installed, or does not come up within a minute; its log is shown.
    pub fn old() -> Result<Self> {
        Self::builder().old().start()
    }

    /// One with settings of your own.
    #[must_use]
    pub fn builder() -> NatsBuilder {
        NatsBuilder::default()
    }

    /// Its address: `nats://…` or, with TLS, `tls://…`.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.tls { "tls" } else { "nats" };
        format!("{scheme}://127.0.0.1:{}", self.port())
    }

    /// Its port on 127.0.0.1; where it has a clock of its own, the one at which its clients are told that.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.clock
            .as_ref()
            .map_or_else(|| self.server.port(), |clock| clock.way.port())
    }

    /// Its clock is ahead of this machine's by so many milliseconds from now on.
    ///
    /// # Errors
    /// It was not started with [`NatsBuilder::clock_ahead_by`].
    pub fn shift_clock(&self, millis: i64) -> Result<()> {
        let clock = self.clock.as_ref();
        clock
            .context("this server lives by the clock of this machine")?
            .stamps
            .shift(millis);
        Ok(())
    }
}

impl Deref for NatsServer {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

/// The settings of a NATS server that is to be started.
#[derive(Clone, Default)]
pub struct NatsBuilder {
    old: bool,
    lines: String,
    jetstream: String,
    without_jetstream: bool,
    tls: Option<(Authority, bool)>,
    clock_ahead_by: Option<i64>,
}

impl NatsBuilder {
    /// Debian 12's 2.9.10 instead of the newer one.
    #[must_use]
    pub fn old(mut self) -> Self {
        self.old = true;
        self
    }

    /// Lines of the configuration file, such as `max_payload: 64KB`.
    #[must_use]
    pub fn config(mut self, lines: &str) -> Self {
        self.lines.push_str(lines);
        self.lines.push('\n');
        self
    }

    /// Lines of the section `jetstream`, such as `max_file_store: 1MB`.
    #[must_use]
    pub fn jetstream(mut self, lines: &str) -> Self {
        self.jetstream.push_str(lines);
        self.jetstream.push('\n');
        self
    }

    /// Without JetStream: messages only.
    #[must_use]
    pub fn without_jetstream(mut self) -> Self {
        self.without_jetstream = true;
        self
    }

    /// TLS only, with a certificate of `authority` for `localhost` and `127.0.0.1`; clients need one too if
    /// `client_certificates`.
    #[must_use]
    pub fn tls(mut self, authority: &Authority, client_certificates: bool) -> Self {
        self.tls = Some((authority.clone(), client_certificates));
        self
    }

    /// A wall clock of its own, ahead of this machine's by so many milliseconds; [`NatsServer::shift_clock`] shifts it
    /// again. Its clients see it in the times of the messages that streams push; not over TLS.
    #[must_use]
    pub fn clock_ahead_by(mut self, millis: i64) -> Self {
        self.clock_ahead_by = Some(millis);
        self
    }

    /// Starts it and waits until it serves.
    ///
    /// # Errors
    /// It is not installed, or does not come up within a minute; its log is shown.
    pub fn start(self) -> Result<NatsServer> {
        let server = self.launch(Port::free()?)?;
        server.wait_until_ready()?;
        Ok(server)
    }

    fn launch(self, port: Port) -> Result<NatsServer> {
        let mut configuration = format!("listen: 127.0.0.1:{}\n{}", port.number(), self.lines);
        if let Some((authority, client_certificates)) = &self.tls {
            let own = authority.server(&["localhost", "127.0.0.1"])?;
            configuration.push_str(&format!(
                "tls {{ cert_file: {:?}, key_file: {:?}, ca_file: {:?}, verify: {client_certificates}, timeout: 10 \
                 }}\n",
                text(&own.certificate)?,
                text(&own.key)?,
                text(&authority.ca())?
            ));
        }
        let program = if self.old {
            tools::nats_server_old()?
        } else {
            tools::nats_server()?
        };
        let clock = self.clock_ahead_by.map(|millis| Clock::before(port.number(), millis));
        Ok(NatsServer {
            tls: self.tls.is_some(),
            clock: clock.transpose()?,
            server: Server::launch(
                port,
                Nats {
                    program,
                    configuration,
                    jetstream: (!self.without_jetstream).then_some(self.jetstream),
                },
            )?,
        })
    }
}

impl Clock {
    fn before(port: u16, millis: i64) -> Result<Self> {
        let stamps = Arc::<Stamps>::default();
        stamps.shift(millis);
        Ok(Self {
            way: Proxy::dating(port, stamps.clone())?,
            stamps,
        })
    }
}

struct Nats {
    program: PathBuf,
    configuration: String,
    /// Lines of its section, if it is on.
    jetstream: Option<String>,
}

impl Recipe for Nats {
    fn ready(&self) -> &str {
        "Server is ready"
    }

    fn prepare(&self, folder: &Folder) -> Result<()> {
        let file = folder.file(CONFIGURATION);
        let data = folder.data();
        let mut text = self.configuration.clone();
        if let Some(lines) = &self.jetstream {
            text.push_str(&format!(
                "jetstream {{\nstore_dir: {:?}\n{lines}}}\n",
                crate::server::text(&data)?
            ));
        }
        fs::write(&file, text).with_context(|| format!("{} cannot be written", file.display()))
    }

    fn command(&self, folder: &Folder) -> Result<Command> {
        let mut command = Command::new(&self.program);
        command.arg("--config").arg(folder.file(CONFIGURATION));
        Ok(command)
    }
}

const CONFIGURATION: &str = "nats.conf";
