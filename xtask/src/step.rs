//! The checks of `cargo xtask test`: what each one runs.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use clap::ValueEnum;

use crate::tally::Tally;
use crate::{child, guests, servers, tools};

/// The package of the model checker and the simulator. It runs optimised and apart from the rest: it builds a core whose rules can be dropped.
const MODEL: &str = "shardwright-model";

/// How many tests of a program run at once, at most. Some start clusters of servers with up to a gigabyte of memory, and wait for them rather than
/// compute: with as many at once as a large machine has cores there would be no memory for them.
const TESTS_AT_ONCE: usize = 4;

/// The checks, in the order in which they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Step {
    /// What the checks need is here; what is missing is installed.
    Tools,
    /// The sources are formatted.
    Fmt,
    /// Clippy and the compiler have no warning.
    Clippy,
    /// Unit and integration tests.
    Test,
    /// The model checker and the simulator.
    Model,
    /// The examples in the documentation run.
    Doctest,
    /// The documentation builds without a warning.
    Docs,
    /// Licences, sources and versions of the dependencies.
    Deny,
    /// Known vulnerabilities of the dependencies.
    Advisories,
    /// The bundled components are those that the sources build.
    Guests,
}

/// How a step that did not fail ended.
pub(crate) enum Outcome {
    Passed,
    /// It could not be done here, for this reason; the run goes on and says so.
    Skipped(String),
}

/// What one step may do, and what it counts.
pub(crate) struct Run {
    /// Missing tools may be installed.
    pub(crate) install: bool,
    /// Cargo stops at the first test program that fails.
    pub(crate) fail_fast: bool,
    /// The tests that the step ran.
    pub(crate) tally: Tally,
}

impl Step {
    /// The name that `--only` takes.
    pub(crate) fn name(self) -> String {
        self.to_possible_value()
            .map(|value| value.get_name().to_owned())
            .unwrap_or_default()
    }

    /// Performs the check; an error is its failure.
    pub(crate) fn perform(self, run: &mut Run) -> Result<Outcome> {
        match self {
            Self::Tools => {
                tools::toolchain(run.install)?;
                tools::builders(run.install)?;
                servers::present(servers::Tool::ALL, run.install)?;
            }
            Self::Fmt => child::run(child::cargo().args(["fmt", "--all", "--check"]))?,
            Self::Clippy => {
                let mut clippy = child::cargo();
                clippy.args(["clippy", "--workspace", "--all-targets"]).args(servers::FEATURES);
                child::run(clippy.args(["--", "-D", "warnings"]))?;
            }
            Self::Test => {
                let threads = std::thread::available_parallelism().map_or(TESTS_AT_ONCE, |cores| cores.get().min(TESTS_AT_ONCE));
                let packages = [&["--workspace", "--exclude", MODEL, "--tests"], &servers::FEATURES[..]].concat();
                run.tests(&packages, &[&format!("--test-threads={threads}")])?;
            }
            Self::Model => run.tests(&["--profile", "model", "--package", MODEL], &["--show-output"])?,
            Self::Doctest => run.cargo_test(
                &[&["--workspace", "--exclude", MODEL, "--doc"], &servers::FEATURES[..]].concat(),
                &[],
            )?,
            Self::Docs => child::run(
                child::cargo()
                    .args(["doc", "--workspace", "--no-deps"])
                    .args(servers::FEATURES)
                    .env("RUSTDOCFLAGS", "-D warnings"),
            )?,
            Self::Deny => child::run(deny(&tools::cargo_deny(run.install)?).args(["check", "bans", "licenses", "sources"]))?,
            Self::Advisories => return advisories(&tools::cargo_deny(run.install)?),
            Self::Guests => guests::build(true)?,
        }
        Ok(Outcome::Passed)
    }
}

impl Run {
    /// Like [`Self::cargo_test`], and no test at all is a failure: such a run would prove nothing.
    fn tests(&mut self, cargo: &[&str], harness: &[&str]) -> Result<()> {
        self.cargo_test(cargo, harness)?;
        ensure!(self.tally.passed > 0, "no test ran");
        Ok(())
    }

    fn cargo_test(&mut self, cargo: &[&str], harness: &[&str]) -> Result<()> {
        let mut command = child::cargo();
        command.arg("test").args(cargo);
        if !self.fail_fast {
            command.arg("--no-fail-fast");
        }
        if !harness.is_empty() {
            command.arg("--").args(harness);
        }
        child::run_lines(&mut command, |line| self.tally += Tally::read(line).unwrap_or_default())?;
        ensure!(
            self.tally.ignored == 0,
            "ignored tests: {}; let them run, or remove them",
            self.tally.ignored
        );
        Ok(())
    }
}

fn deny(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env("GIT_TERMINAL_PROMPT", "0");
    command
}

/// Looks for known vulnerabilities in the newest database that can be had; without one there is nothing to look in.
fn advisories(program: &Path) -> Result<Outcome> {
    let fetched = child::run(deny(program).args(["fetch", "db", "index"])).is_ok();
    if !fetched && !tools::has_advisory_database() {
        return Ok(Outcome::Skipped("no advisory database here, and none could be fetched".to_owned()));
    }
    child::run(deny(program).args(["--offline", "check", "advisories"]))?;
    Ok(Outcome::Passed)
}
