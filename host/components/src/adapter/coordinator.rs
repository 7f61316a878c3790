//! An adapter as a coordinator.

use super::call::{Answer, Call};
use super::component::AdapterComponent;
use super::options::AdapterOptions;
use super::pool::Pool;
use super::refusal::Refusal;
use super::state::Shared;
use super::status::{AdapterStatus, Counters};
use super::{subscriber, translate};
use crate::state::AdapterState;
use async_trait::async_trait;
use bytes::Bytes;
use shardwright_coordinator::broker::BrokerError;
use shardwright_coordinator::limits::{check_key, check_prefix, check_sent, check_stored, check_topic};
use shardwright_coordinator::{Bus, BusError, Coordinator, Finding, Namespace, PutRequest, Store, Subscription};
use shardwright_core::store::{Expected, Listing, Reading, Revision, StoreError, Written};
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// What looking at the backend, and removing a namespace, may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// By how much ages may be wrong at an adapter that says nothing: the contract's "few milliseconds".
pub(super) const UNSAID: Duration = Duration::from_millis(10);

/// A namespace on the backend that an adapter speaks to. Dropping it ends its lanes.
pub struct AdapterCoordinator {
    pub(super) pool: Arc<Pool>,
    kind: &'static str,
}

impl AdapterCoordinator {
    /// Makes sure that `component` is granted what it requires, and opens its first lane: finds or begins the
    /// namespace's history.
    ///
    /// # Errors
    /// [`BrokerError`]: `Denied` names each grant that is missing, with the line to add; only `Unreachable` may pass by
    /// itself. It is tried once.
    pub async fn open(
        component: AdapterComponent,
        options: AdapterOptions,
        namespace: Namespace,
    ) -> Result<Self, BrokerError> {
        Self::check(&component, &options).await?;
        let location = format!("[store.\"{}\"]", options.id);
        let kind = interned(component.name());
        let pool = Arc::new(Pool::new(component, Arc::new(Shared::new(options)?), namespace));
        let deadline = pool.deadline();
        let lane = pool.enter(&pool.store, 0, deadline).await;
        lane.map_err(|refusal| refusal.broker(location))?.give_back();
        Ok(Self { pool, kind })
    }

    /// Whether `component` takes its configuration, and is granted what it requires then. It opens nothing.
    ///
    /// # Errors
    /// `Invalid` or `Denied`, as [`AdapterCoordinator::open`].
    pub async fn check(component: &AdapterComponent, options: &AdapterOptions) -> Result<(), BrokerError> {
        let location = || format!("[store.\"{}\"]", options.id);
        let wanted = component.requires_masked(&options.config, &options.secrets).await;
        let wanted = wanted.map_err(|error| BrokerError::Invalid(format!("{}: {error}", location())))?;
        let missing = options.grants.missing(&wanted);
        if !missing.is_empty() {
            let lines: Vec<_> = missing.iter().map(|grant| format!("\"{grant}\"")).collect();
            return Err(BrokerError::Denied {
                location: location(),
                why: format!(
                    "the adapter {} needs grants that it does not have; if you trust it with them, add to `allow`: {}",
                    component.name(),
                    lines.join(", ")
                ),
            });
        }
        Ok(())
    }

    /// How the adapter is.
    #[must_use]
    pub fn status(&self) -> AdapterStatus {
        self.pool.status()
    }

    /// Tells whenever the adapter enters another state.
    #[must_use]
    pub fn states(&self) -> watch::Receiver<AdapterState> {
        self.pool.states.subscribe()
    }
}

fn confused<T>() -> Result<T, StoreError<Bytes>> {
    Err(StoreError::Unavailable("the answer belongs to another call".into()))
}

#[async_trait]
impl Store for AdapterCoordinator {
    async fn get(&self, key: &str) -> Result<Reading<Bytes>, StoreError<Bytes>> {
        check_key(key)?;
        match self.call(Call::Get(key)).await? {
            Answer::Reading(reading) => Ok(reading),
            _ => confused(),
        }
    }

    async fn list(&self, prefix: &str, since: Revision) -> Result<Listing<Bytes>, StoreError<Bytes>> {
        check_prefix(prefix)?;
        match self.call(Call::List(prefix, since)).await? {
            Answer::Listing(listing) => Ok(listing),
            _ => confused(),
        }
    }

    async fn put_with(&self, request: PutRequest<'_>) -> Result<Written, StoreError<Bytes>> {
        let PutRequest {
            key, value, expected, ..
        } = request;
        check_key(key)?;
        check_stored(value.len())?;
        match self.call(Call::Put(key, &value, expected)).await? {
            Answer::Written(written) => Ok(written),
            _ => confused(),
        }
    }

    async fn delete(&self, key: &str, expected: Expected) -> Result<Written, StoreError<Bytes>> {
        check_key(key)?;
        match self.call(Call::Delete(key, expected)).await? {
            Answer::Written(written) => Ok(written),
            _ => confused(),
        }
    }
}

