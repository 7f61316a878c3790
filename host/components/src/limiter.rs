//! Counts the memory of a whole store; Wasmtime's own limit is for each memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use wasmtime::ResourceLimiter;

/// The most instances, tables or memories that one component may consist of.
const PARTS: usize = 64;
/// What a table element takes.
const ELEMENT: usize = size_of::<usize>() * 2;

/// Grants memory up to a limit for everything in one store together, and for several stores that share a total.
pub(crate) struct Limiter {
    used: usize,
    limit: usize,
    total: Option<Arc<Total>>,
}

/// Memory that several stores share.
pub(crate) struct Total {
    used: AtomicUsize,
    limit: usize,
}

impl Total {
    #[cfg(feature = "adapters")]
    pub(crate) const fn new(limit: usize) -> Self {
        Self {
            used: AtomicUsize::new(0),
            limit,
        }
    }

    /// Bytes granted at present.
    #[cfg(feature = "adapters")]
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    fn grow(&self, by: usize) -> Result<(), Exceeded> {
        let grown = |used: usize| used.checked_add(by).filter(|sum| *sum <= self.limit);
        let outcome = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown);
        outcome.map(drop).map_err(|used| Exceeded {
            wanted: used.saturating_add(by),
            limit: self.limit,
        })
    }
}

impl Drop for Limiter {
    fn drop(&mut self) {
        if let Some(total) = &self.total {
            total.used.fetch_sub(self.used, Ordering::Relaxed);
        }
    }
}

/// Memory was refused. The root cause of the trap that follows.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("{wanted} bytes wanted of {limit}")]
pub(crate) struct Exceeded {
    pub(crate) wanted: usize,
    pub(crate) limit: usize,
}

impl Limiter {
    pub(crate) const fn new(limit: usize) -> Self {
        Self {
            used: 0,
            limit,
            total: None,
        }
    }

    /// As [`Limiter::new`], and all that share `total` together stay within its limit.
    #[cfg(feature = "adapters")]
    pub(crate) const fn sharing(limit: usize, total: Arc<Total>) -> Self {
        Self {
            used: 0,
            limit,
            total: Some(total),
        }
    }

    /// Bytes granted so far.
    pub(crate) const fn used(&self) -> usize {
        self.used
    }

    fn grow(&mut self, by: usize) -> wasmtime::Result<bool> {
        let wanted = self.used.saturating_add(by);
        if wanted > self.limit {
            // An error, not `false`: a guest turns that into an `unreachable` like any other.
            return Err(Exceeded { wanted, limit: self.limit }.into());
        }
        if let Some(total) = &self.total {
            total.grow(by)?;
        }
        self.used = wanted;
        Ok(true)
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        self.grow(desired.saturating_sub(current))
    }

    fn table_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        self.grow(desired.saturating_sub(current).saturating_mul(ELEMENT))
    }

    fn instances(&self) -> usize {
        PARTS
    }

    fn tables(&self) -> usize {
        PARTS
    }

    fn memories(&self) -> usize {
        PARTS
    }
}
