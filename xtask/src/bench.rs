//! `cargo xtask bench`: the benchmarks of the workspace, and a closing table of their figures.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::child;
use crate::figure::Figure;
use crate::servers::{self, Tool};

/// The benchmarks that need nothing but this machine, as package and target, in the order in which they run.
const BENCHES: &[(&str, &str)] = &[
    ("shardwright-core", "plan"),
    ("shardwright-components", "policy"),
    ("shardwright", "ownership"),
    ("shardwright-cli", "cluster"),
];

/// The benchmarks of the coordinators with a server, which they start themselves.
const COORDINATORS: &[(&str, &str)] = &[
    ("shardwright-coordinator", "redis"),
    ("shardwright-coordinator", "nats"),
    ("shardwright-coordinator", "kafka"),
    ("shardwright-cli", "brokers"),
];

/// The benchmarks of coordinator adapters, with the servers behind them.
const ADAPTERS: &[(&str, &str)] = &[("shardwright-components", "adapters")];

/// What `cargo xtask bench` accepts.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Measure less: each benchmark is given `--quick`.
    #[arg(long)]
    quick: bool,
    /// Run the benchmarks of the coordinators with a server, beside their raw client libraries, and no others.
    #[arg(long)]
    coordinators: bool,
    /// Run the benchmarks of coordinator adapters, beside native clients of their backends, and no others.
    #[arg(long, conflicts_with = "coordinators")]
    adapters: bool,
    /// Install nothing: fail when a server is missing.
    #[arg(long)]
    no_install: bool,
    /// Fail when a figure misses its limit. Without it, only a benchmark that does not run fails.
    #[arg(long)]
    strict: bool,
}

/// Runs the benchmarks, also after one has failed, and prints all figures at the end.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let (benches, features) = if arguments.coordinators {
        servers::present(
            &[Tool::Redis, Tool::Nats, Tool::Java, Tool::Kafka],
            !arguments.no_install,
        )?;
        (COORDINATORS, &servers::FEATURES[..])
    } else if arguments.adapters {
        servers::present(&[Tool::Etcd, Tool::Postgres], !arguments.no_install)?;
        (ADAPTERS, &["--features", "shardwright-components/adapters"][..])
    } else {
        (BENCHES, &[][..])
    };
    let mut figures = Vec::new();
    let mut problems = Vec::new();
    for &(package, bench) in benches {
        println!("\n== {package}: {bench} ==");
        let mut command = child::cargo();
        command.arg("bench");
        // All packages every time: with the same features, everything is built once.
        for (package, _) in benches {
            command.args(["--package", package]);
        }
        command.args(features).args(["--bench", bench]);
        if arguments.quick {
            command.args(["--", "--quick"]);
        }
        let before = figures.len();
        let ended = child::run_lines(&mut command, |line| match Figure::read(line) {
            Some(Ok(figure)) => figures.push(figure),
            Some(Err(problem)) => problems.push(problem),
            None => {}
        });
        match ended {
            Err(error) => problems.push(format!("{error:#}")),
            Ok(()) if figures.len() == before => problems.push(format!("{package}: {bench} printed no figure")),
            Ok(()) => {}
        }
    }
    let missed = figures.iter().filter(|figure| !figure.met).count();
    println!("\n{}", table(&figures));
    println!("{} figures, {missed} missed", figures.len());
    for problem in &problems {
        println!("FAILED: {problem}");
    }
    let failed = !problems.is_empty() || (arguments.strict && missed > 0);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The figures in aligned columns.
fn table(figures: &[Figure]) -> String {
    let width = |column: fn(&Figure) -> &String| {
        figures
            .iter()
            .map(|figure| column(figure).chars().count())
            .max()
            .unwrap_or(0)
    };
    let (name, value, limit) = (width(|f| &f.name), width(|f| &f.value), width(|f| &f.limit));
    figures
        .iter()
        .map(|f| {
            let verdict = if f.met { "ok" } else { "MISSED" };
            format!(
                "{:<name$}  {:>value$}  {:<limit$}  {verdict}\n",
                f.name, f.value, f.limit
            )
        })
        .collect()
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn the_table_is_aligned() {
        let figures: Vec<_> = [
            "figure: owns | 4 ns | ≤ 10 ns | ok",
            "figure: empty call | 12.5 µs | ≤ 2 µs | MISSED",
        ]
        .map(|line| Figure::read(line).unwrap().unwrap())
        .into();
        assert_eq!(
            table(&figures),
            "owns           4 ns  ≤ 10 ns  ok\nempty call  12.5 µs  ≤ 2 µs   MISSED\n"
        );
        assert_eq!(table(&[]), "");
    }
}
