//! The contract suite, run against something real, in namespaces of its own that are removed again.

mod latency;
mod scratch;

pub(crate) use scratch::Scratch;

use crate::cluster;
use crate::exit::Exit;
use crate::output::{self, Format, Table, line};
use crate::stop::Stop;
use anyhow::{Context, bail};
use latency::Latency;
use serde_json::{Value, json};
use shardwright_coordinator::Namespace;
use shardwright_coordinator::suite::{self, Opening, Options, Outcome, Row, SuiteReport};
use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Builder;

/// How long the checks may take to end once they are told to.
const ENDING: Duration = Duration::from_secs(3);

/// What was found.
pub(crate) struct Findings {
    pub(crate) report: SuiteReport,
    latencies: Result<Vec<Latency>, String>,
}

/// Does `work`, shows what it found, and removes the namespaces of `scratch`, also if it is interrupted.
pub(crate) fn conduct<W>(scratch: &Scratch, work: W, format: Format) -> anyhow::Result<Exit>
where
    W: Future<Output = anyhow::Result<Findings>> + Send + 'static,
{
    // The checks have a runtime of their own: with it end all tasks that they began, before their namespaces are
    // removed.
    let inner = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let outer = Builder::new_current_thread().enable_all().build()?;
    if std::io::stderr().is_terminal() {
        // If nobody can be told, nobody waits.
        let _ = writeln!(
            std::io::stderr(),
            "checking in scratch namespaces; Ctrl-C ends it and removes them"
        );
    }
    let mut work = inner.spawn(work);
    let mut stop = outer.block_on(async { Stop::new() })?;
    let outcome = outer.block_on(async {
        tokio::select! {
            done = &mut work => Some(done),
            () = stop.asked() => None,
        }
    });
    inner.shutdown_timeout(ENDING);
    let erased = outer.block_on(async {
        tokio::select! {
            erased = scratch.erase() => erased,
            () = stop.asked() => Err(anyhow::anyhow!("interrupted a second time")),
        }
    });
    let left = scratch.left().join(", ");
    let erased = erased.with_context(|| format!("these scratch namespaces are left: {left}"));
    let Some(done) = outcome else {
        erased?;
        bail!("interrupted; all scratch namespaces are gone");
    };
    let exit = done.context("the checks came to no end")??.show(format)?;
    erased?;
    Ok(exit)
}

/// Runs the suite, then measures on what is now a quiet server.
pub(crate) async fn examine(scratch: Arc<Scratch>, quick: bool) -> anyhow::Result<Findings> {
    let own = Namespace::new(&cluster::scratch_name("suite-latency")?)?;
    // Whoever is not there, or does not let us in, is no failed check.
    let near = scratch.open(&own).await?;
    let opener = scratch.clone();
    let factory = move |space: Namespace| -> Opening {
        let scratch = opener.clone();
        Box::pin(async move { scratch.open(&space).await.map_err(|error| format!("{error:#}")) })
    };
    let thorough = Options::default();
    let options = if quick {
        Options {
            writers: 4,
            rounds: 6,
            keys: 500,
            flood: 1_500,
            ..thorough
        }
    } else {
        thorough
    };
    let report = suite::run(&factory, options).await;
    if report
        .rows
        .iter()
        .any(|row| row.name == "erase" && row.outcome == Outcome::Passed)
    {
        scratch.forget(|space| space != own.as_str());
    }
    let latencies = async {
        let far = scratch.open(&own).await?;
        latency::measure(&*near, &*far, if quick { 50 } else { 500 }).await
    };
    let latencies = latencies.await.map_err(|error| format!("{error:#}"));
    Ok(Findings { report, latencies })
}

impl Findings {
    fn show(&self, format: Format) -> anyhow::Result<Exit> {
        let Self { report, latencies } = self;
        let well = report.passed() && latencies.is_ok();
        let exit = if well { Exit::Ok } else { Exit::Unhealthy };
        if format == Format::Json {
            output::json(&json!({
                "kind": report.kind,
                "location": report.location,
                "ok": well,
                "checks": report.rows.iter().map(check).collect::<Vec<_>>(),
                "latencies": latencies.as_ref().ok(),
                "latencyError": latencies.as_ref().err(),
            }))?;
            return Ok(exit);
        }
        line(&format!("{} at {}\n", report.kind, report.location))?;
        let mut table = Table::new(&["CHECK", "VERDICT", "MS", "SEEN"]);
        report.table().into_iter().for_each(|row| table.row(row));
        table.print()?;
        match latencies {
            Ok(latencies) => {
                let mut table = Table::new(&["OPERATION", "TIMES", "P50 µs", "P99 µs"]);
                for latency in latencies {
                    table.row([
                        latency.operation.to_owned(),
                        latency.times.to_string(),
                        latency.p50_us.to_string(),
                        latency.p99_us.to_string(),
                    ]);
                }
                line("")?;
                table.print()?;
            }
            Err(error) => line(&format!("\nthe latencies could not be measured: {error}"))?,
        }
        let failed: Vec<_> = report
            .failures()
            .map(|row| format!("  {}: {}", row.name, row.promise))
            .collect();
        if failed.is_empty() {
            line("\nEvery promise that was checked is kept.")?;
        } else {
            line(&format!("\nNot kept:\n{}", failed.join("\n")))?;
        }
        Ok(exit)
    }
}

fn check(row: &Row) -> Value {
    let verdict = match row.outcome {
        Outcome::Passed => "ok",
        Outcome::Failed => "failed",
        Outcome::Skipped => "skipped",
    };
    let ms = u64::try_from(row.took.as_millis()).unwrap_or(u64::MAX);
    json!({ "check": row.name, "promise": row.promise, "verdict": verdict, "seen": row.detail, "ms": ms })
}
