//! Asking policies: when, about what, and what becomes of the answer.

use super::lead::{Accepted, Asked};
use super::{Command, Engine, Notice};
use crate::check::check;
use crate::inputs::{self, digest};
use crate::native;
use crate::plan::{PlanPart, part_len, parts};
use crate::role::Mode;
use crate::snapshot::{Answer, Proposal, SnapshotNode, SnapshotStatus};
use crate::time::Instant;
use std::sync::Arc;

/// Failures in a row after which the native policy takes over.
const PATIENCE: u32 = 3;

impl Engine {
    /// Asks the role's policy if what the plan was made from has changed, has settled, and nothing is under way.
    pub(super) fn consider(&mut self, role: usize, current: &[Arc<PlanPart>], members: &[SnapshotNode], now: Instant) {
        let spec = &self.set.roles[role];
        let policy = self.set.policies.get(role).copied().unwrap_or(0);
        let wanted = digest(spec, policy, members);
        let rows: Vec<&[u32]> = current
            .iter()
            .flat_map(|p| p.rows.chunks(p.width.max(1) as usize))
            .collect();
        let settled = digest(spec, policy, &placed(members, spec.mode, &rows));
        let state = &mut self.lead.roles[role];
        let is_done = |inputs: u64| inputs == wanted || inputs == settled;
        let done = current.iter().all(|p| is_done(p.inputs)) || state.kept.is_some_and(is_done);
        let accepted = state.accepted.as_ref().is_some_and(|a| a.asked == wanted);
        if done || accepted || state.asked.is_some() || members.iter().all(|n| n.status == SnapshotStatus::Away) {
            state.settling = None;
            return;
        }
        let since = match state.settling {
            Some((inputs, since)) if inputs == wanted => since,
            _ => {
                state.settling = Some((wanted, now));
                now
            }
        };
        let at = since.plus(self.set.timing.settle).max(state.not_before);
        if now < at {
            self.again_at(at);
            return;
        }
        state.settling = None;
        let parts: Vec<&PlanPart> = current.iter().map(AsRef::as_ref).collect();
        let snapshot = inputs::snapshot(
            spec,
            policy,
            &self.view,
            members.to_vec(),
            &parts,
            self.clock.estimate(now),
        );
        self.lead.requests += 1;
        let request = self.lead.requests;
        let snapshot = Box::new(snapshot);
        let state = &mut self.lead.roles[role];
        state.asked = Some(Asked {
            request,
            inputs: wanted,
            snapshot: snapshot.clone(),
        });
        if state.native {
            let plan = native::assign(&snapshot);
            self.answered(request, Ok(Answer::Plan(plan)), now);
        } else {
            self.out.push(Command::Ask {
                request,
                role,
                snapshot,
            });
        }
    }

    pub(super) fn answered(&mut self, request: u64, answer: Result<Answer, String>, now: Instant) {
        let asked = |r: &super::lead::RoleLead| r.asked.as_ref().is_some_and(|a| a.request == request);
        let Some(role) = self.lead.roles.iter().position(asked) else {
            return;
        };
        let Some(asked) = self.lead.roles[role].asked.take() else {
            return;
        };
        self.lead.dirty = true;
        match answer {
            Ok(Answer::Plan(plan)) => match check(&asked.snapshot, &plan) {
                Ok(()) => self.accept(role, &asked, plan),
                Err(violation) => self.refuse(role, format!("its plan was refused: {violation}"), now),
            },
            Ok(Answer::KeepPrevious) if self.has_rows(role) => {
                let inputs = self.inputs_of(role, &asked, &asked.snapshot.role.previous);
                let state = &mut self.lead.roles[role];
                state.kept = Some(inputs);
                state.recovered();
            }
            Ok(Answer::KeepPrevious) => {
                self.refuse(role, "it keeps a previous plan, and there is none".to_owned(), now);
            }
            Ok(Answer::RetryAfter(ms)) => {
                self.lead.roles[role].not_before = now.plus(u64::from(ms).clamp(100, 600_000));
            }
            Err(reason) => self.refuse(role, reason, now),
        }
    }

    /// Whether every part of the role has rows.
    fn has_rows(&self, role: usize) -> bool {
        let spec = &self.set.roles[role];
        (0..parts(spec.shards)).all(|part| {
            self.view
                .plans
                .get(&(spec.name.clone(), part))
                .is_some_and(|(_, p)| p.epoch > 0)
        })
    }

