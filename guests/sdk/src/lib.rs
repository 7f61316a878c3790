//! What an author of a Shardwright component writes against.
//!
//! An assignment policy is a type that implements [`Policy`], handed to [`export!`](crate::export):
//!
//! ```
//! use shardwright_guest::{Answer, Description, Policy, PolicyError, Proposal, Snapshot, SnapshotStatus, config, honours};
//!
//! /// Shard `i` goes to live node number `i`, round and round.
//! struct RoundRobin;
//!
//! impl Policy for RoundRobin {
//!     fn describe() -> Description {
//!         Description {
//!             name: "round-robin".into(),
//!             version: "0.1.0".into(),
//!             summary: "Deals the shards out one by one.".into(),
//!             honours: honours(&["replicas"]),
//!         }
//!     }
//!
//!     fn validate(config: &str) -> Result<(), PolicyError> {
//!         config::none(config)
//!     }
//!
//!     fn assign(_config: &str, snapshot: &Snapshot) -> Result<Answer, PolicyError> {
//!         let live: Vec<u32> = snapshot.nodes.iter().filter(|n| n.status == SnapshotStatus::Active && n.capacity > 0).map(|n| n.id).collect();
//!         let mut plan = Proposal::empty(&snapshot.role);
//!         for shard in 0..snapshot.role.shards {
//!             let owners = live.iter().cycle().skip(shard as usize % live.len().max(1)).take(live.len());
//!             plan.place(&snapshot.role, shard, owners.copied());
//!         }
//!         Ok(Answer::Plan(plan.explained(&snapshot.role, |_| "no node is active".into())))
//!     }
//! }
//!
//! shardwright_guest::export!(RoundRobin);
//! ```
//!
//! The types are those of `wit/policy/0.1.0`, where each field is documented. They exist on every target, so a policy can be tested natively
//! like any other Rust code. What helps with placing shards: [`quota`] for fair shares, [`rendezvous`] for choices that all nodes make alike,
//! [`zone`] for spreading, [`Members`] for looking ids up. All of it is deterministic: the same on every machine, native or component.

#[doc(hidden)]
#[allow(unsafe_code, missing_docs, clippy::all, reason = "generated from the WIT")]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../../wit/policy/0.1.0",
        world: "policy",
        pub_export_macro: true,
        default_bindings_module: "shardwright_guest::bindings",
        additional_derives: [PartialEq, Eq],
        generate_unused_types: true,
    });
}
pub use bindings::exports::shardwright::policy::assignment::{
    Answer, Description, Mode, PolicyError, Proposal, Snapshot, SnapshotNode, SnapshotRole, SnapshotStatus, Trigger, Unplaced,
};

pub mod config;
pub mod hash;
mod members;
mod proposal;
pub mod quota;
pub mod rendezvous;
pub mod testing;
pub mod zone;

pub use members::Members;

/// An assignment policy. Pure: the same arguments give the same answer.
pub trait Policy {
    /// What this policy is.
    fn describe() -> Description;

    /// Whether `config`, a JSON object as text, is one that [`assign`](Policy::assign) understands.
    ///
    /// # Errors
    /// [`PolicyError::InvalidConfig`] with one sentence: what is wrong, where, and how to put it right.
    fn validate(config: &str) -> Result<(), PolicyError>;

    /// Who should own the shards of `snapshot.role`.
    ///
    /// # Errors
    /// A [`PolicyError`]; the role then keeps its previous plan. A shard that nobody can own is no error: leave it
    /// [unplaced](Proposal::explained).
    fn assign(config: &str, snapshot: &Snapshot) -> Result<Answer, PolicyError>;
}

/// Words for [`Description::honours`].
#[must_use]
pub fn honours(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

/// Makes a [`Policy`] the one that the component exports. Once in a crate; natively it does nothing.
#[macro_export]
macro_rules! export {
    ($policy:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            struct Exported;

            impl $crate::bindings::exports::shardwright::policy::assignment::Guest for Exported {
                fn describe() -> $crate::Description {
                    <$policy as $crate::Policy>::describe()
                }

                fn validate(config: ::std::string::String) -> ::core::result::Result<(), $crate::PolicyError> {
                    <$policy as $crate::Policy>::validate(&config)
                }

                fn assign(
                    config: ::std::string::String,
                    snapshot: $crate::Snapshot,
                ) -> ::core::result::Result<$crate::Answer, $crate::PolicyError> {
                    let answer = <$policy as $crate::Policy>::assign(&config, &snapshot);
                    // The instance ends with this call: giving back thousands of strings one by one would be for nothing.
                    ::core::mem::forget(snapshot);
                    answer
                }
            }

    $crate::__export_policy_impl!(Exported with_types_in $crate::bindings);
        };
    };
}
