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
    /// All of it.
    used: usize,
    /// The part of it that the host keeps on behalf of the store.
    kept: usize,
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
            kept: 0,
            limit,
            total: None,
        }
    }

    /// As [`Limiter::new`], and all that share `total` together stay within its limit.
    #[cfg(feature = "adapters")]
    pub(crate) const fn sharing(limit: usize, total: Arc<Total>) -> Self {
        Self {
            used: 0,
            kept: 0,
            limit,
            total: Some(total),
        }
    }

    /// Bytes of memories and tables granted so far. They are never given back.
    pub(crate) const fn used(&self) -> usize {
        self.used - self.kept
    }

    /// The host keeps `bytes` on behalf of the store by now, in place of what it kept before.
    #[cfg(feature = "adapters")]
    pub(crate) fn keeps(&mut self, bytes: usize) -> Result<(), Exceeded> {
        if bytes > self.kept {
            self.grow(bytes - self.kept)?;
        } else {
            self.shrink(self.kept - bytes);
        }
        self.kept = bytes;
        Ok(())
    }

    fn grow(&mut self, by: usize) -> Result<(), Exceeded> {
        let wanted = self.used.saturating_add(by);
        if wanted > self.limit {
            return Err(Exceeded {
                wanted,
                limit: self.limit,
            });
        }
        if let Some(total) = &self.total {
            total.grow(by)?;
        }
        self.used = wanted;
        Ok(())
    }

    #[cfg(feature = "adapters")]
    fn shrink(&mut self, by: usize) {
        self.used -= by;
        if let Some(total) = &self.total {
            total.used.fetch_sub(by, Ordering::Relaxed);
        }
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        // An error, not `false`: a guest turns that into an `unreachable` like any other.
        self.grow(desired.saturating_sub(current))?;
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        self.grow(desired.saturating_sub(current).saturating_mul(ELEMENT))?;
        Ok(true)
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

#[cfg(all(test, feature = "adapters"))]
mod test {
    use super::*;

    #[test]
    fn what_the_host_keeps_counts_like_memory_and_is_given_back() {
        let total = Arc::new(Total::new(150));
        let mut lane = Limiter::sharing(100, total.clone());
        assert!(matches!(lane.memory_growing(0, 40, None), Ok(true)));
        lane.keeps(60).expect("it just fits");
        assert_eq!((lane.used(), total.used()), (40, 100));
        assert_eq!(lane.keeps(61).expect_err("the limit of the lane").wanted, 101);
        assert!(lane.memory_growing(40, 41, None).is_err());
        let mut other = Limiter::sharing(100, total.clone());
        assert_eq!(other.keeps(51).expect_err("the limit of all").limit, 150);
        lane.keeps(10).expect("less");
        assert_eq!((lane.used(), total.used()), (40, 50));
        other.keeps(51).expect("there is room again");
        drop(lane);
        assert_eq!(total.used(), 51);
        drop(other);
        assert_eq!(total.used(), 0);
    }
}
