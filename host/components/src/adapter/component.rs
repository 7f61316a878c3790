//! A loaded adapter: its code, what it imports, what it says of itself, and which grants it needs.

use super::Grants;
use super::engine::AdapterEngine;
use super::fault::LaneFault;
use super::lane::Lane;
use super::options::AdapterOptions;
use super::redact::{LogRateLimiter, Redactor};
use super::state::{LOOKUPS, Shared, State, imports};
use super::world::CoordinatorAdapterPre;
use super::world::exports::shardwright::coordinator::lifecycle;
use crate::code::{self, CodeError};
use crate::limiter::Total;
use crate::{Digest, EngineError};
use shardwright_coordinator::broker::{BrokerError, Password, Security, Tls};
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// The interfaces that make a component an adapter, without their versions.
const INTERFACES: [&str; 3] = [
    "shardwright:coordinator/lifecycle",
    "shardwright:coordinator/store",
    "shardwright:coordinator/bus",
];
/// The version of the contract that this host speaks; every 0.1.x fits.
pub const VERSION: &str = "0.1.0";

/// The most bytes that an adapter may say of itself or of what it requires.
const ABOUT: usize = 1 << 20;
/// The most grants that it may require.
const GRANTS: usize = 256;

/// Why bytes are no adapter.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdapterLoadError {
    /// They are no component, or none that can be compiled.
    #[error(transparent)]
    Code(#[from] CodeError),
    /// It exports something else.
    #[error("the component does not export {missing}@{VERSION}, which makes a coordinator adapter; it exports {found}")]
    World {
        /// What it lacks.
        missing: &'static str,
        /// What it exports instead.
        found: String,
    },
    /// It speaks another version of the contract.
    #[error(
        "the component exports {found}, but this host knows version {VERSION}: build it against \
         wit/coordinator/{VERSION}"
    )]
    Version {
        /// What it exports instead.
        found: String,
    },
    /// It imports what no adapter can have, or a function has another type.
    #[error(
        "the component cannot be linked: {0}; an adapter may import shardwright:coordinator/log, shardwright:tls and \
         interfaces of WASI 0.2"
    )]
    Link(String),
    /// It has the right types, but cannot say what it is.
    #[error("the adapter failed when asked what it is: {0}")]
    Describe(#[source] LaneFault),
    /// What it says of itself breaks the contract.
    #[error("the adapter describes itself as {what} {found:?}, which {flaw}")]
    Description {
        /// Which part.
        what: &'static str,
        /// What it says.
        found: String,
        /// What is wrong with that.
        flaw: &'static str,
    },
    /// There is no engine for it.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// Why an adapter takes no configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequiresError {
    /// It does not make sense to the adapter.
    #[error("the adapter does not take this configuration: {0}")]
    Config(String),
    /// It asks for something that is no grant.
    #[error("the adapter asks for a grant that is none: {0}")]
    Grant(String),
    /// It asks for more than anybody could judge.
    #[error("the adapter asks for {wanted} grants, where {limit} are the most")]
    TooMany {
        /// How many.
        wanted: usize,
        /// The most.
        limit: usize,
    },
    /// It failed.
    #[error("the adapter failed when asked what it requires: {0}")]
    Fault(String),
}

/// An adapter, ready to be opened. Cheap to clone.
#[derive(Clone)]
pub struct AdapterComponent(Arc<Inner>);

struct Inner {
    /// Its clock must tick for as long as there is anything to call.
    _engine: AdapterEngine,
    digest: Digest,
    pre: CoordinatorAdapterPre<State>,
    imports: Vec<String>,
    size: usize,
    description: lifecycle::Description,
}

