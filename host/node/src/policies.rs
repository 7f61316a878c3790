//! The policies of this node's roles, as components: found, loaded, validated, called, replaced.

use shardwright_components::{Budget, Digest, EngineError, PolicyComponent, PolicyEngine, bundled};
use shardwright_config::{ClusterConfig, PolicySection};
use shardwright_core::check::check;
use shardwright_core::snapshot::{Answer, Snapshot};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

/// The largest policy's file that is read: what the loader accepts.
const MAX_BYTES: u64 = 64 << 20;

/// A policy that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the policy {policy:?} ({origin}) cannot be used: {reason}")]
pub struct PolicyFileError {
    /// Its name.
    pub policy: String,
    /// Its file, or that it is a bundled one.
    pub origin: String,
    /// Why it cannot be used, and what to do about it.
    pub reason: String,
}

impl PolicyFileError {
    pub(crate) fn crashed(error: &tokio::task::JoinError) -> Self {
        Self {
            policy: "*".into(),
            origin: "reload".into(),
            reason: error.to_string(),
        }
    }
}

/// The policies of one node.
pub(crate) struct Policies {
    engine: PolicyEngine,
    /// By name: those that roles use.
    slots: BTreeMap<String, Slot>,
    /// In the order of the node's roles.
    roles: Vec<RolePolicy>,
}

/// A policy by its name: roles that name it share the component.
struct Slot {
    source: Source,
    budget: Budget,
    component: RwLock<Arc<PolicyComponent>>,
}

/// Where a component's bytes come from.
#[derive(Clone)]
enum Source {
    Bundled(&'static [u8]),
    File { path: PathBuf, digest: Option<[u8; 32]> },
}

/// How one role uses a policy.
struct RolePolicy {
    role: String,
    policy: String,
    config: String,
    /// The last question, to try a replacement on.
    last: Mutex<Option<Arc<Snapshot>>>,
}

impl Policies {
    /// Loads the policies that `config`'s roles name, and has them validate the roles' settings. Compiled code is kept
    /// in `cache`, if it can be.
    pub(crate) fn load(config: &ClusterConfig, cache: Option<PathBuf>) -> Result<Self, PolicyFileError> {
        let engine = engine(cache).map_err(|error| PolicyFileError {
            policy: "*".into(),
            origin: "all of them".into(),
            reason: error.to_string(),
        })?;
        let roles: Vec<_> = config.roles.iter().map(RolePolicy::new).collect();
        let mut slots = BTreeMap::new();
        for role in &roles {
            if slots.contains_key(&role.policy) {
                continue;
            }
            let source = Source::find(&role.policy, config.policies.get(&role.policy))?;
            let budget = config.policies.get(&role.policy).map_or_else(Budget::default, budget);
            let component = PolicyComponent::load(&engine, &source.read(&role.policy)?, &budget);
            let component = component.map_err(|error| source.error(&role.policy, &error))?;
            let component = RwLock::new(Arc::new(component));
            slots.insert(
                role.policy.clone(),
                Slot {
                    source,
                    budget,
                    component,
                },
            );
        }
        let policies = Self { engine, slots, roles };
        for (name, slot) in &policies.slots {
            policies.validate(name, &slot.source, &slot.component())?;
        }
        Ok(policies)
    }

    /// What identifies the component that assigns the role at this index.
    pub(crate) fn digest(&self, role: usize) -> u64 {
        self.component(role)
            .map_or(0, |(component, _)| short(&component.digest()))
    }

    /// Asks the component of the role at this index. Blocks within its budget.
    pub(crate) fn assign(&self, role: usize, snapshot: Snapshot) -> Result<Answer, String> {
        let (component, role) = self.component(role).ok_or("the role has no policy")?;
        let snapshot = Arc::new(snapshot);
        *role.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(snapshot.clone());
        component
            .assign(&role.config, &snapshot)
            .map_err(|fault| fault.to_string())
    }

    /// Reads the files again and replaces the components that changed; returns the names of those. After the first
    /// error none is replaced.
    pub(crate) fn reload(&self) -> (Vec<String>, Result<(), PolicyFileError>) {
        let mut replaced = Vec::new();
        for (name, slot) in &self.slots {
            match self.replacement(name, slot) {
                Ok(None) => {}
                Ok(Some(component)) => {
                    *slot.component.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(component);
                    replaced.push(name.clone());
                }
                Err(error) => return (replaced, Err(error)),
            }
        }
        (replaced, Ok(()))
    }

