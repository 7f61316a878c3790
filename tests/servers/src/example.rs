//! The key-value server of `examples/adapter-python`, which adapters are written for to learn how.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::port::Port;
use crate::server::{Folder, Recipe, Server};

/// Its program.
const PROGRAM: &str = "../../examples/adapter-python/server.py";

/// The example's key-value server.
pub struct ExampleServer {
    server: Server,
}

impl ExampleServer {
    /// One that keeps its data in a file.
    ///
    /// # Errors
    /// There is no Python, or it does not come up within a minute; its log is shown.
    pub fn start() -> Result<Self> {
        Self::with(true, &[])
    }

    /// One that forgets everything when it ends, with these arguments.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn forgetful(arguments: &[&str]) -> Result<Self> {
        Self::with(false, arguments)
    }

    fn with(kept: bool, arguments: &[&str]) -> Result<Self> {
        let port = Port::free()?;
        let recipe = Example {
            port: port.number(),
            kept,
            arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
        };
        Ok(Self {
            server: Server::start(port, recipe)?,
        })
    }

    /// Its address: `http://127.0.0.1:…`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port())
    }
}

impl Deref for ExampleServer {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

struct Example {
    port: u16,
    kept: bool,
    arguments: Vec<String>,
}

impl Recipe for Example {
    fn ready(&self) -> &str {
        "listening on"
    }

    fn prepare(&self, _folder: &Folder) -> Result<()> {
        Ok(())
    }

    fn command(&self, folder: &Folder) -> Result<Command> {
        let program: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join(PROGRAM);
        let mut command = Command::new("python3");
        command
            .arg(program)
            .args(["--port", &self.port.to_string()])
            .args(&self.arguments);
        if self.kept {
            command.arg("--data").arg(folder.data().join("store.jsonl"));
        }
        Ok(command)
    }
}