impl AdapterComponent {
    /// Compiles `bytes` or finds them in the cache, makes sure that they are an adapter, and asks it what it is.
    /// Compiling blocks, some 50 ms for a small adapter and seconds for one that brings a language's runtime: in
    /// asynchronous code, call it from a task where that does no harm.
    ///
    /// # Errors
    /// [`AdapterLoadError`] says what the bytes are instead, or what differs.
    pub async fn load(engine: &AdapterEngine, bytes: Vec<u8>) -> Result<Self, AdapterLoadError> {
        let own = engine.clone();
        let compiled = tokio::task::spawn_blocking(move || compile(&own, &bytes)).await;
        let Compiled {
            digest,
            pre,
            imports,
            size,
        } = compiled.map_err(|error| CodeError::Invalid(error.to_string()))??;
        let unasked = lifecycle::Description {
            name: String::new(),
            version: String::new(),
            summary: String::new(),
            options: Vec::new(),
        };
        let mut component = Inner {
            _engine: engine.clone(),
            digest,
            pre,
            imports,
            size,
            description: unasked,
        };
        let described = component
            .bare(&[])
            .await
            .map_err(AdapterLoadError::Describe)?
            .describe()
            .await;
        component.description = checked(described.map_err(AdapterLoadError::Describe)?)?;
        Ok(Self(Arc::new(component)))
    }

    /// The digest of the bytes that it was loaded from.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.0.digest
    }

    /// How many bytes it was loaded from.
    #[must_use]
    pub fn size(&self) -> usize {
        self.0.size
    }

    /// Its name, lower case with hyphens: the kind of the coordinator.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.description.name
    }

    /// Its version.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.0.description.version
    }

    /// What it does, in a sentence.
    #[must_use]
    pub fn summary(&self) -> &str {
        &self.0.description.summary
    }

    /// The options of its configuration, a line each.
    #[must_use]
    pub fn options(&self) -> &[String] {
        &self.0.description.options
    }

    /// What it imports, sorted, with versions.
    #[must_use]
    pub fn imports(&self) -> &[String] {
        &self.0.imports
    }

    /// Which grants it needs with `config`, a JSON object as text.
    ///
    /// # Errors
    /// [`RequiresError`].
    pub async fn requires(&self, config: &Password) -> Result<Grants, RequiresError> {
        self.requires_masked(config, &[]).await
    }

    /// As [`requires`](Self::requires), with `secrets` masked in whatever the adapter says to it.
    ///
    /// # Errors
    /// [`RequiresError`].
    pub async fn requires_masked(&self, config: &Password, secrets: &[Password]) -> Result<Grants, RequiresError> {
        let mask = Redactor::new(secrets);
        let masked = |fault: LaneFault| RequiresError::Fault(mask.line(&fault.to_string()));
        let wanted = self
            .0
            .bare(secrets)
            .await
            .map_err(masked)?
            .requires(config.expose())
            .await
            .map_err(masked)?;
        let wanted = wanted.map_err(|why| RequiresError::Config(mask.line(&why)))?;
        if wanted.len() > GRANTS {
            return Err(RequiresError::TooMany {
                wanted: wanted.len(),
                limit: GRANTS,
            });
        }
        let grants = Grants::parse(wanted.iter().map(String::as_str));
        grants.map_err(|error| RequiresError::Grant(mask.line(&error.to_string())))
    }

    pub(super) fn pre(&self) -> &CoordinatorAdapterPre<State> {
        &self.0.pre
    }
}

impl std::fmt::Debug for AdapterComponent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "AdapterComponent({} {}, {})",
            self.name(),
            self.version(),
            self.0.digest
        )
    }
}

impl Inner {
    /// An instance without grants, to be asked what the adapter is.
    async fn bare(&self, secrets: &[Password]) -> Result<Lane, LaneFault> {
        let mut options = AdapterOptions::new(&self.description.name, Password::new("{}"));
        options.budget.answer = ABOUT;
        let shared = Shared {
            memory: Arc::new(Total::new(options.budget.total_memory)),
            mask: Redactor::new(secrets),
            quota: LogRateLimiter::default(),
            security: None,
            lookups: Arc::new(Semaphore::new(LOOKUPS)),
            variables: Vec::new(),
            options,
        };
        let deadline = Instant::now() + shared.options.timeout;
        Lane::start(&self.pre, Arc::new(shared), deadline).await
    }
}

