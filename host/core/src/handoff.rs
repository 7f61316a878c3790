//! Moving shards: what the leader writes next into one part of a plan, and on what evidence.
//!
//! A shard changes hands in two writes: set the target; when the holder has released, make the target the holder.
//! Evidence that it has is only (a) its session, *that* session, is over, or (b) it has applied the present entry,
//! which has the target. Both stay true once true, so a stale look at the sessions cannot harm. With (a) the first
//! write is not needed.

use crate::id::{NodeId, SessionId};
use crate::plan::{PlanPart, RELEASE};
use crate::rules::{Rule, Rules};
use crate::store::Revision;
use std::collections::BTreeMap;

/// A node's session as last read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionState {
    /// Its present or last session.
    pub session: SessionId,
    /// What that session has applied.
    pub applied: Revision,
    /// Whether it has ended.
    pub ended: bool,
}

/// All sessions as last read.
pub type Sessions = BTreeMap<NodeId, SessionState>;

/// The next version of a part, or `None` if there is nothing to do.
///
/// `revision` is that of the entry which `part` was read from; the result may only be written over exactly it. `wanted`
/// names who should act on the shard at an index (0: nobody); only nodes with a live session count. `moves` is how many
/// further planned moves may begin; takeovers from holders whose session is over are not limited.
pub fn advance(
    revision: Revision,
    part: &PlanPart,
    sessions: &Sessions,
    wanted: impl Fn(usize) -> u32,
    moves: &mut usize,
    rules: Rules,
) -> Option<PlanPart> {
    let mut next: Option<PlanPart> = None;
    for at in 0..part.holders.len() {
        let target = part.target(at);
        let holder = part.holder(at);
        let want = NodeId::new(wanted(at)).and_then(|n| live(sessions, n).map(|s| (n, s)));
        match step(revision, holder, target, sessions, want, rules) {
            Step::Nothing => {}
            Step::Target(_) if target == 0 && *moves == 0 => {}
            Step::Target(node) => {
                if target == 0 {
                    *moves -= 1;
                }
                next.get_or_insert_with(|| carried(part, revision)).targets[at] = node;
            }
            Step::Grant(new) => {
                let next = next.get_or_insert_with(|| carried(part, revision));
                next.holders[at] = new.map_or(0, |holder| intern(&mut next.sessions, holder));
                next.granted[at] = 0;
                next.targets[at] = 0;
            }
        }
    }
    next.map(compact)
}

/// What happens to one shard.
enum Step {
    Nothing,
    /// Set or clear the target.
    Target(u32),
    /// Make this the holder, or leave the shard without one.
    Grant(Option<(NodeId, SessionId)>),
}

fn step(
    revision: Revision,
    holder: Option<(NodeId, SessionId)>,
    target: u32,
    sessions: &Sessions,
    want: Option<(NodeId, SessionId)>,
    rules: Rules,
) -> Step {
    let Some((node, session)) = holder else {
        return if want.is_some() {
            Step::Grant(want)
        } else {
            Step::Nothing
        };
    };
    if is_over(sessions, node, session) {
        return Step::Grant(want);
    }
    if target != 0 && has_released(sessions, node, revision, rules) {
        // What it has released it has stopped; it may even be granted the shard again.
        return Step::Grant(want);
    }
    let stays = want == Some((node, session));
    match (stays, want) {
        (true, _) if target == 0 => Step::Nothing,
        (true, _) => Step::Target(0),
        (false, Some((to, _))) if target == to.get() => Step::Nothing,
        (false, Some((to, _))) => Step::Target(to.get()),
        (false, None) if target == RELEASE => Step::Nothing,
        (false, None) => Step::Target(RELEASE),
    }
}

/// Evidence (a): the session that a plan names is ended or replaced, or its entry was deleted, which only happens to
/// ended ones.
///
/// `sessions` must have been looked at after the plan was written: an earlier look would not know a session that the
/// plan names.
#[must_use]
pub fn is_over(sessions: &Sessions, node: NodeId, session: SessionId) -> bool {
    sessions.get(&node).is_none_or(|s| s.ended || s.session != session)
}

/// Evidence (b): the holder, alive, has applied an entry that has the target.
fn has_released(sessions: &Sessions, node: NodeId, revision: Revision, rules: Rules) -> bool {
    let asked = if rules.keep(Rule::FreshRelease) {
        revision
    } else {
        Revision(1)
    };
    sessions.get(&node).is_some_and(|s| s.applied >= asked)
}

fn live(sessions: &Sessions, node: NodeId) -> Option<SessionId> {
    sessions.get(&node).filter(|s| !s.ended).map(|s| s.session)
}

/// A copy to be written over the entry of `revision`: grants made by that entry get its revision for good.
#[must_use]
pub fn carried(part: &PlanPart, revision: Revision) -> PlanPart {
    let mut next = part.clone();
    for (granted, holder) in next.granted.iter_mut().zip(&next.holders) {
        if *granted == 0 && *holder != 0 {
            *granted = revision.0;
        }
    }
    next
}

/// 1 + the index of `holder` among `sessions`, added if it is new.
fn intern(sessions: &mut Vec<(NodeId, SessionId)>, holder: (NodeId, SessionId)) -> u32 {
    let index = sessions.iter().position(|&s| s == holder).unwrap_or_else(|| {
        sessions.push(holder);
        sessions.len() - 1
    });
    u32::try_from(index + 1).unwrap_or(u32::MAX)
}

/// Drops sessions that no shard refers to, so that an entry does not grow with every restart. Order is by first use.
fn compact(mut part: PlanPart) -> PlanPart {
    let mut kept: Vec<(NodeId, SessionId)> = Vec::new();
    let mut renumbered: Vec<u32> = vec![0; part.sessions.len() + 1];
    for holder in &mut part.holders {
        let old = *holder as usize;
        if old != 0 && renumbered[old] == 0 {
            kept.push(part.sessions[old - 1]);
            renumbered[old] = u32::try_from(kept.len()).unwrap_or(u32::MAX);
        }
        *holder = renumbered[old];
    }
    part.sessions = kept;
    part
}
