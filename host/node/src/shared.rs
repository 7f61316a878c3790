//! What the driver writes and the node's handles read.

use crate::event::{CAPACITY, NodeEvent};
use crate::fence::Fence;
use crate::table::Table;
use crate::tell;
use shardwright_core::engine::{NodeRecord, Refusal};
use shardwright_core::id::NodeId;
use shardwright_core::role::RoleSpec;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;
use tokio::sync::{broadcast, watch};

/// The state of one node.
pub(crate) struct Shared {
    pub(crate) fence: Arc<Fence>,
    pub(crate) tables: Box<[Arc<Table>]>,
    pub(crate) events: broadcast::Sender<NodeEvent>,
    pub(crate) phase: watch::Sender<Phase>,
    /// Shards that are held, or whose work is still stopping.
    pub(crate) holding: watch::Sender<usize>,
    pub(crate) overdue: AtomicU64,
    /// Why the node cannot go on, as soon as somebody finds that.
    pub(crate) failure: watch::Sender<Option<String>>,
    /// The id held now or last, 0 before the first; [`HELD`] is added while it is held.
    node: AtomicU64,
    /// When history was lost last, and how that was noticed.
    loss: Mutex<Option<(SystemTime, String)>>,
    registry: watch::Sender<Arc<[NodeRecord]>>,
}

/// Beside an id: it is held.
const HELD: u64 = 1 << 32;

/// How far a node has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It has no id yet.
    Starting,
    /// It has joined.
    Member,
    /// It has ended.
    Ended(Ended),
}

/// Why a node has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It was asked to.
    Asked,
    /// It may not take part.
    Refused(Refusal),
    /// Something that it needs has failed for good.
    Failed(String),
    /// Its driver was dropped: with the node's handle or with the runtime.
    Dropped,
}

impl Shared {
    /// The state of a node with these roles; its fence is watched from now on, until it is closed.
    pub(crate) fn new(roles: &[RoleSpec]) -> std::io::Result<Arc<Self>> {
        let fence = Arc::new(Fence::default());
        let events = broadcast::Sender::new(CAPACITY);
        let tables: Box<[_]> = roles
            .iter()
            .map(|role| Arc::new(Table::new(role.clone(), fence.clone(), events.clone())))
            .collect();
        let watched: Vec<_> = tables.to_vec();
        let failure = watch::Sender::new(None);
        let broken = failure.clone();
        fence.watch(
            move || watched.iter().for_each(|table| table.cancel_all()),
            move || fail(&broken, "the thread that keeps the deadline panicked".to_owned()),
        )?;
        Ok(Arc::new(Self {
            fence,
            tables,
            events,
            phase: watch::Sender::new(Phase::Starting),
            holding: watch::Sender::new(0),
            overdue: AtomicU64::new(0),
            failure,
            node: AtomicU64::new(0),
            loss: Mutex::default(),
            registry: watch::Sender::new(Arc::from(Vec::new())),
        }))
    }

    /// The node cannot go on, for this reason: its driver ends it.
    pub(crate) fn fail(&self, reason: String) {
        fail(&self.failure, reason);
    }

    /// Tells people and whoever listens.
    pub(crate) fn emit(&self, event: NodeEvent) {
        let registry = self.registry();
        tell::log(&event, &|node| tell::label(&registry, node));
        self.announce(event);
    }

    /// As [`Self::emit`], without a line in the log: whoever starts the node is told otherwise.
    pub(crate) fn announce(&self, event: NodeEvent) {
        if let NodeEvent::HistoryLost { reason } = &event {
            *self.loss.lock().unwrap_or_else(PoisonError::into_inner) = Some((SystemTime::now(), reason.clone()));
        }
        // Nobody may be listening.
        let _ = self.events.send(event);
    }

    /// When history was lost last, and how that was noticed.
    #[cfg(feature = "adapters")]
    pub(crate) fn loss(&self) -> Option<(SystemTime, String)> {
        self.loss.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn registry(&self) -> Arc<[NodeRecord]> {
        self.registry.borrow().clone()
    }

    pub(crate) fn set_registry(&self, records: Arc<[NodeRecord]>) {
        self.registry.send_replace(records);
    }

    /// Follows the registry, until this is dropped.
    pub(crate) fn watch_registry(&self) -> watch::Receiver<Arc<[NodeRecord]>> {
        self.registry.subscribe()
    }

    /// The id held now or last.
    #[cfg(feature = "adapters")]
    pub(crate) fn node(&self) -> Option<NodeId> {
        // The lower half.
        NodeId::new(self.node.load(Ordering::Relaxed) as u32)
    }

    /// The id held now.
    pub(crate) fn id(&self) -> Option<NodeId> {
        let node = self.node.load(Ordering::Relaxed);
        NodeId::new(node as u32).filter(|_| node & HELD != 0)
    }

    /// This id is held from now on.
    pub(crate) fn hold(&self, node: NodeId) {
        self.node.store(HELD | u64::from(node.get()), Ordering::Relaxed);
    }

    /// None is held from now on.
    pub(crate) fn hold_none(&self) {
        self.node.fetch_and(!HELD, Ordering::Relaxed);
    }
}

/// The first reason stands.
fn fail(failure: &watch::Sender<Option<String>>, reason: String) {
    failure.send_if_modified(|first| {
        let news = first.is_none();
        first.get_or_insert(reason);
        news
    });
}
