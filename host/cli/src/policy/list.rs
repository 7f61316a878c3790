//! `policy list`: the bundled policies and those of a configuration.

use crate::cluster::ClusterArgs;
use crate::exit::Exit;
use crate::output::{self, Format, Output, Table, or_dash};
use clap::Args;
use serde::Serialize;
use shardwright_components::{Budget, Digest, PolicyComponent, PolicyEngine, bundled};
use std::path::PathBuf;

#[derive(Args, Debug)]
pub(super) struct List {
    /// A configuration whose `[policy]` sections are also listed [default: ./shardwright.toml,
    /// /etc/shardwright/config.toml]
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
}

#[derive(Default, Serialize)]
struct Row {
    name: String,
    source: String,
    version: Option<String>,
    size: Option<usize>,
    digest: Option<String>,
    considers: Vec<String>,
    summary: Option<String>,
    /// Why it cannot be used.
    problem: Option<String>,
}

pub(super) fn run(args: &List) -> anyhow::Result<Exit> {
    let engine = PolicyEngine::new(None)?;
    let mut rows: Vec<Row> = Vec::new();
    for policy in bundled::ALL {
        rows.push(row(
            &engine,
            policy.name,
            "bundled".to_owned(),
            Ok(policy.bytes.to_vec()),
            None,
        ));
    }
    let config = ClusterArgs::of(args.config.clone()).config()?;
    for (name, section) in config.iter().flat_map(|config| &config.policies) {
        if let Some(path) = &section.path {
            rows.push(row(
                &engine,
                name,
                path.display().to_string(),
                super::read(path),
                section.digest,
            ));
        }
    }
    let sound = rows.iter().all(|row| row.problem.is_none());
    match args.output.format {
        Format::Json => output::json(&rows)?,
        format => print(&rows, format == Format::Wide)?,
    }
    Ok(if sound { Exit::Ok } else { Exit::Unhealthy })
}

fn row(
    engine: &PolicyEngine,
    name: &str,
    source: String,
    bytes: anyhow::Result<Vec<u8>>,
    wanted: Option<[u8; 32]>,
) -> Row {
    let row = Row {
        name: name.to_owned(),
        source,
        ..Row::default()
    };
    let bytes = match bytes {
        Ok(bytes) => bytes,
        Err(error) => {
            return Row {
                problem: Some(format!("{error:#}")),
                ..row
            };
        }
    };
    let digest = Digest::of(&bytes);
    let row = Row {
        size: Some(bytes.len()),
        digest: Some(format!("sha256:{digest}")),
        ..row
    };
    if wanted.is_some_and(|wanted| wanted != *digest.as_bytes()) {
        return Row {
            problem: Some("the file does not have the digest that the configuration demands".to_owned()),
            ..row
        };
    }
    match PolicyComponent::load(engine, &bytes, &Budget::default()) {
        Ok(policy) => {
            let is = policy.describe().clone();
            Row {
                version: Some(is.version),
                considers: is.considers,
                summary: Some(is.summary),
                ..row
            }
        }
        Err(error) => Row {
            problem: Some(error.to_string()),
            ..row
        },
    }
}

fn print(rows: &[Row], wide: bool) -> std::io::Result<()> {
    let columns = ["NAME", "VERSION", "SIZE", "DIGEST", "HONOURS", "SOURCE", "SUMMARY"];
    let mut table = Table::new(&columns[..if wide { 7 } else { 5 }]);
    for row in rows {
        let digest = row.digest.as_ref().map(|digest| {
            if wide {
                digest.as_str()
            } else {
                &digest["sha256:".len()..][..12]
            }
        });
        let cells = [
            row.name.clone(),
            or_dash(row.version.as_ref()),
            or_dash(row.size),
            or_dash(digest),
            row.problem
                .as_ref()
                .map_or_else(|| row.considers.join(" "), |problem| format!("UNUSABLE: {problem}")),
        ];
        let more = [row.source.clone(), or_dash(row.summary.as_ref())];
        table.row(cells.into_iter().chain(more.into_iter().filter(|_| wide)));
    }
    table.print()
}
