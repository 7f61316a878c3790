//! `type = "component"`: an adapter, which is a WebAssembly component that speaks to a server.

use super::adapter_config::{self, AdapterConfig};
use super::grant::{self, Grant};
use super::settings::Settings;
use super::tls::{self, TlsSection};
use crate::keys;
use crate::known::BUNDLED_ADAPTERS;
use crate::policy;
use crate::problem::Code;
use crate::reader::{Item, Reader};
use crate::secret::Secret;
use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

/// A `[store."<id>"]` section of type `component`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComponentSection {
    /// Its id.
    pub id: String,
    /// Which component it is.
    pub adapter: AdapterSource,
    /// All that it may use outside of itself, each once.
    pub grants: Vec<Grant>,
    /// The longest that one call may take, waiting included.
    pub timeout: Duration,
    /// How many instances work on the store at once, 1 to 64.
    pub lanes: u32,
    /// What it may use of this machine.
    pub budget: AdapterBudget,
    /// What it is told when it is opened: a JSON object with sorted keys.
    pub config: Secret,
    /// What in `config` must not be shown if the adapter says it. None is empty, none is there twice, the longest
    /// comes first.
    pub secrets: Vec<Secret>,
    /// How the grants that use TLS are secured; `None` if none does.
    pub tls: Option<TlsSection>,
}

/// Where an adapter comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdapterSource {
    /// It comes with Shardwright; one of [`BUNDLED_ADAPTERS`].
    Bundled(&'static str),
    /// A file.
    File {
        /// The component.
        path: PathBuf,
        /// The SHA-256 that it must have.
        digest: Option<[u8; 32]>,
    },
}

/// What an adapter may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdapterBudget {
    /// Bytes of memory of one lane.
    pub memory: u64,
    /// Bytes of memory of all lanes together; no less than `memory`.
    pub total_memory: u64,
    /// Processor time of one call.
    pub cpu: Duration,
    /// Bytes of one answer.
    pub answer: u64,
}

impl Default for AdapterBudget {
    fn default() -> Self {
        Self {
            memory: 64 << 20,
            total_memory: 256 << 20,
            cpu: Duration::from_secs(1),
            answer: 64 << 20,
        }
    }
}

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

const DEFAULT_LANES: u32 = 4;

/// `None` after a problem that leaves no component to speak of; after any other, the section has failed.
pub(super) fn read(settings: &Settings<'_, '_, '_>, id: String) -> Option<ComponentSection> {
    let adapter = source(settings);
    let grants = grants(settings);
    let tls = tls(settings, grants.as_deref());
    let told = settings
        .with("config", adapter_config::read)
        .unwrap_or_else(|| AdapterConfig {
            json: Secret::new("{}"),
            secrets: Vec::new(),
        });
    let budget = budget(settings);
    let timeout = duration(settings, "timeout", 100..=60_000);
    let lanes = settings.number("lanes", 1..=64);
    Some(ComponentSection {
        id,
        adapter: adapter?,
        grants: grants?,
        timeout: timeout.unwrap_or(DEFAULT_TIMEOUT),
        lanes: lanes.unwrap_or(DEFAULT_LANES),
        budget,
        config: told.json,
        secrets: told.secrets,
        tls,
    })
}

/// A bundled adapter or a file: one of the two.
fn source(settings: &Settings<'_, '_, '_>) -> Option<AdapterSource> {
    let (adapter, path) = (settings.get("adapter"), settings.get("path"));
    let bundled = settings.with("adapter", bundled);
    let file = file(settings);
    let digest = settings.with("digest", policy::digest);
    if let (Some(item), Some(_), None) = (settings.get("digest"), adapter, path) {
        let help = "remove it: a bundled adapter is part of this program";
        settings.conflict(item, "`adapter`", help);
    }
    match (adapter, path) {
        (Some(_), Some(path)) => {
            let help = "keep `adapter` for one that comes with Shardwright, or `path` for one of your own";
            settings.conflict(path, "`adapter`", help);
            None
        }
        (None, None) => {
            settings.neither("adapter", "path");
            None
        }
        (Some(_), None) => bundled.map(AdapterSource::Bundled),
        (None, Some(_)) => file.map(|path| AdapterSource::File { path, digest }),
    }
}

