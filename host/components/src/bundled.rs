//! The standard policies, as components.
//!
//! They are built from `guests/policies` by `cargo xtask guests` and kept beside the source, so that building the host needs no target for WebAssembly.

use crate::Digest;

/// A standard policy.
#[derive(Clone, Copy)]
pub struct Bundled {
    /// Its name, by which roles call for it.
    pub name: &'static str,
    /// The component.
    pub bytes: &'static [u8],
}

/// The owners of a shard are the nodes listed for it, in their order.
pub const STATIC_GROUPS: Bundled = Bundled {
    name: "static-groups",
    bytes: include_bytes!("../bundled/static-groups.wasm"),
};
/// Every node carries its share, and as little as possible moves. What a role has unless it says otherwise.
pub const BALANCED: Bundled = Bundled {
    name: "balanced",
    bytes: include_bytes!("../bundled/balanced.wasm"),
};
/// Weighted rendezvous hashing: the owners follow from the nodes alone.
pub const RENDEZVOUS: Bundled = Bundled {
    name: "rendezvous",
    bytes: include_bytes!("../bundled/rendezvous.wasm"),
};
/// All of them.
pub const ALL: [Bundled; 3] = [STATIC_GROUPS, BALANCED, RENDEZVOUS];

impl Bundled {
    /// What identifies its bytes.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(self.bytes)
    }
}

impl std::fmt::Debug for Bundled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({} bytes)", self.name, self.bytes.len())
    }
}

/// The standard policy of this name.
#[must_use]
pub fn find(name: &str) -> Option<Bundled> {
    ALL.into_iter().find(|policy| policy.name == name)
}
