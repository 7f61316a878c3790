//! What this node says of itself (`nodes/<n>`), and the orders for it.

use super::{Engine, Notice, Op};
use crate::id::NodeId;
use crate::join::{Answer, Outcome, Request};
use crate::store::{Expected, StoreError};
use crate::time::Instant;
use crate::values::{Key, NodeInfo, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The steps of writing `nodes/<n>`.
#[derive(Clone, Debug)]
pub(super) enum InfoOp {
    Read,
    /// With these orders.
    Write {
        drain: bool,
        cordon: bool,
    },
}

/// Progress of writing `nodes/<n>`, kept in `Lead`'s sibling state.
#[derive(Clone, Debug, Default)]
pub(super) struct InfoState {
    /// To be read, merged and written from this instant on.
    due: Option<Instant>,
    /// An operation is under way: one after the other, or an older order could come last.
    busy: bool,
    /// A write of unknown outcome may still come: it must be overwritten, were it by the same.
    doubt: bool,
    drain: Option<bool>,
    cordon: Option<bool>,
    /// The id was another hostname's: the orders stored under it were not for this node.
    pub inherited: bool,
}

impl Engine {
    pub(super) fn begin_info(&mut self) {
        self.info.due = Some(Instant(0));
        // A write of the former session may still be under way.
        self.info.doubt |= self.info.busy;
        self.info.busy = false;
    }

    /// Says it again if somebody removed what this node said of itself, or if what a former session said, in a write
    /// that came late, stands in its place: others would not know this session's settings. Only a `full` listing
    /// shows what is missing.
    pub(super) fn retell_info(&mut self, full: bool) {
        let Some((id, session)) = self.id().zip(self.session()) else {
            return;
        };
        let stands = self.view.nodes.get(&id).map_or(!full, |info| info.session == session);
        if !stands && !self.info.busy {
            self.info.due.get_or_insert(Instant(0));
        }
    }

    pub(super) fn order(&mut self, drain: Option<bool>, cordon: Option<bool>) {
        self.info.drain = drain.or(self.info.drain);
        self.info.cordon = cordon.or(self.info.cordon);
        self.info.due = Some(Instant(0));
    }

    pub(super) fn turn_info(&mut self, now: Instant) {
        if self.info_due().is_some_and(|at| at <= now)
            && let Some(id) = self.id()
        {
            self.info.due = None;
            self.info.busy = true;
            self.send(Op::Info(InfoOp::Read), Request::Get(Key::Node(id)), now);
        }
    }

    pub(super) fn info_due(&self) -> Option<Instant> {
        // The fingerprint in it means something to others only once the settings are stored.
        self.info.due.filter(|_| !self.info.busy && self.settings_are_told())
    }

    pub(super) fn info_answered(&mut self, op: InfoOp, outcome: Outcome, now: Instant) {
        let Some((id, session)) = self.id().zip(self.session()) else {
            return;
        };
        self.info.busy = false;
        match (op, outcome) {
            (InfoOp::Read, Ok(Answer::Reading(read))) => {
                let (old, expected) = match read.entry {
                    None => (None, Expected::Absent),
                    Some(e) => match e.value {
                        Value::Node(info) => (Some(info), Expected::Revision(e.revision)),
                        _ => (None, Expected::Revision(e.revision)),
                    },
                };
                // Orders are the operator's: they outlive a restart of the node, but not its place.
                let orders = old.as_deref().filter(|_| !self.info.inherited);
                let info = NodeInfo {
                    drain: self.info.drain.unwrap_or_else(|| orders.is_some_and(|i| i.drain)),
                    cordon: self.info.cordon.unwrap_or_else(|| orders.is_some_and(|i| i.cordon)),
                    session,
                    ..self.set.info.clone()
                };
                let (drain, cordon) = (info.drain, info.cordon);
                if old.is_some_and(|old| *old == info) && !self.info.doubt {
                    self.obeyed(drain, cordon);
                } else {
                    let request = Request::Put {
                        key: Key::Node(id),
                        value: Value::Node(Arc::new(info)),
                        expected,
                    };
                    self.info.busy = true;
                    self.send(Op::Info(InfoOp::Write { drain, cordon }), request, now);
                }
            }
            (InfoOp::Write { drain, cordon }, Ok(_)) => {
                self.info.doubt = false;
                self.obeyed(drain, cordon);
                self.look();
                self.out.push(super::Command::Hint);
            }
            (_, Err(StoreError::Conflict(_))) => {
                self.info.doubt = false;
                self.info.due = Some(now);
            }
            (_, outcome) => {
                self.info.doubt |= matches!(outcome, Err(StoreError::Indeterminate(_)));
                let wait = self.retry();
                self.info.due = Some(now.plus(wait));
            }
        }
    }

    /// These orders are stored. One that was given meanwhile is still to be written.
    fn obeyed(&mut self, drain: bool, cordon: bool) {
        self.info.inherited = false;
        self.info.drain.take_if(|order| *order == drain);
        self.info.cordon.take_if(|order| *order == cordon);
    }

    /// The orders for every node, drain and cordon, as last seen.
    pub(super) fn orders(&self) -> BTreeMap<NodeId, (bool, bool)> {
        self.view
            .nodes
            .iter()
            .map(|(id, info)| (*id, (info.drain, info.cordon)))
            .collect()
    }

    /// Tells what the operator has done since orders were `before`, and these nodes were `known`: of this node, and as
    /// the leader of all.
    pub(super) fn tell_orders(&mut self, before: &BTreeMap<NodeId, (bool, bool)>, known: &BTreeSet<NodeId>) {
        // What was ordered of another hostname, whose id this was, is not for this node.
        let mine = self.id().filter(|_| !self.info.inherited);
        let concerns = |id: NodeId| self.lead.leading || mine == Some(id);
        let was = |id: &NodeId| before.get(id).copied().unwrap_or_default();
        let changed = self
            .orders()
            .into_iter()
            .filter(|(id, orders)| concerns(*id) && was(id) != *orders);
        let changed = changed.map(|(node, (drain, cordon))| Notice::Ordered { node, drain, cordon });
        let gone = known
            .iter()
            .filter(|id| self.lead.leading && !self.view.sessions.contains_key(id));
        let notices: Vec<Notice> = changed.chain(gone.map(|id| Notice::Forgotten(*id))).collect();
        notices.into_iter().for_each(|notice| self.notice(notice));
    }
}
