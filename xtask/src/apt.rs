//! Packages of Debian and Ubuntu: installed as root, or only unpacked. None of those named here starts a service.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, bail};

use crate::child;

/// Installs `packages` for the whole machine; those that are there stay as they are.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    let hint = format!(
        "install by hand: `apt-get install {}`, or what your system calls them",
        packages.join(" ")
    );
    let result = update().and_then(|()| {
        let mut command = as_root()?;
        command
            .args(["install", "--yes", "--no-install-recommends", "--no-upgrade"])
            .args(packages);
        child::run(&mut command)
    });
    result.context(hint)
}

/// Unpacks `package` into `folder`, which nobody else uses, beside what is there; nothing is installed, so that this
/// needs no rights.
pub(crate) fn unpack(package: &str, folder: &Path) -> Result<()> {
    // Without lists of packages, as in a fresh image, nothing can be downloaded.
    if child::output(Command::new("apt-cache").args(["show", package])).is_none_or(|known| known.is_empty()) {
        update().with_context(|| format!("the package {package} is not known here: run `apt-get update` as root"))?;
    }
    fs::create_dir_all(folder)?;
    child::run(Command::new("apt-get").args(["download", package]).current_dir(folder))?;
    let archive = fs::read_dir(folder)?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .with_context(|| format!("`apt-get download {package}` brought nothing"))?;
    child::run(Command::new("dpkg-deb").arg("--extract").arg(&archive).arg(folder))?;
    // Gone, so that another package can follow it into the folder.
    Ok(fs::remove_file(archive)?)
}

/// The packages of libraries that `packages` need.
pub(crate) fn libraries(packages: &[&str]) -> Result<Vec<String>> {
    let needed = child::output(
        Command::new("apt-cache")
            .args(["depends", "--important"])
            .args(packages),
    );
    let needed = needed.with_context(|| format!("`apt-cache depends {}` failed", packages.join(" ")))?;
    let names = needed.lines().filter_map(|line| line.split_once("Depends: "));
    Ok(names
        .map(|(_, name)| name.to_owned())
        .filter(|name| name.starts_with("lib"))
        .collect())
}

/// Fetches the lists of packages, once.
fn update() -> Result<()> {
    static DONE: OnceLock<()> = OnceLock::new();
    if DONE.get().is_none() {
        child::run(as_root()?.args(["update", "--quiet"]))?;
        let _ = DONE.set(());
    }
    Ok(())
}

/// `apt-get` with the rights to install.
fn as_root() -> Result<Command> {
    if child::output(Command::new("apt-get").arg("--version")).is_none() {
        bail!("this system has no apt-get");
    }
    let mut command = if child::output(Command::new("id").arg("-u")).as_deref() == Some("0") {
        Command::new("env")
    } else if child::output(Command::new("sudo").args(["-n", "true"])).is_some() {
        let mut sudo = Command::new("sudo");
        sudo.args(["-n", "env"]);
        sudo
    } else {
        bail!("only root may install, and `sudo -n` does not work");
    };
    command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]);
    Ok(command)
}