#[async_trait]
impl Bus for AdapterCoordinator {
    async fn publish(&self, topic: &str, payload: Bytes) -> Result<(), BusError> {
        check_topic(topic)?;
        check_sent(payload.len())?;
        let pool = &self.pool;
        let deadline = pool.deadline();
        let mut again = true;
        loop {
            let mut held = pool
                .enter(&pool.publish, payload.len(), deadline)
                .await
                .map_err(Refusal::bus)?;
            let stale = held.stale;
            let error = match held.lane.publish(topic, &payload, deadline).await {
                Ok(Ok(())) => {
                    held.give_back();
                    pool.answered();
                    Counters::add(&pool.counters.published);
                    return Ok(());
                }
                Ok(Err(error)) => translate::bus_error(error, &pool.shared.mask),
                Err(fault) => {
                    return Err(BusError::Unavailable(held.fail(&fault)));
                }
            };
            match error {
                // Sent twice is no harm: messages are numbered.
                BusError::Unavailable(_) if stale && again => again = false,
                BusError::Unavailable(_) => return Err(error),
                error => {
                    held.give_back();
                    return Err(error);
                }
            }
        }
    }

    async fn subscribe(&self, topics: &[&str]) -> Result<Box<dyn Subscription>, BusError> {
        for topic in topics {
            check_topic(topic)?;
        }
        subscriber::subscribe(&self.pool, topics).await
    }
}

#[async_trait]
impl Coordinator for AdapterCoordinator {
    fn kind(&self) -> &str {
        self.kind
    }

    fn location(&self) -> String {
        self.pool.location()
    }

    fn clock_uncertainty(&self) -> Duration {
        Duration::from_millis(self.pool.uncertainty.load(Ordering::Relaxed)).max(UNSAID)
    }

    async fn examine(&self) -> Vec<Finding> {
        let pool = &self.pool;
        let component = pool.present().component;
        let mut findings = vec![Finding::good(
            "adapter",
            format!(
                "{} {}, sha256:{}",
                component.name(),
                component.version(),
                component.digest()
            ),
        )];
        let deadline = Instant::now() + PATIENCE;
        let examined = match pool.enter(&pool.store, 0, deadline).await {
            Ok(mut held) => match held.lane.examine(deadline).await {
                Ok(found) => {
                    held.give_back();
                    Ok(found)
                }
                Err(fault) => Err(held.fail(&fault)),
            },
            Err(refusal) => Err(refusal.why()),
        };
        match examined {
            Ok(found) => findings.extend(
                found
                    .iter()
                    .take(64)
                    .map(|finding| translate::finding(finding, &pool.shared.mask)),
            ),
            Err(why) => findings.push(Finding::bad(
                "reachable",
                why,
                "see what the adapter says, and `shardwright coordinator status`",
            )),
        }
        let status = pool.status();
        if !status.refused.is_empty() {
            let asked: Vec<_> = status.refused.iter().map(String::as_str).collect();
            findings.push(Finding::warning(
                "grants",
                format!("the adapter asked for what it is not granted: {}", asked.join(", ")),
                "find out why; if it is to have it, add it to `allow`",
            ));
        }
        findings
    }

    async fn erase(&self) -> Result<(), StoreError<Bytes>> {
        let pool = &self.pool;
        pool.belief.begin().map_err(StoreError::HistoryLost)?;
        let deadline = Instant::now() + PATIENCE;
        let mut held = pool.enter(&pool.store, 0, deadline).await.map_err(Refusal::store)?;
        match held.lane.erase(deadline).await {
            Ok(erased) => erased.map_err(|error| translate::store_error(error, &pool.shared.mask)),
            Err(fault) => Err(StoreError::Indeterminate(held.fail(&fault))),
        }
    }
}

impl Drop for AdapterCoordinator {
    fn drop(&mut self) {
        self.pool.closed.send_replace(true);
    }
}

impl std::fmt::Debug for AdapterCoordinator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AdapterCoordinator")
            .field("component", &self.pool.present().component)
            .field("location", &self.pool.location())
            .finish_non_exhaustive()
    }
}

/// The most names that are kept for as long as this process lives.
const NAMES: usize = 64;

/// `name` for as long as this process lives. There are as many as there are names of adapters; who calls itself
/// something else each time is called what it is.
fn interned(name: &str) -> &'static str {
    static KNOWN: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut names = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = names.get(name) {
        return known;
    }
    if names.len() >= NAMES {
        return "adapter";
    }
    let kept: &'static str = name.to_owned().leak();
    names.insert(kept);
    kept
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn names_do_not_add_up_for_ever() {
        assert_eq!(interned("kv"), "kv");
        let others: Vec<_> = (0..=NAMES).map(|n| interned(&format!("kv-{n}"))).collect();
        assert_eq!((others.last(), interned("kv")), (Some(&"adapter"), "kv"));
    }
}
