//! `policy inspect`: what a component is, or why it is no policy.

use crate::exit::Exit;
use crate::output::{self, Format, Output, line, plain};
use anyhow::Context;
use clap::Args;
use serde::Serialize;
use shardwright_components::Budget;

/// What every policy exports; the loader has made sure of it.
const WORLD: &str = "shardwright:policy/policy@0.1.0";
const EXPORTS: [&str; 3] = ["describe", "validate", "assign"];

#[derive(Args, Debug)]
pub(super) struct Inspect {
    /// The component's file, or the name of a bundled policy
    #[arg(value_name = "FILE")]
    policy: String,
    #[command(flatten)]
    output: Output,
}

#[derive(Serialize)]
struct Inspected {
    name: String,
    version: String,
    summary: String,
    considers: Vec<String>,
    world: &'static str,
    exports: [&'static str; 3],
    /// Always empty: a component with imports is refused.
    imports: [&'static str; 0],
    size: usize,
    digest: String,
}

pub(super) fn run(args: &Inspect) -> anyhow::Result<Exit> {
    let bytes = super::bytes(&args.policy)?;
    let policy = super::load(&bytes, &Budget::default()).with_context(|| format!("{} is refused", args.policy))?;
    let is = policy.describe().clone();
    let found = Inspected {
        name: is.name,
        version: is.version,
        summary: is.summary,
        considers: is.considers,
        world: WORLD,
        exports: EXPORTS,
        imports: [],
        size: bytes.len(),
        digest: format!("sha256:{}", policy.digest()),
    };
    if args.output.format == Format::Json {
        output::json(&found)?;
        return Ok(Exit::Ok);
    }
    let rows = [
        ("name", found.name),
        ("version", found.version),
        ("summary", found.summary),
        ("considers", found.considers.join(" ")),
        ("world", found.world.to_owned()),
        ("exports", found.exports.join(" ")),
        ("imports", "none".to_owned()),
        ("size", format!("{} bytes", found.size)),
        ("digest", found.digest),
    ];
    for (name, value) in rows {
        line(&format!("{name:<8} {}", plain(&value)))?;
    }
    Ok(Exit::Ok)
}
