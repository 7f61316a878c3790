//! Whether the state directory is still there.

use super::StateDir;
use crate::event::NodeEvent;
use crate::shared::Shared;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::Duration;

/// How often it is looked for.
const PERIOD: Duration = Duration::from_secs(5);

impl StateDir {
    /// Whether the folder at its path is the one whose lock this process has; if not, what is there instead.
    fn missing(&self) -> Option<String> {
        let mine = self.lock.metadata().map(|m| (m.dev(), m.ino()));
        let there = std::fs::metadata(self.path.join("lock")).map(|m| (m.dev(), m.ino()));
        match (mine, there) {
            (Ok(mine), Ok(there)) if mine == there => None,
            (Ok(_), Ok(_)) => Some(format!("another folder stands in the place of {}", self.path.display())),
            (Err(error), _) | (_, Err(error)) => Some(format!("{} is gone: {error}", self.path.display())),
        }
    }
}

/// Tells once when the directory is gone, and once when it is back.
pub(crate) async fn watch(state: Arc<StateDir>, shared: Arc<Shared>) {
    let mut gone = false;
    let mut rounds = tokio::time::interval(PERIOD);
    rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        rounds.tick().await;
        let state = state.clone();
        // A panic of a look is as good as no look.
        let Ok(missing) = tokio::task::spawn_blocking(move || state.missing()).await else {
            continue;
        };
        if gone != missing.is_some() {
            gone = missing.is_some();
            shared.emit(match missing {
                Some(reason) => NodeEvent::StateDirLost { reason },
                None => NodeEvent::StateDirBack,
            });
        }
    }
}
