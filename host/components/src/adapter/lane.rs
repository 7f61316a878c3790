//! A lane: one instance in one store, with one call in flight.
//!
//! What a call computes is measured from outside: the processor time that it takes, in its own code and in the host's
//! functions that it calls. The clock of the engine only makes it let go of the worker at every tick.

use super::fault::{CpuBudgetExceeded, LaneFault, caught};
use super::meter::metered;
use super::redact::Redactor;
use super::sent::Sent;
use super::state::{RESOURCES, Shared, State, cross};
use super::world::exports::shardwright::coordinator::{bus, lifecycle, store};
use super::world::{CoordinatorAdapter, CoordinatorAdapterPre};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use wasmtime::component::{Instance, ResourceAny};
use wasmtime::{Store, UpdateDeadline};

/// What an adapter may export besides.
const CLOCK: &str = "shardwright:coordinator/clock@0.1.0";

/// A lane. After a fault it is good for nothing; a call that is given up in the middle leaves it so, too.
pub(super) struct Lane {
    store: Store<State>,
    world: CoordinatorAdapter,
    /// The world again, for what not every adapter exports.
    instance: Instance,
    ear: Option<ResourceAny>,
    /// When its last call ended.
    used: Instant,
    /// Bytes of memory that it began with.
    began_with: usize,
}

/// Makes one call of an exported function, within the budget and until `$deadline`.
macro_rules! call {
    ($lane:ident, $deadline:expr, $interface:ident . $function:ident ( $($argument:expr),* )) => {{
        let bounds = $lane.begin();
        let call = $lane.world.$interface().$function(&mut $lane.store, $($argument),*);
        let called = bounds.hold($deadline, call).await;
        $lane.end(called)
    }};
}

/// What holds a call.
struct Bounds {
    cpu: Duration,
    mask: Redactor,
}

impl Bounds {
    fn of(shared: &Shared) -> Self {
        Self {
            cpu: shared.options.budget.cpu,
            mask: shared.mask.clone(),
        }
    }

    /// What `call` comes to, within its time and its share of the processor. Nothing that happens in it ends more than
    /// the lane.
    async fn hold<T>(self, deadline: Instant, call: impl Future<Output = T>) -> Result<T, LaneFault> {
        let began = Instant::now();
        match timeout_at(deadline, metered(self.cpu, caught(call))).await {
            Ok(Ok(Ok(called))) => Ok(called),
            Ok(Ok(Err(why))) => Err(LaneFault::HostFailed(self.mask.line(&why))),
            Ok(Err(CpuBudgetExceeded)) => Err(LaneFault::CpuBudgetExceeded { limit: self.cpu }),
            Err(_) => Err(LaneFault::Silent { limit: began.elapsed() }),
        }
    }
}

