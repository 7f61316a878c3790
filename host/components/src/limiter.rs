//! Counts the memory of a whole store; Wasmtime's own limit is for each memory.

use wasmtime::ResourceLimiter;

/// The most instances, tables or memories that one component may consist of.
const PARTS: usize = 64;
/// What a table element takes.
const ELEMENT: usize = size_of::<usize>() * 2;

/// Grants memory up to a limit for everything in one store together.
pub(crate) struct Limiter {
    used: usize,
    limit: usize,
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
        Self { used: 0, limit }
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
