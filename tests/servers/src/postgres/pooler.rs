//! PgBouncer in front of a PostgreSQL server.

use std::fs;
use std::ops::Deref;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use super::PostgresServer;
use super::recipe::{DATABASE, USER, unprivileged};
use crate::port::Port;
use crate::server::{Folder, Recipe, Server, text};
use crate::tools;

/// A pooler that asks nobody for a password.
pub struct PgBouncer(Server);

impl PgBouncer {
    /// One in front of `server`, with further lines for `pgbouncer.ini`, such as `pool_mode = transaction`.
    ///
    /// # Errors
    /// It is not installed, or does not come up within a minute; its log is shown.
    pub fn before(server: &PostgresServer, settings: &[&str]) -> Result<Self> {
        let port = Port::free()?;
        let target = format!(
            "host=127.0.0.1 port={} user={USER} password={}",
            server.port(),
            server.password()
        );
        let config = format!(
            "[databases]\n{DATABASE} = {target}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = \
             {}\nunix_socket_dir =\nauth_type = any\n{}\n",
            port.number(),
            settings.join("\n")
        );
        let program = tools::pgbouncer()?;
        Ok(Self(Server::start(port, Pooler { program, config })?))
    }
}

impl Deref for PgBouncer {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.0
    }
}

struct Pooler {
    program: PathBuf,
    /// The text of `pgbouncer.ini`.
    config: String,
}

const CONFIG: &str = "pgbouncer.ini";

impl Recipe for Pooler {
    fn ready(&self) -> &str {
        "process up"
    }

    fn prepare(&self, folder: &Folder) -> Result<()> {
        let file = folder.file(CONFIG);
        fs::write(&file, &self.config).with_context(|| format!("{} cannot be written", file.display()))
    }

    fn command(&self, folder: &Folder) -> Result<Command> {
        let mut command = unprivileged(&self.program);
        command.arg(text(&folder.file(CONFIG))?);
        Ok(command)
    }
}
