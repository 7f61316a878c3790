//! Ways to work wrongly, each of which the checker must find.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::ValueEnum;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Plant {
    /// Never asks whether its claim still holds: an act takes as long as it was meant to.
    IgnoreDeadline,
    /// Gives its claim back when it is lost, as it should, but works on.
    KeepActing,
    /// Works for ever under the token of the first claim on a shard that its host ever had.
    ReuseToken,
    /// Says that it is the node 1.
    ClaimId,
    /// Says that its id is another one since the store was lost.
    DealAnew,
}

/// The token to reuse: the one kept in `file`, which is `present` if there is none yet.
pub(crate) fn first(file: &Path, present: u64) -> Result<u64> {
    if let Ok(kept) = fs::read_to_string(file) {
        return kept.parse().context("no token was kept");
    }
    fs::write(file, present.to_string()).context("a token cannot be kept")?;
    Ok(present)
}

impl Plant {
    /// How long its acts are meant to take, if that is of the essence.
    pub(crate) fn length(self) -> Option<Duration> {
        match self {
            Self::IgnoreDeadline => Some(Duration::from_secs(6)),
            Self::KeepActing => Some(Duration::from_secs(4)),
            Self::ReuseToken | Self::ClaimId | Self::DealAnew => None,
        }
    }
}
