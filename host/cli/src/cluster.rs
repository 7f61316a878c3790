//! A cluster's store, opened from outside: what the operator's commands read and write.

mod snapshot;

pub(crate) use snapshot::ClusterSnapshot;

use crate::place;
use crate::reach;
use anyhow::{Context, bail};
use bytes::Bytes;
use clap::Args;
use shardwright_config::{ClusterConfig, CoordinatorConfig, Report};
use shardwright_coordinator::{Coordinator, Messenger, Namespace, Protected, Secret, Store, protect};
use shardwright_core::codec;
use shardwright_core::id::{NodeId, Token};
use shardwright_core::store::{Entry, Listing, Revision, StoreError, StoreTime};
use shardwright_core::values::{Key, LOOK, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where a configuration is looked for unless one is named.
const DEFAULT_CONFIGS: [&str; 2] = ["shardwright.toml", "/etc/shardwright/config.toml"];

/// As whom the operator speaks on the bus: above every id that a node can have.
pub(crate) const OPERATOR: u32 = u32::MAX;

/// Which cluster is meant.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ClusterArgs {
    /// The configuration of a node of the cluster [default: ./shardwright.toml, /etc/shardwright/config.toml]
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The coordinator, overriding the configuration: a sqlite file, or an address such as redis://HOST, nats://HOST,
    /// kafka://HOST:PORT, etcd://HOST or postgresql://USER:PASSWORD@HOST/DATABASE. The process list exposes a password
    /// in an address: use env:NAME or file:PATH to read the address from a variable or a file, or %{env:NAME}% for a
    /// part of it
    #[arg(long, value_name = "PATH|URL")]
    store: Option<String>,
    /// The name of the cluster; overrides the configuration
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
}

impl ClusterArgs {
    /// The cluster of this configuration, or of that in a default place.
    pub(crate) fn of(config: Option<PathBuf>) -> Self {
        Self {
            config,
            ..Self::default()
        }
    }

    /// The configuration that is named, or found in a default place.
    pub(crate) fn config(&self) -> anyhow::Result<Option<ClusterConfig>> {
        Ok(self.read()?.map(|(config, _)| config))
    }

    /// As [`ClusterArgs::config`], with the warnings about it.
    pub(crate) fn read(&self) -> anyhow::Result<Option<(ClusterConfig, Report)>> {
        // What may not be looked at is there, and says so when it is read.
        let found = || {
            DEFAULT_CONFIGS
                .iter()
                .map(PathBuf::from)
                .find(|path| path.try_exists().unwrap_or(true))
        };
        match self
            .config
            .clone()
            .or_else(|| self.store.is_none().then(found).flatten())
        {
            Some(path) => read(&path).map(Some),
            None => Ok(None),
        }
    }

    /// The configuration to act by, with a coordinator that is there as far as this machine can tell; and whether it
    /// was given, or is the default.
    pub(crate) fn resolve(&self) -> anyhow::Result<(ClusterConfig, bool)> {
        let given = self.config()?;
        let configured = given.is_some();
        if !configured && self.store.is_none() {
            bail!(
                "no cluster is named, and there is no {}: use --config FILE, or --store PATH|URL and --cluster NAME",
                DEFAULT_CONFIGS.join(" or ")
            );
        }
        let mut config = given.map_or_else(defaults, Ok)?;
        if let Some(name) = &self.cluster {
            config.name.clone_from(name);
        }
        if let Some(store) = &self.store {
            config.coordinator = place::coordinator(store)?;
        }
        check_usable(&config.coordinator)?;
        if let CoordinatorConfig::Sqlite { path } = &mut config.coordinator {
            // Opening would make what is not there, which is for nodes to do.
            let file = path.take().or_else(|| shardwright::places::default_store(&config.name));
            let file = file.context(
                "there is no default place for the store: set HOME or XDG_STATE_HOME, or name it with `path` in a \
                 [store.\"local\"] section of type \"sqlite\"",
            )?;
            reach::check(&file)?;
            *path = Some(file);
        }
        Ok((config, configured))
    }
}

/// The configuration in a file; its warnings are for `check` to tell.
pub(crate) fn load(path: &Path) -> anyhow::Result<ClusterConfig> {
    read(path).map(|(config, _)| config)
}

/// The configuration in a file, with the warnings about it.
fn read(path: &Path) -> anyhow::Result<(ClusterConfig, Report)> {
    match shardwright_config::load(path) {
        Ok(read) => Ok(read),
        Err(report) => bail!(
            "the configuration cannot be used\n\n{}",
            report.render_text(false).trim_end()
        ),
    }
}

/// The default configuration: what an empty file says.
fn defaults() -> anyhow::Result<ClusterConfig> {
    shardwright_config::parse("", "defaults")
        .map(|(config, _)| config)
        .map_err(|report| anyhow::anyhow!("{report}"))
}

/// Refuses a coordinator that this build does not speak to, or that other processes cannot reach.
pub(crate) fn check_usable(coordinator: &CoordinatorConfig) -> anyhow::Result<()> {
    if *coordinator == CoordinatorConfig::Memory {
        bail!(
            "the coordinator is of type \"memory\", which lives inside one process: use a store of type \"sqlite\" \
             for the processes of one machine, or one of type \"redis\", \"nats\" or \"kafka\""
        );
    }
    Ok(shardwright::backend::available(coordinator)?)
}

/// A name for a cluster that lives no longer than a command, and that no other has.
pub(crate) fn scratch_name(what: &str) -> anyhow::Result<String> {
    let mut unique = [0; 4];
    getrandom::fill(&mut unique).context("no randomness for a name")?;
    Ok(format!("{what}-{:08x}", u32::from_be_bytes(unique)))
}

