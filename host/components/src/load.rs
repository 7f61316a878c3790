//! From bytes to a component that is known to be a policy.

use crate::engine::PolicyEngine;
use crate::wire::INTERFACE;
use crate::{Budget, Digest, EngineError, PolicyFault};
use wasmtime::Engine;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, ComponentExportIndex, InstancePre, Linker};

/// The most bytes that a component may have: three times what the largest language runtimes need.
const MAX_BYTES: usize = 64 << 20;
/// What the first bytes say: magic number, version and layer.
const CORE_MODULE: &[u8] = b"\0asm\x01\0\0\0";
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// Why bytes are not a policy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// There are too many of them.
    #[error("the component has {size} bytes, and the most is {limit}")]
    TooLarge {
        /// Bytes found.
        size: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// They are something else.
    #[error("this is not a WebAssembly component, but {what}")]
    NotAComponent {
        /// What they are, and what to do.
        what: &'static str,
    },
    /// They do not make sense.
    #[error("the component cannot be compiled: {0}")]
    Invalid(String),
    /// It wants something from the host.
    #[error("the component imports {}, but a policy imports nothing: build it without WASI (for Rust, target wasm32-unknown-unknown)", .0.join(", "))]
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
    check_bytes(bytes)?;
    let wasmtime = engine.wasmtime(budget.fuel.is_some())?;
    let digest = Digest::of(bytes);
    let component = compile(engine, wasmtime, bytes, &digest)?;
    check_imports(&component, wasmtime)?;
    let exports = exports(&component, wasmtime)?;
    let pre = Linker::new(wasmtime)
        .instantiate_pre(&component)
        .map_err(|error| LoadError::Invalid(format!("{error:#}")))?;
    Ok(Loaded { digest, pre, exports })
}

fn check_bytes(bytes: &[u8]) -> Result<(), LoadError> {
    if bytes.len() > MAX_BYTES {
        return Err(LoadError::TooLarge {
            size: bytes.len(),
            limit: MAX_BYTES,
        });
    }
    let what = if Engine::detect_precompiled(bytes).is_some() {
        "compiled machine code, which cannot be checked: give the .wasm file that it was made from"
    } else if bytes.starts_with(COMPONENT) {
        return Ok(());
    } else if bytes.starts_with(CORE_MODULE) {
        "a core module: make a component of it with `wasm-tools component new` or the wit-component crate"
    } else if bytes.is_empty() {
        "an empty file"
    } else if bytes.starts_with(b"\0asm") {
        "WebAssembly of another version: build it with current tools"
    } else {
        "something else: it does not begin with \\0asm (text must be turned to binary first)"
    };
    Err(LoadError::NotAComponent { what })
}

fn compile(engine: &PolicyEngine, wasmtime: &Engine, bytes: &[u8], digest: &Digest) -> Result<Component, LoadError> {
    if let Some(component) = engine.cache().and_then(|cache| cache.get(wasmtime, digest)) {
        return Ok(component);
    }
    let component = Component::from_binary(wasmtime, bytes).map_err(|error| LoadError::Invalid(format!("{error:#}")))?;
    if let Some(cache) = engine.cache() {
        cache.put(wasmtime, digest, &component);
    }
    Ok(component)
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
        if let Some(other) = names.iter().find(|name| name.split_once('@').is_some_and(|(f, _)| f == family)) {
            return Err(LoadError::Version { found: other.clone() });
        }
        let found = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
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
