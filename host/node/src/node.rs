//! A running node: what the server holds on to.

#[cfg(feature = "adapters")]
use crate::adapter::{AdapterReloadError, AdapterSlot, AdapterStatus, AdapterUpgrade, Watch};
use crate::builder::Builder;
use crate::bus::{Bus, Messages};
use crate::error::DrainError;
use crate::event::NodeEvent;
use crate::health::{Health, Pulse};
use crate::policies::{Policies, PolicyFileError};
use crate::registry::RegistryWatch;
use crate::role::{Role, UnknownRole};
use crate::shared::{Ended, Phase, Shared};
use crate::slow;
use crate::stream::EventStream;
use bytes::Bytes;
use shardwright_config::ClusterConfig;
use shardwright_coordinator::{BusError, Protected};
use shardwright_core::engine::{Event, NodeRecord};
use shardwright_core::id::{InstanceId, NodeId};
use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{broadcast, mpsc};
use tokio::task::{AbortHandle, JoinHandle};

/// How often the registry is looked at for what has no event.
const LOOK: Duration = Duration::from_millis(10);

/// A node of a cluster, from [`Node::builder`]. Cheap to clone: clones are the same node.
///
/// Dropping the last of them without [`Node::shutdown`] is like a crash in good order: it stops acting at once, its
/// claims are cancelled, its threads and tasks end; the others take its shards over when its session has expired.
#[derive(Clone)]
pub struct Node(pub(crate) Arc<Inner>);

/// What all clones share.
pub(crate) struct Inner {
    pub(crate) shared: Arc<Shared>,
    pub(crate) config: Arc<ClusterConfig>,
    pub(crate) hostname: String,
    pub(crate) instance: InstanceId,
    pub(crate) policies: Arc<Policies>,
    pub(crate) bus: Arc<Bus>,
    pub(crate) pulse: Arc<Pulse>,
    pub(crate) coordinator: Arc<Protected>,
    pub(crate) orders: mpsc::UnboundedSender<Event>,
    /// What was told before anybody asked for events.
    pub(crate) first: Mutex<Option<broadcast::Receiver<NodeEvent>>>,
    /// The driver's task, until a shutdown has seen its end.
    pub(crate) driver: tokio::sync::Mutex<Option<JoinHandle<()>>>,
    pub(crate) abort: AbortHandle,
    /// The adapter that the coordinator is.
    #[cfg(feature = "adapters")]
    pub(crate) adapter: Option<AdapterSlot>,
    /// Who watches it, until a shutdown has ended that.
    #[cfg(feature = "adapters")]
    pub(crate) watch: tokio::sync::Mutex<Option<Watch>>,
}

/// What a node has counted since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NodeStats {
    /// Stops whose work had not ended within `stop-timeout`.
    pub overdue_stops: u64,
    /// Messages that were dropped because they were forged, or sealed with another secret.
    pub rejected_messages: u64,
}

impl Node {
    /// Begins to describe a node.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The id that this node holds: none between the loss of a session and the next join, which may bring another id
    /// ([`NodeEvent::Joined`] tells), and none after the end.
    #[must_use]
    pub fn id(&self) -> Option<NodeId> {
        self.0.shared.id()
    }

    /// The hostname under which it leases its id.
    #[must_use]
    pub fn hostname(&self) -> &str {
        &self.0.hostname
    }

    /// The installation: what the state directory makes of it.
    #[must_use]
    pub fn instance(&self) -> InstanceId {
        self.0.instance
    }

    /// The configuration it was started with.
    #[must_use]
    pub fn config(&self) -> &ClusterConfig {
        &self.0.config
    }

    /// The role called `name`.
    ///
    /// # Errors
    /// [`UnknownRole`], naming the roles that there are.
    pub fn role(&self, name: &str) -> Result<Role, UnknownRole> {
        let table = self.0.shared.tables.iter().find(|table| table.spec.name == name);
        table.cloned().map(Role::new).ok_or_else(|| {
            let known = self
                .0
                .shared
                .tables
                .iter()
                .map(|table| table.spec.name.clone())
                .collect();
            UnknownRole {
                name: name.to_owned(),
                known,
            }
        })
    }

