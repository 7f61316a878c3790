//! `shardwright check`: what is wrong with configuration files, and what could be better.

use crate::exit::Exit;
use crate::output::{colors, line};
use clap::{Args, ValueEnum};
use shardwright_config::{CheckOptions, CoordinatorConfig};
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
                line(text.trim_end())?;
            }
            for note in args.files.iter().filter_map(|file| note(file)) {
                line(&note)?;
            }
        }
    }
    let failed = report.has_errors() || (args.deny_warnings && report.has_warnings());
    Ok(if failed { Exit::Error } else { Exit::Ok })
}

/// What is right about the file, and this build cannot do.
fn note(file: &Path) -> Option<String> {
    match shardwright_config::load(file).ok()?.0.coordinator {
        CoordinatorConfig::Zenoh(section) => Some(format!(
            "note: {}: the coordinator [store.\"{}\"] is of type \"zenoh\", for which there is no backend: `run` refuses this file",
            file.display(),
            section.id,
        )),
        CoordinatorConfig::Memory => Some(format!(
            "note: {}: a coordinator of type \"memory\" lives in one process, so `run` refuses this file: use a store of type \"sqlite\"",
            file.display()
        )),
        _ => None,
    }
}

fn plural(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}
