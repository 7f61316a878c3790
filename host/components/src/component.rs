//! A loaded policy and its calls.

use crate::engine::{PolicyEngine, TICK};
use crate::fault::{PolicyFault, Refusal};
use crate::limiter::{Exceeded, Limiter};
use crate::load::{self, LoadError, Loaded};
use crate::wire::{self, Assign, Description, SnapshotIn, Validate};
use crate::{Budget, Digest};
use shardwright_core::snapshot::{Answer, Snapshot};
use std::char::DecodeUtf16Error;
use std::str::Utf8Error;
use std::time::{Duration, Instant};
use wasmtime::component::{ComponentExportIndex, ComponentNamedList, Instance, Lift, Lower, TypedFunc};
use wasmtime::{Store, Trap};

/// A policy, ready to be called. May be called from many threads at once; each call has an instance of its own.
pub struct PolicyComponent {
    /// Its clock must tick for as long as there is anything to call.
    _engine: PolicyEngine,
    loaded: Loaded,
    budget: Budget,
    description: Description,
}

impl PolicyComponent {
    /// Compiles `bytes` or finds them in the cache, makes sure that they are a policy, and asks it what it is. Blocks:
    /// compiling takes some 20 ms for a small policy, and seconds for one that brings a language's runtime.
    ///
    /// # Errors
    /// [`LoadError`] says what the bytes are instead, or which function or type differs.
    pub fn load(engine: &PolicyEngine, bytes: &[u8], budget: &Budget) -> Result<Self, LoadError> {
        let loaded = load::load(engine, bytes, budget)?;
        let mut policy = Self {
            _engine: engine.clone(),
            loaded,
            budget: budget.clone(),
            description: Description::default(),
        };
        policy.check_types()?;
        policy.description = policy.ask_description().map_err(LoadError::Describe)?;
        Ok(policy)
    }

    /// The digest of the bytes that it was loaded from.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.loaded.digest
    }

    /// What one call may take.
    #[must_use]
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// What it says of itself.
    #[must_use]
    pub fn describe(&self) -> &Description {
        &self.description
    }

    /// Whether `config`, a JSON object as text, is one of its configurations. Blocks within the budget.
    ///
    /// # Errors
    /// `Refused` if it is not; any other [`PolicyFault`] if the policy could not tell.
    pub fn validate(&self, config: &str) -> Result<(), PolicyFault> {
        let mut call = self.enter()?;
        let function: TypedFunc<(&str,), Validate> = call.function(self.loaded.exports.validate)?;
        let (answer,) = call.run(&function, (config,))?;
        answer.map_err(|error| Refusal::from(error).into())
    }

    /// Asks who should own the shards. Blocks within the budget. The answer is as the policy gave it: it has not been
    /// checked.
    ///
    /// # Errors
    /// [`PolicyFault`].
    pub fn assign(&self, config: &str, snapshot: &Snapshot) -> Result<Answer, PolicyFault> {
        self.assign_measured(config, snapshot).map(|(answer, _)| answer)
    }

    /// As [`assign`](Self::assign), with the bytes of memory that the instance had at the end.
    ///
    /// # Errors
    /// [`PolicyFault`].
    pub fn assign_measured(&self, config: &str, snapshot: &Snapshot) -> Result<(Answer, usize), PolicyFault> {
        let mut call = self.enter()?;
        let function: TypedFunc<(&str, SnapshotIn<'_>), Assign> = call.function(self.loaded.exports.assign)?;
        let nodes = wire::nodes(&snapshot.nodes);
        let (answer,) = call.run(&function, (config, wire::snapshot(snapshot, &nodes)))?;
        let answer = answer.map_err(Refusal::from)?;
        Ok((answer.into(), call.store.data().used()))
    }

    /// Asks twice and compares.
    ///
    /// # Errors
    /// `NonDeterministic` if the answers differ; any other [`PolicyFault`] of either call.
    pub fn assign_twice(&self, config: &str, snapshot: &Snapshot) -> Result<Answer, PolicyFault> {
        let first = self.assign(config, snapshot)?;
        if self.assign(config, snapshot)? == first {
            Ok(first)
        } else {
            Err(PolicyFault::NonDeterministic)
        }
    }

    /// For benchmarks: the median time of making an instance, and of `validate(config)` on one that has been called
    /// before.
    ///
    /// # Errors
    /// [`PolicyFault`] of any of the calls.
    #[doc(hidden)]
    pub fn time_parts(&self, config: &str, runs: u32) -> Result<[Duration; 2], PolicyFault> {
        let mut parts = [Vec::new(), Vec::new()];
        for _ in 0..runs.max(1) {
            let started = Instant::now();
            drop(self.enter()?);
            parts[0].push(started.elapsed());
        }
        let mut call = self.enter()?;
        let function: TypedFunc<(&str,), Validate> = call.function(self.loaded.exports.validate)?;
        for _ in 0..runs.max(1) {
            let started = Instant::now();
            let (answer,) = call.run(&function, (config,))?;
            parts[1].push(started.elapsed());
            drop(answer);
        }
        Ok(parts.map(|mut times| {
            times.sort_unstable();
            times[times.len() / 2]
        }))
    }

    fn ask_description(&self) -> Result<Description, PolicyFault> {
        let mut call = self.enter()?;
        let function: TypedFunc<(), wire::Describe> = call.function(self.loaded.exports.describe)?;
        let (description,) = call.run(&function, ())?;
        Ok(description.shortened())
    }

    /// Compares the types of all functions with the contract.
    fn check_types(&self) -> Result<(), LoadError> {
        fn check<P, R>(call: &mut Call<'_>, function: &'static str, at: ComponentExportIndex) -> Result<(), LoadError>
        where
            P: ComponentNamedList + Lower,
            R: ComponentNamedList + Lift,
        {
            let found = call.instance.get_typed_func::<P, R>(&mut call.store, at);
            found.map(|_| ()).map_err(|error| LoadError::Function {
                function,
                difference: format!("{error:#}"),
            })
        }
        let mut call = self.enter().map_err(LoadError::Describe)?;
        let exports = self.loaded.exports;
        check::<(), wire::Describe>(&mut call, "describe", exports.describe)?;
        check::<(&str,), Validate>(&mut call, "validate", exports.validate)?;
        check::<(&str, SnapshotIn<'_>), Assign>(&mut call, "assign", exports.assign)
    }

    /// A new instance in a new store, with the whole budget.
    fn enter(&self) -> Result<Call<'_>, PolicyFault> {
        let budget = &self.budget;
        let mut store = Store::new(self.loaded.pre.engine(), Limiter::new(budget.memory));
        store.limiter(|limiter| limiter);
        // The running tick is partly over: one more.
        let ticks = budget.wall.as_millis().div_ceil(TICK.as_millis()).saturating_add(1);
        store.set_epoch_deadline(u64::try_from(ticks).unwrap_or(u64::MAX / 2));
        if let Some(fuel) = budget.fuel {
            store
                .set_fuel(fuel)
                .map_err(|error| PolicyFault::Instantiate(format!("{error:#}")))?;
        }
        store.set_hostcall_fuel(budget.output);
        let instance = self
            .loaded
            .pre
            .instantiate(&mut store)
            .map_err(|error| match fault(budget, &error) {
                PolicyFault::Malformed(_) | PolicyFault::OutputTooLarge { .. } => {
                    PolicyFault::Instantiate(format!("{error:#}"))
                }
                fault => fault,
            })?;
        Ok(Call {
            store,
            instance,
            budget,
        })
    }
}

