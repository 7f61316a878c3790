//! What every fuzz target is: the properties of its name, tried with what libFuzzer makes up.

pub use libfuzzer_sys;
pub use shardwright_properties::Target;

/// A program that libFuzzer drives, for the target of this name.
#[macro_export]
macro_rules! target {
    ($name:literal) => {
        const TARGET: $crate::Target = $crate::Target::named($name);

        $crate::libfuzzer_sys::fuzz_target!(|data: &[u8]| TARGET.hold(data));
    };
}
