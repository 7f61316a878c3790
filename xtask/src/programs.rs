//! The programs into which cargo builds the tests: found by building them, and run one by one with their output kept
//! together.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::harness::{self, Ended};
use crate::tally::Tally;
use crate::{child, lint, say};

/// The words before a program that has whatever time of the processors all others leave.
const IDLE: [&str; 3] = ["chrt", "--idle", "0"];

/// A program that holds tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Program {
    /// The folder of its package, from the root of the workspace, such as `host/core`.
    package: String,
    /// Its name within the package: that of the file or folder in `tests`, or of the library or command.
    target: String,
    /// Whether it lies in `tests`: it is there to hold tests.
    integration: bool,
    /// The name of its package.
    name: String,
    /// The folder of its package, in full.
    folder: PathBuf,
    executable: PathBuf,
}

/// How a program is run.
#[derive(Clone, Copy)]
pub(crate) struct Manner<'a> {
    /// So many of its tests beside each other.
    pub(crate) at_once: usize,
    pub(crate) arguments: &'a [&'a str],
    /// Only while nothing else wants a processor, where the system can do that.
    pub(crate) idle: bool,
}

/// How the run of a program went.
pub(crate) struct Ran {
    pub(crate) tally: Tally,
    /// How long each test took.
    pub(crate) tests: Vec<(String, Duration)>,
    /// What went wrong, if anything did.
    pub(crate) failure: Option<String>,
    pub(crate) took: Duration,
    /// Everything that it printed.
    pub(crate) output: String,
}

/// What cargo built.
pub(crate) struct Built {
    pub(crate) programs: Vec<Program>,
    /// How often the compiler, Clippy or rustdoc warned.
    pub(crate) warnings: usize,
}

/// Builds the tests that `cargo test` with these arguments runs, says where they are, and shows every warning.
pub(crate) fn build(arguments: &[&str]) -> Result<Built> {
    let mut cargo = child::cargo();
    cargo
        .args(["test", "--no-run", "--message-format", "json"])
        .args(arguments);
    lint::watch(&mut cargo)?;
    let root = std::env::current_dir()?;
    let mut built = Built {
        programs: Vec::new(),
        warnings: 0,
    };
    child::read_lines(&mut cargo, |line| {
        let Ok(message) = serde_json::from_str::<Value>(line) else {
            return;
        };
        built.programs.extend(Program::read(&message, &root));
        if let Some(rendered) = message["message"]["rendered"].as_str() {
            say::line(rendered);
            built.warnings += usize::from(message["message"]["level"] == "warning");
        }
    })?;
    Ok(built)
}

impl Program {
    /// Reads a message of cargo about a program of tests in the workspace at `root`; any other is none. Benchmarks and
    /// examples are built with them, to see that they can be.
    fn read(message: &Value, root: &Path) -> Option<Self> {
        let is = |kind: &str| {
            let kinds = message["target"]["kind"].as_array();
            kinds.is_some_and(|kinds| kinds.iter().any(|one| one == kind))
        };
        if message["reason"] != "compiler-artifact"
            || message["profile"]["test"] != true
            || is("bench")
            || is("example")
        {
            return None;
        }
        let package = Path::new(message["manifest_path"].as_str()?).parent()?;
        // `path+file:///the/folder#0.1.0`, or with a name that is not the folder's, `#name@0.1.0`.
        let (_, id) = message["package_id"].as_str()?.rsplit_once('#')?;
        let name = match id.split_once('@') {
            Some((name, _)) => name,
            None => package.file_name()?.to_str()?,
        };
        Some(Self {
            name: name.to_owned(),
            package: package.strip_prefix(root).unwrap_or(package).to_str()?.to_owned(),
            target: message["target"]["name"].as_str()?.to_owned(),
            integration: is("test"),
            folder: package.to_owned(),
            executable: message["executable"].as_str()?.into(),
        })
    }

    /// One that is only a name.
    #[cfg(test)]
    pub(crate) fn made(package: &str, target: &str) -> Self {
        Self {
            package: package.to_owned(),
            target: target.to_owned(),
            integration: true,
            name: String::new(),
            folder: PathBuf::new(),
            executable: PathBuf::new(),
        }
    }

    /// Whether it is the one of this name in the folder `tests` of the package in this folder.
    pub(crate) fn is(&self, (package, target): (&str, &str)) -> bool {
        self.integration && self.package == package && self.target == target
    }

