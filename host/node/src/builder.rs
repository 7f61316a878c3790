//! From a configuration to a running node.

#[cfg(feature = "adapters")]
use crate::adapter::{AdapterSlot, Watch, Who};
use crate::backend::{covers, declared, within};
use crate::bus::Bus;
use crate::crew::failure;
use crate::driver::{Driver, Parts};
use crate::error::StartError;
use crate::health::Pulse;
use crate::hostname;
use crate::life::Life;
use crate::losing::{LosingHook, LosingShards};
use crate::node::{Inner, Node};
#[cfg(feature = "adapters")]
use crate::opening::adapter;
use crate::opening::{open, opener};
use crate::places;
use crate::policies::Policies;
use crate::shared::{Ended, Phase, Shared};
use crate::slow;
use crate::state_dir::{StateDir, StateDirError, random_bits};
use crate::store::StoreCalls;
use shardwright_config::{ClusterConfig, shared_settings};
use shardwright_coordinator::{Coordinator, MemoryBroker, Namespace, Secret, protect};
use shardwright_core::engine::{Engine, Settings};
use shardwright_core::id::NodeId;
use shardwright_core::join::Identity;
use shardwright_core::memory::Memory;
use shardwright_core::rules::Rules;
use shardwright_core::values::NodeInfo;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;

/// The longest time for one store operation; shorter if sessions are renewed more often.
const STORE_LIMIT: u64 = 5_000;

/// Describes a node before it starts: from [`Node::builder`].
#[derive(Default)]
#[must_use = "nothing happens before `start`"]
pub struct Builder {
    source: Option<Source>,
    hostname: Option<String>,
    state_dir: Option<PathBuf>,
    cache_dir: Option<PathBuf>,
    given: Option<Given>,
    losing: Option<LosingHook>,
    version: Option<String>,
    addresses: Vec<String>,
    timeout: Option<Duration>,
}

/// What is used instead of the configured coordinator.
enum Given {
    Coordinator(Arc<dyn Coordinator>),
    Memory(MemoryBroker),
}

impl Given {
    fn open(self, namespace: &Namespace) -> Arc<dyn Coordinator> {
        match self {
            Self::Coordinator(coordinator) => coordinator,
            Self::Memory(broker) => Arc::new(broker.open(namespace.clone())),
        }
    }
}

enum Source {
    File(PathBuf),
    Text(String),
    Config(Box<ClusterConfig>),
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither the text of a configuration, which may have secrets, nor what has no form.
        let Self {
            hostname,
            state_dir,
            cache_dir,
            version,
            addresses,
            ..
        } = self;
        f.debug_struct("Builder")
            .field("hostname", hostname)
            .field("state_dir", state_dir)
            .field("cache_dir", cache_dir)
            .field("version", version)
            .field("addresses", addresses)
            .finish_non_exhaustive()
    }
}

