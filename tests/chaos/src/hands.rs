//! What is done to the server, and takes long: killing it, wiping it, starting it again.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use anyhow::{Context, Result, anyhow, bail};

use crate::clock::now;
use crate::schedule::Action;
use crate::server::Meeting;
use crate::settings::NEW;

/// What has become of the store.
#[derive(Debug, Default)]
pub(crate) struct Fate {
    /// When it was lost.
    losses: Vec<u64>,
    /// When its server began to serve again.
    served: u64,
}

/// A thread that does to the server what takes long, one after the other.
pub(crate) struct Hands {
    give: Option<Sender<Action>>,
    thread: Option<JoinHandle<Result<()>>>,
    meeting: Arc<Meeting>,
    fate: Arc<Mutex<Fate>>,
}

impl Hands {
    /// Hands for this store, of which so much is known.
    pub(crate) fn new(meeting: Arc<Meeting>, fate: Arc<Mutex<Fate>>) -> Result<Self> {
        let (give, given) = channel();
        let (server, told) = (meeting.clone(), fate.clone());
        let work = move || given.into_iter().try_for_each(|action| handle(&server, action, &told));
        let thread = std::thread::Builder::new().name("hands".to_owned()).spawn(work)?;
        Ok(Self {
            give: Some(give),
            thread: Some(thread),
            meeting,
            fate,
        })
    }

    /// When the store was lost, in the order of time.
    pub(crate) fn losses(&self) -> Vec<u64> {
        locked(&self.fate).losses.clone()
    }

    /// Whether the store may be in its grace period.
    pub(crate) fn is_new(&self) -> bool {
        let fate = locked(&self.fate);
        let lost = fate.losses.last();
        lost.is_some_and(|lost| fate.served < *lost || now() < fate.served + NEW * 1_000)
    }

    /// Has something done.
    pub(crate) fn give(&self, action: Action) -> Result<()> {
        let give = self.give.as_ref().context("the hands rest")?;
        give.send(action).ok().context("the server could not be handled")
    }

    /// Says if something went wrong.
    pub(crate) fn check(&mut self) -> Result<()> {
        if self.thread.as_ref().is_some_and(JoinHandle::is_finished) {
            self.rest()?;
            bail!("the hands have ended");
        }
        Ok(())
    }

    /// Waits until all is done; new hands then wait for more.
    pub(crate) fn rest(&mut self) -> Result<()> {
        drop(self.give.take());
        if let Some(thread) = self.thread.take() {
            thread.join().map_err(|_| anyhow!("the server's thread panicked"))??;
        }
        *self = Self::new(self.meeting.clone(), self.fate.clone())?;
        Ok(())
    }
}

fn locked(fate: &Mutex<Fate>) -> MutexGuard<'_, Fate> {
    fate.lock().unwrap_or_else(PoisonError::into_inner)
}

fn handle(meeting: &Meeting, action: Action, fate: &Mutex<Fate>) -> Result<()> {
    let wipe = || {
        locked(fate).losses.push(now());
        meeting.wipe()
    };
    let Some(server) = meeting.server() else {
        return if action == Action::WipeServer { wipe() } else { Ok(()) };
    };
    match action {
        Action::KillServer => server.kill(),
        Action::WipeServer => server.kill().and_then(|()| wipe()),
        Action::StartServer => server.start_again().map(|()| locked(fate).served = now()),
        Action::StopServer => server.pause(),
        Action::ContinueServer => server.resume(),
        _ => Ok(()),
    }
}