/// The coordinator of `config`, opened for its cluster, behind the frame that its nodes use.
pub(crate) async fn connect(config: &ClusterConfig) -> anyhow::Result<Arc<Protected>> {
    let namespace = Namespace::new(&config.name)?;
    let secret = config
        .secret
        .as_ref()
        .map(|secret| Secret::new(secret.expose()))
        .transpose()?;
    let backend = shardwright::backend::open(config).await?;
    Ok(protect(backend, &namespace, secret.as_ref()))
}

/// A cluster's store.
pub(crate) struct Cluster {
    store: Arc<Protected>,
    namespace: Namespace,
    /// The configuration, or its defaults where none was given.
    pub(crate) config: ClusterConfig,
    /// Whether a configuration was given: without one, the roles are those of the stored plans.
    pub(crate) configured: bool,
}

impl Cluster {
    /// Opens the store of the cluster that `which` means. Writes nothing to it.
    pub(crate) async fn open(which: &ClusterArgs) -> anyhow::Result<Self> {
        let (config, configured) = which.resolve()?;
        Ok(Self {
            store: connect(&config).await?,
            namespace: Namespace::new(&config.name)?,
            config,
            configured,
        })
    }

    /// Where it meets, without secrets.
    pub(crate) fn location(&self) -> String {
        format!("{} ({})", self.store.location(), self.store.kind())
    }

    /// The same without the kind.
    pub(crate) fn place(&self) -> String {
        self.store.location()
    }

    /// Asks the store for an answer.
    pub(crate) async fn ping(&self) -> anyhow::Result<()> {
        let answer = self.store.get(&Key::Meta.to_string()).await;
        answer.map(|_| ()).with_context(|| self.location())
    }

    /// What kind of coordinator that is.
    pub(crate) fn kind(&self) -> &str {
        self.store.kind()
    }

    /// Removes everything that is stored of it. Its nodes have ended.
    pub(crate) async fn erase(&self) -> anyhow::Result<()> {
        Ok(self.store.erase().await?)
    }

    /// The store as it is now.
    pub(crate) async fn look(&self) -> anyhow::Result<ClusterSnapshot> {
        let Listing {
            entries,
            revision,
            now,
            unsure_before,
        } = self
            .store
            .list("", Revision(0))
            .await
            .with_context(|| self.location())?;
        if entries.is_empty() {
            bail!(
                "there is no cluster called \"{}\" in {}: name the right one with --cluster, or start a node",
                self.config.name,
                self.location()
            );
        }
        let mut planned = BTreeMap::new();
        let entries = entries.into_iter().filter_map(|(text, entry)| {
            let key = Key::parse(&text)?;
            let value = codec::decode(&key, &entry.value);
            // Something of a later version must not hide the rest.
            let value = value.map_err(|error| tracing::warn!(%error, "left out")).ok()?;
            if let Key::Plan { role, part } = key {
                planned.insert((role, part), entry.written);
            }
            let Entry { revision, written, .. } = entry;
            Some((
                text,
                Entry {
                    value,
                    revision,
                    written,
                },
            ))
        });
        let entries: Vec<_> = entries.collect();
        let listing = Listing {
            entries,
            revision,
            now,
            unsure_before,
        };
        Ok(ClusterSnapshot::of(listing, planned, self.config.timing.clone()))
    }

    /// The entry under `key`.
    pub(crate) async fn get(&self, key: &Key) -> anyhow::Result<Option<Entry<Value>>> {
        let entry = self.store.get(&key.to_string()).await?.entry;
        let decoded = entry.map(|e| {
            codec::decode(key, &e.value).map(|value| Entry {
                value,
                revision: e.revision,
                written: e.written,
            })
        });
        Ok(decoded.transpose()?)
    }

    /// Writes `value` under `key`, if what is there is still `over`. True when it was written; false when somebody else
    /// was first.
    ///
    /// After an outcome that is unknown, the entry is read back: it was written if it is there.
    pub(crate) async fn replace(
        &self,
        key: &Key,
        value: &Value,
        over: shardwright_core::store::Expected,
    ) -> anyhow::Result<bool> {
        let bytes = codec::encode(key, value)?;
        match self.store.put(&key.to_string(), Bytes::from(bytes), over).await {
            Ok(_) => Ok(true),
            Err(StoreError::Conflict(_)) => Ok(false),
            Err(StoreError::Indeterminate(_)) => Ok(self.get(key).await?.is_some_and(|entry| entry.value == *value)),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes the entry under `key`, if it still has `revision`. True when it is gone; false when somebody else has
    /// changed it.
    pub(crate) async fn remove(&self, key: &Key, revision: Revision) -> anyhow::Result<bool> {
        match self
            .store
            .delete(&key.to_string(), shardwright_core::store::Expected::Revision(revision))
            .await
        {
            Ok(_) | Err(StoreError::Conflict(None)) => Ok(true),
            Err(StoreError::Conflict(Some(_))) => Ok(false),
            Err(StoreError::Indeterminate(_)) => Ok(self.get(key).await?.is_none()),
            Err(error) => Err(error.into()),
        }
    }

    /// Tells the nodes to look at the store. Costs them nothing but time if it fails: they look by themselves now and
    /// then.
    pub(crate) async fn hint(&self, now: StoreTime) {
        if let Some(operator) = NodeId::new(OPERATOR) {
            let messenger = Messenger::new(self.store.clone(), self.namespace.clone(), operator, Token(now.0));
            if let Err(error) = messenger.publish(LOOK, Bytes::new()).await {
                tracing::debug!(%error, "the nodes could not be told");
            }
            // This process ends in a moment, and with it what a backend has only queued: an answer to a later question
            // shows that it is out.
            if let Err(error) = self.store.get(&Key::Meta.to_string()).await {
                tracing::debug!(%error, "the nodes may not have been told");
            }
        }
    }
}
