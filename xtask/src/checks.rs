//! `cargo xtask test`: every step in order, a closing table, and on the last line the number of tests.

use std::cmp::Reverse;
use std::fmt::Write;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;

use crate::say;
use crate::step::{Outcome, Run, Step, Timed};
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

/// The steps in their order. Servers are fetched while the tests are built; the others run beside the tests, which wait
/// for servers most of the time. The model computes for minutes and would make servers slow: it has only the time of
/// the processors that all others leave. None keeps a lock of cargo's that what it runs beside waits for: the tests
/// have been built.
const STAGES: [Stage; 4] = [
    Stage {
        steps: &[Step::Tools],
        beside: &[],
    },
    Stage {
        steps: &[Step::Fmt, Step::Build],
        beside: &[Step::Servers],
    },
    Stage {
        steps: &[Step::Test, Step::Chaos],
        beside: &[Step::Guests, Step::Deny, Step::Advisories, Step::Doctest, Step::Model],
    },
    Stage {
        steps: &[Step::Measure],
        beside: &[],
    },
];

/// How many of the slowest tests are shown.
const SLOWEST: usize = 10;

/// Steps of which some run beside the others.
struct Stage {
    steps: &'static [Step],
    beside: &'static [Step],
}

/// How one step ended.
struct Report {
    step: Step,
    outcome: Result<Outcome>,
    took: Duration,
    tally: Tally,
    tests: Vec<Timed>,
}

/// Runs the steps; the exit status is zero only if none of them failed.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let start = Instant::now();
    let checks = Checks {
        arguments,
        stop: AtomicBool::new(false),
        reports: Mutex::default(),
    };
    for stage in &STAGES {
        let [steps, beside] = [stage.steps, stage.beside].map(|steps| checks.wanted(steps));
        // What runs beside the first failure would have to come to its end.
        if steps.is_empty() || beside.is_empty() || arguments.fail_fast {
            checks.perform(&[steps, beside].concat(), false);
        } else {
            thread::scope(|scope| {
                scope.spawn(|| checks.perform(&beside, true));
                checks.perform(&steps, false);
            });
        }
    }
    let mut reports = checks.reports.into_inner().unwrap_or_default();
    reports.sort_by_key(|report| report.step);
    say::block(&summary(&reports, start.elapsed()));
    if reports.iter().any(|report| report.outcome.is_err()) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

/// A run of the checks.
struct Checks<'a> {
    arguments: &'a Arguments,
    /// No other step is begun.
    stop: AtomicBool,
    reports: Mutex<Vec<Report>>,
}

impl Checks<'_> {
    /// Those of `steps` that were asked for.
    fn wanted(&self, steps: &[Step]) -> Vec<Step> {
        let only = &self.arguments.only;
        let wanted = steps.iter().filter(|step| only.is_empty() || only.contains(step));
        wanted.copied().collect()
    }

    /// Performs these steps one after the other; what each of them says is kept until its end if others run beside it.
    fn perform(&self, steps: &[Step], kept: bool) {
        for &step in steps {
            if self.stop.load(Ordering::SeqCst) {
                return;
            }
            let (report, said) = if kept {
                say::kept(|| self.perform_one(step))
            } else {
                (self.perform_one(step), String::new())
            };
            say::block(&said);
            if self.arguments.fail_fast && report.outcome.is_err() {
                self.stop.store(true, Ordering::SeqCst);
            }
            if let Ok(mut reports) = self.reports.lock() {
                reports.push(report);
            }
        }
    }

    fn perform_one(&self, step: Step) -> Report {
        say::line(&format!("\n== {} ==", step.name()));
        let start = Instant::now();
        let mut run = Run {
            install: !self.arguments.no_install,
            fail_fast: self.arguments.fail_fast,
            tally: Tally::default(),
            tests: Vec::new(),
        };
        let report = Report {
            step,
            outcome: step.perform(&mut run),
            took: start.elapsed(),
            tally: run.tally,
            tests: run.tests,
        };
        say::line(&report.line());
        report
    }
}

/// A line for each step, the slowest tests, and on the last line how many tests there were.
fn summary(reports: &[Report], took: Duration) -> String {
    let mut text = "\n== summary ==\n".to_owned();
    for report in reports {
        text.extend([&report.line(), "\n"]);
    }
    let mut tests: Vec<_> = reports.iter().flat_map(|report| &report.tests).collect();
    tests.sort_by_key(|test| Reverse(test.took));
    if !tests.is_empty() {
        text.push_str("\nThe slowest tests:\n");
    }
    for test in tests.iter().take(SLOWEST) {
        let _ = writeln!(text, "{:>7.1} s  {}", test.took.as_secs_f64(), test.name);
    }
    let _ = writeln!(
        text,
        "\nAll of it took {:.1} s.\n{}",
        took.as_secs_f64(),
        last_line(reports)
    );
    text
}

/// The tests of all steps. A step that failed without a failing test counts as one failure, so that no failed run reads
/// as a good one.
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
    use clap::ValueEnum;

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
            tests: Vec::new(),
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
            last_line(&[
                report(Err(anyhow!("two failed")), 10, 2),
                report(Ok(Outcome::Passed), 5, 0)
            ]),
            "15 passed, 2 failed"
        );
        assert_eq!(
            last_line(&[
                report(Ok(Outcome::Passed), 10, 0),
                report(Err(anyhow!("badly formatted")), 0, 0)
            ]),
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

    #[test]
    fn every_step_has_its_place() {
        let placed: Vec<_> = STAGES
            .iter()
            .flat_map(|stage| [stage.steps, stage.beside].concat())
            .collect();
        for step in Step::value_variants() {
            assert_eq!(placed.iter().filter(|placed| *placed == step).count(), 1, "{step:?}");
        }
    }

    #[test]
    fn the_summary_names_the_slowest_tests_and_ends_with_the_count() {
        let mut tests: Vec<_> = (0..12)
            .map(|second| Timed {
                name: format!("host/core clock: t{second}"),
                took: Duration::from_secs(second),
            })
            .collect();
        let slow = tests.split_off(6);
        let mut reports = [report(Ok(Outcome::Passed), 6, 0), report(Ok(Outcome::Passed), 6, 0)];
        reports[0].tests = tests;
        reports[1].tests = slow;
        let text = summary(&reports, Duration::from_millis(66_060));
        let slowest: Vec<_> = text.lines().filter(|line| line.contains("clock")).collect();
        assert_eq!(slowest.len(), 10);
        assert_eq!(slowest[0], "   11.0 s  host/core clock: t11");
        assert_eq!(slowest[9], "    2.0 s  host/core clock: t2");
        assert!(
            text.ends_with("\nAll of it took 66.1 s.\n12 passed, 0 failed\n"),
            "{text}"
        );
    }
}
