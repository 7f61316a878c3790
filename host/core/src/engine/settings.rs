//! The settings that all nodes must share: stored once for each fingerprint, compared by it, removed when nobody names
//! it any more.

use super::{Engine, Notice, Op};
use crate::id::NodeId;
use crate::join::{Answer, Outcome, Request};
use crate::store::{Entry, Expected, StoreError};
use crate::time::Instant;
use crate::values::{Key, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The operations on `settings/<fingerprint>`.
#[derive(Clone, Debug)]
pub(super) enum SettingsOp {
    /// This node's settings are written, since they are not there.
    Store,
    /// Settings are removed that nobody has any more.
    Remove(u128),
}

/// What was told of the settings of one node: its fingerprint, the prevailing one, and whether the texts of both are
/// known.
type Told = (u128, u128, bool);

/// What this session has stored and told.
#[derive(Clone, Debug, Default)]
pub(super) struct SettingsState {
    /// This node's settings are being written.
    storing: bool,
    /// That was tried: others need not wait for it any more.
    tried: bool,
    /// Not to be tried again before.
    not_before: Instant,
    /// What was told of this node.
    mine: Option<Told>,
    /// What was told of the others.
    others: BTreeMap<NodeId, Told>,
}

impl Engine {
    /// The fingerprint that prevails. This node knows its own settings, whatever is stored of it.
    pub(super) fn prevailing(&self) -> Option<u128> {
        let (me, mine) = (self.id(), self.set.info.settings);
        self.view.prevailing_if(|id| {
            if Some(id) == me {
                Some(mine)
            } else {
                self.view.settings_of(id)
            }
        })
    }

    /// Refuses to act while this node's settings are not the prevailing ones; tells which nodes differ.
    pub(super) fn check_settings(&mut self) {
        let (me, mine) = (self.id(), self.set.info.settings);
        let Some(prevailing) = self.prevailing() else { return };
        let known = |fingerprint: u128| self.view.settings.contains_key(&fingerprint);
        let told = |settings: u128| (settings, prevailing, known(settings) && known(prevailing));
        let others: BTreeMap<NodeId, u128> = self
            .view
            .live()
            .filter(|id| Some(*id) != me)
            .filter_map(|id| Some((id, self.view.settings_of(id)?)))
            .collect();
        let here = (prevailing != mine).then(|| (mine, prevailing, known(prevailing)));
        let odd: BTreeMap<NodeId, Told> = others
            .iter()
            .filter(|(_, settings)| **settings != prevailing)
            .map(|(id, settings)| (*id, told(*settings)))
            .collect();
        self.differs = here.is_some();
        if here != self.settings.mine {
            self.settings.mine = here;
            self.notice(match here {
                Some(_) => Notice::SettingsDiffer {
                    from: others
                        .iter()
                        .filter(|(_, s)| **s == prevailing)
                        .map(|(id, _)| *id)
                        .collect(),
                    mine: Arc::clone(&self.set.shared),
                    prevailing: self.view.settings(prevailing),
                },
                None => Notice::SettingsAgree,
            });
        }
        for (&node, &(settings, ..)) in odd
            .iter()
            .filter(|(id, told)| self.settings.others.get(id) != Some(told))
            .collect::<Vec<_>>()
        {
            self.notice(Notice::PeerDiffers {
                node,
                theirs: self.view.settings(settings),
                prevailing: self.view.settings(prevailing),
            });
        }
        self.settings.others = odd;
    }

    /// Whether others can learn what this node's fingerprint means, or that was at least tried.
    pub(super) fn settings_are_told(&self) -> bool {
        self.settings.tried || (self.view.complete && !self.are_settings_missing())
    }

    fn are_settings_missing(&self) -> bool {
        self.set.shared.is_storable() && !self.view.settings.contains_key(&self.set.info.settings)
    }

    pub(super) fn settings_due(&self) -> Option<Instant> {
        let due = self.view.complete && !self.settings.storing && self.are_settings_missing();
        due.then_some(self.settings.not_before)
    }

    pub(super) fn turn_settings(&mut self, now: Instant) {
        if self.settings_due().is_none_or(|at| now < at) {
            return;
        }
        self.settings.storing = true;
        let request = Request::Put {
            key: Key::Settings(self.set.info.settings),
            value: Value::Settings(Arc::clone(&self.set.shared)),
            expected: Expected::Absent,
        };
        self.send(Op::Settings(SettingsOp::Store), request, now);
    }

    /// The leader removes what no node names any more. What is young may be named in a moment.
    pub(super) fn tidy_settings(&mut self, now: Instant) {
        if !self.lead.leading {
            return;
        }
        let named: BTreeSet<u128> = self.view.nodes.values().map(|info| info.settings).collect();
        let acting = self.view.leader.as_ref().map(|leader| leader.value.settings);
        let (mine, backend, old) = (
            self.set.info.settings,
            self.clock.estimate(now),
            self.set.timing.stale_after,
        );
        let gone: Vec<_> = self
            .view
            .settings
            .iter()
            .filter(|(settings, _)| **settings != mine && acting != Some(**settings) && !named.contains(settings))
            .filter(|(_, entry)| backend.since(entry.written) >= old)
            .map(|(settings, entry)| (*settings, entry.revision))
            .collect();
        for (settings, revision) in gone {
            let key = Key::Settings(settings);
            self.send(
                Op::Settings(SettingsOp::Remove(settings)),
                Request::Delete { key, revision },
                now,
            );
        }
    }

    pub(super) fn settings_answered(&mut self, op: &SettingsOp, outcome: Outcome, now: Instant) {
        match (op, outcome) {
            (SettingsOp::Store, outcome) => {
                self.settings.storing = false;
                self.settings.tried = true;
                self.settings.not_before = now.plus(self.jitter(self.set.timing.renew));
                let key = Key::Settings(self.set.info.settings).to_string();
                match outcome {
                    Ok(Answer::Written(w)) => {
                        let entry = Entry {
                            revision: w.revision,
                            written: w.now,
                            value: Value::Settings(Arc::clone(&self.set.shared)),
                        };
                        self.view.put(&key, entry, now);
                    }
                    Err(StoreError::Conflict(Some(entry))) => self.view.put(&key, entry, now),
                    _ => {}
                }
            }
            (SettingsOp::Remove(settings), Ok(_) | Err(StoreError::Conflict(None))) => {
                self.view.settings.remove(settings);
            }
            // Whatever came of it, the next complete listing shows it.
            (SettingsOp::Remove(_), _) => {}
        }
    }
}
