//! Why a node does not start, and why it is not drained.

use crate::backend::BackendError;
use crate::hostname::HostnameError;
use crate::policies::PolicyFileError;
use crate::state_dir::StateDirError;
use shardwright_coordinator::limits::NamespaceError;
use shardwright_coordinator::sealed::SecretTooShort;
use shardwright_core::engine::Refusal;
use shardwright_core::human::Span;
use std::io;
use std::time::Duration;

/// Why a node does not start. Nothing was harmed, and nothing is left running.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The builder was given no configuration.
    #[error("no configuration was given: call config_file, config_str or config on the builder")]
    NoConfiguration,
    /// The configuration cannot be used.
    #[error("the configuration cannot be used:\n{0}")]
    Configuration(shardwright_config::Report),
    /// The cluster's name cannot be a namespace.
    #[error(transparent)]
    Name(#[from] NamespaceError),
    /// `cluster.secret` is too short.
    #[error(transparent)]
    Secret(#[from] SecretTooShort),
    /// No usable hostname.
    #[error(transparent)]
    Hostname(#[from] HostnameError),
    /// No usable state directory.
    #[error(transparent)]
    StateDir(#[from] StateDirError),
    /// A policy cannot be used.
    #[error(transparent)]
    Policy(#[from] PolicyFileError),
    /// The coordinator cannot be opened, and trying again would not help.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The node did not hold its id within the time that the builder was given.
    #[error(
        "the node has not joined within {}: the log says what it waits for, most likely the coordinator, or the end of \
         another session of its hostname",
        Span::from(*waited)
    )]
    #[non_exhaustive]
    TimedOut {
        /// How long it was waited for.
        waited: Duration,
    },
    /// The operating system refused a thread or randomness.
    #[error("the operating system refused what a node needs: {0}")]
    System(io::Error),
    /// The cluster does not take this node.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Something that the node needs failed for good, by a panic for instance.
    #[error("the node ended while it started: {0}")]
    Failed(String),
    /// The runtime ended, or the runtime's task failed, while the node started.
    #[error("the node ended while it started; the log says more")]
    Ended,
}

/// Not everything could be given up in time. The node stays draining: it is given nothing new.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("after {} this node still holds {}", Span::from(*waited), listed(remaining))]
#[non_exhaustive]
pub struct DrainError {
    /// How long it was waited for.
    pub waited: Duration,
    /// For each role the shards that remain.
    pub remaining: Vec<(String, Vec<u32>)>,
}

fn listed(remaining: &[(String, Vec<u32>)]) -> String {
    if remaining.is_empty() {
        return "shards whose work has not ended".into();
    }
    let roles: Vec<_> = remaining
        .iter()
        .map(|(role, shards)| format!("{} shards of {role}", shards.len()))
        .collect();
    format!("{}: is another node able to take them?", roles.join(", "))
}
