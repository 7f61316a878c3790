//! Why a lane ended.

use super::kept::FIELDS;
use super::state::ARGUMENT;
use crate::limiter::Exceeded;
use futures_util::FutureExt;
use serde::Serialize;
use std::panic::AssertUnwindSafe;
use std::str::Utf8Error;
use std::time::Duration;
use wasmtime::component::ResourceTableError;
use wasmtime::{Trap, WasmBacktrace};
use wasmtime_wasi_http::FieldMapError;

/// Why a lane ended. None of these harms the host or another lane: the instance is gone, another is opened in its
/// place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LaneFault {
    /// It panicked or did what no program may.
    #[error("the adapter trapped: {0}")]
    Trap(String),
    /// It computed for too long.
    #[error(
        "the adapter computed for more than {limit:?} in one call; raise its `cpu` budget if that is what it takes"
    )]
    CpuBudgetExceeded {
        /// The budget.
        limit: Duration,
    },
    /// It waited for something that did not come, for the whole time that a call may take. Not necessarily the
    /// adapter's fault.
    #[error("the adapter gave no answer within {limit:?}: it waits for its backend, or for nothing at all")]
    Silent {
        /// The time that it had.
        limit: Duration,
    },
    /// It wanted too much memory.
    #[error(
        "the adapter wanted {wanted} bytes of memory and may have {limit}; raise its `memory` or `total-memory` \
         budget if that is what it takes"
    )]
    OutOfMemory {
        /// Bytes of all memories and tables, had they been granted.
        wanted: usize,
        /// The budget.
        limit: usize,
    },
    /// It held too many sockets, streams, requests and the like.
    #[error(
        "the adapter held too many resources of the host (sockets, streams, requests): it must close what it does not \
         need"
    )]
    TooManyResources,
    /// Its calls were nested too deeply.
    #[error("the adapter overflowed its stack; look for recursion without end")]
    StackOverflow,
    /// Its answer was too long.
    #[error(
        "the adapter answered more than the {limit} bytes that it may; raise its `answer` budget if that is what it \
         takes"
    )]
    AnswerTooLong {
        /// The budget.
        limit: usize,
    },
    /// It passed too much to a function of the host.
    #[error(
        "the adapter gave a function of the host more than the {limit} bytes that it takes: it must give less, or \
         piece by piece"
    )]
    ArgumentTooLong {
        /// The most.
        limit: usize,
    },
    /// Its answer is not what its type says.
    #[error("the adapter's answer cannot be read: {0}; build the component with current tools")]
    Malformed(String),
    /// Its answer contradicts itself or the contract.
    #[error("the adapter breaks the contract: {0}")]
    Lied(String),
    /// The host itself failed in one of the functions that it calls.
    #[error(
        "the host failed in a function that the adapter called: {0}; that is a mistake of the host: please report it"
    )]
    HostFailed(String),
    /// No instance could be made.
    #[error("no instance of the adapter could be made: {0}")]
    Instantiate(String),
}

/// The kinds of [`LaneFault`], to be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the same names as the faults")]
pub enum FaultKind {
    Trap,
    CpuBudgetExceeded,
    Silent,
    OutOfMemory,
    TooManyResources,
    StackOverflow,
    AnswerTooLong,
    ArgumentTooLong,
    Malformed,
    Lied,
    HostFailed,
    Instantiate,
}

impl LaneFault {
    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> FaultKind {
        match self {
            Self::Trap(_) => FaultKind::Trap,
            Self::CpuBudgetExceeded { .. } => FaultKind::CpuBudgetExceeded,
            Self::Silent { .. } => FaultKind::Silent,
            Self::OutOfMemory { .. } => FaultKind::OutOfMemory,
            Self::TooManyResources => FaultKind::TooManyResources,
            Self::StackOverflow => FaultKind::StackOverflow,
            Self::AnswerTooLong { .. } => FaultKind::AnswerTooLong,
            Self::ArgumentTooLong { .. } => FaultKind::ArgumentTooLong,
            Self::Malformed(_) => FaultKind::Malformed,
            Self::Lied(_) => FaultKind::Lied,
            Self::HostFailed(_) => FaultKind::HostFailed,
            Self::Instantiate(_) => FaultKind::Instantiate,
        }
    }

    /// Whether it is counted against the adapter. That it waited for its backend is not.
    #[must_use]
    pub const fn is_counted(&self) -> bool {
        !matches!(self, Self::Silent { .. })
    }
}

/// A call computed for too long.
#[derive(Clone, Copy, Debug)]
pub(super) struct CpuBudgetExceeded;

/// What `job` comes to, or what the host said when it panicked in it. Whatever the job worked on is good for nothing
/// then.
pub(super) async fn caught<T>(job: impl Future<Output = T>) -> Result<T, String> {
    let ended = AssertUnwindSafe(job).catch_unwind().await;
    ended.map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        text.or_else(|| panic.downcast_ref().cloned())
            .unwrap_or_else(|| "it panicked".into())
    })
}

/// What an error of a call means, by its type. `answer` is how many bytes an answer may have.
pub(super) fn explain(error: &wasmtime::Error, answer: usize, words: Option<String>) -> LaneFault {
    if let Some(&Exceeded { wanted, limit }) = error.downcast_ref() {
        return LaneFault::OutOfMemory { wanted, limit };
    }
    if matches!(error.downcast_ref(), Some(ResourceTableError::Full)) {
        return LaneFault::TooManyResources;
    }
    if let Some(FieldMapError::TotalSizeTooBig | FieldMapError::TooManyFields) = error.downcast_ref() {
        return LaneFault::ArgumentTooLong { limit: FIELDS };
    }
    let said = |text: String| match &words {
        Some(words) => format!("{text}; its last words: {words}"),
        None => text,
    };
    match error.downcast_ref::<Trap>() {
        Some(Trap::StackOverflow) => LaneFault::StackOverflow,
        Some(trap) => LaneFault::Trap(said(trap.to_string())),
        None if error.is::<wasmtime_wasi::I32Exit>() => LaneFault::Trap(said("it ended itself".into())),
        None if error.is::<Utf8Error>() => LaneFault::Malformed(error.root_cause().to_string()),
        None => {
            // What happened while it ran has a place in it.
            let inside = error.is::<WasmBacktrace>();
            let text = if inside {
                error.root_cause().to_string()
            } else {
                format!("{error:#}")
            };
            // Wasmtime keeps the types of these errors to itself.
            if text.contains("handle limit exceeded") {
                LaneFault::TooManyResources
            } else if !text.contains("fuel allocated for hostcalls") {
                LaneFault::Malformed(text)
            } else if inside {
                LaneFault::ArgumentTooLong { limit: ARGUMENT }
            } else {
                LaneFault::AnswerTooLong { limit: answer }
            }
        }
    }
}