fn bundled(reader: &Reader<'_>, item: &Item<'_>) -> Option<&'static str> {
    let name = reader.text(item)?;
    let found = BUNDLED_ADAPTERS.iter().copied().find(|known| *known == name);
    if found.is_none() {
        let help = match keys::suggest(&name, BUNDLED_ADAPTERS.iter().copied()) {
            Some(meant) => format!("did you mean \"{meant}\"?"),
            None => format!(
                "those that come with Shardwright are: {}; for one of your own, write `path = \"x.wasm\"` instead",
                BUNDLED_ADAPTERS.join(", ")
            ),
        };
        let message = format!("`{}`: there is no adapter \"{}\"", item.path, name.escape_debug());
        reader.error(Code::InvalidValue, item.span, message, help);
    }
    found
}

fn file(settings: &Settings<'_, '_, '_>) -> Option<PathBuf> {
    let path = settings.base.join(settings.text("path")?);
    if let (Some(item), false) = (settings.get("path"), path.is_file()) {
        let message = format!("there is no file `{}` on this machine", path.display());
        let help = "a relative path begins at the configuration file; a node without the file cannot meet the others";
        settings.warn(Code::MissingAdapterFile, item.span, message, help);
    }
    Some(path)
}

/// What is granted, each once; nothing if nothing is said. `None` after a problem.
fn grants(settings: &Settings<'_, '_, '_>) -> Option<Vec<Grant>> {
    if settings.get("allow").is_none() {
        return Some(Vec::new());
    }
    settings.with("allow", |reader, item| {
        let (mut seen, mut grants) = (HashSet::new(), Vec::new());
        let elements = item.elements();
        let read = elements
            .iter()
            .filter_map(|item| Some((item, grant::read(reader, item)?)));
        let mut count = 0;
        for (item, grant) in read {
            count += 1;
            if seen.insert(grant.clone()) {
                grants.push(grant);
            } else {
                let message = format!("`{}` grants `{grant}` twice", item.path);
                reader.warn(Code::DuplicateGrant, item.span, message, "write it once");
            }
        }
        (count == elements.len()).then_some(grants)
    })
}

/// How to secure the grants that use TLS. Which do is said by their schemes and by nothing else, so that no connection
/// is without by mistake.
fn tls(settings: &Settings<'_, '_, '_>, grants: Option<&[Grant]>) -> Option<TlsSection> {
    let details = tls::details(settings);
    let help = "begin the grants that are to use TLS with `tls://` or `https://`, and remove this key if none is";
    if let Some(item) = settings.get("tls.enable") {
        let message = format!(
            "`{}` has no meaning with adapters, whose grants say by their schemes which use TLS",
            item.path
        );
        settings.error(Code::InvalidValue, item.key_span, message, help);
    }
    let used = grants?.iter().any(Grant::is_tls);
    if let (Some(item), false) = (tls::detail(settings), used) {
        let message = format!("`{}` is set, and no grant in `allow` uses TLS", item.path);
        settings.error(Code::InvalidValue, item.key_span, message, help);
    }
    used.then_some(details)
}

fn budget(settings: &Settings<'_, '_, '_>) -> AdapterBudget {
    let default = AdapterBudget::default();
    let size = |name, range| settings.with(name, |reader, item| reader.size(item, range));
    let budget = AdapterBudget {
        memory: size("budget.memory", 1 << 20..=4 << 30).unwrap_or(default.memory),
        total_memory: size("budget.total-memory", 1 << 20..=256 << 30).unwrap_or(default.total_memory),
        cpu: duration(settings, "budget.cpu", 1..=60_000).unwrap_or(default.cpu),
        answer: size("budget.answer", 1 << 10..=1 << 30).unwrap_or(default.answer),
    };
    let (total, one) = (settings.get("budget.total-memory"), settings.get("budget.memory"));
    if let (true, Some(item)) = (budget.total_memory < budget.memory, total.or(one)) {
        let message = format!(
            "`budget.total-memory`, {} bytes for all lanes together, is less than `budget.memory`, {} bytes for each",
            budget.total_memory, budget.memory
        );
        let help = format!(
            "set `budget.total-memory` to {} or more, or `budget.memory` to less",
            budget.memory
        );
        settings.error(Code::OutOfRange, item.span, message, help);
    }
    budget
}

fn duration(settings: &Settings<'_, '_, '_>, name: &'static str, range: RangeInclusive<u64>) -> Option<Duration> {
    settings
        .with(name, |reader, item| reader.duration(item, range))
        .map(Duration::from_millis)
}
