//! Another component in the place of one that works: compared first, then tried beside it, then put in its place.

use super::component::{AdapterComponent, RequiresError};
use super::coordinator::AdapterCoordinator;
use super::pool::{ActiveComponent, Pool};
use super::status::Counters;
use shardwright_coordinator::broker::Password;
use shardwright_coordinator::suite::{self, Options, Unproven};
use shardwright_coordinator::{Coordinator, MarginError};
use std::collections::BTreeSet;
use std::sync::PoisonError;
use std::time::Duration;

/// What a component asks for that another did not, and the other way about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Differences {
    /// Grants and imports that only the new one wants.
    pub added: Vec<String>,
    /// Grants and imports that only the old one wanted.
    pub removed: Vec<String>,
}

/// Why a component was not put in the place of another. The other goes on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpgradeError {
    /// It is another adapter.
    #[error(
        "the new component is the adapter {new}, and the present one is {old}: nodes of a cluster use adapters of one \
         name"
    )]
    Name {
        /// The present one's name.
        old: String,
        /// The new one's.
        new: String,
    },
    /// It does not take the configuration.
    #[error(transparent)]
    Requires(#[from] RequiresError),
    /// It wants what it is not granted.
    #[error("the new component needs grants that it does not have; if you trust it with them, add to `allow`: {0}")]
    Grants(String),
    /// It wants more than the present one, and nobody has agreed to that.
    #[error(
        "the new component wants more than the present one: {0}; look at it, then accept that with --accept-grants"
    )]
    More(String),
    /// It does not keep the contract.
    #[error("the new component does not keep the contract in a scratch namespace: {0}")]
    Contract(#[from] Unproven),
    /// Its times may be wrong by more than the cluster's margin.
    #[error("the new component: {0}")]
    Margin(#[from] MarginError),
    /// It could not be opened beside the present one.
    #[error("the new component cannot be opened: {0}")]
    Open(String),
}

impl Differences {
    /// What `new` wants and `old` did not, with the configuration `config`, of which `secrets` are masked in whatever
    /// they say.
    ///
    /// # Errors
    /// [`RequiresError`] of either.
    pub async fn between(
        old: &AdapterComponent,
        new: &AdapterComponent,
        config: &Password,
        secrets: &[Password],
    ) -> Result<Self, RequiresError> {
        let (before, after) = (wants(old, config, secrets).await?, wants(new, config, secrets).await?);
        Ok(Self {
            added: after.difference(&before).cloned().collect(),
            removed: before.difference(&after).cloned().collect(),
        })
    }
}

async fn wants(
    component: &AdapterComponent,
    config: &Password,
    secrets: &[Password],
) -> Result<BTreeSet<String>, RequiresError> {
    let grants = component.requires_masked(config, secrets).await?;
    // A later version of an interface brings nothing that its family does not stand for.
    let imports = component
        .imports()
        .iter()
        .map(|import| import.split('@').next().unwrap_or(import));
    let imports = imports.filter(|import| !import.starts_with("wasi:cli/") && !import.starts_with("wasi:io/"));
    let imports: Vec<_> = imports.map(|import| format!("import {import}")).collect();
    Ok(grants
        .iter()
        .map(|grant| format!("grant {grant}"))
        .chain(imports)
        .collect())
}

impl AdapterCoordinator {
    /// Puts `component` in the place of the present one, while both work: it is compared, runs the contract suite in
    /// scratch namespaces of the same backend, and is opened in this history. Then every new call goes to it, and
    /// calls under way end where they began. Subscriptions move over with a gap. A quarantine of the present one
    /// ends with it. Whatever fails, the present one goes on.
    ///
    /// # Errors
    /// [`UpgradeError`]. `More` unless `accept_more`; `Margin` unless the cluster's `margin` covers by how much its
    /// times may be wrong.
    pub async fn upgrade(
        &self,
        component: AdapterComponent,
        accept_more: bool,
        margin: Duration,
    ) -> Result<Differences, UpgradeError> {
        let pool = &self.pool;
        let present = pool.present();
        let (old, new) = (present.component.name().to_owned(), component.name().to_owned());
        if old != new {
            return Err(UpgradeError::Name { old, new });
        }
        let options = &pool.shared.options;
        let missing = options
            .grants
            .missing(&component.requires_masked(&options.config, &options.secrets).await?);
        if !missing.is_empty() {
            let lines: Vec<_> = missing.iter().map(|grant| format!("\"{grant}\"")).collect();
            return Err(UpgradeError::Grants(lines.join(", ")));
        }
        let differences =
            Differences::between(&present.component, &component, &options.config, &options.secrets).await?;
        if !differences.added.is_empty() && !accept_more {
            return Err(UpgradeError::More(differences.added.join(", ")));
        }
        prove(pool, &component).await?;
        let next = ActiveComponent {
            component,
            number: present.number + 1,
        };
        let deadline = pool.deadline();
        let beside = pool.open_beside(&next, deadline).await;
        let uncertainty = beside.map_err(|refusal| UpgradeError::Open(refusal.why()))?;
        MarginError::check(margin, uncertainty, || self.location())?;
        let taken = {
            let mut held = pool.present.write().unwrap_or_else(PoisonError::into_inner);
            let same = held.number == present.number;
            if same {
                *held = next;
            }
            same
        };
        if !taken {
            return Err(UpgradeError::Open("another component took its place meanwhile".into()));
        }
        Counters::add(&pool.counters.upgrades);
        pool.replaced();
        Ok(differences)
    }
}

/// Runs the contract suite, quickly, with `component` in scratch namespaces.
async fn prove(pool: &Pool, component: &AdapterComponent) -> Result<(), UpgradeError> {
    let (opened, options) = (component.clone(), pool.shared.options.clone());
    let factory = suite::factory(move |namespace| AdapterCoordinator::open(opened.clone(), options.clone(), namespace));
    let quick = Options {
        writers: 3,
        rounds: 4,
        keys: 200,
        flood: 300,
        patience: Duration::from_secs(20),
        ..Options::default()
    };
    // A backend that others work with is not disturbed.
    suite::run(&factory, quick)
        .await
        .verify(component.name(), &["reconnect"])?;
    Ok(())
}
