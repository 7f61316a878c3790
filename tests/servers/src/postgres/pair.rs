//! A primary and a standby that can take its place.

use std::time::Instant;

use anyhow::{Result, ensure};

use super::recipe::Origin;
use super::{PostgresBuilder, PostgresServer};
use crate::process::{GLANCE, PATIENCE};

/// A server and one that follows it, after the answer to the client: what the standby has not heard of is lost when it
/// is promoted.
pub struct PostgresPair {
    // First: it follows the other to its end.
    standby: PostgresServer,
    primary: PostgresServer,
}

impl PostgresPair {
    /// Starts both and waits until the standby follows.
    ///
    /// # Errors
    /// One does not come up within a minute.
    pub fn start() -> Result<Self> {
        Self::start_with(PostgresBuilder::default())
    }

    /// Like [`Self::start`], with settings for both.
    ///
    /// # Errors
    /// One does not come up within a minute.
    pub fn start_with(settings: PostgresBuilder) -> Result<Self> {
        let primary = settings.clone().start()?;
        let standby = settings.start_from(Origin::Primary(primary.data_folder(), primary.port()))?;
        let pair = Self { standby, primary };
        pair.wait_until_whole()?;
        Ok(pair)
    }

    /// The server that is the primary at first.
    #[must_use]
    pub fn primary(&self) -> &PostgresServer {
        &self.primary
    }

    /// The server that is its standby at first.
    #[must_use]
    pub fn standby(&self) -> &PostgresServer {
        &self.standby
    }

    /// Makes the standby a primary; nobody tells the other.
    ///
    /// # Errors
    /// It does not run, or is none within a minute.
    pub fn promote(&self) -> Result<()> {
        let done = self.standby.sql("SELECT pg_promote()")?;
        ensure!(done == "t", "the standby is no primary after a minute");
        Ok(())
    }

    /// Waits until the standby has all that the primary has now.
    ///
    /// # Errors
    /// One does not run, or it has not within a minute.
    pub fn wait_until_whole(&self) -> Result<()> {
        let written = self.primary.sql("SELECT pg_current_wal_flush_lsn()")?;
        let deadline = Instant::now() + PATIENCE;
        while self
            .standby
            .sql(&format!("SELECT pg_last_wal_replay_lsn() >= '{written}'"))?
            != "t"
        {
            ensure!(
                Instant::now() < deadline,
                "the standby is still behind {written} after {PATIENCE:?}:\n{}",
                self.standby.log()
            );
            std::thread::sleep(GLANCE);
        }
        Ok(())
    }
}
