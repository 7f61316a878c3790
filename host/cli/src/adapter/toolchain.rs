//! The programs that make components: where they are, and how a missing one is installed.

use anyhow::{Context, bail};
use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The version of componentize-py that adapters are made for; what it generates changes with its minor version.
pub(super) const COMPONENTIZE_PY: &str = "0.25.1";
/// The oldest Node.js that componentize-js runs on.
const NODE: u32 = 20;
/// What Rust is compiled to.
pub(super) const TARGET: &str = "wasm32-wasip2";

/// cargo, with the target that makes components.
pub(super) fn cargo() -> anyhow::Result<PathBuf> {
    let cargo = on_path("cargo").context("cargo is missing: install Rust with rustup, as https://rustup.rs says")?;
    let rustc = on_path("rustc").context("rustc is missing: install Rust with rustup, as https://rustup.rs says")?;
    let libraries = output(Command::new(rustc).args(["--print", "target-libdir", "--target", TARGET]));
    if !libraries.is_some_and(|libraries| Path::new(libraries.trim()).is_dir()) {
        bail!("Rust cannot build for {TARGET} yet: run `rustup target add {TARGET}`");
    }
    Ok(cargo)
}

/// componentize-py, from the project's virtual environment or the `PATH`.
pub(super) fn componentize_py(folder: &Path) -> anyhow::Result<PathBuf> {
    let install = format!(
        "`python3 -m venv .venv && .venv/bin/pip install componentize-py=={COMPONENTIZE_PY}` in {}",
        folder.display()
    );
    let program = within(&folder.join(".venv/bin"), "componentize-py")
        .or_else(|| on_path("componentize-py"))
        .with_context(|| format!("componentize-py is missing: run {install}"))?;
    let version = output(Command::new(&program).arg("--version")).unwrap_or_default();
    let version = version.trim().trim_start_matches("componentize-py ");
    if minor(version) != minor(COMPONENTIZE_PY) {
        let found = program.display();
        bail!("{found} is of version {version:?}, and this needs {COMPONENTIZE_PY}: run {install}");
    }
    Ok(program)
}

/// componentize-js, from the project's packages or the `PATH`.
pub(super) fn componentize_js(folder: &Path) -> anyhow::Result<PathBuf> {
    let node = on_path("node")
        .with_context(|| format!("Node.js is missing: install version {NODE} or later, as https://nodejs.org says"))?;
    let version = output(Command::new(node).arg("--version")).unwrap_or_default();
    let version = version.trim().trim_start_matches('v');
    if minor(version).0 < NODE {
        bail!(
            "Node.js is of version {version:?}, and componentize-js needs {NODE} or later, as https://nodejs.org has \
             it"
        );
    }
    within(&folder.join("node_modules/.bin"), "componentize-js")
        .or_else(|| on_path("componentize-js"))
        .with_context(|| format!("componentize-js is missing: run `npm install` in {}", folder.display()))
}

fn minor(version: &str) -> (u32, u32) {
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or_default());
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).find_map(|folder| within(&folder, name))
}

fn within(folder: &Path, name: &str) -> Option<PathBuf> {
    let file = folder.join(name).with_extension(env::consts::EXE_EXTENSION);
    // Programs run in the project's folder: what was found from here must be found from there.
    file.is_file().then(|| std::path::absolute(&file).unwrap_or(file))
}

/// What a program prints when it runs in silence; nothing when it fails.
fn output(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}
