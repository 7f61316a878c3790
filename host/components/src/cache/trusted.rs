//! The one unsafe operation of this crate.

use wasmtime::Engine;
use wasmtime::component::Component;

/// Loads compiled code that this crate wrote itself.
///
/// `None` if Wasmtime finds that it was made for another version or machine.
pub(super) fn load(engine: &Engine, code: &[u8]) -> Option<Component> {
    // SAFETY: the code must be what `Component::serialize` gave. It was read from a file that only `Cache::put` makes:
    // a file of this user that nobody else may write to, in a directory of which the same is true, both checked on the
    // open handles (`Directory::read`). Its checksum has just been verified (`Cache::get`) over these very bytes, so
    // neither a torn write nor a failing disk can have changed them. Code of another Wasmtime or machine is refused by
    // `deserialize`.
    #[expect(unsafe_code, reason = "compiled code cannot be verified, only trusted: see above")]
    unsafe {
        Component::deserialize(engine, code).ok()
    }
}