    /// Runs it; a failure is in what is returned.
    pub(crate) fn run(&self, manner: Manner<'_>) -> Ran {
        let start = Instant::now();
        let mut ran = Ran {
            tally: Tally::default(),
            tests: Vec::new(),
            failure: None,
            took: Duration::ZERO,
            output: String::new(),
        };
        if let Err(error) = self.try_run(manner, &mut ran) {
            ran.failure = Some(format!("{error:#}"));
        }
        ran.took = start.elapsed();
        ran
    }

    fn try_run(&self, manner: Manner<'_>, ran: &mut Ran) -> Result<()> {
        let order = self.list()?;
        ensure!(!self.integration || !order.is_empty(), "there is no test in it");
        let (mut ended, mut failed, mut summary) = (Vec::new(), Vec::new(), None);
        let at_once = manner.at_once;
        let mut command = self.command(if manner.idle { idle() } else { &[] });
        command.arg(format!("--test-threads={at_once}")).args(manner.arguments);
        let start = Instant::now();
        let status = child::all_lines(&mut command, |line| {
            if let Some(test) = Ended::read(line) {
                failed.extend(test.failed.then(|| test.name.clone()));
                ended.push((test.name, start.elapsed()));
            } else if harness::is_long(line) {
                say::block(&format!("{self}: {line}\n"));
            } else if let Some(tally) = Tally::read(line) {
                summary = Some(tally);
            }
            ran.output.extend([line, "\n"]);
        })?;
        ran.tests = harness::durations(&order, &ended, at_once);
        ran.tally = summary.unwrap_or_default();
        verdict(status, summary, order.len(), &failed)
    }

    /// The names of its tests, in the order in which they run.
    fn list(&self) -> Result<Vec<String>> {
        let listed = self
            .command(&[])
            .args(["--list", "--format", "terse"])
            .stdin(Stdio::null())
            .output();
        let listed = listed.with_context(|| format!("{} could not be started", self.executable.display()))?;
        ensure!(
            listed.status.success(),
            "it does not list its tests: it ended with {}",
            listed.status
        );
        Ok(harness::listed(&String::from_utf8_lossy(&listed.stdout)))
    }

    /// As cargo runs it, in the folder of its package, by these words before it.
    fn command(&self, by: &[&str]) -> Command {
        let mut words = by.iter().map(OsStr::new).chain([self.executable.as_os_str()]);
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).current_dir(&self.folder);
        command
            .env("CARGO_MANIFEST_DIR", &self.folder)
            .env("CARGO_PKG_NAME", &self.name);
        command
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.integration { "" } else { " (unit tests)" };
        write!(f, "{} {}{kind}", self.package, self.target)
    }
}

/// What runs a program only while nothing else wants a processor; nothing if the system does not allow it, or lacks
/// util-linux.
fn idle() -> &'static [&'static str] {
    static CAN: LazyLock<bool> = LazyLock::new(|| {
        let mut try_it = Command::new(IDLE[0]);
        child::output(try_it.args(&IDLE[1..]).arg("true")).is_some()
    });
    if *CAN { &IDLE } else { &[] }
}

/// Whether a program of so many tests ran all of them, and all are well. One that ends in the middle of its tests is no
/// success, whatever status it ends with.
fn verdict(status: ExitStatus, summary: Option<Tally>, tests: usize, failed: &[String]) -> Result<()> {
    let Some(tally) = summary else {
        bail!("it ended with {status} before all of its {tests} tests had");
    };
    ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    ensure!(status.success(), "it ended with {status}");
    ensure!(
        tally.ignored == 0,
        "ignored tests: {}; let them run, or remove them",
        tally.ignored
    );
    ensure!(
        tally.passed == tests as u64,
        "it has {tests} tests, and {} of them passed",
        tally.passed
    );
    Ok(())
}

