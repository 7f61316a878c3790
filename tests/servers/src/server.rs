//! What all servers have in common: a port, a folder, and a life.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::place;
use crate::port::Port;
use crate::process::Process;

/// How one kind of server is started.
pub(crate) trait Recipe: Send + Sync {
    /// What the log holds when it serves.
    fn ready(&self) -> &str;

    /// Prepares the folder before each start.
    fn prepare(&self, folder: &Folder) -> Result<()>;

    /// The command that runs it in the foreground.
    fn command(&self, folder: &Folder) -> Result<Command>;

    /// Sets up what only a server that serves can be told; after each start.
    fn started(&self, _folder: &Folder) -> Result<()> {
        Ok(())
    }

    /// What asks it to end without waiting for its clients.
    fn end(&self) -> Signal {
        Signal::TERM
    }

    /// Puts away what it leaves outside its folder when it is killed.
    fn killed(&self, _folder: &Folder) {}
}

/// Where one server keeps everything.
pub(crate) struct Folder(TempDir);

impl Folder {
    /// The folder that a wipe empties.
    pub(crate) fn data(&self) -> PathBuf {
        self.0.path().join("data")
    }

    /// A file beside it, which a wipe leaves.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

/// A server of its own, on a port and in a folder that stay the same over restarts. Dropping it kills it and deletes
/// the folder.
pub struct Server {
    port: Port,
    recipe: Box<dyn Recipe>,
    process: Mutex<Option<Process>>,
    folder: Folder,
}

impl Server {
    /// Starts it on `port` and waits until it serves.
    pub(crate) fn start(port: Port, recipe: impl Recipe + 'static) -> Result<Self> {
        let server = Self::launch(port, recipe)?;
        server.wait_until_ready()?;
        Ok(server)
    }

    /// Starts it and does not wait: the nodes of a cluster wait for each other.
    pub(crate) fn launch(port: Port, recipe: impl Recipe + 'static) -> Result<Self> {
        let folder = Folder(
            tempfile::Builder::new()
                .prefix("shardwright-server-")
                .tempdir_in(place::for_data())?,
        );
        let server = Self {
            port,
            recipe: Box::new(recipe),
            process: Mutex::new(None),
            folder,
        };
        server.launch_again()?;
        Ok(server)
    }

    /// Waits until a server that was launched serves.
    pub(crate) fn wait_until_ready(&self) -> Result<()> {
        self.process()
            .as_mut()
            .context(STOPPED)?
            .wait_for(self.recipe.ready())?;
        self.recipe.started(&self.folder)
    }

    /// Its port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// The id of its process.
    ///
    /// # Errors
    /// It does not run.
    pub fn process_id(&self) -> Result<u32> {
        Ok(self.process().as_ref().context(STOPPED)?.id())
    }

    /// What it printed since its last start; empty when it does not run.
    #[must_use]
    pub fn log(&self) -> String {
        self.process().as_ref().map_or_else(String::new, Process::log)
    }

    /// Whether it was started and has not been killed or stopped.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.process().is_some()
    }

    /// Ends it at once (SIGKILL), with every process that it has started.
    ///
    /// # Errors
    /// It does not run.
    pub fn kill(&self) -> Result<()> {
        let process = self.process().take();
        drop(process.context(STOPPED)?);
        self.recipe.killed(&self.folder);
        Ok(())
    }

    /// Asks it to end (SIGTERM, PostgreSQL by SIGINT) and waits until it has.
    ///
    /// # Errors
    /// It does not run, or does not end within a minute.
    pub fn stop(&self) -> Result<()> {
        let mut process = self.process().take().context(STOPPED)?;
        process.signal(self.recipe.end())?;
        process.wait()?;
        Ok(())
    }

    /// Starts it again after [`Self::kill`], [`Self::stop`] or [`Self::wipe`]: the same port, and the data that is
    /// there.
    ///
    /// # Errors
    /// It runs already, or does not come up within a minute; its log is shown.
    pub fn start_again(&self) -> Result<()> {
        self.launch_again()?;
        self.wait_until_ready()
    }

    /// Like [`Self::start_again`], without waiting until it serves.
    ///
    /// # Errors
    /// It runs already, or cannot be started.
    pub fn launch_again(&self) -> Result<()> {
        let mut process = self.process();
        ensure!(process.is_none(), "the server runs already; kill or stop it first");
        fs::create_dir_all(self.folder.data())?;
        self.recipe.prepare(&self.folder)?;
        *process = Some(Process::start(
            self.recipe.command(&self.folder)?,
            &self.folder.file("log"),
        )?);
        Ok(())
    }

    /// Deletes its data.
    ///
    /// # Errors
    /// It runs, or the data cannot be deleted.
    pub fn wipe(&self) -> Result<()> {
        ensure!(
            self.process().is_none(),
            "the server runs; kill or stop it before its data is wiped"
        );
        let data = self.folder.data();
        fs::remove_dir_all(&data).with_context(|| format!("{} cannot be deleted", data.display()))
    }

    /// Freezes it (SIGSTOP): connections stay, nothing is answered.
    ///
    /// # Errors
    /// It does not run.
    pub fn pause(&self) -> Result<()> {
        self.process().as_ref().context(STOPPED)?.freeze()
    }

    /// Lets it go on (SIGCONT).
    ///
    /// # Errors
    /// It does not run.
    pub fn resume(&self) -> Result<()> {
        self.process().as_ref().context(STOPPED)?.thaw()
    }

    /// Where it keeps its data.
    #[must_use]
    pub fn data_folder(&self) -> PathBuf {
        self.folder.data()
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be killed or stopped already.
        let _ = self.kill();
    }
}

const STOPPED: &str = "the server does not run";

/// `path` as text, for a configuration file.
pub(crate) fn text(path: &Path) -> Result<&str> {
    path.to_str()
        .with_context(|| format!("{} is not UTF-8, and server configurations need that", path.display()))
}
