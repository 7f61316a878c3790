//! What one call of a policy may take.

use std::time::Duration;

/// What one call of a policy may take. Beyond it the call ends in the [`PolicyFault`](crate::PolicyFault) named with
/// each limit; the host and other policies notice nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Budget {
    /// Time from call to answer, counted in ticks of 10 ms, so that a call may take up to 20 ms more. Beyond:
    /// `TimedOut`. It is time on the wall: on a machine that is busy with other things the same policy takes
    /// longer.
    pub wall: Duration,
    /// Instructions, roughly; `None` counts none. Beyond: `OutOfFuel`. Unlike time it does not depend on the machine,
    /// so a policy fails everywhere or nowhere; the counting makes the policy slower by about half.
    pub fuel: Option<u64>,
    /// Bytes of all memories and tables of the instance together. Beyond: `OutOfMemory`. The call cannot go on with
    /// less: it ends.
    pub memory: usize,
    /// Bytes that the answer takes in the host: four for each owner, 32 and its text for each unplaced shard, or the
    /// text of an error. Beyond: `OutputTooLarge`, before the host has reserved anything for it.
    pub output: usize,
}

impl Default for Budget {
    /// One second, no fuel, 256 MiB of memory, 32 MiB of answer: twice what 2²⁰ shards of four owners need.
    fn default() -> Self {
        Self {
            wall: Duration::from_secs(1),
            fuel: None,
            memory: 256 << 20,
            output: 32 << 20,
        }
    }
}
