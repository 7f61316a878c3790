//! The rules of the protocol that the checks can drop one by one, to show that each is needed.
//!
//! In a normal build nothing can be dropped: `Rules` has no content and every question is answered at compile time.

/// A rule whose absence the model or the simulation must notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// A plan names the owner's session, not only its node id.
    SessionId,
    /// An owner stops as soon as it has read a plan that moves the shard.
    StopOnTarget,
    /// A release counts only at or above the revision of the plan that asked for it.
    FreshRelease,
    /// A plan is written only over the revision that it was decided on.
    PlanCompare,
    /// The last step of a join rewrites the host entry over the revision found in the first.
    Confirm,
    /// A session is written only over the revision that was read.
    SessionCompare,
    /// A session of the same instance that looks alive is not replaced before it has aged: it may be that of a copy.
    WatchOwnInstance,
    /// A deadline counts from the sending of a renewal, not from its answer.
    DeadlineFromSending,
    /// A release is reported only after the work has stopped.
    StopBeforeRelease,
    /// Nobody acts in a young history until the holders of a lost one must have stopped.
    Grace,
    /// Who starts believes the first answers of the backend's clock, that this is over, only if somebody has joined
    /// since.
    ProvenAge,
    /// After a partial loss of the store nothing is granted until everybody whom it concerns has heard of it or must
    /// have stopped.
    PartialLoss,
    /// A store that no longer knows of a partial loss that a node was told of went back: a new history is begun.
    ForgottenLoss,
}

/// Which rules are in force: all of them, except in tests that drop one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Rules {
    #[cfg(feature = "drop-rules")]
    dropped: Option<Rule>,
}

impl Rules {
    /// All rules but one.
    #[cfg(feature = "drop-rules")]
    #[must_use]
    pub const fn without(rule: Rule) -> Self {
        Self { dropped: Some(rule) }
    }

    /// Whether `rule` is in force.
    #[must_use]
    #[inline]
    pub fn keep(self, rule: Rule) -> bool {
        #[cfg(feature = "drop-rules")]
        return self.dropped != Some(rule);
        #[cfg(not(feature = "drop-rules"))]
        {
            let _ = rule;
            true
        }
    }
}
