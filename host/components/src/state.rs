//! How an adapter is, as a word: there in builds without adapters too, so that events have the same shape.

use serde::Serialize;

/// How an adapter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AdapterState {
    /// Its lanes work.
    Running,
    /// A lane failed, and the next is opened after a short wait.
    Restarting,
    /// Its backend cannot be reached; it is tried again and again.
    Unreachable,
    /// It failed too often: no lane is opened for a while. Then one is tried.
    Quarantined,
    /// The store lost its history: this handle is over.
    Lost,
}