    pub(super) fn policy_changed(&mut self, role: usize, digest: u64) {
        if let Some(known) = self.set.policies.get_mut(role) {
            *known = digest;
        }
        if let Some(state) = self.lead.roles.get_mut(role) {
            state.native = false;
            state.recovered();
            state.not_before = Instant(0);
            state.kept = None;
            state.asked = None;
            self.lead.dirty = true;
        }
    }

    fn accept(&mut self, role: usize, asked: &Asked, plan: Proposal) {
        let snapshot = &asked.snapshot;
        let width = snapshot.role.replicas;
        let epoch = snapshot.epoch.saturating_add(1);
        let primaries = |rows: &[u32]| -> Vec<u32> { rows.iter().step_by(width as usize).copied().collect() };
        let moves = primaries(&snapshot.role.previous)
            .iter()
            .zip(primaries(&plan.owners))
            .filter(|(old, new)| **old != 0 && **old != *new)
            .count();
        let inputs = self.inputs_of(role, asked, &plan.owners);
        let state = &mut self.lead.roles[role];
        state.recovered();
        state.kept = None;
        state.accepted = Some(Accepted {
            epoch,
            asked: asked.inputs,
            inputs,
            width,
            owners: plan.owners,
        });
        let native = state.native;
        self.notice(Notice::PlanAccepted {
            role,
            epoch,
            moves,
            native,
        });
    }

    /// Digest of what an answer with these rows has taken into account.
    fn inputs_of(&self, role: usize, asked: &Asked, rows: &[u32]) -> u64 {
        let policy = self.set.policies.get(role).copied().unwrap_or(0);
        let rows: Vec<&[u32]> = rows.chunks(asked.snapshot.role.replicas.max(1) as usize).collect();
        let members = placed(&asked.snapshot.nodes, self.set.roles[role].mode, &rows);
        digest(&self.set.roles[role], policy, &members)
    }

    fn refuse(&mut self, role: usize, reason: String, now: Instant) {
        let state = &mut self.lead.roles[role];
        state.trouble = Some(reason.clone());
        state.failures += 1;
        let failures = state.failures;
        state.not_before = now.plus(500 << failures.min(6));
        let suspended = failures >= PATIENCE && !state.native;
        if suspended {
            state.native = true;
            state.not_before = now;
        }
        self.notice(Notice::PlanRefused { role, reason, failures });
        if suspended {
            self.notice(Notice::PolicySuspended { role });
        }
    }

    /// The rows of one part as accepted, if they are not in `current` yet.
    pub(super) fn accepted_rows(
        &self,
        role: usize,
        part: u32,
        current: &PlanPart,
    ) -> Option<(u64, u64, u32, Vec<u32>)> {
        let accepted = self.lead.roles[role].accepted.as_ref()?;
        if current.inputs == accepted.inputs && current.epoch == accepted.epoch {
            return None;
        }
        let spec = &self.set.roles[role];
        let width = accepted.width as usize;
        let start = (part * crate::plan::PART_SHARDS) as usize * width;
        let rows = accepted
            .owners
            .get(start..start + part_len(spec.shards, part) * width)?
            .to_vec();
        Some((accepted.epoch, accepted.inputs, accepted.width, rows))
    }

    /// Whether all parts have the rows that were accepted last.
    pub(super) fn drop_written(&mut self, role: usize, current: &[Arc<PlanPart>]) {
        let state = &mut self.lead.roles[role];
        if let Some(accepted) = &state.accepted
            && current.len() == parts(self.set.roles[role].shards) as usize
            && current
                .iter()
                .all(|p| p.inputs == accepted.inputs && p.epoch == accepted.epoch)
        {
            state.accepted = None;
        }
    }

    pub(super) fn again_at(&mut self, at: Instant) {
        self.lead.again = Some(self.lead.again.map_or(at, |old| old.min(at)));
    }
}

/// The nodes without those that are away and have no place in the rows: when such a node comes back, it is news. Where
/// all act, a node that lacks a single shard has not found its place.
fn placed(members: &[SnapshotNode], mode: Mode, rows: &[&[u32]]) -> Vec<SnapshotNode> {
    let is_placed = |id: u32| match mode {
        Mode::Primary => rows.iter().any(|row| row.contains(&id)),
        Mode::All => rows.iter().all(|row| row.contains(&id)),
    };
    let counts = |n: &&SnapshotNode| n.status != SnapshotStatus::Away || is_placed(n.id);
    members.iter().filter(counts).cloned().collect()
}
