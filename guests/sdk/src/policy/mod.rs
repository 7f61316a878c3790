//! The side of assignment policies.

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
    Answer, Description, Mode, PolicyError, Proposal, Snapshot, SnapshotNode, SnapshotRole, SnapshotStatus, Trigger,
    Unplaced,
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

/// Words for [`Description::considers`].
#[must_use]
pub fn considers(words: &[&str]) -> Vec<String> {
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
                    // The instance ends with this call: giving back thousands of strings one by one would be for
                    // nothing.
                    ::core::mem::forget(snapshot);
                    answer
                }
            }

    $crate::__export_policy_impl!(Exported with_types_in $crate::bindings);
        };
    };
}
