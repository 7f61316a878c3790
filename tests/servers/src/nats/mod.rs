//! NATS with JetStream: one server, new or old, or a cluster.

mod cluster;

use std::fs;
use std::ops::Deref;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::authority::Authority;
use crate::port::Port;
use crate::server::{Folder, Recipe, Server, text};
use crate::tools;

pub use cluster::NatsCluster;

/// A NATS server with JetStream on disk.
pub struct NatsServer {
    server: Server,
    tls: bool,
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
        Ok(NatsServer {
            tls: self.tls.is_some(),
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
