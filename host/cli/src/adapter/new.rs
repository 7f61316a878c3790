//! `adapter new`: a folder with an adapter that builds, passes the check, and waits to be changed.

use super::project::Language;
use super::{files, name};
use crate::exit::Exit;
use crate::output::line;
use anyhow::{Context, bail};
use clap::Args;
use std::fs;
use std::path::{Path, PathBuf};

/// Arguments of `adapter new`.
#[derive(Args, Debug)]
#[command(after_help = "\
The new adapter works with an included key-value server (server.py, which needs only Python). It passes \
                        `shardwright adapter check` unchanged: modify it step by step, and check again.")]
pub(super) struct New {
    /// The name of the adapter: 1 to 32 of a-z, 0-9 and -
    name: String,
    /// The language
    #[arg(long, value_enum)]
    lang: Language,
    /// The path of the Rust SDK (guests/sdk in a checkout), instead of a copy of it
    #[arg(long, value_name = "PATH")]
    sdk: Option<PathBuf>,
}

/// Makes it.
pub(super) fn run(args: &New) -> anyhow::Result<Exit> {
    name::check(&args.name)?;
    let sdk = args.sdk.as_deref().map(|path| sdk(args.lang, path)).transpose()?;
    let folder = Path::new(&args.name);
    // Whatever is there, also a link that leads nowhere, is somebody's.
    fs::create_dir(folder).with_context(|| format!("the folder {} cannot be made", folder.display()))?;
    for (path, text) in files::of(args.lang, &args.name, sdk.as_deref()) {
        let path = folder.join(path);
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent)
            .and_then(|()| fs::write(&path, text))
            .with_context(|| format!("{} cannot be written", path.display()))?;
    }
    line(&format!(
        "{}: an adapter that works, for the server beside it. Next:\n",
        folder.display()
    ))?;
    let install = match args.lang {
        Language::Rust => "rustup target add wasm32-wasip2",
        Language::Javascript => "npm install",
        Language::Python => "python3 -m venv .venv && .venv/bin/pip install componentize-py==0.25.1",
    };
    let name = &args.name;
    line(&format!("    cd {name}"))?;
    line(&format!("    {install:<76} # once"))?;
    line(&format!("    {:<76} # makes {name}.wasm", "shardwright adapter build"))?;
    line(&format!(
        "    {:<76} # in another terminal",
        "python3 server.py --port 8700"
    ))?;
    let check = format!("shardwright adapter check {name}.wasm --config-json '{{\"url\":\"http://127.0.0.1:8700\"}}'");
    line(&format!("    {check:<76} # the whole contract"))?;
    line("\nREADME.md says what to change, and how a cluster uses it.")?;
    Ok(Exit::Ok)
}

/// Where the SDK is, as the manifest must say it.
fn sdk(language: Language, path: &Path) -> anyhow::Result<String> {
    if language != Language::Rust {
        bail!("--sdk is for --lang rust: the other languages need no SDK");
    }
    let path = path
        .canonicalize()
        .with_context(|| format!("there is no SDK at {}", path.display()))?;
    if !path.join("src/adapter/mod.rs").is_file() {
        bail!(
            "{} is not the SDK: name the folder guests/sdk of a checkout",
            path.display()
        );
    }
    let text = path
        .to_str()
        .with_context(|| format!("{} is no text that a manifest can hold", path.display()))?;
    Ok(text.to_owned())
}
