//! Which programs of tests run beside which: those that wait for servers leave the processor to others.

use std::collections::VecDeque;
use std::iter;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::programs::{Program, Ran};

/// The programs that start many servers and wait for them, longest first: what begins last should end soon.
const WAITING: &[(&str, &str)] = &[
    ("host/components", "adapter"),
    ("host/cli", "adapter"),
    ("host/cli", "brokers"),
    ("host/coordinator", "kafka"),
    ("host/node", "handoffs"),
    ("host/coordinator", "redis"),
    ("host/coordinator", "nats"),
    ("tests/servers", "servers"),
    ("tests/chaos", "plants"),
    ("host/cli", "adapters"),
    ("host/cli", "operating"),
    ("host/cli", "live"),
    ("xtask", "up"),
];

/// How many of them run at once. Each may have as many clusters at once as it has tests, and a cluster takes up to a
/// gigabyte of memory.
const WAITING_AT_ONCE: usize = 3;

/// The programs that measure time, memory or processor: nothing runs beside them. None of them waits for servers, so
/// that they share a lane.
const MEASURING: &[(&str, &str)] = &[
    ("host/components", "hoards"),
    ("host/components", "hostile"),
    ("host/components", "wellbeing"),
    ("host/node", "threads"),
    ("host/node", "health"),
];

/// Whether nothing may run beside it.
pub(crate) fn is_measuring(program: &Program) -> bool {
    MEASURING.iter().any(|&name| program.is(name))
}

/// Runs all these programs by `run`, in several lanes: as many as are needed for those that wait for servers, and then
/// for what is left of the others; and one for the others. With `fail_fast`, none is begun after the first failure.
/// `done` is told of each as it ends.
pub(crate) fn run(
    programs: Vec<Program>,
    fail_fast: bool,
    run: impl Fn(&Program) -> Ran + Sync,
    mut done: impl FnMut(&Program, Ran),
) {
    let rank = |program: &Program| WAITING.iter().position(|&name| program.is(name));
    let (mut waiting, others): (Vec<_>, Vec<_>) = programs.into_iter().partition(|program| rank(program).is_some());
    waiting.sort_by_key(rank);
    let at_once = waiting.len().min(WAITING_AT_ONCE);
    let (waiting, others) = (Queue::new(waiting), Queue::new(others));
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let (ended, results) = channel();
        let lanes = iter::repeat_n(&waiting, at_once).chain([&others]);
        for first in lanes {
            let (ended, run, stop, others) = (ended.clone(), &run, &stop, &others);
            scope.spawn(move || {
                while !stop.load(Ordering::SeqCst)
                    && let Some(program) = first.next().or_else(|| others.next())
                {
                    let ran = run(&program);
                    stop.fetch_or(fail_fast && ran.failure.is_some(), Ordering::SeqCst);
                    // Whoever listens does so until all have ended.
                    let _ = ended.send((program, ran));
                }
            });
        }
        drop(ended);
        for (program, ran) in results {
            done(&program, ran);
        }
    });
}

/// Programs that wait for their turn.
struct Queue(Mutex<VecDeque<Program>>);

impl Queue {
    fn new(programs: Vec<Program>) -> Self {
        Self(Mutex::new(programs.into()))
    }

    fn next(&self) -> Option<Program> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

#[cfg(test)]
mod test {
    use std::path::Path;
    use std::sync::Barrier;
    use std::time::Duration;

    use super::*;
    use crate::tally::Tally;

    fn ran(failure: Option<&str>) -> Ran {
        Ran {
            tally: Tally::default(),
            tests: Vec::new(),
            failure: failure.map(str::to_owned),
            took: Duration::ZERO,
            output: String::new(),
        }
    }

    fn program((package, target): (&str, &str)) -> Program {
        Program::made(package, target)
    }

    #[test]
    fn those_that_wait_run_beside_each_other_and_beside_the_others() {
        let programs = [WAITING[1], ("host/core", "clock"), WAITING[0]].map(program).into();
        // Each waits until all three have begun.
        let all = Barrier::new(3);
        let mut names = Vec::new();
        let begin = |_: &Program| {
            all.wait();
            ran(None)
        };
        run(programs, false, begin, |program, _| names.push(program.to_string()));
        names.sort();
        assert_eq!(
            names,
            ["host/cli adapter", "host/components adapter", "host/core clock"]
        );
    }

    #[test]
    fn who_waits_for_servers_no_longer_helps_the_others() {
        let programs = [WAITING[0], ("host/core", "clock"), ("host/core", "codec")].map(program);
        // Each of the others waits until both have begun.
        let both = Barrier::new(2);
        let begin = |begun: &Program| {
            if !begun.is(WAITING[0]) {
                both.wait();
            }
            ran(None)
        };
        let mut names = Vec::new();
        run(programs.into(), false, begin, |program, _| {
            names.push(program.to_string());
        });
        assert_eq!(names.len(), 3);
    }

    #[test]
    fn without_servers_one_runs_after_the_other() {
        let programs: Vec<_> = MEASURING.iter().copied().map(program).collect();
        let alone = Mutex::new(());
        let begin = |_: &Program| {
            let _alone = alone.try_lock().expect("nothing beside it");
            thread::sleep(Duration::from_millis(5));
            ran(None)
        };
        let mut names = Vec::new();
        run(programs, false, begin, |program, _| names.push(program.to_string()));
        assert_eq!(names.len(), MEASURING.len());
    }

    #[test]
    fn the_longest_begin_first_and_all_are_run() {
        let programs: Vec<_> = WAITING.iter().rev().copied().map(program).collect();
        let begun = Mutex::new(Vec::new());
        let begin = |program: &Program| {
            begun.lock().unwrap().push(program.clone());
            ran(Some("failed"))
        };
        run(programs.clone(), false, begin, |_, _| {});
        let begun = begun.into_inner().unwrap();
        assert_eq!(begun.len(), programs.len());
        assert!(begun[..WAITING_AT_ONCE].contains(&program(WAITING[0])), "{begun:?}");
    }

    #[test]
    fn nothing_is_begun_after_a_failure_that_ends_the_run() {
        let programs = vec![program(("host/core", "clock")), program(("host/core", "codec"))];
        let mut names = Vec::new();
        run(
            programs,
            true,
            |_| ran(Some("failed")),
            |program, _| names.push(program.to_string()),
        );
        assert_eq!(names, ["host/core clock"]);
    }

    #[test]
    fn the_programs_that_are_named_are_there() {
        assert!(MEASURING.iter().all(|name| !WAITING.contains(name)));
        for (package, target) in WAITING.iter().chain(MEASURING) {
            let tests = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("..")
                .join(package)
                .join("tests");
            let file = tests.join(target).with_extension("rs");
            assert!(
                file.is_file() || tests.join(target).join("main.rs").is_file(),
                "{}",
                file.display()
            );
        }
    }
}
