//! A cluster's store as it was at one moment, and what follows from it.

use anyhow::Context;
use shardwright_core::clock::BackendClock;
use shardwright_core::engine::NodeRecord;
use shardwright_core::id::NodeId;
use shardwright_core::store::{Listing, StoreTime};
use shardwright_core::time::{Instant, Timing};
use shardwright_core::values::Value;
use shardwright_core::view::View;
use std::collections::{BTreeMap, BTreeSet};

/// A cluster's store as it was at one moment.
pub(crate) struct ClusterSnapshot {
    /// The entries.
    pub(crate) view: View,
    /// The registry, sorted by id.
    pub(crate) records: Vec<NodeRecord>,
    /// The live nodes that do not act, for their settings are not those that prevail.
    pub(crate) differing: BTreeSet<NodeId>,
    /// When each part of a plan was written.
    pub(crate) planned: BTreeMap<(String, u32), StoreTime>,
    /// The backend's clock then.
    pub(crate) now: StoreTime,
    /// The same, for what the nodes' own rules ask of it.
    pub(crate) clock: BackendClock,
    /// The durations of the configuration, or the default ones.
    pub(crate) timing: Timing,
    /// When the store may have lost something last; 0 if never.
    pub(crate) unsure_before: StoreTime,
    /// The local clock then.
    pub(crate) here: Instant,
}

impl ClusterSnapshot {
    /// What a complete listing shows.
    pub(crate) fn of(listing: Listing<Value>, planned: BTreeMap<(String, u32), StoreTime>, timing: Timing) -> Self {
        let (now, unsure_before) = (listing.now, listing.unsure_before);
        let here = Instant(shardwright_coordinator::clock::boottime());
        let mut view = View::default();
        view.apply(listing, true, here, here);
        let mut clock = BackendClock::default();
        clock.learn(here, here, now, 0, 0);
        let (records, _) = view.registry(&clock, &timing, here);
        let prevailing = view.prevailing();
        let differs = |id: &NodeId| {
            view.settings_of(*id)
                .is_some_and(|settings| Some(settings) != prevailing)
        };
        Self {
            differing: view.live().filter(differs).collect(),
            view,
            records,
            planned,
            now,
            clock,
            timing,
            unsure_before,
            here,
        }
    }

    /// What is added to revisions to make tokens.
    pub(crate) fn base(&self) -> u64 {
        self.view
            .meta
            .as_ref()
            .map_or(0, |meta| meta.value.base_after(self.unsure_before))
    }

    /// For how long a live node has not renewed its session, in milliseconds, if two renewals are missing by now.
    pub(crate) fn late(&self, id: NodeId) -> Option<u64> {
        let live = self
            .view
            .sessions
            .get(&id)
            .filter(|seen| seen.entry.value.ended.is_none())?;
        let renewed = self.now.since(live.entry.written);
        let interval = self.timing.renew + self.timing.renew / 10;
        (renewed >= 2 * interval).then_some(renewed)
    }

    /// How long nothing is granted yet, in milliseconds, if so: the store is new, or may have lost its last writes.
    pub(crate) fn grace(&self) -> Option<u64> {
        let founded = self.view.meta.as_ref().map(|meta| meta.written);
        let since = founded.into_iter().chain([self.unsure_before]).max()?;
        self.timing
            .taker()
            .checked_sub(self.now.since(since))
            .filter(|left| *left > 0)
    }

    /// The node of this id.
    pub(crate) fn record(&self, id: NodeId) -> anyhow::Result<&NodeRecord> {
        self.records
            .iter()
            .find(|record| record.node_id == id)
            .with_context(|| {
                let known: Vec<_> = self.records.iter().map(|record| record.node_id.to_string()).collect();
                format!("there is no node {id}; there are: {}", known.join(", "))
            })
    }

    /// A node as people read it, `2 (mail-2)`: its id alone if its name is not known.
    pub(crate) fn label(&self, id: u32) -> String {
        let record = self.records.iter().find(|record| record.node_id.get() == id);
        record.map_or_else(|| id.to_string(), |record| format!("{id} ({})", record.hostname))
    }
}
