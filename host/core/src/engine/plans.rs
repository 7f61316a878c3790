//! The leader's writes: parts created, reshaped, given new rows, handed over.

use super::{Command, Engine, Op};
use crate::duty::PartId;
use crate::handoff::{Sessions, advance, carried};
use crate::inputs;
use crate::join::{Answer, Outcome, Request};
use crate::native::affinity;
use crate::plan::{PART_SHARDS, PlanPart, parts};
use crate::role::Mode;
use crate::rules::Rule;
use crate::snapshot::{SnapshotNode, candidates_of};
use crate::store::{Entry, Expected, Revision, StoreError};
use crate::time::Instant;
use crate::values::{Key, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How a live node stands as an owner, best last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fitness {
    /// To be emptied: acts only until somebody else can.
    Leaving,
    /// Came back only lately from a long absence: after those who stayed.
    Settling,
    /// Ready.
    Fit,
}

/// A live node that may own.
#[derive(Clone, Copy, Debug)]
struct Stance {
    fitness: Fitness,
    /// It stands in for others.
    takes_new: bool,
    /// It has told its settings in its present session.
    told: bool,
}

type Standing = BTreeMap<u32, Stance>;

impl Engine {
    pub(super) fn turn_plans(&mut self, now: Instant) {
        let due = self.lead.again.is_some_and(|at| at <= now);
        if !std::mem::take(&mut self.lead.dirty) && !due {
            return;
        }
        self.lead.again = None;
        if now < self.grace_until && self.set.rules.keep(Rule::Grace) {
            return self.again_at(self.grace_until);
        }
        let (members, next) = inputs::members(&self.view, self.set.info.settings, &self.set.timing, &self.clock, now);
        if let Some(at) = next {
            self.again_at(at);
        }
        let sessions = self.view.evidence();
        for role in 0..self.set.roles.len() {
            self.turn_role(role, &members, &sessions, now);
        }
    }

    fn turn_role(&mut self, role: usize, members: &[SnapshotNode], sessions: &Sessions, now: Instant) {
        let spec = self.set.roles[role].clone();
        let range = (spec.name.clone(), 0)..=(spec.name.clone(), u32::MAX);
        let known: BTreeMap<u32, (Revision, Arc<PlanPart>)> = self
            .view
            .plans
            .range(range)
            .map(|((_, part), (revision, plan))| (*part, (*revision, Arc::clone(plan))))
            .collect();

        // Shards of another shape overlap with these: nothing is granted before all of them are empty and stamped anew.
        let mut ready = true;
        for (&part, (revision, plan)) in known.iter().filter(|(part, (_, plan))| !plan.is_of(&spec, **part)) {
            ready = false;
            if !self.may_decide(role, part, *revision) {
                continue;
            }
            let next =
                if plan.holders.is_empty() && spec.mode == Mode::Primary && !is_vacated(*revision, plan, sessions) {
                    // Where all acted there is no holder to ask: nobody is named any more, until everyone has read
                    // that.
                    let vacant = PlanPart {
                        rows: vec![0; plan.rows.len()],
                        ..plan.as_ref().clone()
                    };
                    (vacant != **plan).then_some(vacant)
                } else if (0..plan.holders.len()).all(|at| plan.holder(at).is_none()) {
                    Some(PlanPart::empty(&spec, part))
                } else {
                    advance(
                        *revision,
                        plan,
                        sessions,
                        |_| 0,
                        &mut usize::MAX.clone(),
                        self.set.rules,
                    )
                };
            if let Some(next) = next {
                self.write(role, part, next, Expected::Revision(*revision), now);
            }
        }
        for part in (0..parts(spec.shards)).filter(|part| !known.contains_key(part)) {
            ready = false;
            if !self.lead.roles[role].writing.contains(&part) {
                self.write(role, part, PlanPart::empty(&spec, part), Expected::Absent, now);
            }
        }
        if !ready {
            return;
        }

        let current: Vec<Arc<PlanPart>> = known
            .range(..parts(spec.shards))
            .map(|(_, (_, plan))| Arc::clone(plan))
            .collect();
        self.drop_written(role, &current);
        self.consider(role, &current, members, now);

        let standing = self.standing(now);
        let (candidates, ends) = inputs::candidates(&spec, members);
        let moving = current.iter().flat_map(|p| &p.targets).filter(|&&t| t != 0).count();
        let mut moves = budget(spec.shards).saturating_sub(moving);
        for (&part, (revision, plan)) in known.range(..parts(spec.shards)) {
            if !self.may_decide(role, part, *revision) {
                continue;
            }
            let mut base = Arc::clone(plan);
            let rows = self.accepted_rows(role, part, plan);
            let changed = rows.is_some();
            if let Some((epoch, inputs, width, rows)) = rows {
                base = Arc::new(PlanPart {
                    epoch,
                    inputs,
                    width,
                    rows,
                    ..carried(plan, *revision)
                });
            }
            let next = if spec.mode == Mode::All || base.epoch == 0 {
                None
            } else {
                let first = part * PART_SHARDS;
                let wanted = |at: usize| {
                    let shard = first + u32::try_from(at).unwrap_or(u32::MAX);
                    let candidates = candidates_of(&candidates, &ends, shard);
                    who(&base, at, shard, candidates, &standing)
                };
                advance(*revision, &base, sessions, wanted, &mut moves, self.set.rules)
            };
            let next = next.or_else(|| changed.then(|| base.as_ref().clone()));
            if let Some(next) = next {
                self.write(role, part, next, Expected::Revision(*revision), now);
            }
        }
    }

    /// Whether a part may be decided on: no write to it is under way, and the sessions were looked at after it was
    /// written. An entry can come alone, with a conflict; a session that it names and that was not seen yet would
    /// pass for a former one.
    fn may_decide(&mut self, role: usize, part: u32, revision: Revision) -> bool {
        if self.lead.roles[role].writing.contains(&part) {
            return false;
        }
        if revision > self.view.revision {
            self.look();
            return false;
        }
        true
    }

    fn write(&mut self, role: usize, part: u32, plan: PlanPart, expected: Expected, now: Instant) {
        self.lead.roles[role].writing.insert(part);
        let plan = Arc::new(plan);
        let key = Key::Plan {
            role: self.set.roles[role].name.clone(),
            part,
        };
        let expected = if self.set.rules.keep(Rule::PlanCompare) {
            expected
        } else {
            Expected::Any
        };
        let request = Request::Put {
            key,
            value: Value::Plan(Arc::clone(&plan)),
            expected,
        };
        self.send(Op::Plan { role, part, plan }, request, now);
    }

    pub(super) fn planned(&mut self, role: usize, part: u32, plan: Arc<PlanPart>, outcome: Outcome, now: Instant) {
        if let Some(state) = self.lead.roles.get_mut(role) {
            state.writing.remove(&part);
        }
        let key = Key::Plan {
            role: self.set.roles[role].name.clone(),
            part,
        };
        self.lead.dirty = true;
        match outcome {
            Ok(Answer::Written(w)) => {
                let entry = Entry {
                    revision: w.revision,
                    written: w.now,
                    value: Value::Plan(Arc::clone(&plan)),
                };
                self.view.put(&key.to_string(), entry, now);
                self.know(role, part, w.revision, plan);
                if self.lead.roles[role].writing.is_empty() {
                    self.out.push(Command::Hint);
                    self.look();
                }
            }
            Err(StoreError::Conflict(Some(entry))) => self.view.put(&key.to_string(), entry, now),
            // Unknown or failed: a look tells, after a pause.
            _ => {
                let at = now.plus(self.retry());
                self.lead.dirty = false;
                self.again_at(at);
                self.look();
            }
        }
    }

    /// What this node has written it need not read: it acts by it at once. What else was written meanwhile the next
    /// look shows.
    fn know(&mut self, role: usize, part: u32, revision: Revision, plan: Arc<PlanPart>) {
        let Some(plan) = self.fitting(role, part, &plan) else {
            return;
        };
        self.out.push(Command::Plan {
            role,
            part,
            revision,
            plan: Arc::clone(&plan),
        });
        let changes = self.duty.learn(Revision(0), [(PartId { role, part }, revision, plan)]);
        self.perform(changes);
    }

    fn standing(&mut self, now: Instant) -> Standing {
        let backend = self.clock.estimate(now);
        let delay = self.set.timing.rejoin_delay;
        let mut standing = Standing::new();
        let mut settled: Option<Instant> = None;
        for id in self.view.live().filter(|id| self.is_mate(*id)) {
            let info = self.view.info(id);
            let session = self.view.sessions.get(&id).map(|s| &s.entry.value);
            let settling = session.filter(|s| s.away >= delay && backend.since(s.began) < delay);
            if let Some(session) = settling {
                let at = self.clock.local(session.began.plus(delay)).max(now.plus(1));
                settled = Some(settled.map_or(at, |old| old.min(at)));
            }
            let fit = match (info.drain, settling) {
                (true, _) => Fitness::Leaving,
                (_, Some(_)) => Fitness::Settling,
                _ => Fitness::Fit,
            };
            let stance = Stance {
                fitness: fit,
                takes_new: !info.cordon,
                told: self.view.settings_of(id).is_some(),
            };
            standing.insert(id.get(), stance);
        }
        if let Some(at) = settled {
            self.again_at(at);
        }
        standing
    }
}

/// Whether a part where all acted names nobody any more, and every live node has stopped what it did under it.
fn is_vacated(revision: Revision, plan: &PlanPart, sessions: &Sessions) -> bool {
    plan.rows.iter().all(|&id| id == 0) && sessions.values().all(|s| s.ended || s.applied >= revision)
}

/// Planned moves of one role that may be under way at the same time.
fn budget(shards: u32) -> usize {
    (shards as usize / 8).max(4)
}

/// Who should act on a shard now: the first fit owner of its row, else a stand-in, else a node that is on its way out.
fn who(plan: &PlanPart, at: usize, shard: u32, candidates: Option<&[u32]>, standing: &Standing) -> u32 {
    let holder = plan.holder(at).map_or(0, |(id, _)| id.get());
    let held_well = standing.get(&holder).is_some_and(|stance| stance.told);
    let fit = |id: u32| match standing.get(&id) {
        // It may have come back with other settings: it takes nothing from one who acts.
        Some(stance) if !stance.told && held_well => None,
        // One that came back lately keeps what it holds already.
        Some(stance) if stance.fitness == Fitness::Settling && id == holder => Some(Fitness::Fit),
        found => found.map(|stance| stance.fitness),
    };
    let row = plan.row(at);
    for wanted in [Fitness::Fit, Fitness::Settling] {
        if let Some(&id) = row.iter().find(|&&id| fit(id) == Some(wanted)) {
            return id;
        }
    }
    let able = |id: u32| fit(id) >= Some(Fitness::Settling) && candidates.is_none_or(|c| c.contains(&id));
    if able(holder) {
        return holder;
    }
    let stands_in = |(id, stance): &(&u32, &Stance)| stance.takes_new && able(**id);
    let best = standing
        .iter()
        .filter(stands_in)
        .map(|(id, _)| *id)
        .max_by_key(|&id| (fit(id), affinity(0, shard, id)));
    best.unwrap_or(if fit(holder) == Some(Fitness::Leaving) {
        holder
    } else {
        0
    })
}

#[cfg(test)]
mod test;
