//! Runs a part of a test in a process of its own: the same binary, told by a variable which part.

use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

const ROLE: &str = "SHARDWRIGHT_TEST_ROLE";
const PATH: &str = "SHARDWRIGHT_TEST_PATH";
/// What the harness prints around a test is not for us.
const MARK: &str = "> ";

/// A process that ends with this value: by SIGKILL, so that it never gets to tidy up.
pub(crate) struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// Starts `role` on `path`. The test binary has a test named `child` that calls [`role`].
    pub(crate) fn start(role: &str, path: &Path) -> Self {
        Self::spawn(Command::new(std::env::current_exe().expect("this binary")), role, path)
    }

    /// The same through `command`, which runs what follows its arguments.
    pub(crate) fn spawn(mut command: Command, role: &str, path: &Path) -> Self {
        command
            .args(["child", "--exact", "--nocapture"])
            .env(ROLE, role)
            .env(PATH, path);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("starts");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        Self { child, lines }
    }

    /// The next line it says; none when it has ended.
    pub(crate) fn line(&mut self) -> Option<String> {
        loop {
            let line = self.lines.next()?.expect("text");
            // The harness writes the name of the test before the first line.
            if let Some((_, said)) = line.split_once(MARK) {
                return Some(said.to_owned());
            }
        }
    }

    /// Everything that it still says.
    pub(crate) fn rest(mut self) -> Vec<String> {
        std::iter::from_fn(|| self.line()).collect()
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("kills");
        self.child.wait().expect("ends");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// In the child: its role and path.
pub(crate) fn role() -> Option<(String, std::path::PathBuf)> {
    Some((std::env::var(ROLE).ok()?, std::env::var_os(PATH)?.into()))
}

/// In the child: says a line, whole or not at all.
pub(crate) fn say(line: &str) {
    use std::io::Write;
    let _ = std::io::stdout().write_all(format!("{MARK}{line}\n").as_bytes());
    let _ = std::io::stdout().flush();
}