impl Lane {
    /// A new instance, not opened yet.
    pub(super) async fn start(
        pre: &CoordinatorAdapterPre<State>,
        shared: Arc<Shared>,
        deadline: Instant,
    ) -> Result<Self, LaneFault> {
        let bounds = Bounds::of(&shared);
        let state = State::new(shared);
        let mut store = Store::new(pre.engine(), state);
        store.limiter(|state| &mut state.memory);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|_| Ok(UpdateDeadline::Yield(1)));
        store.call_hook(cross);
        // Handles of the guest's own resources, of which it needs one, and those of the host's, which are limited by
        // themselves.
        store.set_max_component_handles(4 * RESOURCES);
        let instantiate = async {
            let instance = pre.instance_pre().instantiate_async(&mut store).await?;
            Ok((CoordinatorAdapter::new(&mut store, &instance)?, instance))
        };
        let world = bounds.hold(deadline, instantiate).await?;
        let (world, instance) = world.map_err(|error: wasmtime::Error| match store.data().explain(&error) {
            LaneFault::Malformed(why) => LaneFault::Instantiate(why),
            other => other,
        })?;
        Ok(Self {
            began_with: store.data().memory.used(),
            store,
            world,
            instance,
            ear: None,
            used: Instant::now(),
        })
    }

    fn begin(&mut self) -> Bounds {
        self.store.data().sent.begin();
        self.store.set_epoch_deadline(1);
        Bounds::of(&self.store.data().shared)
    }

    fn end<T>(&mut self, called: Result<wasmtime::Result<T>, LaneFault>) -> Result<T, LaneFault> {
        self.used = Instant::now();
        called?.map_err(|error| self.store.data().explain(&error))
    }

    /// How long ago its last call ended.
    pub(super) fn idle(&self) -> Duration {
        self.used.elapsed()
    }

    /// Whether it has used up half of the memory that it had left at its beginning. Memory is never given back, and the
    /// runtimes of some languages lose a little with each call: better another lane between two calls than the end
    /// of this one in the middle of a write.
    pub(super) fn is_worn(&self) -> bool {
        let state = self.store.data();
        let had = state.shared.options.budget.memory.saturating_sub(self.began_with);
        state.memory.used() > self.began_with.saturating_add(had / 2)
    }

    /// Whether its present call has sent anything.
    pub(super) fn sent(&self) -> Sent {
        self.store.data().sent.clone()
    }

    /// What it asked for and was refused.
    pub(super) fn refused(&self) -> Vec<String> {
        self.store.data().gate().refused()
    }

    /// The end of the time that a call without another limit has.
    fn patience(&self) -> Instant {
        Instant::now() + self.store.data().shared.options.timeout
    }

    pub(super) async fn describe(&mut self) -> Result<lifecycle::Description, LaneFault> {
        let deadline = self.patience();
        call!(self, deadline, shardwright_coordinator_lifecycle.call_describe())
    }

    pub(super) async fn requires(&mut self, config: &str) -> Result<Result<Vec<String>, String>, LaneFault> {
        let deadline = self.patience();
        call!(self, deadline, shardwright_coordinator_lifecycle.call_requires(config))
    }

    pub(super) async fn open(
        &mut self,
        context: &lifecycle::Context,
        deadline: Instant,
    ) -> Result<Result<lifecycle::Opened, lifecycle::OpenError>, LaneFault> {
        call!(self, deadline, shardwright_coordinator_lifecycle.call_open(context))
    }

    /// By how many milliseconds its times may be wrong; nothing if it does not say.
    pub(super) async fn uncertainty(&mut self, deadline: Instant) -> Result<Option<u32>, LaneFault> {
        let interface = self.instance.get_export_index(&mut self.store, None, CLOCK);
        let function = interface.and_then(|interface| {
            self.instance
                .get_export_index(&mut self.store, Some(&interface), "uncertainty")
        });
        let Some(function) = function else { return Ok(None) };
        let typed = self.instance.get_typed_func::<(), (u32,)>(&mut self.store, function);
        let typed = typed.map_err(|error| self.store.data().explain(&error))?;
        let bounds = self.begin();
        let called = bounds.hold(deadline, typed.call_async(&mut self.store, ())).await;
        self.end(called).map(|(millis,)| Some(millis))
    }

    pub(super) async fn examine(&mut self, deadline: Instant) -> Result<Vec<lifecycle::Finding>, LaneFault> {
        call!(self, deadline, shardwright_coordinator_lifecycle.call_examine())
    }

    pub(super) async fn erase(&mut self, deadline: Instant) -> Result<Result<(), store::StoreError>, LaneFault> {
        call!(self, deadline, shardwright_coordinator_lifecycle.call_erase())
    }

    pub(super) async fn get(
        &mut self,
        key: &str,
        deadline: Instant,
    ) -> Result<Result<store::Reading, store::StoreError>, LaneFault> {
        call!(self, deadline, shardwright_coordinator_store.call_get(key))
    }

    pub(super) async fn list(
        &mut self,
        prefix: &str,
        since: u64,
        deadline: Instant,
    ) -> Result<Result<store::Listing, store::StoreError>, LaneFault> {
        call!(self, deadline, shardwright_coordinator_store.call_list(prefix, since))
    }

    pub(super) async fn put(
        &mut self,
        key: &str,
        value: &[u8],
        expected: store::Expected,
        deadline: Instant,
    ) -> Result<Result<store::Written, store::StoreError>, LaneFault> {
        call!(
            self,
            deadline,
            shardwright_coordinator_store.call_put(key, value, expected)
        )
    }

    pub(super) async fn delete(
        &mut self,
        key: &str,
        expected: store::Expected,
        deadline: Instant,
    ) -> Result<Result<store::Written, store::StoreError>, LaneFault> {
        call!(self, deadline, shardwright_coordinator_store.call_delete(key, expected))
    }

    pub(super) async fn publish(
        &mut self,
        topic: &str,
        payload: &[u8],
        deadline: Instant,
    ) -> Result<Result<(), bus::BusError>, LaneFault> {
        call!(self, deadline, shardwright_coordinator_bus.call_publish(topic, payload))
    }

    pub(super) async fn subscribe(
        &mut self,
        topics: &[String],
        deadline: Instant,
    ) -> Result<Result<(), bus::BusError>, LaneFault> {
        let subscribed = call!(self, deadline, shardwright_coordinator_bus.call_subscribe(topics))?;
        Ok(subscribed.map(|ear| self.ear = Some(ear)))
    }

    pub(super) async fn next(
        &mut self,
        max: u32,
        timeout: u32,
        deadline: Instant,
    ) -> Result<Result<Vec<bus::Delivery>, bus::BusError>, LaneFault> {
        let Some(ear) = self.ear else {
            return Err(LaneFault::Lied("there is no subscription".into()));
        };
        let bounds = self.begin();
        let subscription = self.world.shardwright_coordinator_bus().subscription();
        let call = subscription.call_next(&mut self.store, ear, max, timeout);
        let called = bounds.hold(deadline, call).await;
        self.end(called)
    }
}
