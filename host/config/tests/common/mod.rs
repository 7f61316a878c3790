//! What the tests of the reader share.
#![allow(dead_code, reason = "each test binary uses a part")]

use shardwright_config::{ClusterConfig, Code, Problem, Report, Severity, parse};
use shardwright_core::role::RoleSpec;

/// The configuration in `text`, which must be sound.
pub(crate) fn sound(text: &str) -> (ClusterConfig, Report) {
    parse(text, "test.toml").unwrap_or_else(|report| panic!("should be sound:\n{text}\n{report}"))
}

/// The report about `text`, sound or not.
pub(crate) fn report(text: &str) -> Report {
    match parse(text, "test.toml") {
        Ok((_, report)) | Err(report) => report,
    }
}

/// Whether there is nothing to say about `report` but, at most, that nodes have nowhere to meet: most texts name nodes
/// and nothing else.
pub(crate) fn is_quiet(report: &Report) -> bool {
    report.problems().iter().all(|p| p.code == Code::NoCoordinator)
}

/// The role `name` of `config`.
pub(crate) fn role<'c>(config: &'c ClusterConfig, name: &str) -> &'c RoleSpec {
    config
        .roles
        .iter()
        .find(|role| role.name == name)
        .unwrap_or_else(|| panic!("no role {name}"))
}

/// Takes the marks `«…»` out of `text`: the bare text, and line and column where they begin and end.
fn unmark(text: &str) -> (String, (usize, usize), (usize, usize)) {
    let (before, rest) = text.split_once('«').expect("a mark");
    let (inside, after) = rest.split_once('»').expect("the end of the mark");
    let place = |text: &str| {
        (
            text.matches('\n').count() + 1,
            text.rsplit('\n').next().unwrap_or_default().chars().count() + 1,
        )
    };
    (
        format!("{before}{inside}{after}"),
        place(before),
        place(&format!("{before}{inside}")),
    )
}

/// Asserts that `marked` has exactly one problem of `severity`, of the kind `code`, at the marked text, and gives it
/// back.
pub(crate) fn only(marked: &str, severity: Severity, code: Code) -> Problem {
    let (text, start, end) = unmark(marked);
    let report = report(&text);
    // As with `is_quiet`, unless it is asked for.
    let matters =
        |p: &&Problem| p.severity == severity && (p.code != Code::NoCoordinator || code == Code::NoCoordinator);
    let found: Vec<_> = report.problems().iter().filter(matters).collect();
    let [problem] = found.as_slice() else {
        panic!("one {severity:?} expected:\n{text}\n{report}")
    };
    assert_eq!(problem.code, code, "{text}\n{report}");
    assert_eq!(
        ((problem.line, problem.column), (problem.end_line, problem.end_column)),
        (start, end),
        "{text}\n{report}"
    );
    assert!(!problem.help.is_empty(), "{report}");
    (*problem).clone()
}

/// Asserts one error at the marked text, whose message or help contains `says`.
pub(crate) fn error(marked: &str, code: Code, says: &str) {
    let problem = only(marked, Severity::Error, code);
    assert!(
        problem.message.contains(says) || problem.help.contains(says),
        "{says:?} expected in {problem:#?}"
    );
}

/// Asserts one warning at the marked text, whose message or help contains `says`.
pub(crate) fn warning(marked: &str, code: Code, says: &str) {
    let problem = only(marked, Severity::Warning, code);
    assert!(
        problem.message.contains(says) || problem.help.contains(says),
        "{says:?} expected in {problem:#?}"
    );
}
