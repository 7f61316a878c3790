//! A lane: one instance in one store, with one call in flight.

use super::fault::{self, LaneFault, Spun};
use super::meter::Meter;
use super::state::{Shared, State};
use super::world::exports::shardwright::coordinator::{bus, lifecycle, store};
use super::world::{CoordinatorAdapter, CoordinatorAdapterPre};
use std::sync::Arc;
use tokio::time::{Instant, timeout_at};
use wasmtime::component::ResourceAny;
use wasmtime::{Store, UpdateDeadline};

/// A lane. After a fault it is good for nothing; a call that is given up in the middle leaves it so, too.
pub(super) struct Lane {
    store: Store<State>,
    world: CoordinatorAdapter,
    ear: Option<ResourceAny>,
    meter: Arc<Meter>,
    /// When its last call ended.
    used: Instant,
}

/// Makes one call of an exported function, within the budget and until `$deadline`.
macro_rules! call {
    ($lane:ident, $deadline:expr, $interface:ident . $function:ident ( $($argument:expr),* )) => {{
        let began = $lane.begin();
        let call = $lane.world.$interface().$function(&mut $lane.store, $($argument),*);
        let called = timeout_at($deadline, $lane.meter.count(call)).await;
        $lane.end(began, called)
    }};
}

impl Lane {
    /// A new instance, not opened yet.
    pub(super) async fn start(pre: &CoordinatorAdapterPre<State>, shared: Arc<Shared>) -> Result<Self, LaneFault> {
        let (budget, timeout) = (shared.options.budget, shared.options.timeout);
        let state = State::new(shared);
        let words = state.words.clone();
        let mask = state.shared.mask.clone();
        let mut store = Store::new(pre.engine(), state);
        store.limiter(|state| &mut state.memory);
        let meter = Arc::new(Meter::default());
        let spent = meter.clone();
        store.set_epoch_deadline(1);
        // The clock ticks also while the lane waits, so it only says when to look.
        store.epoch_deadline_callback(move |_| {
            if spent.spent() > budget.cpu {
                Err(Spun.into())
            } else {
                Ok(UpdateDeadline::Yield(1))
            }
        });
        store.set_hostcall_fuel(budget.answer);
        let world = meter.count(pre.instantiate_async(&mut store));
        let world = timeout_at(Instant::now() + timeout, world).await;
        let world = world.map_err(|_| LaneFault::Silent { limit: timeout })?;
        let world = world.map_err(|error| match fault::explain(&error, budget.cpu, budget.answer, words.say(&mask)) {
            LaneFault::Malformed(why) => LaneFault::Instantiate(why),
            other => other,
        })?;
        Ok(Self {
            store,
            world,
            ear: None,
            meter,
            used: Instant::now(),
        })
    }

    fn begin(&mut self) -> Instant {
        self.store.set_epoch_deadline(1);
        self.meter.reset();
        Instant::now()
    }

    fn end<T>(&mut self, began: Instant, called: Result<wasmtime::Result<T>, tokio::time::error::Elapsed>) -> Result<T, LaneFault> {
        self.used = Instant::now();
        match called {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.explain(&error)),
            Err(_) => {
                let limit = self.used - began;
                Err(if self.meter.spent() > limit / 2 {
                    LaneFault::Spinning { limit }
                } else {
                    LaneFault::Silent { limit }
                })
            }
        }
    }

    fn explain(&self, error: &wasmtime::Error) -> LaneFault {
        let state = self.store.data();
        let budget = state.shared.options.budget;
        fault::explain(error, budget.cpu, budget.answer, state.words.say(&state.shared.mask))
    }

    /// How long ago its last call ended.
    pub(super) fn idle(&self) -> std::time::Duration {
        self.used.elapsed()
    }

    /// Bytes of memory that it has.
    pub(super) fn memory(&self) -> usize {
        self.store.data().memory.used()
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

    pub(super) async fn examine(&mut self, deadline: Instant) -> Result<Vec<lifecycle::Finding>, LaneFault> {
        call!(self, deadline, shardwright_coordinator_lifecycle.call_examine())
    }

    pub(super) async fn erase(&mut self, deadline: Instant) -> Result<Result<(), store::StoreError>, LaneFault> {
        call!(self, deadline, shardwright_coordinator_lifecycle.call_erase())
    }

    pub(super) async fn get(&mut self, key: &str, deadline: Instant) -> Result<Result<store::Reading, store::StoreError>, LaneFault> {
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
        call!(self, deadline, shardwright_coordinator_store.call_put(key, value, expected))
    }

    pub(super) async fn delete(
        &mut self,
        key: &str,
        expected: store::Expected,
        deadline: Instant,
    ) -> Result<Result<store::Written, store::StoreError>, LaneFault> {
        call!(self, deadline, shardwright_coordinator_store.call_delete(key, expected))
    }

    pub(super) async fn publish(&mut self, topic: &str, payload: &[u8], deadline: Instant) -> Result<Result<(), bus::BusError>, LaneFault> {
        call!(self, deadline, shardwright_coordinator_bus.call_publish(topic, payload))
    }

    pub(super) async fn subscribe(&mut self, topics: &[String], deadline: Instant) -> Result<Result<(), bus::BusError>, LaneFault> {
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
        let began = self.begin();
        let subscription = self.world.shardwright_coordinator_bus().subscription();
        let call = subscription.call_next(&mut self.store, ear, max, timeout);
        let called = timeout_at(deadline, self.meter.count(call)).await;
        self.end(began, called)
    }
}
