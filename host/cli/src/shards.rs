//! Who has which shard, as the stored plans say.

use crate::cluster::{Cluster, ClusterSnapshot};
use serde::Serialize;
use shardwright_core::handoff;
use shardwright_core::id::{NodeId, Token};
use shardwright_core::plan::{self, PlanPart, RELEASE};
use shardwright_core::role::{Mode, RoleSpec};
use shardwright_core::store::Revision;
use std::sync::Arc;

/// One role as stored, and as configured where there is a configuration.
pub(crate) struct RoleView<'s> {
    pub(crate) name: String,
    pub(crate) spec: Option<&'s RoleSpec>,
    parts: Vec<(Revision, &'s Arc<PlanPart>)>,
    sight: &'s ClusterSnapshot,
}

/// Who has one shard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Shard {
    pub(crate) shard: u32,
    /// Who acts. Where all owners act: the first of them.
    pub(crate) primary: Option<u32>,
    /// The fencing token under which it does.
    pub(crate) token: Option<Token>,
    /// The other owners of the plan's row, in order. Where all owners act: those that do, besides the first.
    pub(crate) standbys: Vec<u32>,
    /// Where the shard is moving.
    pub(crate) target: Option<u32>,
    pub(crate) state: State,
    /// All owners of the plan's row, in order.
    #[serde(skip)]
    pub(crate) row: Vec<u32>,
    /// Whom the plan names as the one that acts, even if its session is over.
    #[serde(skip)]
    pub(crate) holder: Option<u32>,
}

impl Shard {
    /// One that nobody has, and no plan knows.
    pub(crate) const fn unplanned(shard: u32) -> Self {
        Self {
            shard,
            primary: None,
            token: None,
            standbys: Vec::new(),
            target: None,
            state: State::Unowned,
            row: Vec::new(),
            holder: None,
        }
    }
}

/// What is going on with a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum State {
    /// Its owner acts.
    Held,
    /// It is on its way to another node.
    Moving,
    /// The session under which it was held has ended; nobody has taken it over yet.
    Orphaned,
    /// Nobody has it.
    Unowned,
}

impl State {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Moving => "moving",
            Self::Orphaned => "orphaned",
            Self::Unowned => "unowned",
        }
    }
}

/// All roles that are configured or have a plan, by name.
pub(crate) fn roles<'s>(cluster: &'s Cluster, sight: &'s ClusterSnapshot) -> Vec<RoleView<'s>> {
    let configured = if cluster.configured {
        &cluster.config.roles[..]
    } else {
        &[]
    };
    views(configured, sight)
}

/// The same for roles that are `configured` so.
pub(crate) fn views<'s>(configured: &'s [RoleSpec], sight: &'s ClusterSnapshot) -> Vec<RoleView<'s>> {
    let stored = sight.view.plans.keys().map(|(role, _)| role.clone());
    let names: std::collections::BTreeSet<String> =
        configured.iter().map(|role| role.name.clone()).chain(stored).collect();
    let view = |name: String| {
        let spec = configured.iter().find(|role| role.name == name);
        let parts = sight.view.plans.range((name.clone(), 0)..=(name.clone(), u32::MAX));
        let parts = parts.map(|(_, (revision, part))| (*revision, part)).collect();
        RoleView {
            name,
            spec,
            parts,
            sight,
        }
    };
    names.into_iter().map(view).collect()
}

impl RoleView<'_> {
    /// Whether the stored plan is that of the configured role; true without a configuration.
    pub(crate) fn agrees(&self) -> bool {
        self.spec
            .is_none_or(|spec| self.parts.iter().all(|(_, part)| part.shape == plan::shape(spec)))
    }

    pub(crate) fn mode(&self) -> Mode {
        let exclusive = self.parts.iter().any(|(_, part)| !part.holders.is_empty());
        let stored = if exclusive { Mode::Primary } else { Mode::All };
        self.spec
            .filter(|_| self.parts.is_empty())
            .map_or(stored, |spec| spec.mode)
    }

    /// The number of shards of the stored plan, or of the configuration while there is none.
    pub(crate) fn count(&self) -> u32 {
        let stored: usize = self.parts.iter().map(|(_, part)| part.shards()).sum();
        match self.spec {
            Some(spec) if self.parts.is_empty() => spec.shards,
            _ => u32::try_from(stored).unwrap_or(u32::MAX),
        }
    }

    /// The number of the newest accepted plan; 0 before the first.
    pub(crate) fn epoch(&self) -> u64 {
        self.parts.iter().map(|(_, part)| part.epoch).max().unwrap_or(0)
    }

    /// Every shard, in order; also those of a role that has no plan yet.
    pub(crate) fn every_shard(&self) -> Vec<Shard> {
        let planned = self.shards();
        if planned.is_empty() {
            return (0..self.count()).map(Shard::unplanned).collect();
        }
        planned
    }

    /// Every shard that the stored plan has, in order.
    pub(crate) fn shards(&self) -> Vec<Shard> {
        let evidence = self.sight.view.evidence();
        let base = self.sight.base();
        let mut shards: Vec<Shard> = Vec::new();
        for &(revision, part) in &self.parts {
            for at in 0..part.shards() {
                let shard = u32::try_from(shards.len()).unwrap_or(u32::MAX);
                let row: Vec<u32> = part.row(at).iter().copied().filter(|&id| id != 0).collect();
                let alive = |id: u32| NodeId::new(id).is_some_and(|id| self.sight.view.is_live(id));
                let token = Some(part.token(at, revision, base));
                shards.push(if part.holders.is_empty() {
                    let primary = row.iter().copied().find(|&id| alive(id));
                    let standbys = row
                        .iter()
                        .copied()
                        .filter(|&id| Some(id) != primary && alive(id))
                        .collect();
                    let holder = row.first().copied();
                    let state = match (primary, row.is_empty()) {
                        (Some(_), _) => State::Held,
                        (None, true) => State::Unowned,
                        (None, false) => State::Orphaned,
                    };
                    Shard {
                        shard,
                        primary,
                        token: token.filter(|_| primary.is_some()),
                        standbys,
                        target: None,
                        state,
                        row,
                        holder,
                    }
                } else {
                    let target = part.target(at);
                    let (primary, state) = match part.holder(at) {
                        None => (None, State::Unowned),
                        Some((id, session)) if handoff::is_over(&evidence, id, session) => (None, State::Orphaned),
                        Some((id, _)) if target != 0 => (Some(id.get()), State::Moving),
                        Some((id, _)) => (Some(id.get()), State::Held),
                    };
                    let standbys = row.iter().copied().filter(|&id| Some(id) != primary).collect();
                    let target = Some(target).filter(|&to| to != 0 && to != RELEASE);
                    Shard {
                        shard,
                        primary,
                        token: token.filter(|_| primary.is_some()),
                        standbys,
                        target,
                        state,
                        row,
                        holder: part.holder(at).map(|(id, _)| id.get()),
                    }
                });
            }
        }
        shards
    }
}
