//! A shell in which the blocks of a document are typed, one after the other.

use crate::blocks::{Block, fits};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

/// The longest that a block may take: it may compile something.
const LIMIT: Duration = Duration::from_secs(600);

/// What the shell says when a block is done.
const DONE: &str = "-- the block is done --";

/// A shell that gives up at the first command that fails.
pub(crate) struct Shell {
    child: Child,
    input: ChildStdin,
    output: Receiver<String>,
    errors: PathBuf,
}

impl Drop for Shell {
    fn drop(&mut self) {
        // With what it has started in the background.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
    }
}

impl Shell {
    /// One in `folder`, as `bash` is prepared: user, environment.
    pub(crate) fn start(bash: &mut Command, folder: &Path) -> Self {
        let errors = folder.join("errors-of-the-shell");
        let log = std::fs::File::create(&errors).expect("a file");
        bash.current_dir(folder).process_group(0);
        let mut child = bash
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("bash");
        let (send, output) = channel();
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| send.send(line)));
        let mut shell = Self {
            input: child.stdin.take().expect("a pipe"),
            child,
            output,
            errors,
        };
        shell.run("set -e");
        shell
    }

    /// What `text` prints, typed.
    pub(crate) fn run(&mut self, text: &str) -> String {
        writeln!(self.input, "{text}\necho; echo '{DONE}'").expect("the shell reads");
        let mut said = String::new();
        loop {
            match self.output.recv_timeout(LIMIT) {
                Ok(line) if line == DONE => return said,
                Ok(line) => said += &(line + "\n"),
                Err(why) => {
                    let errors = std::fs::read_to_string(&self.errors).unwrap_or_default();
                    panic!("{why} after typing:\n{text}\nit printed:\n{said}\nand to stderr:\n{errors}");
                }
            }
        }
    }

    /// Types the blocks that can be run; what a block prints is what the block of text behind it shows, if there is
    /// one. `edit` sees each block before it is typed.
    pub(crate) fn follow(&mut self, blocks: &[Block], mut edit: impl FnMut(&mut Self, &str) -> String) {
        for (at, block) in blocks.iter().enumerate() {
            if block.language != "sh" || block.not_run.is_some() {
                continue;
            }
            let text = edit(self, &block.text);
            let said = self.run(&text);
            if let Some(shown) = blocks.get(at + 1).filter(|next| next.language == "text") {
                assert!(
                    fits(&shown.text, &said),
                    "{}\nshould print\n{}\nand printed\n{said}",
                    block.text,
                    shown.text
                );
            }
        }
    }
}
