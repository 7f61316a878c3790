//! Running another program: named, without standard input, its output shown as it comes.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, Result, bail};

/// The cargo that runs this program.
pub(crate) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Runs `command` to its end; an exit status other than zero is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    run_lines(command, |_| {})
}

/// Like [`run`], and hands every line of the child's standard output to `read` when it has been shown.
pub(crate) fn run_lines(command: &mut Command, mut read: impl FnMut(&str)) -> Result<()> {
    let name = describe(command);
    println!("$ {name}");
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("`{name}` could not be started"))?;
    let mut output = BufReader::new(child.stdout.take().context("the child's output is piped")?);
    let mut line = Vec::new();
    while output.read_until(b'\n', &mut line)? > 0 {
        let text = String::from_utf8_lossy(&line);
        print!("{text}");
        std::io::stdout().flush()?;
        read(text.trim_end());
        line.clear();
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("`{name}` ended with {status}");
    }
    Ok(())
}

/// Runs `command` to its end, its output shown as it comes, and tells how it ended.
pub(crate) fn status(command: &mut Command) -> Result<ExitStatus> {
    let name = describe(command);
    println!("$ {name}");
    command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("`{name}` could not be started"))
}

/// What `command` prints when it runs in silence; nothing when it is missing or fails.
pub(crate) fn output(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Has pip install the prebuilt packages that the file `requirements` pins by hash into `folder`.
pub(crate) fn pip_install(folder: &Path, requirements: &str) -> Result<()> {
    let mut pip = Command::new("python3");
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--only-binary",
        ":all:",
        "--require-hashes",
        "--upgrade",
    ]);
    pip.arg("--target").arg(folder).args(["--requirement", requirements]);
    pip.env("PIP_ROOT_USER_ACTION", "ignore");
    run(&mut pip)
}

/// The command as a person would type it.
fn describe(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words: Vec<_> = std::iter::once(program)
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .collect();
    words.join(" ")
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn lines_are_read_as_they_come_and_a_bad_end_is_an_error() {
        let mut lines = Vec::new();
        let error = run_lines(Command::new("sh").args(["-c", "echo one; printf two; exit 3"]), |line| {
            lines.push(line.to_owned());
        })
        .unwrap_err();
        assert_eq!(lines, ["one", "two"]);
        assert_eq!(error.to_string(), "`sh -c echo one; printf two; exit 3` ended with exit status: 3");
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = run(&mut Command::new("/nowhere/no-such-program")).unwrap_err();
        assert_eq!(error.to_string(), "`no-such-program` could not be started");
        assert_eq!(output(&mut Command::new("/nowhere/no-such-program")), None);
    }
}
