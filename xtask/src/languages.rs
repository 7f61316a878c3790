//! What makes components from Python and JavaScript, installed under `target/tools` where it is missing.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use shardwright_servers::{languages, tools};

use crate::child;
use crate::servers::{emptied, pip, take};

/// The pinned componentize-py, as a requirements file for pip.
const COMPONENTIZE_PY: &str = "xtask/componentize-py.txt";

/// The pinned Node.js, as a requirements file for pip.
const NODE: &str = "xtask/nodejs.txt";

/// The pinned componentize-js, as a project for npm.
const COMPONENTIZE_JS: &str = "xtask/componentize-js";

/// What pip installs into a folder of its own is only found by a Python that is told where it is.
pub(crate) fn componentize_py() -> Result<()> {
    let folder = pip("componentize-py.pip", COMPONENTIZE_PY)?;
    let folder = folder.to_str().context("the path of the tools is no text")?;
    let script = format!(
        "#!/usr/bin/env python3\nimport sys\nsys.path.insert(0, {folder:?})\nfrom componentize_py import \
         script\nsys.exit(script())\n"
    );
    let program = tools::folder().join("componentize-py");
    fs::write(&program, script).with_context(|| format!("{} cannot be written", program.display()))?;
    Ok(fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?)
}

pub(crate) fn node() -> Result<()> {
    take(&pip("nodejs.pip", NODE)?, "nodejs")
}

pub(crate) fn componentize_js() -> Result<()> {
    // Installed aside first: a folder of the final name is complete.
    let folder = emptied("componentize-js.new")?;
    for file in ["package.json", "package-lock.json"] {
        fs::copy(Path::new(COMPONENTIZE_JS).join(file), folder.join(file))?;
    }
    let node = languages::node()?;
    let bin = node.parent().context("a program lies in a folder")?;
    // Whichever came with that Node.js.
    let own = bin.join("../lib/node_modules/npm/bin/npm-cli.js");
    let mut npm = if own.is_file() {
        let mut command = Command::new(&node);
        command.arg(own);
        command
    } else {
        Command::new("npm")
    };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(bin.to_owned()).chain(std::env::split_paths(&path)))?;
    npm.args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]);
    child::run(npm.current_dir(&folder).env("PATH", path))?;
    take(&folder, "componentize-js")
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn the_files_pin_the_versions_that_are_looked_for() {
        let python = include_str!("../componentize-py.txt");
        assert!(
            python.contains(&format!("componentize-py=={} ", languages::COMPONENTIZE_PY)),
            "{python}"
        );
        assert!(python.contains("--hash=sha256:"), "{python}");
        assert!(include_str!("../nodejs.txt").contains("--hash=sha256:"));
        let version = format!(
            "\"@bytecodealliance/componentize-js\": \"{}\"",
            languages::COMPONENTIZE_JS
        );
        for file in [
            include_str!("../componentize-js/package.json"),
            include_str!("../componentize-js/package-lock.json"),
        ] {
            assert!(file.contains(&version), "{file}");
        }
    }
}
