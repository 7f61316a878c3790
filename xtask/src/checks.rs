//! `cargo xtask test`: every step in order, a closing table, and on the last line the number of tests.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::step::{Outcome, Run, Step};
use crate::tally::Tally;

/// What `cargo xtask test` accepts.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Install nothing: a missing tool fails the step that needs it.
    #[arg(long)]
    no_install: bool,
    /// Run only these steps, separated by commas.
    #[arg(long, value_delimiter = ',', value_name = "STEP")]
    only: Vec<Step>,
    /// Stop at the first failure.
    #[arg(long)]
    fail_fast: bool,
}

/// How one step ended.
struct Report {
    step: Step,
    outcome: Result<Outcome>,
    took: Duration,
    tally: Tally,
}

/// Runs the steps; the exit status is zero only if none of them failed.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let mut reports = Vec::new();
    for &step in Step::value_variants()
        .iter()
        .filter(|step| arguments.only.is_empty() || arguments.only.contains(step))
    {
        println!("\n== {} ==", step.name());
        let start = Instant::now();
        let mut run = Run {
            install: !arguments.no_install,
            fail_fast: arguments.fail_fast,
            tally: Tally::default(),
        };
        let outcome = step.perform(&mut run);
        let report = Report {
            step,
            outcome,
            took: start.elapsed(),
            tally: run.tally,
        };
        println!("{}", report.line());
        let stop = arguments.fail_fast && report.outcome.is_err();
        reports.push(report);
        if stop {
            break;
        }
    }
    println!("\n== summary ==");
    for report in &reports {
        println!("{}", report.line());
    }
    println!("{}", last_line(&reports));
    if reports.iter().any(|report| report.outcome.is_err()) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

/// The tests of all steps. A step that failed without a failing test counts as one failure, so that no failed run reads as a good one.
fn last_line(reports: &[Report]) -> String {
    let mut sum = Tally::default();
    for report in reports {
        sum += report.tally;
        if report.outcome.is_err() && report.tally.failed == 0 {
            sum.failed += 1;
        }
    }
    format!("{} passed, {} failed", sum.passed, sum.failed)
}

impl Report {
    fn line(&self) -> String {
        let (verdict, detail) = match &self.outcome {
            Ok(Outcome::Passed) => ("ok", String::new()),
            Ok(Outcome::Skipped(reason)) => ("skipped", reason.clone()),
            Err(error) => ("FAILED", format!("{error:#}")),
        };
        let tests = match self.tally.passed + self.tally.failed {
            0 => String::new(),
            tests => format!("{tests} tests"),
        };
        let line = format!(
            "{:<10}  {verdict:<7}  {:>7.1} s  {tests:>10}  {detail}",
            self.step.name(),
            self.took.as_secs_f64()
        );
        line.trim_end().to_owned()
    }
}

#[cfg(test)]
mod test {
    use anyhow::anyhow;

    use super::*;

    fn report(outcome: Result<Outcome>, passed: u64, failed: u64) -> Report {
        Report {
            step: Step::Test,
            outcome,
            took: Duration::from_millis(1_540),
            tally: Tally {
                passed,
                failed,
                ignored: 0,
            },
        }
    }

    #[test]
    fn the_last_line_counts_tests_and_steps_that_failed_without_one() {
        assert_eq!(last_line(&[]), "0 passed, 0 failed");
        assert_eq!(
            last_line(&[report(Ok(Outcome::Passed), 10, 0), report(Ok(Outcome::Passed), 5, 0)]),
            "15 passed, 0 failed"
        );
        assert_eq!(
            last_line(&[report(Err(anyhow!("two failed")), 10, 2), report(Ok(Outcome::Passed), 5, 0)]),
            "15 passed, 2 failed"
        );
        assert_eq!(
            last_line(&[report(Ok(Outcome::Passed), 10, 0), report(Err(anyhow!("badly formatted")), 0, 0)]),
            "10 passed, 1 failed"
        );
        assert_eq!(
            last_line(&[report(Ok(Outcome::Skipped("no database".into())), 0, 0)]),
            "0 passed, 0 failed"
        );
    }

    #[test]
    fn a_line_says_how_the_step_ended_and_why() {
        assert_eq!(
            report(Ok(Outcome::Passed), 10, 0).line(),
            "test        ok           1.5 s    10 tests"
        );
        assert_eq!(
            report(Err(anyhow!("no test ran")), 0, 0).line(),
            "test        FAILED       1.5 s              no test ran"
        );
        assert_eq!(
            report(Ok(Outcome::Skipped("offline".into())), 0, 0).line(),
            "test        skipped      1.5 s              offline"
        );
    }
}