    /// The component that should replace the one in `slot`, if its file has changed: loaded, validated and tried.
    fn replacement(&self, name: &str, slot: &Slot) -> Result<Option<PolicyComponent>, PolicyFileError> {
        let bytes = slot.source.read(name)?;
        if Digest::of(&bytes) == slot.component().digest() {
            return Ok(None);
        }
        let component = PolicyComponent::load(&self.engine, &bytes, &slot.budget)
            .map_err(|error| slot.source.error(name, &error))?;
        self.validate(name, &slot.source, &component)?;
        for role in self.roles.iter().filter(|role| role.policy == name) {
            let last = role.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let Some(snapshot) = last else { continue };
            let failed = |reason: String| {
                slot.source.error(
                    name,
                    &format!("tried on the last snapshot of role {}: {reason}", role.role),
                )
            };
            if let Answer::Plan(plan) = component
                .assign(&role.config, &snapshot)
                .map_err(|fault| failed(fault.to_string()))?
            {
                check(&snapshot, &plan).map_err(|violation| failed(violation.to_string()))?;
            }
        }
        Ok(Some(component))
    }

    fn validate(&self, name: &str, source: &Source, component: &PolicyComponent) -> Result<(), PolicyFileError> {
        self.roles
            .iter()
            .filter(|role| role.policy == name)
            .try_for_each(|role| {
                let valid = component.validate(&role.config);
                valid.map_err(|fault| {
                    source.error(
                        name,
                        &format!("it does not accept the config of role {}: {fault}", role.role),
                    )
                })
            })
    }

    fn component(&self, role: usize) -> Option<(Arc<PolicyComponent>, &RolePolicy)> {
        let role = self.roles.get(role)?;
        Some((self.slots.get(&role.policy)?.component(), role))
    }
}

impl RolePolicy {
    fn new(role: &shardwright_core::role::RoleSpec) -> Self {
        Self {
            role: role.name.clone(),
            policy: role.policy.clone(),
            config: role.config.clone(),
            last: Mutex::default(),
        }
    }
}

impl Slot {
    fn component(&self) -> Arc<PolicyComponent> {
        self.component.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Source {
    fn find(name: &str, section: Option<&PolicySection>) -> Result<Self, PolicyFileError> {
        if let Some(PolicySection {
            path: Some(path),
            digest,
            ..
        }) = section
        {
            return Ok(Self::File {
                path: path.clone(),
                digest: *digest,
            });
        }
        bundled::find(name)
            .map(|policy| Self::Bundled(policy.bytes))
            .ok_or_else(|| {
                let names: Vec<_> = bundled::ALL.iter().map(|policy| policy.name).collect();
                let reason = format!(
                    "give its file as `path` in [policy.{name:?}], or use a bundled one: {}",
                    names.join(", ")
                );
                PolicyFileError {
                    policy: name.to_owned(),
                    origin: "no file is configured".into(),
                    reason,
                }
            })
    }

    fn read(&self, name: &str) -> Result<Cow<'static, [u8]>, PolicyFileError> {
        let (path, digest) = match self {
            Self::Bundled(bytes) => return Ok(Cow::Borrowed(bytes)),
            Self::File { path, digest } => (path, digest),
        };
        let bytes = shardwright_files::read(path, MAX_BYTES).map_err(|error| self.error(name, &error))?;
        let found = Digest::of(&bytes);
        if digest.is_some_and(|wanted| wanted != *found.as_bytes()) {
            return Err(self.error(
                name,
                &format!(
                    "its SHA-256 is {found}, and `digest` in [policy.{name:?}] is another: check who changed the file"
                ),
            ));
        }
        Ok(Cow::Owned(bytes))
    }

    fn error(&self, name: &str, reason: &dyn ToString) -> PolicyFileError {
        let origin = match self {
            Self::Bundled(_) => "bundled".to_owned(),
            Self::File { path, .. } => path.display().to_string(),
        };
        PolicyFileError {
            policy: name.to_owned(),
            origin,
            reason: reason.to_string(),
        }
    }
}

/// An engine with a code cache; without one, if it cannot be used: then compiling takes some milliseconds more at each
/// start.
fn engine(cache: Option<PathBuf>) -> Result<PolicyEngine, EngineError> {
    match PolicyEngine::new(cache) {
        Err(EngineError::Cache(error)) => {
            tracing::warn!(%error, "compiled policies are not kept");
            PolicyEngine::new(None)
        }
        other => other,
    }
}

fn budget(section: &PolicySection) -> Budget {
    let bytes = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    let configured = &section.budget;
    Budget {
        wall: Duration::from_millis(configured.wall),
        fuel: configured.fuel,
        memory: bytes(configured.memory),
        output: bytes(configured.output),
    }
}

/// The digest as the engine compares it: its first eight bytes.
fn short(digest: &Digest) -> u64 {
    digest
        .as_bytes()
        .iter()
        .take(8)
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}
