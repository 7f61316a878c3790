//! The components among the packages of this workspace.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, ensure};

/// The component that the package `name` of this workspace builds to, built when it is asked for.
///
/// # Errors
/// What it is built with is missing, or it does not build.
pub fn component(name: &str) -> Result<PathBuf> {
    // One at a time: those of a program wait here, where it is said, and not for cargo's lock.
    static BUILDING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let target = root.join("target/guests");
    let status = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--locked", "--lib", "--package", name])
        .args(["--profile", "guest", "--target", "wasm32-wasip2", "--target-dir"])
        .arg(&target)
        .current_dir(&root)
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("RUSTFLAGS")
        .status()
        .context("cargo could not be started")?;
    ensure!(
        status.success(),
        "{name} does not build: `rustup target add wasm32-wasip2`?"
    );
    Ok(target
        .join("wasm32-wasip2/guest")
        .join(format!("{}.wasm", name.replace('-', "_"))))
}
