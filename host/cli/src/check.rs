//! `shardwright check`: checks and audits configuration files.

use crate::cluster::check_usable;
use crate::exit::Exit;
use crate::output::{Format, Output, colors, line, painted};
use clap::Args;
use shardwright_config::{CheckOptions, ClusterConfig, Code, Report, Severity};
use std::io;
use std::path::{Path, PathBuf};

/// Arguments of `check`.
#[derive(Args, Debug)]
pub(crate) struct Check {
    /// The configuration files of one node, or of all nodes of a cluster, which are then also compared
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Also fail on warnings
    #[arg(long)]
    deny_warnings: bool,
    #[command(flatten)]
    output: Output,
}

/// Reads, checks and compares the files.
pub(crate) async fn run(args: &Check) -> anyhow::Result<Exit> {
    let mut report = shardwright_config::check(&args.files, &CheckOptions::default());
    let mut notes = Vec::new();
    let mut roles: Vec<(String, Vec<String>)> = Vec::new();
    for file in &args.files {
        let Ok((config, found)) = shardwright_config::load(file) else {
            continue;
        };
        let explained = shardwright_config::explain_roles(&config);
        match roles.iter_mut().find(|(known, _)| *known == explained) {
            Some((_, files)) => files.push(file.display().to_string()),
            None => roles.push((explained, vec![file.display().to_string()])),
        }
        match check_usable(&config.coordinator) {
            Ok(()) => start(file, &config, &found, &mut report).await,
            // What is right about the file, and `run` cannot do.
            Err(refusal) => notes.push(format!("note: {}: `run` refuses this file: {refusal}", file.display())),
        }
    }
    match args.output.format {
        Format::Json => line(&report.render_json())?,
        Format::Table | Format::Wide => {
            let text = report.render_text(colors(&io::stdout()));
            if text.is_empty() {
                line(&format!("{} checked: no problems", plural(args.files.len(), "file")))?;
            } else {
                painted(text.trim_end())?;
            }
            for (explained, files) in &roles {
                let whose = if roles.len() > 1 {
                    format!("{}: ", files.join(", "))
                } else {
                    String::new()
                };
                line(&format!("{whose}{explained}"))?;
            }
            for note in notes {
                line(&note)?;
            }
        }
    }
    let failed = report.has_errors() || (args.deny_warnings && report.has_warnings());
    Ok(if failed { Exit::Error } else { Exit::Ok })
}

/// Adds to `report` what a start with the file would refuse. Only a warning where files are missing: it may be meant
/// for another machine.
async fn start(file: &Path, config: &ClusterConfig, found: &Report, report: &mut Report) {
    let missing = [Code::MissingPolicyFile, Code::MissingAdapterFile, Code::MissingTlsFile];
    let severity = match missing.iter().any(|code| found.has(*code)) {
        true => Severity::Warning,
        false => Severity::Error,
    };
    let name = file.display().to_string();
    for refusal in shardwright::precheck(config).await {
        report.add_refusal(&name, severity, &refusal.to_string());
    }
}

fn plural(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}
