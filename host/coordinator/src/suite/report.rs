//! What the suite found, as data.

use std::time::Duration;

/// How one check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The promise was kept.
    Passed,
    /// It was not, or the check could not finish.
    Failed,
    /// The options left it out.
    Skipped,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its short name.
    pub name: &'static str,
    /// The promise that it checks.
    pub promise: &'static str,
    /// How it ended.
    pub outcome: Outcome,
    /// What was seen: figures if it passed, the violation if it failed.
    pub detail: String,
    /// How long it took.
    pub took: Duration,
}

/// What the suite found about one backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuiteReport {
    /// The backend's kind.
    pub kind: String,
    /// Where it is.
    pub location: String,
    /// All checks, in the order in which they ran.
    pub rows: Vec<Row>,
}

impl SuiteReport {
    /// Whether no check failed.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.failures().next().is_none()
    }

    /// The checks that failed.
    pub fn failures(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.outcome == Outcome::Failed)
    }

    /// The table to print: name, outcome, milliseconds, detail.
    #[must_use]
    pub fn table(&self) -> Vec<[String; 4]> {
        let cells = |row: &Row| {
            let outcome = match row.outcome {
                Outcome::Passed => "ok",
                Outcome::Failed => "FAILED",
                Outcome::Skipped => "skipped",
            };
            [
                row.name.to_owned(),
                outcome.to_owned(),
                row.took.as_millis().to_string(),
                row.detail.clone(),
            ]
        };
        self.rows.iter().map(cells).collect()
    }
}