impl Builder {
    /// Reads the configuration from a TOML file; it may be the server's own, which has other sections too.
    pub fn config_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.source = Some(Source::File(path.into()));
        self
    }

    /// Reads the configuration from TOML text.
    pub fn config_str(mut self, text: impl Into<String>) -> Self {
        self.source = Some(Source::Text(text.into()));
        self
    }

    /// Takes a configuration that has been read already.
    pub fn config(mut self, config: ClusterConfig) -> Self {
        self.source = Some(Source::Config(Box::new(config)));
        self
    }

    /// The hostname, instead of `SHARDWRIGHT_HOSTNAME`, `STALWART_HOSTNAME` or what the operating system says.
    pub fn hostname(mut self, hostname: impl Into<String>) -> Self {
        self.hostname = Some(hostname.into());
        self
    }

    /// The state directory, instead of `state-dir` in `[node]` or [`places::default_state_dir`]. Each node needs one of
    /// its own.
    pub fn state_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.state_dir = Some(path.into());
        self
    }

    /// Where compiled policies are kept, instead of [`places::default_cache_dir`].
    pub fn cache_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.cache_dir = Some(path.into());
        self
    }

    /// A coordinator of your own, opened for the namespace `cluster.name`, instead of the configured one.
    pub fn coordinator(mut self, coordinator: Arc<dyn Coordinator>) -> Self {
        self.given = Some(Given::Coordinator(coordinator));
        self
    }

    /// Meets the nodes of this process that are given the same broker, or a clone of it, instead of those at the
    /// configured coordinator: for tests. Nodes of another broker are never met, whatever their cluster is called.
    pub fn memory(mut self, broker: &MemoryBroker) -> Self {
        self.given = Some(Given::Memory(broker.clone()));
        self
    }

    /// Calls `hook` with the shards of a role that this node is losing, after their tokens and claims have become
    /// invalid. The shards go to their next owner when the future it returns is done and all claims on them
    /// are dropped, or at `stop-timeout`: then it is dropped.
    pub fn on_losing<F, W>(mut self, hook: F) -> Self
    where
        F: Fn(LosingShards) -> W + Send + Sync + 'static,
        W: Future<Output = ()> + Send + 'static,
    {
        self.losing = Some(Arc::new(move |losing| Box::pin(hook(losing))));
        self
    }

    /// The version of the server, as the registry shows it.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// Where this node can be reached, as the registry shows it.
    pub fn addresses<A: Into<String>>(mut self, addresses: impl IntoIterator<Item = A>) -> Self {
        self.addresses = addresses.into_iter().map(Into::into).collect();
        self
    }

    /// How long [`Builder::start`] waits at most; for ever if this is not called. Give it more than one validity and
    /// margin: that long a start takes on a new store.
    pub fn start_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Starts the node on the present tokio runtime and waits until it holds its id: usually some milliseconds; one
    /// validity and margin on a new store, or where another instance of this hostname has died; for ever while the
    /// coordinator cannot be reached, which the log tells once, unless there is a [time-out](Self::start_timeout).
    /// What only somebody can put right — a wrong password, say — is an error at once. Dropping the future gives up:
    /// what it had begun ends by itself, and the state directory is free a moment later.
    ///
    /// # Errors
    /// [`StartError`]: what is wrong with the configuration, the machine or the node's place in the cluster.
    pub async fn start(self) -> Result<Node, StartError> {
        let Some(waited) = self.timeout else {
            return self.join().await;
        };
        let joined = tokio::time::timeout(waited, self.join()).await;
        joined.unwrap_or(Err(StartError::TimedOut { waited }))
    }

    async fn join(mut self) -> Result<Node, StartError> {
        let given = self.given.take();
        let losing = self.losing.take();
        // Reading, locking and compiling block.
        let preparing = tokio::task::spawn_blocking(move || self.prepare());
        let prepared = slow::tell(preparing, || {
            tracing::info!(
                "compiling the policies, as at the first start on a machine: later starts use what is kept in the \
                 cache directory"
            );
        });
        let prepared = prepared.await.map_err(failure);
        let Prepared {
            config,
            hostname,
            state,
            memory,
            policies,
            info,
        } = prepared.map_err(|how| StartError::Failed(format!("what prepares its start {how}")))??;

        let namespace = Namespace::new(&config.name)?;
        let given = given.map(|given| given.open(&namespace));
        let secret = config
            .secret
            .as_ref()
            .map(|secret| Secret::new(secret.expose()))
            .transpose()?;
        let config = Arc::new(config);
        let state = Arc::new(state);
        #[cfg(feature = "adapters")]
        let slot = adapter(&config, &namespace).filter(|_| given.is_none());
        let opener = opener(config.clone());
        #[cfg(feature = "adapters")]
        let opener = slot.as_ref().map_or(opener, AdapterSlot::opener);
        let margin = Duration::from_millis(config.timing.margin);
        let backend = match given {
            Some(coordinator) => {
                covers(margin, &*coordinator)?;
                coordinator
            }
            None => {
                declared(&config)?;
                let (kind, id) = (config.coordinator.kind(), config.coordinator.id().unwrap_or_default());
                slow::tell(open(within(margin, opener)), || {
                    tracing::info!(
                        kind,
                        id,
                        "the coordinator is not open yet: its server has not answered, or its adapter is being \
                         compiled"
                    );
                })
                .await?
            }
        };
        let coordinator = protect(backend, &namespace, secret.as_ref());
        let info = NodeInfo {
            coordinator: coordinator.kind().to_owned(),
            ..info
        };

        let seed = random_bits().map_err(StartError::System)?;
        // Its thread ends when the driver does: nothing may fail between here and there.
        let shared = Shared::new(&config.roles).map_err(StartError::System)?;
        let settings = Settings {
            identity: Identity {
                predecessors: state.predecessors.clone(),
                former: memory.former.clone(),
                static_id: config.node_id.and_then(NodeId::new),
                ..Identity::new(hostname.clone(), state.instance, state.process, config.max_node_id)
            },
            memory,
            seed,
            timing: config.timing.clone(),
            roles: config.roles.clone(),
            policies: (0..config.roles.len()).map(|role| policies.digest(role)).collect(),
            info,
            shared: Arc::new(shared_settings(&config)),
            fresh_is_safe: coordinator.fresh_is_safe(),
            rules: Rules::default(),
        };
        let limit = Duration::from_millis(config.timing.renew.min(STORE_LIMIT));
        let bus = Arc::new(Bus::new(coordinator.clone(), namespace));
        let pulse = Arc::new(Pulse::new(shared.clone(), config.timing.clone()));
        let instance = state.instance;
        let life = Life::new(&config.name, &hostname);
        let parts = Parts {
            shared: shared.clone(),
            store: Arc::new(StoreCalls::new(coordinator.clone(), limit, margin)),
            policies: policies.clone(),
            bus: bus.clone(),
            pulse: pulse.clone(),
            losing,
            stop_timeout: Duration::from_millis(config.timing.stop_timeout),
            life: life.clone(),
            state: state.clone(),
            cluster: config.name.clone(),
        };
        let (orders, inbox) = mpsc::unbounded_channel();
        let first = Mutex::new(Some(shared.events.subscribe()));
        let driver = Driver::new(Engine::new(settings), parts, inbox, orders.clone());
        #[cfg(feature = "adapters")]
        let adapter = slot.map(|slot| {
            let who = Who {
                cluster: config.name.clone(),
                hostname: hostname.clone(),
            };
            let watch = Watch::new(slot.clone(), shared.clone(), state, who, &life);
            (slot, watch)
        });
        #[cfg(feature = "adapters")]
        let (adapter, watch) = adapter.unzip();
        let driver = tokio::spawn(life.follow(driver.run()));
        // From here on dropping `node` ends everything.
        let node = Node(Arc::new(Inner {
            shared,
            config,
            hostname,
            instance,
            policies,
            bus,
            pulse,
            coordinator,
            orders,
            first,
            abort: driver.abort_handle(),
            driver: tokio::sync::Mutex::new(Some(driver)),
            #[cfg(feature = "adapters")]
            adapter,
            #[cfg(feature = "adapters")]
            watch: tokio::sync::Mutex::new(watch),
        }));

        let mut phase = node.0.shared.phase.subscribe();
        let phase = phase
            .wait_for(|phase| *phase != Phase::Starting)
            .await
            .map(|phase| phase.clone());
        if matches!(phase, Ok(Phase::Member)) {
            return Ok(node);
        }
        // Once the driver has ended, the state directory is free again.
        node.shutdown().await;
        match phase {
            Ok(Phase::Ended(Ended::Refused(refusal))) => Err(refusal.into()),
            Ok(Phase::Ended(Ended::Failed(reason))) => Err(StartError::Failed(reason)),
            _ => Err(StartError::Ended),
        }
    }

    /// Everything that needs no coordinator.
    fn prepare(self) -> Result<Prepared, StartError> {
        let config = match self.source.ok_or(StartError::NoConfiguration)? {
            Source::Config(config) => *config,
            Source::File(path) => checked(shardwright_config::load(&path))?,
            Source::Text(text) => checked(shardwright_config::parse(&text, "configuration"))?,
        };
        tracing::info!("{}", shardwright_config::explain_roles(&config));
        let hostname = hostname::find(self.hostname.as_deref(), |name| std::env::var_os(name))?;
        let state_dir = self
            .state_dir
            .or_else(|| config.state_dir.clone())
            .or_else(|| places::default_state_dir(&config.name, &hostname))
            .ok_or(StateDirError::Nowhere)?;
        let state = StateDir::open(&state_dir)?;
        let policies = Policies::load(&config, self.cache_dir.or_else(places::default_cache_dir))?;
        let info = NodeInfo {
            labels: config.node.labels.clone(),
            zone: config.node.zone.clone(),
            capacity: config.node.capacity,
            version: self.version.unwrap_or_else(|| env!("CARGO_PKG_VERSION").to_owned()),
            addresses: self.addresses,
            ..NodeInfo::default()
        };
        Ok(Prepared {
            hostname,
            memory: state.recall(&config.name),
            state,
            policies: Arc::new(policies),
            info,
            config,
        })
    }
}

struct Prepared {
    config: ClusterConfig,
    hostname: String,
    state: StateDir,
    memory: Memory,
    policies: Arc<Policies>,
    info: NodeInfo,
}

/// The configuration, its warnings logged.
fn checked(
    read: Result<(ClusterConfig, shardwright_config::Report), shardwright_config::Report>,
) -> Result<ClusterConfig, StartError> {
    let (config, report) = read.map_err(StartError::Configuration)?;
    for problem in report.problems() {
        tracing::warn!(code = problem.code.as_str(), help = problem.help, "{}", problem.message);
    }
    Ok(config)
}
