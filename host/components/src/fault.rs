//! Why a policy gave no answer.

use std::time::Duration;

/// Why a call of a policy gave no answer. None of these harms the host: the instance is gone, the next call starts
/// afresh.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyFault {
    /// The policy itself said no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It panicked or did what no program may: the reason as WebAssembly names it. A panic of Rust code is an
    /// `unreachable`; recursion with large frames is an access out of bounds, because compilers keep part of the
    /// stack in the guest's memory.
    #[error("the policy trapped: {0}; run it on the same snapshot in a native test to see where")]
    Trap(String),
    /// It took too long.
    #[error("the policy gave no answer within {limit:?}; raise its `wall` budget or make it faster")]
    TimedOut {
        /// The budget.
        limit: Duration,
    },
    /// It executed too much.
    #[error("the policy used up its fuel of {limit}; raise its `fuel` budget or make it faster")]
    OutOfFuel {
        /// The budget.
        limit: u64,
    },
    /// It wanted too much memory.
    #[error(
        "the policy wanted {wanted} bytes of memory and may have {limit}; raise its `memory` budget or make it \
         thriftier"
    )]
    OutOfMemory {
        /// Bytes of all memories and tables, had they been granted.
        wanted: usize,
        /// The budget.
        limit: usize,
    },
    /// Its calls were nested too deeply for WebAssembly's own stack of 512 KiB.
    #[error("the policy overflowed its stack; look for recursion without end")]
    StackOverflow,
    /// Its answer was too long.
    #[error("the policy answered more than the {limit} bytes that it may; raise its `output` budget or answer less")]
    OutputTooLarge {
        /// The budget.
        limit: usize,
    },
    /// Its answer lies outside of its own memory or is not what its type says: the component was built wrongly.
    #[error("the policy's answer cannot be read: {0}; build the component with current tools")]
    Malformed(String),
    /// Two runs on the same snapshot differed.
    #[error("the policy answered the same question in two ways: an assignment must follow from the snapshot alone")]
    NonDeterministic,
    /// No instance could be made.
    #[error("no instance of the policy could be made: {0}")]
    Instantiate(String),
}

/// The error that a policy itself answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The configuration is wrong.
    #[error("invalid configuration: {0}")]
    InvalidConfig(String),
    /// The snapshot contradicts itself or asks for the impossible.
    #[error("cannot be satisfied: {0}")]
    Unsatisfiable(String),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}