    /// All roles, sorted by name.
    pub fn roles(&self) -> impl Iterator<Item = Role> + '_ {
        self.0.shared.tables.iter().cloned().map(Role::new)
    }

    /// Whether this node may act at this very moment: its session has not run out, by the clock.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.0.shared.fence.permits()
    }

    /// How this node and its coordinator get on, by what came through: its own echo over the bus every few seconds, and
    /// the renewals of its session. Changes are told as [`NodeEvent::Health`]. Costs the coordinator nothing.
    #[must_use]
    pub fn health(&self) -> Health {
        self.0.pulse.health()
    }

    /// The nodes of the cluster as last read, sorted by id.
    #[must_use]
    pub fn registry(&self) -> Arc<[NodeRecord]> {
        self.0.shared.registry()
    }

    /// The registry as it changes: whoever waits for a node, or keeps a list of addresses.
    pub fn watch_registry(&self) -> RegistryWatch {
        RegistryWatch::new(self.0.shared.watch_registry(), self.0.shared.phase.subscribe())
    }

    /// What happens from now on; the first stream that is asked for also has what happened since the start (the last
    /// 1,024 events). What is the case already is in [`Node::registry`] and the roles.
    pub fn events(&self) -> EventStream {
        let first = self.0.first.lock().unwrap_or_else(PoisonError::into_inner).take();
        EventStream::new(first.unwrap_or_else(|| self.0.shared.events.subscribe()), None)
    }

    /// What was counted.
    #[must_use]
    pub fn stats(&self) -> NodeStats {
        NodeStats {
            overdue_stops: self.0.shared.overdue.load(Ordering::Relaxed),
            rejected_messages: self.0.coordinator.rejected(),
        }
    }

    /// Sends `body` (at most 512 KiB, less about 100 bytes) to whoever subscribes to the server's `topic` on the other
    /// nodes. At most once: who misses it is told so.
    ///
    /// # Errors
    /// [`BusError`]; the message may or may not have been delivered.
    pub async fn publish(&self, topic: &str, body: impl Into<Bytes>) -> Result<(), BusError> {
        self.0.bus.publish(topic, body.into()).await
    }

    /// Receives the server's `topics` from the other nodes. What they publish after this returns is delivered, or its
    /// loss is told.
    ///
    /// # Errors
    /// [`BusError`] if the backend cannot subscribe.
    pub async fn subscribe(&self, topics: &[&str]) -> Result<Messages, BusError> {
        self.0.bus.subscribe(topics).await
    }

    /// Has everything moved to other nodes, and waits until nothing is held here: at most for twice the stop time-out
    /// and four renewals. Until [`Node::undrain`] the node takes part, but is given nothing.
    ///
    /// # Errors
    /// [`DrainError`] with what remains.
    pub async fn drain(&self) -> Result<(), DrainError> {
        self.order(Event::Order {
            drain: Some(true),
            cordon: None,
        });
        let timing = &self.0.config.timing;
        let limit = Duration::from_millis(2 * timing.stop_timeout + 4 * timing.renew + timing.settle);
        let mut holding = self.0.shared.holding.subscribe();
        let emptied = async {
            // What is granted before the order is in the store is still to come and go.
            while !self.has_own_record(|record| record.info.drain) {
                tokio::time::sleep(LOOK).await;
            }
            // The sender is in `self`: only the time can run out.
            holding.wait_for(|holding| *holding == 0).await.is_ok()
        };
        if tokio::time::timeout(limit, emptied).await.is_ok() {
            return Ok(());
        }
        let remaining = self
            .0
            .shared
            .tables
            .iter()
            .map(|table| (table.spec.name.clone(), table.remaining()));
        Err(DrainError {
            waited: limit,
            remaining: remaining.filter(|(_, shards)| !shards.is_empty()).collect(),
        })
    }

    fn has_own_record(&self, is: impl Fn(&NodeRecord) -> bool) -> bool {
        let id = self.id();
        self.registry()
            .iter()
            .any(|record| Some(record.node_id) == id && is(record))
    }

    /// Ends [`Node::drain`]: the node is given shards again.
    pub fn undrain(&self) {
        self.order(Event::Order {
            drain: Some(false),
            cordon: None,
        });
    }

    /// Reads the policies' files again. One that changed is loaded, validated and tried on the newest snapshot before
    /// it replaces the old one. Returns the names of the policies that were replaced.
    ///
    /// # Errors
    /// [`PolicyFileError`] about the first that cannot be used. It and those after it stay as they were.
    pub async fn reload_policies(&self) -> Result<Vec<String>, PolicyFileError> {
        let policies = self.0.policies.clone();
        // A panic of the loader leaves the old policies in place.
        let reading = tokio::task::spawn_blocking(move || policies.reload());
        let (replaced, outcome) = slow::tell(reading, || {
            tracing::info!("compiling the policies whose files have changed");
        })
        .await
        .unwrap_or_else(|error| (Vec::new(), Err(PolicyFileError::crashed(&error))));
        for (role, table) in self.0.shared.tables.iter().enumerate() {
            if replaced.contains(&table.spec.policy) {
                self.order(Event::PolicyChanged {
                    role,
                    digest: self.0.policies.digest(role),
                });
                self.0.shared.emit(NodeEvent::PolicyReplaced {
                    role: table.spec.name.clone(),
                });
            }
        }
        outcome.map(|()| replaced)
    }

    /// How the adapter is that this node's coordinator is; `None` if it is none, or is being opened anew after it lost
    /// its history. Changes of its state are told as [`NodeEvent::AdapterState`].
    #[cfg(feature = "adapters")]
    #[must_use]
    pub fn adapter_status(&self) -> Option<AdapterStatus> {
        self.0.adapter.as_ref().and_then(AdapterSlot::status)
    }

    /// Reads the adapter's component again. If it is another one, it is compared with the present one, runs the
    /// contract suite in scratch namespaces of the same backend, and takes the present one's place, while both
    /// work. One that asks for more than the present one is refused, even if the configuration grants it: that is
    /// for people to accept, and to start the node again. What came of it is told as [`NodeEvent::AdapterUpgraded`]
    /// or [`NodeEvent::AdapterRefused`]. Nothing if the component is the same, or the coordinator no adapter.
    ///
    /// Takes some seconds, up to minutes on a slow backend. Dropping the future leaves the present component in place,
    /// and may leave scratch namespaces, `suite-…`, behind.
    ///
    /// # Errors
    /// [`AdapterReloadError`]. The present one goes on.
    #[cfg(feature = "adapters")]
    pub async fn reload_adapter(&self) -> Result<Option<AdapterUpgrade>, AdapterReloadError> {
        let Some(slot) = &self.0.adapter else {
            return Ok(None);
        };
        let outcome = slot.reload().await;
        match &outcome {
            Ok(Some(upgrade)) => self.0.shared.emit(NodeEvent::AdapterUpgraded {
                name: upgrade.name.clone(),
                from: upgrade.from.clone(),
                to: upgrade.to.clone(),
                digest: upgrade.digest.clone(),
                removed: upgrade.differences.removed.clone(),
            }),
            Ok(None) => {}
            Err(error) => {
                let present = slot.status();
                self.0.shared.emit(NodeEvent::AdapterRefused {
                    name: present.as_ref().map(|status| status.name.clone()),
                    version: present.map(|status| status.version),
                    reason: error.to_string(),
                });
            }
        }
        outcome
    }

    /// Stops all work in good order, ends the session, so that the others take over at once, and waits until that is
    /// done. The id stays this host's. If the coordinator cannot be reached, this takes at most the stop time-out
    /// and one validity. Of a node that has ended already it returns at once.
    ///
    /// What was begun goes on when the future is dropped. Clones stay what they are, handles to a node that has ended:
    /// connections to the coordinator, and what runs the policies, end with the last of them.
    pub async fn shutdown(&self) {
        self.order(Event::Leave);
        let timing = &self.0.config.timing;
        let limit = Duration::from_millis(timing.stop_timeout + timing.validity) + Duration::from_secs(1);
        let mut driver = self.0.driver.lock().await;
        if let Some(task) = &mut *driver {
            if tokio::time::timeout(limit, &mut *task).await.is_err() {
                tracing::error!("the session could not be ended in time: it will expire by itself");
                task.abort();
                let _ = task.await;
            }
            *driver = None;
        }
        #[cfg(feature = "adapters")]
        if let Some(watch) = self.0.watch.lock().await.take() {
            watch.end().await;
        }
    }

    /// Waits until the node has ended by itself, and says why: something that it needs failed for good, for instance.
    /// Cancel-safe.
    pub async fn ended(&self) -> String {
        let mut phase = self.0.shared.phase.subscribe();
        // The sender is in `self`.
        let ended = phase.wait_for(|phase| matches!(phase, Phase::Ended(_))).await;
        match ended.as_deref() {
            Ok(Phase::Ended(Ended::Refused(refusal))) => refusal.to_string(),
            Ok(Phase::Ended(Ended::Failed(reason))) => reason.clone(),
            _ => "its driver was dropped, with the runtime that it ran on".to_owned(),
        }
    }

    fn order(&self, event: Event) {
        // A node that has ended takes no orders.
        let _ = self.0.orders.send(event);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.fence.close();
        self.abort.abort();
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.id() {
            Some(id) => write!(f, "{id:?}")?,
            None => f.write_str("node without an id")?,
        }
        write!(f, " ({}, {})", self.0.hostname, self.coordinator_location())
    }
}

impl Node {
    /// Where the cluster meets, for people.
    #[must_use]
    pub fn coordinator_location(&self) -> String {
        use shardwright_coordinator::Coordinator;
        format!("{}: {}", self.0.coordinator.kind(), self.0.coordinator.location())
    }
}
