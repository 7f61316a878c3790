//! A lane: one instance in one store, with one call in flight.
//!
//! What a call computes is measured from outside: the processor time that it takes, in its own code and in the host's functions that it calls. The clock
//! of the engine only makes it let go of the worker at every tick.

use super::fault::{self, LaneFault, Spun};
use super::meter::metered;
use super::sent::Sent;
use super::state::{Shared, State};
use super::world::exports::shardwright::coordinator::{bus, lifecycle, store};
use super::world::{CoordinatorAdapter, CoordinatorAdapterPre};
use std::sync::Arc;
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
        let began = $lane.begin();
        let limit = $lane.cpu();
        let call = $lane.world.$interface().$function(&mut $lane.store, $($argument),*);
        let called = timeout_at($deadline, metered(limit, call)).await;
        $lane.end(began, called)
    }};
}

impl Lane {
    /// A new instance, not opened yet.
    pub(super) async fn start(pre: &CoordinatorAdapterPre<State>, shared: Arc<Shared>, deadline: Instant) -> Result<Self, LaneFault> {
        let (budget, began) = (shared.options.budget, Instant::now());
        let state = State::new(shared);
        let words = state.words.clone();
        let mask = state.shared.mask.clone();
        let mut store = Store::new(pre.engine(), state);
        store.limiter(|state| &mut state.memory);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|_| Ok(UpdateDeadline::Yield(1)));
        store.set_hostcall_fuel(budget.answer);
        let instantiate = async {
            let instance = pre.instance_pre().instantiate_async(&mut store).await?;
            Ok((CoordinatorAdapter::new(&mut store, &instance)?, instance))
        };
        let world = timeout_at(deadline, metered(budget.cpu, instantiate)).await;
        let world = world.map_err(|_| LaneFault::Silent { limit: began.elapsed() })?;
        let world = world.map_err(|Spun| LaneFault::Spinning { limit: budget.cpu })?;
        let (world, instance) = world.map_err(|error| match fault::explain(&error, budget.answer, words.say(&mask)) {
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

    fn cpu(&self) -> std::time::Duration {
        self.store.data().shared.options.budget.cpu
    }

    fn begin(&mut self) -> Instant {
        self.store.data().sent.begin();
        self.store.set_epoch_deadline(1);
        Instant::now()
    }

    fn end<T>(
        &mut self,
        began: Instant,
        called: Result<Result<wasmtime::Result<T>, Spun>, tokio::time::error::Elapsed>,
    ) -> Result<T, LaneFault> {
        self.used = Instant::now();
        match called {
            Ok(Ok(Ok(answer))) => Ok(answer),
            Ok(Ok(Err(error))) => Err(self.explain(&error)),
            Ok(Err(Spun)) => Err(LaneFault::Spinning { limit: self.cpu() }),
            Err(_) => Err(LaneFault::Silent { limit: self.used - began }),
        }
    }

    fn explain(&self, error: &wasmtime::Error) -> LaneFault {
        let state = self.store.data();
        let budget = state.shared.options.budget;
        fault::explain(error, budget.answer, state.words.say(&state.shared.mask))
    }

    /// How long ago its last call ended.
    pub(super) fn idle(&self) -> std::time::Duration {
        self.used.elapsed()
    }

    /// Whether it has used up half of the memory that it had left at its beginning. Memory is never given back, and the runtimes of some languages
    /// lose a little with each call: better another lane between two calls than the end of this one in the middle of a write.
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
        let function = interface.and_then(|interface| self.instance.get_export_index(&mut self.store, Some(&interface), "uncertainty"));
        let Some(function) = function else { return Ok(None) };
        let typed = self.instance.get_typed_func::<(), (u32,)>(&mut self.store, function);
        let typed = typed.map_err(|error| self.explain(&error))?;
        let (began, limit) = (self.begin(), self.cpu());
        let called = timeout_at(deadline, metered(limit, typed.call_async(&mut self.store, ()))).await;
        self.end(began, called).map(|(millis,)| Some(millis))
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
        let limit = self.cpu();
        let bus = self.world.shardwright_coordinator_bus();
        let called = timeout_at(
            deadline,
            metered(limit, bus.subscription().call_next(&mut self.store, ear, max, timeout)),
        )
        .await;
        self.end(began, called)
    }
}
