//! The engine: how policies are compiled and timed.

use crate::cache::Cache;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;
use wasmtime::{Config, Engine};

/// How often time is looked at. An instance that has used up its time ends at the next tick.
pub(crate) const TICK: Duration = Duration::from_millis(10);
/// Stack of a guest, in bytes; beyond it: `StackOverflow`.
const STACK: usize = 512 << 10;

/// Compiles and runs policies. One for a process; cheap to clone.
#[derive(Clone)]
pub struct PolicyEngine {
    inner: Arc<Inner>,
}

struct Inner {
    plain: Timed,
    /// Counts fuel. Made when a budget asks for it first.
    counting: OnceLock<Timed>,
    cache: Option<Cache>,
}

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// Wasmtime cannot work on this machine.
    #[error("WebAssembly cannot be run here: {0}")]
    Unsupported(String),
    /// No thread could be started.
    #[error("the thread that watches the time of components could not be started: {0}")]
    Ticker(#[source] std::io::Error),
    /// The cache directory cannot be used.
    #[error(transparent)]
    Cache(#[from] crate::cache::CacheError),
}

impl PolicyEngine {
    /// An engine that keeps compiled code in the directory `cache`, or nowhere. The directory is created if need be;
    /// see [`cache`](crate::cache).
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn new(cache: Option<PathBuf>) -> Result<Self, EngineError> {
        let cache = cache.map(Cache::open).transpose()?;
        let inner = Inner {
            plain: Timed::start(&config(false))?,
            counting: OnceLock::new(),
            cache,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    pub(crate) fn cache(&self) -> Option<&Cache> {
        self.inner.cache.as_ref()
    }

    /// The engine for policies with or without a budget of fuel.
    pub(crate) fn wasmtime(&self, fuel: bool) -> Result<&Engine, EngineError> {
        if !fuel {
            return Ok(&self.inner.plain.engine);
        }
        if let Some(timed) = self.inner.counting.get() {
            return Ok(&timed.engine);
        }
        // Two at once make two; one of them is dropped.
        let timed = Timed::start(&config(true))?;
        Ok(&self.inner.counting.get_or_init(|| timed).engine)
    }
}

impl std::fmt::Debug for PolicyEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PolicyEngine")
            .field("cache", &self.inner.cache)
            .finish_non_exhaustive()
    }
}

/// An engine with the thread that advances its clock for as long as it lives: without it, an endless loop would never
/// end.
pub(crate) struct Timed {
    pub(crate) engine: Engine,
    /// Dropped to end the thread.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Timed {
    pub(crate) fn start(config: &Config) -> Result<Self, EngineError> {
        let engine = Engine::new(config).map_err(|error| EngineError::Unsupported(format!("{error:#}")))?;
        let (stop, stopped) = channel::<()>();
        let ticking = engine.clone();
        let run = move || {
            persist(|| {
                while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                    ticking.increment_epoch();
                }
            });
        };
        let thread = std::thread::Builder::new()
            .name("wasm-clock".into())
            .spawn(run)
            .map_err(EngineError::Ticker)?;
        Ok(Self {
            engine,
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

/// Does `work` until it ends by itself; when it panics, anew. Without the clock no component could be stopped any more.
fn persist(work: impl Fn()) {
    while catch_unwind(AssertUnwindSafe(&work)).is_err() {
        std::thread::sleep(TICK);
    }
}

impl Drop for Timed {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // It has seen to its panics itself.
            let _ = thread.join();
        }
    }
}

/// What policies and adapters have in common.
pub(crate) fn common() -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .max_wasm_stack(STACK)
        // A component answers while it is called, or not at all.
        .concurrency_support(false)
        // Of no use to anyone here.
        .wasm_backtrace_max_frames(None)
        .wasm_memory64(false);
    config
}

fn config(fuel: bool) -> Config {
    let mut config = common();
    config
        .consume_fuel(fuel)
        // The same bits on every machine.
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true);
    config
}

#[cfg(test)]
mod test {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn a_clock_that_panics_goes_on() {
        let begun = Cell::new(0);
        persist(|| {
            begun.set(begun.get() + 1);
            assert!(begun.get() == 3, "planted");
        });
        assert_eq!(begun.get(), 3);
    }
}
