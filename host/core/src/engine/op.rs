//! Operations under way: what each was for, and what an answer tells whatever it was.

use super::info::InfoOp;
use super::memory::ReserveOp;
use super::settings::SettingsOp;
use crate::id::NodeId;
use crate::join::{Answer, Outcome, Request};
use crate::plan::PlanPart;
use crate::store::{Reading, Revision, StoreError, StoreTime};
use crate::time::Instant;
use crate::values::{Leader, Policies, Session, Value};
use std::sync::Arc;

/// An operation under way.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub(super) op: Op,
    pub(super) sent: Instant,
    pub(super) floor: Revision,
    pub(super) writes: bool,
    /// The last partial loss that this node had heard of.
    pub(super) heard: StoreTime,
}

/// What an operation was for.
#[derive(Clone, Debug)]
pub(super) enum Op {
    ReadMeta,
    /// Looking for whoever has joined in the history of this `meta`.
    Joined(Box<Reading<Value>>),
    WriteMeta,
    Join,
    Claim {
        claim: Box<Request>,
    },
    Seal,
    Prove,
    Renew {
        applied: Revision,
    },
    List {
        full: bool,
    },
    Info(InfoOp),
    Settings(SettingsOp),
    Reserve(ReserveOp),
    Probe {
        node: NodeId,
        seen: Revision,
    },
    End {
        node: NodeId,
        ended: Box<Session>,
    },
    Lead {
        value: Leader,
    },
    Policies {
        value: Policies,
    },
    Resign,
    Plan {
        role: usize,
        part: u32,
        plan: Arc<PlanPart>,
    },
    Bye,
}

/// The backend's time in an answer.
pub(super) fn time_of(outcome: &Outcome) -> Option<StoreTime> {
    match outcome {
        Ok(Answer::Reading(r)) => Some(r.now),
        Ok(Answer::Listing(l)) => Some(l.now),
        Ok(Answer::Written(w)) => Some(w.now),
        Err(_) => None,
    }
}

/// The last partial loss of which an answer tells.
pub(super) fn loss_of(outcome: &Outcome) -> Option<StoreTime> {
    match outcome {
        Ok(Answer::Reading(r)) => Some(r.unsure_before),
        Ok(Answer::Listing(l)) => Some(l.unsure_before),
        Ok(Answer::Written(_)) | Err(_) => None,
    }
}

/// The revision of what an answer shows.
pub(super) fn revision_of(outcome: &Outcome) -> Option<Revision> {
    match outcome {
        Ok(Answer::Reading(r)) => r.entry.as_ref().map(|e| e.revision),
        Ok(Answer::Listing(l)) => Some(l.revision),
        Ok(Answer::Written(w)) => Some(w.revision),
        Err(StoreError::Conflict(e)) => e.as_ref().map(|e| e.revision),
        Err(_) => None,
    }
}