impl Shared {
    /// What the lanes of an adapter with these options share.
    pub(super) fn new(options: AdapterOptions) -> Result<Self, BrokerError> {
        let secured = |grant: &super::Grant| {
            matches!(
                grant,
                super::Grant::Address {
                    scheme: super::Scheme::Tls | super::Scheme::Https,
                    ..
                }
            )
        };
        let security = if options.grants.iter().any(secured) {
            Some(Security::new(options.tls.as_ref().unwrap_or(&Tls::default()))?)
        } else {
            None
        };
        let variables = options
            .grants
            .variables()
            .filter_map(|name| Some((name.to_owned(), std::env::var(name).ok()?)));
        let variables: Vec<_> = variables.collect();
        // What comes from the environment is likely to be a secret.
        let secrets: Vec<_> = options
            .secrets
            .iter()
            .cloned()
            .chain(variables.iter().map(|(_, value)| Password::new(value.as_str())))
            .collect();
        Ok(Self {
            memory: Arc::new(Total::new(options.budget.total_memory)),
            mask: Redactor::new(&secrets),
            quota: LogRateLimiter::default(),
            security,
            lookups: Arc::new(Semaphore::new(LOOKUPS)),
            variables,
            options,
        })
    }
}

struct Compiled {
    digest: Digest,
    pre: CoordinatorAdapterPre<State>,
    imports: Vec<String>,
    size: usize,
}

fn compile(engine: &AdapterEngine, bytes: &[u8]) -> Result<Compiled, AdapterLoadError> {
    code::check(bytes)?;
    let wasmtime = engine.wasmtime();
    let digest = Digest::of(bytes);
    let component = code::compile(engine.cache(), wasmtime, bytes, &digest)?;
    let kind = component.component_type();
    let exports: Vec<String> = kind.exports(wasmtime).map(|(name, _)| name.to_owned()).collect();
    for interface in INTERFACES {
        check_export(interface, &exports)?;
    }
    let mut imports_of: Vec<String> = kind.imports(wasmtime).map(|(name, _)| name.to_owned()).collect();
    imports_of.sort();
    let link = |error: wasmtime::Error| AdapterLoadError::Link(format!("{error:#}"));
    let pre = imports(wasmtime)
        .and_then(|linker| linker.instantiate_pre(&component))
        .map_err(link)?;
    Ok(Compiled {
        digest,
        pre: CoordinatorAdapterPre::new(pre).map_err(link)?,
        imports: imports_of,
        size: bytes.len(),
    })
}

fn check_export(interface: &'static str, exports: &[String]) -> Result<(), AdapterLoadError> {
    let found = exports
        .iter()
        .find(|name| name.split_once('@').is_some_and(|(family, _)| family == interface));
    match found {
        Some(found)
            if found
                .rsplit('@')
                .next()
                .is_some_and(|version| version.starts_with("0.1.")) =>
        {
            Ok(())
        }
        Some(found) => Err(AdapterLoadError::Version { found: found.clone() }),
        None => Err(AdapterLoadError::World {
            missing: interface,
            found: if exports.is_empty() {
                "nothing".to_owned()
            } else {
                exports.join(", ")
            },
        }),
    }
}

/// What an adapter says of itself, if it keeps to the contract.
pub(super) fn checked(description: lifecycle::Description) -> Result<lifecycle::Description, AdapterLoadError> {
    let wrong = |what, found: &str, flaw| AdapterLoadError::Description {
        what,
        found: found.chars().take(80).collect(),
        flaw,
    };
    let lifecycle::Description {
        name,
        version,
        summary,
        options,
    } = &description;
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if !(1..=32).contains(&name.len()) || !name.bytes().all(fits) {
        return Err(wrong("the name", name, "is not 1 to 32 of a-z, 0-9 and '-'"));
    }
    let numbers = version.split('.').filter(|part| part.parse::<u32>().is_ok()).count();
    if numbers != 3 || version.split('.').count() != 3 {
        return Err(wrong("version", version, "is not major.minor.patch"));
    }
    let texts = [("summary", summary)]
        .into_iter()
        .chain(options.iter().map(|option| ("option", option)));
    for (what, text) in texts {
        if text.len() > 500 || text.chars().any(char::is_control) {
            return Err(wrong(what, text, "is no line of at most 500 bytes"));
        }
    }
    if options.len() > 64 {
        return Err(wrong("the options", &options.len().to_string(), "are more than 64"));
    }
    Ok(description)
}
