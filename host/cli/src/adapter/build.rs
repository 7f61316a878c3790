//! `adapter build`: the component of the adapter in a folder.

use super::load::MAX_FILE;
use super::project::{Language, Project};
use super::toolchain;
use crate::exit::Exit;
use crate::output::line;
use anyhow::{Context, bail};
use clap::Args;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Arguments of `adapter build`.
#[derive(Args, Debug)]
pub(super) struct Build {
    /// The folder of the adapter
    #[arg(default_value = ".", value_name = "DIR")]
    folder: PathBuf,
}

/// Builds it.
pub(super) fn run(args: &Build) -> anyhow::Result<Exit> {
    let project = Project::find(&args.folder)?;
    let file = format!("{}.wasm", project.name);
    // Absolute: the compilers run in the project's folder.
    let component = std::path::absolute(args.folder.join(&file))?;
    match project.language {
        Language::Rust => rust(&args.folder, &component)?,
        Language::Javascript => javascript(&args.folder, &component)?,
        Language::Python => python(&args.folder, &component)?,
    }
    let bytes = shardwright_files::read(&component, MAX_FILE)
        .with_context(|| format!("{} was not built", component.display()))?;
    let digest: String = Sha256::digest(&bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    line(&format!(
        "{}: {} bytes, sha256:{digest}",
        args.folder.join(file).display(),
        bytes.len()
    ))?;
    Ok(Exit::Ok)
}

fn rust(folder: &Path, component: &Path) -> anyhow::Result<()> {
    let mut cargo = Command::new(toolchain::cargo()?);
    cargo.args(["build", "--release", "--lib", "--target", toolchain::TARGET]);
    cargo
        .arg("--message-format=json-render-diagnostics")
        .current_dir(folder);
    let mut child = start(cargo.stdout(Stdio::piped()))?;
    let mut built = None;
    for message in BufReader::new(child.stdout.take().context("a pipe")?).lines() {
        let message: Value = serde_json::from_str(&message?).unwrap_or_default();
        let mut files = message["filenames"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str);
        // The project's own comes after those that it is built from.
        built = files.rfind(|file| file.ends_with(".wasm")).map(PathBuf::from).or(built);
    }
    ended(child.wait()?, "cargo")?;
    let built =
        built.context("cargo made no component: the manifest must have `crate-type = [\"cdylib\"]` under [lib]")?;
    fs::copy(&built, component)
        .with_context(|| format!("{} cannot be copied to {}", built.display(), component.display()))?;
    Ok(())
}

fn python(folder: &Path, component: &Path) -> anyhow::Result<()> {
    let mut command = Command::new(toolchain::componentize_py(folder)?);
    command.args([
        "--quiet",
        "--wit-path",
        "wit",
        "--world",
        "adapter",
        "componentize",
        "adapter",
        "--output",
    ]);
    ended(
        start(command.arg(component).current_dir(folder))?.wait()?,
        "componentize-py",
    )
}

fn javascript(folder: &Path, component: &Path) -> anyhow::Result<()> {
    let mut command = Command::new(toolchain::componentize_js(folder)?);
    command.args([
        "adapter.js",
        "--wit",
        "wit",
        "--world-name",
        "adapter",
        "--disable",
        "fetch-event",
        "--out",
    ]);
    ended(
        start(command.arg(component).current_dir(folder))?.wait()?,
        "componentize-js",
    )
}

fn start(command: &mut Command) -> anyhow::Result<std::process::Child> {
    let child = command.stdin(Stdio::null()).spawn();
    child.with_context(|| format!("{} cannot be started", Path::new(command.get_program()).display()))
}

fn ended(status: std::process::ExitStatus, program: &str) -> anyhow::Result<()> {
    if !status.success() {
        bail!("{program} could not build the adapter ({status}); what it says is above");
    }
    Ok(())
}