#[cfg(test)]
mod test {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    const MESSAGE: &str = r#"{"reason":"compiler-artifact",
        "package_id":"path+file:///w/host/files#shardwright-files@0.1.0","manifest_path":"/w/host/files/Cargo.toml",
        "target":{"kind":["test"],"crate_types":["bin"],"name":"reading"},"profile":{"opt_level":"0","test":true},
        "filenames":["/t/reading-96"],"executable":"/t/reading-96","fresh":true}"#;

    #[test]
    fn the_messages_about_tests_are_read() {
        let read = |message: &str| Program::read(&serde_json::from_str(message).unwrap(), Path::new("/w"));
        let program = read(MESSAGE).unwrap();
        assert_eq!(program.to_string(), "host/files reading");
        assert!(program.is(("host/files", "reading")) && !program.is(("host/core", "reading")));
        assert_eq!(program.executable, Path::new("/t/reading-96"));
        let library = read(&MESSAGE.replace(r#"["test"]"#, r#"["lib"]"#)).unwrap();
        assert_eq!(library.to_string(), "host/files reading (unit tests)");
        assert_eq!(read(&MESSAGE.replace(r#""test":true"#, r#""test":false"#)), None);
        assert_eq!(
            read(&MESSAGE.replace(r#""/t/reading-96","fresh""#, r#"null,"fresh""#)),
            None
        );
        assert_eq!(read(r#"{"reason":"build-finished","success":true}"#), None);
        for other in ["bench", "example"] {
            assert_eq!(read(&MESSAGE.replace(r#"["test"]"#, &format!(r#"["{other}"]"#))), None);
        }
    }

    const MANNER: Manner<'_> = Manner {
        at_once: 2,
        arguments: &[],
        idle: false,
    };

    fn counts(passed: u64, failed: u64, ignored: u64) -> Option<Tally> {
        Some(Tally {
            passed,
            failed,
            ignored,
        })
    }

    #[test]
    fn only_a_program_whose_tests_all_passed_is_well() {
        let said = |status, summary, failed: &[&str]| {
            let failed: Vec<_> = failed.iter().map(|&name| name.to_owned()).collect();
            verdict(ExitStatus::from_raw(status << 8), summary, 3, &failed).map_err(|error| error.to_string())
        };
        assert_eq!(said(0, counts(3, 0, 0), &[]), Ok(()));
        let error = |text: &str| Err(text.to_owned());
        assert_eq!(said(101, counts(1, 2, 0), &["a", "b"]), error("failed: a, b"));
        assert_eq!(
            said(0, None, &[]),
            error("it ended with exit status: 0 before all of its 3 tests had")
        );
        assert_eq!(said(1, counts(3, 0, 0), &[]), error("it ended with exit status: 1"));
        assert_eq!(
            said(0, counts(2, 0, 1), &[]),
            error("ignored tests: 1; let them run, or remove them")
        );
        assert_eq!(
            said(0, counts(2, 0, 0), &[]),
            error("it has 3 tests, and 2 of them passed")
        );
    }

    /// A program that answers like one of the harness.
    fn program(folder: &Path, list: &str, run: &str) -> Program {
        let executable = folder.join("program");
        fs::write(
            &executable,
            format!("#!/bin/sh\nif [ \"$1\" = --list ]; then {list}; else {run}; fi\n"),
        )
        .unwrap();
        fs::set_permissions(&executable, fs::Permissions::from_mode(0o755)).unwrap();
        Program {
            folder: folder.to_owned(),
            executable,
            ..Program::made("xtask", "made")
        }
    }

    #[test]
    fn a_run_counts_times_and_keeps_what_it_prints() {
        let folder = tempfile::tempdir().unwrap();
        let list = "echo 'a: test'; echo 'b: test'";
        let run = "echo 'test b ... ok'; sleep 0.05; echo gone >&2; echo 'test a ... FAILED'; echo 'test result: \
                   FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out'; exit 101";
        let ran = program(folder.path(), list, run).run(MANNER);
        assert_eq!(Some(ran.tally), counts(1, 1, 0));
        assert_eq!(ran.failure.as_deref(), Some("failed: a"));
        assert!(
            ran.output.contains("test b ... ok\n") && ran.output.contains("gone\n"),
            "{}",
            ran.output
        );
        assert_eq!(ran.tests.len(), 2);
        assert!(ran.tests[1].1 >= Duration::from_millis(50), "{:?}", ran.tests);
    }

    #[test]
    fn what_is_idle_runs_as_such_and_is_judged_like_others() {
        let folder = tempfile::tempdir().unwrap();
        // The 41st field is the policy of its scheduling, of which 5 is the idle one; its name has no space.
        let run = "echo \"policy $(cut -d' ' -f41 /proc/self/stat)\"; echo 'test a ... ok'; echo 'test result: ok. 1 \
                   passed; 0 failed; 0 ignored'";
        let ran = program(folder.path(), "echo 'a: test'", run).run(Manner { idle: true, ..MANNER });
        assert_eq!((ran.failure, Some(ran.tally)), (None, counts(1, 0, 0)));
        assert!(ran.output.contains("policy 5\n") || idle().is_empty(), "{}", ran.output);
    }

    #[test]
    fn a_program_without_tests_or_end_fails() {
        let folder = tempfile::tempdir().unwrap();
        let failure = |list, run| program(folder.path(), list, run).run(MANNER).failure.unwrap();
        assert_eq!(failure("true", "true"), "there is no test in it");
        assert_eq!(
            failure("echo 'a: test'", "exit 0"),
            "it ended with exit status: 0 before all of its 1 tests had"
        );
        assert_eq!(
            failure("exit 3", "true"),
            "it does not list its tests: it ended with exit status: 3"
        );
    }
}
