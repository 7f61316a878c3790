//! What the suite found, as data, and whether it proves the contract.

use super::CHECKS;
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

    /// Whether this proves that a backend of this `kind` keeps the contract: every check ran and passed, but for those
    /// of `optional` that the options left out.
    ///
    /// # Errors
    /// What is missing to that, the worst of it.
    pub fn verify(&self, kind: &str, optional: &[&str]) -> Result<(), Unproven> {
        let broken: Vec<_> = self.failures().cloned().collect();
        if !broken.is_empty() {
            return Err(Unproven::Broken(broken));
        }
        let missing = |row: &&Row| row.outcome == Outcome::Skipped && !optional.contains(&row.name);
        let skipped: Vec<_> = self.rows.iter().filter(missing).cloned().collect();
        if !skipped.is_empty() {
            return Err(Unproven::Skipped(skipped));
        }
        if self.rows.len() != CHECKS {
            return Err(Unproven::Partial(self.rows.len()));
        }
        if self.kind != kind {
            return Err(Unproven::Kind {
                found: self.kind.clone(),
                wanted: kind.to_owned(),
            });
        }
        Ok(())
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

/// Why a report does not prove that a backend keeps the contract.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unproven {
    /// Promises that are not kept.
    #[error("{}", listed(.0))]
    Broken(Vec<Row>),
    /// Checks that the options left out.
    #[error("{}; give the suite's options what these checks need", listed(.0))]
    Skipped(Vec<Row>),
    /// Only so many checks ran.
    #[error("only {0} of the {CHECKS} checks ran; run all of them")]
    Partial(usize),
    /// It is another backend.
    #[error("the backend is of kind {found}, not {wanted}; look at what the suite's factory opens")]
    Kind {
        /// What the backend calls itself.
        found: String,
        /// What it should have.
        wanted: String,
    },
}

fn listed(rows: &[Row]) -> String {
    let line = |row: &Row| format!("{}: {}", row.name, row.detail);
    rows.iter().map(line).collect::<Vec<_>>().join("; ")
}
