//! `shardwright check`: what is wrong with configuration files, and what could be better.

use crate::cluster::check_usable;
use crate::exit::Exit;
use crate::output::{colors, line, painted};
use clap::{Args, ValueEnum};
use shardwright_config::CheckOptions;
use std::io;
use std::path::{Path, PathBuf};

/// Arguments of `check`.
#[derive(Args, Debug)]
pub(crate) struct Check {
    /// Configuration files: of one node, or of all nodes of a cluster, which are then also compared
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Fail on warnings, too
    #[arg(long)]
    deny_warnings: bool,
    /// How to show what was found
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: CheckFormat,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum CheckFormat {
    /// For people, with the offending text underlined
    #[default]
    Text,
    /// A JSON array with one object for each problem
    Json,
}

/// Reads, checks and compares the files.
pub(crate) fn run(args: &Check) -> anyhow::Result<Exit> {
    let report = shardwright_config::check(&args.files, &CheckOptions::default());
    match args.format {
        CheckFormat::Json => line(&report.render_json())?,
        CheckFormat::Text => {
            let text = report.render_text(colors(&io::stdout()));
            if text.is_empty() {
                line(&format!("{} checked: no problems", plural(args.files.len(), "file")))?;
            } else {
                painted(text.trim_end())?;
            }
            for note in args.files.iter().filter_map(|file| note(file)) {
                line(&note)?;
            }
        }
    }
    let failed = report.has_errors() || (args.deny_warnings && report.has_warnings());
    Ok(if failed { Exit::Error } else { Exit::Ok })
}

/// What is right about the file, and `run` cannot do.
fn note(file: &Path) -> Option<String> {
    let (config, _) = shardwright_config::load(file).ok()?;
    let refusal = check_usable(&config.coordinator).err()?;
    Some(format!("note: {}: `run` refuses this file: {refusal}", file.display()))
}

fn plural(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}
