//! The checks of `cargo xtask test`: what each one runs.

use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum;

use crate::programs::{self, Built, Manner, Program, Ran};
use crate::tally::Tally;
use crate::{chaos, child, columns, guests, lanes, lint, say, servers, tools};

/// The package of the model checker and the simulator. It runs optimised and apart from the rest: it builds a core
/// whose rules can be dropped.
pub(crate) const MODEL: &str = "shardwright-model";

/// The manifest of the fuzzer.
const FUZZER: &str = "fuzz/Cargo.toml";
/// How many tests of a program run at once, at most. Some start clusters of servers with up to a gigabyte of memory,
/// and wait for them rather than compute: with as many at once as a large machine has cores there would be no memory
/// for them.
const TESTS_AT_ONCE: usize = 4;

/// The checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Step {
    /// What the project is built with is here; what is missing is installed.
    Tools,
    /// The servers that the tests start are here; what is missing is installed.
    Servers,
    /// The sources are formatted.
    Fmt,
    /// The tests are built, and the compiler, Clippy and rustdoc have no warning.
    Build,
    /// Unit and integration tests.
    Test,
    /// The tests that measure time, memory or processor: nothing runs beside them.
    Measure,
    /// Clusters of real processes, one on each kind of store, disturbed at random from a new seed.
    Chaos,
    /// The model checker and the simulator.
    Model,
    /// The examples in the documentation run.
    Doctest,
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
    /// The first program of tests that fails is the last one.
    pub(crate) fail_fast: bool,
    /// The tests that the step ran.
    pub(crate) tally: Tally,
    /// How long each of them took.
    pub(crate) tests: Vec<Timed>,
}

/// How long a test took.
pub(crate) struct Timed {
    /// The program that holds it, and its name there.
    pub(crate) name: String,
    pub(crate) took: Duration,
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
            }
            Self::Servers => servers::present(servers::Tool::ALL, run.install)?,
            Self::Fmt => {
                child::run(child::cargo().args(["fmt", "--all", "--check"]))?;
                columns::check()?;
            }
            Self::Build => no_warnings(&programs::build(&all("--all-targets"))?)?,
            Self::Test | Self::Measure => {
                let mut programs = programs::build(&all("--all-targets"))?.programs;
                programs.retain(|program| lanes::is_measuring(program) == (self == Self::Measure));
                run.programs(programs, false, &[])?;
            }
            Self::Chaos => chaos::quick(&mut run.tally)?,
            Self::Model => {
                let built = programs::build(&["--profile", "model", "--package", MODEL, "--all-targets"])?;
                no_warnings(&built)?;
                // It computes for minutes, beside tests that wait for servers.
                run.programs(built.programs, true, &["--show-output"])?;
            }
            Self::Doctest => run.doctests()?,
            Self::Deny => {
                let mut deny = deny(&tools::cargo_deny(run.install)?);
                child::run(deny.args(["check", "bans", "licenses", "sources"]))?;
                // The fuzzer is a workspace of its own: nothing else reads its lock file.
                child::run(child::cargo().args(["update", "--workspace", "--locked", "--manifest-path", FUZZER]))
                    .context("fuzz/Cargo.lock is out of date: run `cargo update -w --manifest-path fuzz/Cargo.toml`")?;
            }
            Self::Advisories => return advisories(&tools::cargo_deny(run.install)?),
            Self::Guests => guests::build(true)?,
        }
        Ok(Outcome::Passed)
    }
}

/// What cargo is told to take this kind of tests of every package but the model.
pub(crate) fn all(kind: &str) -> Vec<&str> {
    [&["--workspace", "--exclude", MODEL, kind], &servers::FEATURES[..]].concat()
}

/// The first of the promises about what was built; the others are tests.
fn no_warnings(built: &Built) -> Result<()> {
    ensure!(built.warnings == 0, "warnings: {}; see above", built.warnings);
    Ok(())
}

impl Run {
    /// Runs these programs of tests, `idle` ones while nothing else wants a processor. That there is none is a failure:
    /// such a run would prove nothing.
    fn programs(&mut self, programs: Vec<Program>, idle: bool, arguments: &[&str]) -> Result<()> {
        let cores = thread::available_parallelism().map_or(TESTS_AT_ONCE, usize::from);
        let manner = Manner {
            at_once: cores.min(TESTS_AT_ONCE),
            arguments,
            idle,
        };
        let run = |program: &Program| program.run(manner);
        let mut failures = Vec::new();
        lanes::run(programs, self.fail_fast, run, |program, ran| {
            say::line(&block(program, &ran));
            self.tally += ran.tally;
            self.tests.extend(ran.tests.into_iter().map(|(test, took)| Timed {
                name: format!("{program}: {test}"),
                took,
            }));
            failures.extend(ran.failure.map(|failure| format!("{program}: {failure}")));
        });
        ensure!(failures.is_empty(), "{}", failures.join("; "));
        ensure!(self.tally.passed > 0, "no test ran");
        Ok(())
    }

    /// Those, cargo builds and runs at once.
    fn doctests(&mut self) -> Result<()> {
        let mut command = child::cargo();
        command.arg("test").args(all("--doc"));
        // With what the other tests are built with, so that nothing is built again.
        lint::watch(&mut command)?;
        if !self.fail_fast {
            command.arg("--no-fail-fast");
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

/// What a program printed, and how it ended.
fn block(program: &Program, ran: &Ran) -> String {
    let verdict = match &ran.failure {
        None => "ok".to_owned(),
        Some(failure) => format!("FAILED: {failure}"),
    };
    format!(
        "\n-- {program} --\n{}{program}: {:.1} s, {verdict}",
        ran.output,
        ran.took.as_secs_f64()
    )
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
        return Ok(Outcome::Skipped(
            "no advisory database here, and none could be fetched".to_owned(),
        ));
    }
    child::run(deny(program).args(["--offline", "check", "advisories"]))?;
    Ok(Outcome::Passed)
}
