//! From bytes to a component that is known to be a policy.

use crate::code::{self, CodeError};
use crate::engine::PolicyEngine;
use crate::wire::INTERFACE;
use crate::{Budget, Digest, EngineError, PolicyFault};
use wasmtime::Engine;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, ComponentExportIndex, InstancePre, Linker};

/// Why bytes are not a policy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// They are no component, or none that can be compiled.
    #[error(transparent)]
    Code(#[from] CodeError),
    /// It wants something from the host.
    #[error(
        "the component imports {}, but a policy imports nothing: build it without WASI (for Rust, target \
         wasm32-unknown-unknown)",
        .0.join(", ")
    )]
    Imports(Vec<String>),
    /// It speaks another version of the contract.
    #[error("the component exports {found}, but this host knows {INTERFACE}: build it against wit/policy/0.1.0")]
    Version {
        /// What it exports instead.
        found: String,
    },
    /// It is no policy.
    #[error("the component does not export {INTERFACE}, which makes a policy; it exports {found}")]
    World {
        /// What it exports instead.
        found: String,
    },
    /// A function is missing or has another type.
    #[error("the component's `{function}` is not that of {INTERFACE}: {difference}")]
    Function {
        /// The function.
        function: &'static str,
        /// Where its type differs.
        difference: String,
    },
    /// It has the right types, but cannot say what it is.
    #[error("the policy failed when asked what it is: {0}")]
    Describe(#[source] PolicyFault),
    /// There is no engine for it.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// A component that exports what a policy exports and imports nothing. The types of its functions are not checked yet.
pub(crate) struct Loaded {
    pub(crate) digest: Digest,
    pub(crate) pre: InstancePre<crate::limiter::Limiter>,
    pub(crate) exports: Exports,
}

/// Where the functions are.
#[derive(Clone, Copy)]
pub(crate) struct Exports {
    pub(crate) describe: ComponentExportIndex,
    pub(crate) validate: ComponentExportIndex,
    pub(crate) assign: ComponentExportIndex,
}

/// Compiles `bytes`, or takes the code from the cache, and checks what can be checked without running anything.
pub(crate) fn load(engine: &PolicyEngine, bytes: &[u8], budget: &Budget) -> Result<Loaded, LoadError> {
    code::check(bytes)?;
    let wasmtime = engine.wasmtime(budget.fuel.is_some())?;
    let digest = Digest::of(bytes);
    let component = code::compile(engine.cache(), wasmtime, bytes, &digest)?;
    check_imports(&component, wasmtime)?;
    let exports = exports(&component, wasmtime)?;
    let pre = Linker::new(wasmtime)
        .instantiate_pre(&component)
        .map_err(|error| CodeError::Invalid(format!("{error:#}")))?;
    Ok(Loaded { digest, pre, exports })
}

fn check_imports(component: &Component, wasmtime: &Engine) -> Result<(), LoadError> {
    let imports: Vec<String> = component
        .component_type()
        .imports(wasmtime)
        .map(|(name, _)| name.to_owned())
        .collect();
    if imports.is_empty() {
        Ok(())
    } else {
        Err(LoadError::Imports(imports))
    }
}

fn exports(component: &Component, wasmtime: &Engine) -> Result<Exports, LoadError> {
    let Some((_, interface)) = component.get_export(None, INTERFACE) else {
        let names: Vec<String> = component
            .component_type()
            .exports(wasmtime)
            .map(|(name, _)| name.to_owned())
            .collect();
        let family = INTERFACE.split_once('@').map_or(INTERFACE, |(family, _)| family);
        if let Some(other) = names
            .iter()
            .find(|name| name.split_once('@').is_some_and(|(f, _)| f == family))
        {
            return Err(LoadError::Version { found: other.clone() });
        }
        let found = if names.is_empty() {
            "nothing".to_owned()
        } else {
            names.join(", ")
        };
        return Err(LoadError::World { found });
    };
    let function = |function: &'static str| match component.get_export(Some(&interface), function) {
        Some((ComponentItem::ComponentFunc(_), index)) => Ok(index),
        Some(_) => Err(LoadError::Function {
            function,
            difference: "it is not a function".into(),
        }),
        None => Err(LoadError::Function {
            function,
            difference: "it is missing".into(),
        }),
    };
    Ok(Exports {
        describe: function("describe")?,
        validate: function("validate")?,
        assign: function("assign")?,
    })
}
