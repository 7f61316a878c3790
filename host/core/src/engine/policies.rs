//! What the leader writes for people of policies that fail (`policies`): it alone knows.

use super::{Engine, Op};
use crate::join::{Answer, Outcome, Request};
use crate::store::{Entry, Expected, StoreError};
use crate::time::Instant;
use crate::values::{Failing, Key, Policies, Value};

/// How much of a reason is written, in characters.
const REASON: usize = 400;

/// How many roles are written about: enough to see that everything fails.
const ROLES: usize = 100;

impl Engine {
    pub(super) fn turn_policies(&mut self, now: Instant) {
        if self.policies_due().is_none_or(|at| now < at) {
            return;
        }
        let Some(value) = self.policies_wanted() else { return };
        let known = self.view.policies.as_ref();
        let request = Request::Put {
            key: Key::Policies,
            value: Value::Policies(value.clone()),
            expected: known.map_or(Expected::Absent, |entry| Expected::Revision(entry.revision)),
        };
        self.lead.telling = true;
        self.send(Op::Policies { value }, request, now);
    }

    pub(super) fn policies_due(&self) -> Option<Instant> {
        let due = self.lead.leading && !self.lead.telling && self.policies_wanted().is_some();
        due.then_some(self.lead.tell_not_before)
    }

    /// What is to be written, if that is not what is there.
    fn policies_wanted(&self) -> Option<Policies> {
        let session = self.session()?;
        let known = self.view.policies.as_ref().map(|entry| &entry.value);
        let mut failing = self.failing();
        failing.sort_by(|a, b| a.role.cmp(&b.role));
        failing.truncate(ROLES);
        // What nobody says needs no author.
        let told = match known {
            Some(known) => known.failing == failing && (known.session == session || failing.is_empty()),
            None => failing.is_empty(),
        };
        (!told).then_some(Policies { session, failing })
    }

    fn failing(&self) -> Vec<Failing> {
        let roles = self.set.roles.iter().zip(&self.lead.roles);
        let failing = roles.filter_map(|(spec, state)| {
            let reason = state.trouble.as_ref()?;
            Some(Failing {
                role: spec.name.clone(),
                suspended: state.native,
                reason: reason.chars().take(REASON).collect(),
            })
        });
        failing.collect()
    }

    pub(super) fn policies_told(&mut self, value: Policies, outcome: Outcome, now: Instant) {
        self.lead.telling = false;
        match outcome {
            Ok(Answer::Written(w)) => {
                let entry = Entry {
                    revision: w.revision,
                    written: w.now,
                    value: Value::Policies(value),
                };
                self.view.put(&Key::Policies.to_string(), entry, now);
            }
            Err(StoreError::Conflict(Some(entry))) => self.view.put(&Key::Policies.to_string(), entry, now),
            outcome => {
                if matches!(outcome, Err(StoreError::Conflict(None))) {
                    self.view.policies = None;
                }
                let wait = self.retry();
                self.lead.tell_not_before = now.plus(wait);
                self.look();
            }
        }
    }
}
