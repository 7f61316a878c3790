//! `adapter inspect`: what a component is, or why it is no adapter.

use super::load::load;
use crate::exit::Exit;
use crate::output::{self, Format, Output, line, plain};
use anyhow::Context;
use clap::Args;
use serde::Serialize;
use shardwright_components::adapter::VERSION;
use shardwright_coordinator::broker::Password;
use std::path::{Path, PathBuf};

/// The largest configuration of an adapter that is read.
const MAX_CONFIG: u64 = 1 << 20;

/// What each kind of import lets an adapter do. The first that fits a name, counts.
const MEANINGS: [(&str, &str); 15] = [
    (
        "shardwright:coordinator/log",
        "words in the host's log, with secrets masked",
    ),
    ("shardwright:coordinator/", "types of the contract"),
    ("shardwright:tls/", "TLS by the host, to addresses granted as tls://"),
    ("wasi:clocks/", "the time"),
    ("wasi:random/", "random numbers"),
    ("wasi:io/", "waiting, and streams"),
    ("wasi:http/", "requests, to addresses granted as http:// or https://"),
    ("wasi:sockets/udp", "no datagrams: none can be granted"),
    ("wasi:sockets/", "connections, to addresses granted as tcp:// or tls://"),
    ("wasi:filesystem/", "no files: there are none"),
    ("wasi:cli/environment", "variables granted as env:, and no arguments"),
    ("wasi:cli/exit", "ending its lane"),
    ("wasi:cli/stdin", "nothing to read"),
    ("wasi:cli/std", "words that are shown when it fails"),
    ("wasi:cli/terminal", "no terminal: there is none"),
];

/// Arguments of `adapter inspect`.
#[derive(Args, Debug)]
pub(super) struct Inspect {
    /// The component's file
    #[arg(value_name = "FILE")]
    adapter: PathBuf,
    /// The adapter's configuration, which determines the required grants: a JSON object, or a file with one
    #[arg(long, value_name = "JSON|FILE")]
    config_json: Option<String>,
    #[command(flatten)]
    output: Output,
}

#[derive(Serialize)]
struct Inspected {
    name: String,
    version: String,
    summary: String,
    options: Vec<String>,
    world: String,
    imports: Vec<Import>,
    /// Nothing if no configuration was given.
    grants: Option<Vec<String>>,
    size: usize,
    digest: String,
}

#[derive(Serialize)]
struct Import {
    name: String,
    meaning: &'static str,
}

/// Looks at it.
pub(super) async fn run(args: &Inspect) -> anyhow::Result<Exit> {
    let component = load(&args.adapter).await?.component;
    let grants = match &args.config_json {
        Some(config) => {
            let config = read(config)?;
            let grants = component
                .requires(&Password::new(config))
                .await
                .context("--config-json")?;
            Some(grants.iter().map(ToString::to_string).collect())
        }
        None => None,
    };
    let import = |name: &String| Import {
        name: name.clone(),
        meaning: meaning(name),
    };
    let found = Inspected {
        name: component.name().to_owned(),
        version: component.version().to_owned(),
        summary: component.summary().to_owned(),
        options: component.options().to_vec(),
        world: format!("shardwright:coordinator/coordinator-adapter@{VERSION}"),
        imports: component.imports().iter().map(import).collect(),
        grants,
        size: component.size(),
        digest: format!("sha256:{}", component.digest()),
    };
    if args.output.format == Format::Json {
        output::json(&found)?;
    } else {
        found.print()?;
    }
    Ok(Exit::Ok)
}

impl Inspected {
    fn print(&self) -> anyhow::Result<()> {
        let rows = [
            ("name", &self.name),
            ("version", &self.version),
            ("summary", &self.summary),
            ("world", &self.world),
            ("size", &format!("{} bytes", self.size)),
            ("digest", &self.digest),
        ];
        for (name, value) in rows {
            line(&format!("{name:<8} {}", plain(value)))?;
        }
        let list = |name, items: Vec<String>| {
            let items = if items.is_empty() {
                vec!["none".to_owned()]
            } else {
                items
            };
            items.iter().enumerate().try_for_each(|(number, item)| {
                let name = if number == 0 { name } else { "" };
                line(&format!("{name:<8} {}", plain(item)))
            })
        };
        list("options", self.options.clone())?;
        let width = self
            .imports
            .iter()
            .map(|import| import.name.len())
            .max()
            .unwrap_or_default();
        let imports = self.imports.iter();
        list(
            "imports",
            imports
                .map(|import| format!("{:<width$}  {}", import.name, import.meaning))
                .collect(),
        )?;
        match &self.grants {
            Some(grants) => list("grants", grants.clone())?,
            None => line("grants   depend on its configuration: see --config-json")?,
        }
        Ok(())
    }
}

fn meaning(import: &str) -> &'static str {
    let found = MEANINGS.iter().find(|(prefix, _)| import.starts_with(prefix));
    found.map_or("known to the host", |(_, meaning)| *meaning)
}

/// The configuration itself, or what is in the file of this name.
fn read(config: &str) -> anyhow::Result<String> {
    if config.trim_start().starts_with('{') {
        return Ok(config.to_owned());
    }
    shardwright_files::read_text(Path::new(config), MAX_CONFIG)
        .with_context(|| format!("--config: {config:?} is neither a JSON object nor a file that can be read"))
}
