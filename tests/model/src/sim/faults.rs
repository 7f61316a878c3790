//! What goes wrong.

/// A kind of trouble. Everything ends by itself or when calm returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A process dies and loses everything in memory; it starts again on the same state directory.
    Crash,
    /// A process dies together with its state directory; it starts again as another instance of its hostname.
    LostState,
    /// A process is stopped for a while and goes on as if nothing had happened (`SIGSTOP`, a virtual machine that is
    /// moved).
    Pause,
    /// Requests of one node are refused at once.
    Refuse,
    /// Requests of one node are lost.
    LoseRequests,
    /// Requests of one node are performed, and their answers are lost.
    LoseAnswers,
    /// Nobody can reach the store.
    Outage,
    /// Requests and answers of one node take long, beyond the time-out at times: writes land after their sender gave
    /// up.
    Slow,
    /// A node's clock changes its rate within the bounds.
    Drift,
    /// The backend's clock jumps.
    ClockStep,
    /// The backend's clock is set by seconds.
    ClockSet,
    /// The store loses everything.
    Wipe,
    /// It does, one node cannot reach what takes its place, and another one starts just when the clock of that is set.
    WipeAndSet,
    /// A replica takes over that had not heard of the last writes, and the store says so.
    Promote,
    /// A replica takes over, and soon after another one that has not heard of it and whose clock is behind; at times
    /// all nodes restart with that.
    PromoteTwice,
    /// The store goes back to a backup.
    Restore,
    /// The operator orders a node to be drained or cordoned, or takes that back.
    Order,
    /// Nodes restart one after another with another number of shards.
    Reshape,
    /// Policies fail: errors, invalid plans, slow answers, refusals to decide.
    BadPolicy,
    /// A policy is replaced, at one node after another.
    NewPolicy,
    /// A second installation with the hostname of another node starts.
    Duplicate,
    /// The same with a copy of its state directory.
    Copy,
    /// A node leaves in good order and comes back later.
    Leave,
    /// A host goes for good and another one, of another hostname, comes.
    Replace,
}

impl Fault {
    /// All kinds.
    pub const ALL: [Self; 24] = [
        Self::Crash,
        Self::LostState,
        Self::Pause,
        Self::Refuse,
        Self::LoseRequests,
        Self::LoseAnswers,
        Self::Outage,
        Self::Slow,
        Self::Drift,
        Self::ClockStep,
        Self::ClockSet,
        Self::Wipe,
        Self::WipeAndSet,
        Self::Promote,
        Self::PromoteTwice,
        Self::Restore,
        Self::Order,
        Self::Reshape,
        Self::BadPolicy,
        Self::NewPolicy,
        Self::Duplicate,
        Self::Copy,
        Self::Leave,
        Self::Replace,
    ];

    /// Those under which every invariant holds. Under the others some do not, which `docs/simulation.md` tells: a
    /// backend's clock that jumps hides the true age of things, and a store that silently goes back in time unsays
    /// what it has said.
    pub const STANDARD: [Self; 19] = [
        Self::Crash,
        Self::LostState,
        Self::Pause,
        Self::Refuse,
        Self::LoseRequests,
        Self::LoseAnswers,
        Self::Outage,
        Self::Slow,
        Self::Drift,
        Self::Wipe,
        Self::Promote,
        Self::Order,
        Self::Reshape,
        Self::BadPolicy,
        Self::NewPolicy,
        Self::Duplicate,
        Self::Copy,
        Self::Leave,
        Self::Replace,
    ];

    /// Those in which a store is lost whose clock is set by seconds, with everybody who comes and goes meanwhile. Ids
    /// are kept for a day of the backend's clock, which this does not hold them to.
    pub const CLOCKS: [Self; 15] = [
        Self::Crash,
        Self::LostState,
        Self::Pause,
        Self::Refuse,
        Self::LoseAnswers,
        Self::Outage,
        Self::Slow,
        Self::Drift,
        Self::ClockSet,
        Self::Wipe,
        Self::WipeAndSet,
        Self::Promote,
        Self::Leave,
        Self::Replace,
        Self::Duplicate,
    ];

    /// Those under which somebody who remembers whose the ids are is always there, and reaches the store: with nothing
    /// else, ids outlast a store that is lost.
    pub const ATTENDED: [Self; 7] = [
        Self::Drift,
        Self::Wipe,
        Self::Order,
        Self::NewPolicy,
        Self::Duplicate,
        Self::Copy,
        Self::Leave,
    ];

    /// Those in which a store forgets a partial loss of which it had told, while its clock is set back and somebody who
    /// was told of it is there, or comes back.
    pub const FORGETS: [Self; 7] = [
        Self::Drift,
        Self::ClockSet,
        Self::Promote,
        Self::PromoteTwice,
        Self::Order,
        Self::NewPolicy,
        Self::Leave,
    ];

    /// Its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Crash => "crash",
            Self::LostState => "lost state",
            Self::Pause => "pause",
            Self::Refuse => "refuse",
            Self::LoseRequests => "lose requests",
            Self::LoseAnswers => "lose answers",
            Self::Outage => "outage",
            Self::Slow => "slow",
            Self::Drift => "drift",
            Self::ClockStep => "clock step",
            Self::ClockSet => "clock set",
            Self::Wipe => "wipe",
            Self::WipeAndSet => "wipe and set",
            Self::Promote => "promote",
            Self::PromoteTwice => "promote twice",
            Self::Restore => "restore",
            Self::Order => "order",
            Self::Reshape => "reshape",
            Self::BadPolicy => "bad policy",
            Self::NewPolicy => "new policy",
            Self::Duplicate => "duplicate",
            Self::Copy => "copy",
            Self::Leave => "leave",
            Self::Replace => "replace",
        }
    }
}