impl std::fmt::Debug for PolicyComponent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Description { name, version, .. } = &self.description;
        write!(f, "PolicyComponent({name} {version}, {})", self.loaded.digest)
    }
}

/// One instance, for one call.
struct Call<'a> {
    store: Store<Limiter>,
    instance: Instance,
    budget: &'a Budget,
}

impl Call<'_> {
    fn function<P, R>(&mut self, at: ComponentExportIndex) -> Result<TypedFunc<P, R>, PolicyFault>
    where
        P: ComponentNamedList + Lower,
        R: ComponentNamedList + Lift,
    {
        self.instance
            .get_typed_func(&mut self.store, at)
            .map_err(|error| fault(self.budget, &error))
    }

    fn run<P, R>(&mut self, function: &TypedFunc<P, R>, arguments: P) -> Result<R, PolicyFault>
    where
        P: ComponentNamedList + Lower,
        R: ComponentNamedList + Lift,
    {
        function
            .call(&mut self.store, arguments)
            .map_err(|error| fault(self.budget, &error))
    }
}

/// What an error of a call means, by its type.
fn fault(budget: &Budget, error: &wasmtime::Error) -> PolicyFault {
    if let Some(&Exceeded { wanted, limit }) = error.downcast_ref() {
        return PolicyFault::OutOfMemory { wanted, limit };
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => PolicyFault::TimedOut { limit: budget.wall },
        Some(Trap::OutOfFuel) => PolicyFault::OutOfFuel {
            limit: budget.fuel.unwrap_or_default(),
        },
        Some(Trap::StackOverflow) => PolicyFault::StackOverflow,
        Some(trap) => PolicyFault::Trap(trap.to_string()),
        // Wasmtime keeps the type of the error for too long an answer to itself. But it is the only one with a type of
        // its own: all others about an answer are texts, or from the standard library about strings.
        None if error.is::<&'static str>()
            || error.is::<String>()
            || error.is::<Utf8Error>()
            || error.is::<DecodeUtf16Error>() =>
        {
            PolicyFault::Malformed(format!("{error:#}"))
        }
        None => PolicyFault::OutputTooLarge { limit: budget.output },
    }
}
