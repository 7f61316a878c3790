//! Takes the files of the guide to policies out of it, for `tests/first_fit.rs`.
#![allow(clippy::print_stdout, reason = "it speaks to cargo")]

use std::path::Path;

const GUIDE: &str = "../../docs/writing-a-policy.md";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed={GUIDE}");
    let guide = std::fs::read_to_string(GUIDE)?;
    let blocks: Vec<_> = guide
        .split("```rust\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect();
    let [library, test] = blocks.as_slice() else {
        return Err("the guide has two files in Rust: a library, and its test".into());
    };
    let folder = std::env::var("OUT_DIR")?;
    std::fs::write(Path::new(&folder).join("first_fit.rs"), library)?;
    std::fs::write(Path::new(&folder).join("plan.rs"), test)?;
    Ok(())
}
