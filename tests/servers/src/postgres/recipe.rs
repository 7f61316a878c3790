//! How a PostgreSQL server gets its data, and runs although root started it.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use rustix::process::{Signal, geteuid};

use crate::clock::Clock;
use crate::server::{Folder, Recipe};

/// The superuser, who comes only over the socket in the data folder.
pub(super) const ADMIN: &str = "postgres";

/// The user that clients are.
pub(super) const USER: &str = "node";

/// What the user owns.
pub(super) const DATABASE: &str = "shardwright";

/// The id of `nobody` and of its group on every Linux.
const NOBODY: u32 = 65_534;

/// Where the data comes from when there is none.
pub(super) enum Origin {
    New,
    /// A primary, by its socket's folder and its port: this is its standby.
    Primary(PathBuf, u16),
}

pub(super) struct Postgres {
    pub(super) programs: PathBuf,
    /// As the command line takes them.
    pub(super) settings: Vec<String>,
    /// The text of `pg_hba.conf`.
    pub(super) access: String,
    pub(super) password: String,
    pub(super) origin: Origin,
    /// Which time it is shown, if not the machine's.
    pub(super) clock: Option<Arc<Clock>>,
}

/// A program that refuses to run as root: as `nobody` then, with root's right to reach every folder, be it the server's
/// or its own.
pub(super) fn unprivileged(program: &Path) -> Command {
    if !geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    // Without this bit, asking whether a file may be read would still get the answer for `nobody`.
    command.arg("--securebits=+no_setuid_fixup");
    command
        .arg(format!("--reuid={NOBODY}"))
        .arg(format!("--regid={NOBODY}"));
    command.args([
        "--clear-groups",
        "--inh-caps=+dac_override",
        "--ambient-caps=+dac_override",
    ]);
    command.arg(program);
    command
}

impl Postgres {
    /// One of its programs.
    fn program(&self, name: &str) -> Command {
        unprivileged(&self.programs.join(name))
    }

    /// The server on its data, with its settings.
    fn server(&self, mode: &[&str], folder: &Folder) -> Command {
        let mut command = self.program("postgres");
        command.args(mode).arg("-D").arg(folder.data());
        for setting in &self.settings {
            command.args(["-c", setting]);
        }
        command
    }

    fn create(&self, folder: &Folder) -> Result<()> {
        let mut init = self.program("initdb");
        init.arg("--pgdata")
            .arg(folder.data())
            .args(["--username", ADMIN, "--auth=trust"]);
        init.args([
            "--locale=C",
            "--encoding=UTF8",
            "--wal-segsize=1",
            "--no-sync",
            "--no-instructions",
        ]);
        run(init, "")?;
        let statements = format!(
            "CREATE ROLE {USER} LOGIN PASSWORD '{}'\nCREATE DATABASE {DATABASE} OWNER {USER}\n",
            self.password
        );
        let mut alone = self.server(&["--single"], folder);
        alone.arg(ADMIN);
        run(alone, &statements)
    }

    fn copy(&self, socket: &PathBuf, port: u16, folder: &Folder) -> Result<()> {
        let mut backup = self.program("pg_basebackup");
        backup.arg("--pgdata").arg(folder.data()).arg("--host").arg(socket);
        backup.args(["--port", &port.to_string(), "--username", ADMIN]);
        backup.args([
            "--write-recovery-conf",
            "--checkpoint=fast",
            "--wal-method=stream",
            "--no-sync",
        ]);
        run(backup, "")
    }
}

impl Recipe for Postgres {
    fn ready(&self) -> &str {
        "database system is ready to accept"
    }

    fn prepare(&self, folder: &Folder) -> Result<()> {
        let access = folder.file(ACCESS);
        fs::write(&access, &self.access).with_context(|| format!("{} cannot be written", access.display()))?;
        if folder.data().join("PG_VERSION").exists() {
            return Ok(());
        }
        fs::set_permissions(folder.data(), Permissions::from_mode(0o700))?;
        if geteuid().is_root() {
            chown(folder.data(), Some(NOBODY), Some(NOBODY)).context("the data folder cannot be given away")?;
        }
        match &self.origin {
            Origin::New => self.create(folder),
            Origin::Primary(socket, port) => self.copy(socket, *port, folder),
        }
    }

    fn command(&self, folder: &Folder) -> Result<Command> {
        let mut command = self.server(&[], folder);
        command.arg("-k").arg(folder.data());
        command.args([
            "-c",
            &format!("hba_file={}", crate::server::text(&folder.file(ACCESS))?),
        ]);
        if let Some(clock) = &self.clock {
            clock.give_to(&mut command);
        }
        Ok(command)
    }

    /// Otherwise it would wait until its clients leave.
    fn end(&self) -> Signal {
        Signal::INT
    }

    fn killed(&self, folder: &Folder) {
        // Its process id, which may be another's by now, and on the seventh line the id of its piece of shared memory.
        let file = folder.data().join("postmaster.pid");
        let Ok(text) = fs::read_to_string(&file) else { return };
        if let Some(memory) = text.lines().nth(6).and_then(|line| line.split_whitespace().nth(1)) {
            let mut remove = Command::new("ipcrm");
            remove
                .args(["--shmem-id", memory])
                .stdin(Stdio::null())
                .stderr(Stdio::null());
            // Without this program, and when the test itself is killed, a few bytes stay until the machine is started
            // again.
            let _ = remove.status();
        }
        let _ = fs::remove_file(&file);
    }
}

const ACCESS: &str = "pg_hba.conf";

/// Runs `command` to its end, with `input`.
fn run(mut command: Command, input: &str) -> Result<()> {
    let what = format!("{command:?}");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("{what} could not be started"))?;
    child
        .stdin
        .take()
        .context("its input is piped")?
        .write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    // Alone, the server goes on after an error.
    ensure!(
        output.status.success() && !said.contains("ERROR:"),
        "{what}: {}",
        said.trim()
    );
    Ok(())
}
