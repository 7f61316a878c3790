//! The engine of adapters: its calls can wait without a thread, and its clock finds those that compute without end.

use crate::EngineError;
use crate::cache::Cache;
use crate::engine::{self, Timed};
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;

/// Stack of a lane, in bytes: what the host's own functions need on top of the guest's.
const FIBER: usize = 1 << 20;

/// Compiles and runs adapters. One for a process; cheap to clone.
#[derive(Clone)]
pub struct AdapterEngine {
    inner: Arc<Inner>,
}

struct Inner {
    timed: Timed,
    cache: Option<Cache>,
}

impl AdapterEngine {
    /// An engine that keeps compiled code in the directory `cache`, or nowhere. The directory is created if need be;
    /// see [`cache`](crate::cache).
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn new(cache: Option<PathBuf>) -> Result<Self, EngineError> {
        let cache = cache.map(Cache::open).transpose()?;
        let mut config = engine::common();
        config
            .async_stack_size(FIBER)
            // So that an error tells whether it happened inside of the guest or when its answer was read.
            .wasm_backtrace_max_frames(NonZero::new(1));
        let timed = Timed::start(&config)?;
        Ok(Self {
            inner: Arc::new(Inner { timed, cache }),
        })
    }

    pub(super) fn cache(&self) -> Option<&Cache> {
        self.inner.cache.as_ref()
    }

    pub(super) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.inner.timed.engine
    }
}

impl std::fmt::Debug for AdapterEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AdapterEngine")
            .field("cache", &self.inner.cache)
            .finish_non_exhaustive()
    }
}
