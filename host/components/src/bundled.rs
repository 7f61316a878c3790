//! The standard policies and the adapters that come along, as components.
//!
//! They are built from `guests/policies` and `guests/adapters` by `cargo xtask guests` and kept beside the source, so
//! that building the host needs no target for WebAssembly.

use crate::Digest;

/// A component that comes along.
#[derive(Clone, Copy)]
pub struct Bundled {
    /// Its name, by which roles, or sections of type `component`, call for it.
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

/// etcd 3.4 or newer, through its JSON gateway.
#[cfg(feature = "adapters")]
pub const ETCD: Bundled = Bundled {
    name: "etcd",
    bytes: include_bytes!("../bundled/adapters/etcd.wasm"),
};
/// PostgreSQL 13 or newer.
#[cfg(feature = "adapters")]
pub const POSTGRESQL: Bundled = Bundled {
    name: "postgresql",
    bytes: include_bytes!("../bundled/adapters/postgresql.wasm"),
};
/// All adapters.
#[cfg(feature = "adapters")]
pub const ADAPTERS: [Bundled; 2] = [ETCD, POSTGRESQL];

/// The adapter of this name.
#[cfg(feature = "adapters")]
#[must_use]
pub fn adapter(name: &str) -> Option<Bundled> {
    ADAPTERS.into_iter().find(|adapter| adapter.name == name)
}

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
