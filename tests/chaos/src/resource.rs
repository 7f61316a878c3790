//! The resource that the workers write to: it refuses a fencing token that is older than one it has seen.
//!
//! A process of its own would not be stopped either, so it lives in the one that disturbs: a write may be under way
//! when its worker is stopped, and arrives when others have long gone on.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::clock::now;
use crate::history::{Process, Shard, Write};

/// What a worker asks for, one line of JSON; the answer is `accepted` or `refused`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request {
    /// Who writes.
    pub by: Process,
    /// Where.
    pub shard: Shard,
    /// Under which token.
    pub token: u64,
}

/// The answer to a write that is let through.
pub const ACCEPTED: &str = "accepted";

#[derive(Debug, Default)]
struct State {
    highest: BTreeMap<Shard, u64>,
    writes: Vec<Write>,
}

/// The resource, served for as long as this process lives.
#[derive(Clone, Debug, Default)]
pub struct Resource(Arc<Mutex<State>>);

impl Resource {
    /// Serves at the socket `path`.
    ///
    /// # Errors
    /// The socket cannot be made.
    pub fn serve(path: &Path) -> Result<Self> {
        let listener = UnixListener::bind(path).with_context(|| format!("no socket at {}", path.display()))?;
        let resource = Self::default();
        let shared = resource.clone();
        std::thread::Builder::new().name("resource".to_owned()).spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = shared.clone();
                // A worker that is not served fails, and says so.
                let _ = std::thread::Builder::new().spawn(move || shared.talk(&stream));
            }
        })?;
        Ok(resource)
    }

    /// Answers one worker to its end, which may come at any moment.
    fn talk(&self, stream: &UnixStream) {
        let mut answers = stream;
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let Ok(request) = serde_json::from_str(&line) else {
                return;
            };
            let answer = if self.write(request) { "accepted\n" } else { "refused\n" };
            if answers.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }

    /// Decides on a write.
    pub fn write(&self, Request { by, shard, token }: Request) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let highest = state.highest.entry(shard.clone()).or_default();
        let accepted = token >= *highest;
        *highest = token.max(*highest);
        let at = now();
        state.writes.push(Write {
            by,
            shard,
            token,
            at,
            accepted,
        });
        accepted
    }

    /// Every write so far, in the order in which they were decided on.
    #[must_use]
    pub fn writes(&self) -> Vec<Write> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).writes.clone()
    }
}
