//! PostgreSQL: one server, or a primary and its standby.

mod pair;
mod pooler;
mod recipe;

use std::collections::BTreeMap;
use std::ops::Deref;
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};

use crate::authority::Authority;
use crate::clock::Clock;
use crate::port::Port;
use crate::server::{Server, text};
use crate::tools;

pub use pair::PostgresPair;
pub use pooler::PgBouncer;
use recipe::{ADMIN, DATABASE, Origin, Postgres, USER};

/// A PostgreSQL server with the database `shardwright`, which belongs to the user `node`.
///
/// One that was wiped has another system identifier than before.
pub struct PostgresServer {
    server: Server,
    password: String,
    clock: Option<Arc<Clock>>,
}

impl PostgresServer {
    /// One with the default settings.
    ///
    /// # Errors
    /// It is not installed, or does not come up within a minute; its log is shown.
    pub fn start() -> Result<Self> {
        Self::builder().start()
    }

    /// One with settings of your own.
    #[must_use]
    pub fn builder() -> PostgresBuilder {
        PostgresBuilder::default()
    }

    /// Its address: `postgres://node:PASSWORD@127.0.0.1:PORT/shardwright`.
    #[must_use]
    pub fn url(&self) -> String {
        format!(
            "postgres://{USER}:{}@127.0.0.1:{}/{DATABASE}",
            self.password,
            self.port()
        )
    }

    /// The user that owns the database.
    #[must_use]
    pub fn user(&self) -> &str {
        USER
    }

    /// The password of that user.
    #[must_use]
    pub fn password(&self) -> &str {
        &self.password
    }

    /// The database.
    #[must_use]
    pub fn database(&self) -> &str {
        DATABASE
    }

    /// Its clock is ahead of this machine's by so many milliseconds from now on.
    ///
    /// # Errors
    /// It was not started with [`PostgresBuilder::clock_ahead_by`].
    pub fn shift_clock(&self, millis: i64) -> Result<()> {
        self.clock
            .as_ref()
            .context("this server lives by the clock of this machine")?
            .shift(millis)
    }

    /// Has psql run this in the database, as a superuser who needs no password, and gives what it prints.
    ///
    /// # Errors
    /// The statement fails; what PostgreSQL says is shown.
    pub fn sql(&self, statement: &str) -> Result<String> {
        let mut psql = Command::new(tools::postgres()?.join("psql"));
        psql.args([
            "--no-psqlrc",
            "--quiet",
            "--no-align",
            "--tuples-only",
            "--set",
            "ON_ERROR_STOP=1",
        ]);
        psql.arg("--host").arg(self.data_folder());
        psql.args([
            "--port",
            &self.port().to_string(),
            "--username",
            ADMIN,
            "--dbname",
            DATABASE,
        ]);
        psql.args(["--command", statement]);
        let output = psql
            .stdin(Stdio::null())
            .output()
            .context("psql could not be started")?;
        ensure!(
            output.status.success(),
            "{statement}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

impl Deref for PostgresServer {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

/// The settings of a PostgreSQL server that is to be started.
#[derive(Clone)]
pub struct PostgresBuilder {
    settings: BTreeMap<String, String>,
    password: String,
    method: &'static str,
    tls: Option<(Authority, bool)>,
    clock_ahead_by: Option<i64>,
}

impl Default for PostgresBuilder {
    fn default() -> Self {
        Self {
            settings: BTreeMap::new(),
            password: "secret".to_owned(),
            method: "scram-sha-256",
            tls: None,
            clock_ahead_by: None,
        }
    }
}

impl PostgresBuilder {
    /// A setting as in `postgresql.conf`, such as `max_connections` and `5`; it replaces the default one.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The password of the user `node`, instead of `secret`; letters and digits only, so that it fits into a URL.
    #[must_use]
    pub fn password(mut self, password: &str) -> Self {
        password.clone_into(&mut self.password);
        self
    }

    /// Asks for no password.
    #[must_use]
    pub fn trust(mut self) -> Self {
        self.method = "trust";
        self
    }

    /// Asks for the password by MD5 instead of SCRAM-SHA-256, and keeps it so.
    #[must_use]
    pub fn md5(mut self) -> Self {
        self.method = "md5";
        self
    }

    /// TLS only, with a certificate of `authority` for `localhost` and `127.0.0.1`; clients need one too if
    /// `client_certificates`.
    #[must_use]
    pub fn tls(mut self, authority: &Authority, client_certificates: bool) -> Self {
        self.tls = Some((authority.clone(), client_certificates));
        self
    }

    /// A wall clock of its own, ahead of this machine's by so many milliseconds; [`PostgresServer::shift_clock`] shifts
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
    pub fn start(self) -> Result<PostgresServer> {
        self.start_from(Origin::New)
    }

    fn start_from(self, origin: Origin) -> Result<PostgresServer> {
        let port = Port::free()?;
        let mut settings = BTreeMap::from([
            ("listen_addresses", "127.0.0.1".to_owned()),
            ("port", port.number().to_string()),
            ("lc_messages", "C".to_owned()),
            ("shared_buffers", "16MB".to_owned()),
            // In its folder, where a killed server leaves nothing behind.
            ("dynamic_shared_memory_type", "mmap".to_owned()),
            ("jit", "off".to_owned()),
        ]);
        let mut line = format!("host all all 127.0.0.1/32 {}", self.method);
        if self.method == "md5" {
            settings.insert("password_encryption", "md5".to_owned());
        }
        if let Some((authority, client_certificates)) = &self.tls {
            let own = authority.server(&["localhost", "127.0.0.1"])?;
            settings.extend([
                ("ssl", "on".to_owned()),
                ("ssl_cert_file", text(&own.certificate)?.to_owned()),
                ("ssl_key_file", text(&own.key)?.to_owned()),
                ("ssl_ca_file", text(&authority.ca())?.to_owned()),
            ]);
            line.insert_str("host".len(), "ssl");
            if *client_certificates {
                line.push_str(" clientcert=verify-ca");
            }
        }
        settings.extend(self.settings.iter().map(|(name, value)| (name.as_str(), value.clone())));
        let clock = self.clock_ahead_by.map(Clock::ahead_by).transpose()?.map(Arc::new);
        let recipe = Postgres {
            programs: tools::postgres()?,
            settings: settings
                .into_iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect(),
            access: format!("local all,replication {ADMIN} trust\n{line}\n"),
            password: self.password.clone(),
            origin,
            clock: clock.clone(),
        };
        Ok(PostgresServer {
            server: Server::start(port, recipe)?,
            password: self.password,
            clock,
        })
    }
}
