//! How the program ends: the exit codes, and what becomes of errors.

use crate::output::lines;
use std::io::Write;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;

/// The exit codes; usage errors end with 2, which is clap's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All went well.
    Ok = 0,
    /// It could not be done, or what was checked is wrong.
    Error = 1,
    /// It was done, and shows something that is not as it should be.
    Unhealthy = 3,
    /// It was not done: it would do harm, and nobody insisted.
    Refused = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// What `command` comes to; a panic is an error like others, and no exit code of its own.
pub(crate) fn guarded(command: impl FnOnce() -> anyhow::Result<Exit>) -> anyhow::Result<Exit> {
    // Nothing that it had is looked at afterwards.
    std::panic::catch_unwind(AssertUnwindSafe(command))
        .unwrap_or_else(|_| Err(anyhow::anyhow!("the program panicked, as said above: please report it")))
}

/// The exit code of a command, its error told on stderr.
pub(crate) fn conclude(outcome: anyhow::Result<Exit>) -> ExitCode {
    match outcome {
        Ok(exit) => exit.into(),
        // Whoever reads our output has seen enough, as in `| head`.
        Err(error) if is_broken_pipe(&error) => Exit::Ok.into(),
        Err(error) => {
            // If nobody can be told, the exit code still says it.
            let told = format!("{error:#}");
            let _ = writeln!(std::io::stderr(), "error: {}", lines(&told));
            Exit::Error.into()
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let io = cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        let json = cause
            .downcast_ref::<serde_json::Error>()
            .and_then(serde_json::Error::io_error_kind);
        io.or(json) == Some(std::io::ErrorKind::BrokenPipe)
    })
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn a_panic_is_an_error() {
        assert!(matches!(guarded(|| Ok(Exit::Unhealthy)), Ok(Exit::Unhealthy)));
        let error = guarded(|| panic!("planted")).expect_err("an error").to_string();
        assert!(error.contains("panicked"), "{error}");
    }
}
