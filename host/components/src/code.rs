//! From bytes to compiled code, whatever kind of component they are.

use crate::Digest;
use crate::cache::Cache;
use wasmtime::Engine;
use wasmtime::component::Component;

/// The most bytes that a component may have: three times what the largest language runtimes need.
const MAX_BYTES: usize = 64 << 20;
/// What the first bytes say: magic number, version and layer.
const CORE_MODULE: &[u8] = b"\0asm\x01\0\0\0";
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// Why bytes are no component, or none that can be compiled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CodeError {
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
}

/// What can be told from the first bytes.
pub(crate) fn check(bytes: &[u8]) -> Result<(), CodeError> {
    if bytes.len() > MAX_BYTES {
        return Err(CodeError::TooLarge {
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
    Err(CodeError::NotAComponent { what })
}

/// Compiles `bytes`, or takes the code from the cache.
pub(crate) fn compile(
    cache: Option<&Cache>,
    wasmtime: &Engine,
    bytes: &[u8],
    digest: &Digest,
) -> Result<Component, CodeError> {
    if let Some(component) = cache.and_then(|cache| cache.get(wasmtime, digest)) {
        return Ok(component);
    }
    let component =
        Component::from_binary(wasmtime, bytes).map_err(|error| CodeError::Invalid(format!("{error:#}")))?;
    if let Some(cache) = cache {
        cache.put(wasmtime, digest, &component);
    }
    Ok(component)
}
