//! How an adapter is: by what nodes of this machine say of it, or by asking it once.

use crate::exit::Exit;
use crate::output::{self, Format, Table, line, or_dash, plain};
use anyhow::Context;
use serde_json::{Value, json};
use shardwright::adapter::report::{self, EVERY, Report};
use shardwright::places;
use shardwright_config::{ClusterConfig, ComponentSection};
use shardwright_coordinator::Store;
use shardwright_core::human::Utc;
use shardwright_core::store::StoreTime;
use shardwright_core::values::Key;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A node whose report is older is silent, whatever it says.
const SILENT: Duration = EVERY.saturating_mul(4);

/// What is known of one state directory.
struct Seen {
    dir: PathBuf,
    running: bool,
    pid: Option<u32>,
    report: Option<Report>,
}

/// Shows how the adapter of `section` is.
pub(super) async fn run(
    config: &ClusterConfig,
    section: &ComponentSection,
    dir: Option<&Path>,
    format: Format,
) -> anyhow::Result<Exit> {
    let seen: Vec<Seen> = dirs(config, dir).into_iter().map(look).collect::<anyhow::Result<_>>()?;
    let told = seen
        .iter()
        .filter(|seen| seen.running)
        .filter_map(|seen| Some((seen, seen.report.as_ref()?)));
    let told: Vec<_> = told.collect();
    let mut notes = notes(&seen);
    if told.is_empty() {
        notes.push("no node of this machine says anything: it was opened for this command, once".to_owned());
        let status = ask(config).await?;
        let well = is_well(&status);
        show(
            &section.id,
            &[Row::new("-".into(), None, None, &status)],
            &notes,
            well,
            format,
        )?;
        return Ok(exit(well));
    }
    let well = told
        .iter()
        .all(|(_, report)| is_well(&report.adapter) && report.age() <= SILENT);
    let rows: Vec<_> = told
        .iter()
        .map(|(seen, report)| {
            Row::new(
                report.hostname.clone(),
                Some((seen, report)),
                report.node,
                &report.adapter,
            )
        })
        .collect();
    for (seen, report) in &told {
        if let Some(loss) = &report.history_lost {
            let (host, at) = (plain(&report.hostname), Utc(StoreTime(loss.at)));
            notes.push(format!(
                "{host}: history was lost last at {at}: {}",
                plain(&loss.reason)
            ));
        }
        if report.age() > SILENT {
            let (host, pid) = (&report.hostname, or_dash(seen.pid));
            let age = report.age().as_secs();
            notes.push(format!(
                "{host}: process {pid} has written nothing for {age} s: it hangs, is stopped, or cannot write to {}",
                seen.dir.display()
            ));
        }
    }
    show(&section.id, &rows, &notes, well, format)?;
    Ok(exit(well))
}

/// The state directories of the nodes of this machine.
fn dirs(config: &ClusterConfig, dir: Option<&Path>) -> Vec<PathBuf> {
    if let Some(dir) = dir.or(config.state_dir.as_deref()) {
        return vec![dir.to_owned()];
    }
    let hosts = places::cluster_dir(&config.name).map(|dir| dir.join("hosts"));
    // Where nobody has run a node there is nothing to read.
    let entries = hosts.and_then(|hosts| std::fs::read_dir(hosts).ok());
    let mut dirs: Vec<_> = entries
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    dirs.sort();
    dirs
}

fn look(dir: PathBuf) -> anyhow::Result<Seen> {
    let found = report::find(&dir).with_context(|| format!("the state directory {} cannot be read", dir.display()))?;
    Ok(Seen {
        dir,
        running: found.running,
        pid: found.pid,
        report: found.report,
    })
}

/// What is to be known of those that say nothing.
fn notes(seen: &[Seen]) -> Vec<String> {
    let note = |seen: &Seen| match (&seen.report, seen.running) {
        (None, true) => Some(format!(
            "process {} runs in {} and has said nothing yet: it has not opened its coordinator, runs on another one, \
             or cannot write there",
            or_dash(seen.pid),
            seen.dir.display()
        )),
        (Some(report), false) => Some(format!(
            "what {} holds is left by process {}, which was killed: it is not shown",
            seen.dir.display(),
            report.pid
        )),
        _ => None,
    };
    seen.iter().filter_map(note).collect()
}

/// Opens it as a node would, asks for one entry, and lets it go.
async fn ask(config: &ClusterConfig) -> anyhow::Result<Value> {
    let status = tokio::time::timeout(super::PATIENCE, async {
        let adapter = shardwright::adapter::open_adapter(config).await?;
        adapter.get(&Key::Meta.to_string()).await?;
        anyhow::Ok(adapter.status())
    });
    let status = status
        .await
        .with_context(|| format!("no answer within {:?}", super::PATIENCE))??;
    Ok(serde_json::to_value(status)?)
}

fn is_well(status: &Value) -> bool {
    matches!(status["state"].as_str(), Some("running" | "restarting"))
}

fn exit(well: bool) -> Exit {
    if well { Exit::Ok } else { Exit::Unhealthy }
}

/// What is shown of one node.
struct Row<'a> {
    host: String,
    from: Option<(&'a Seen, &'a Report)>,
    node: Option<u32>,
    status: &'a Value,
}

impl<'a> Row<'a> {
    fn new(host: String, from: Option<(&'a Seen, &'a Report)>, node: Option<u32>, status: &'a Value) -> Self {
        Self {
            host,
            from,
            node,
            status,
        }
    }

    fn text(&self, name: &str) -> String {
        let value = self.status.pointer(&format!("/{name}"));
        or_dash(value.filter(|value| !value.is_null()).map(|value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }))
    }

    fn age(&self) -> String {
        or_dash(self.from.map(|(_, report)| seconds(report.age())))
    }

    /// How long it has been in its state, when the report was written and since.
    fn since(&self) -> String {
        let then = self.status["stateForMs"].as_u64().map(Duration::from_millis);
        or_dash(then.map(|then| seconds(then + self.from.map_or(Duration::ZERO, |(_, report)| report.age()))))
    }

    fn faults(&self) -> String {
        let faults = self.status.pointer("/totals/faults").and_then(Value::as_object);
        let faults: Vec<_> = faults
            .into_iter()
            .flatten()
            .map(|(kind, count)| format!("{kind} {count}"))
            .collect();
        if faults.is_empty() {
            "-".into()
        } else {
            faults.join(", ")
        }
    }

    fn mebibytes(&self) -> String {
        or_dash(
            self.status["memory"]
                .as_u64()
                .map(|bytes| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))),
        )
    }

    fn json(&self) -> Value {
        json!({
            "hostname": self.from.map(|_| &self.host),
            "node": self.node,
            "historyLost": self.from.and_then(|(_, report)| report.history_lost.as_ref()),
            "stateDir": self.from.map(|(seen, _)| &seen.dir),
            "pid": self.from.map(|(_, report)| report.pid),
            "ageMs": self.from.map(|(_, report)| u64::try_from(report.age().as_millis()).unwrap_or(u64::MAX)),
            "adapter": self.status,
        })
    }

    /// What is wrong, a line each.
    fn troubles(&self) -> Vec<String> {
        let status = self.status;
        let mut troubles = Vec::new();
        let host = if self.from.is_some() {
            format!("{}: ", self.host)
        } else {
            String::new()
        };
        let mut say = |what: &str, text: Option<&str>| {
            if let Some(text) = text {
                troubles.push(format!("{}{what}: {}", plain(&host), plain(text)));
            }
        };
        say("cannot be reached", status["unreachable"].as_str());
        say("lost", status["lost"].as_str());
        say("last fault", status["lastFault"].as_str());
        let refused = status["refused"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str);
        let refused = refused.collect::<Vec<_>>().join(", ");
        say(
            "asked for what it is not granted",
            Some(refused.as_str()).filter(|text| !text.is_empty()),
        );
        let wait = status["retryInMs"]
            .as_u64()
            .filter(|_| status["state"] == "quarantined");
        let wait = wait.map(|ms| format!("{} after this was written", seconds(Duration::from_millis(ms))));
        say("tried again", wait.as_deref());
        troubles
    }
}

fn seconds(time: Duration) -> String {
    humantime::format_duration(Duration::from_secs(time.as_secs())).to_string()
}

fn show(id: &str, rows: &[Row<'_>], notes: &[String], well: bool, format: Format) -> anyhow::Result<()> {
    if format == Format::Json {
        return output::json(&json!({
            "store": id,
            "kind": rows.first().map(|row| row.text("name")),
            "location": rows.first().map(|row| row.text("location")),
            "ok": well,
            "asked": rows.iter().all(|row| row.from.is_none()),
            "nodes": rows.iter().map(Row::json).collect::<Vec<_>>(),
            "notes": notes,
        }));
    }
    let wide = format == Format::Wide;
    let mut header = vec![
        "NODE", "HOSTNAME", "STATE", "FOR", "ADAPTER", "VERSION", "LOCATION", "LANES", "MEMORY", "FAULTS", "SAID",
    ];
    if wide {
        header.extend([
            "PID",
            "CALLS",
            "PUBLISHED",
            "RECEIVED",
            "OPENED",
            "BUSY",
            "UPGRADES",
            "DIGEST",
        ]);
    }
    let mut table = Table::new(&header);
    for row in rows {
        let mut cells = vec![or_dash(row.node), row.host.clone(), row.text("state"), row.since()];
        cells.extend(["name", "version", "location", "lanesOpen"].map(|name| row.text(name)));
        let said = row
            .from
            .map_or_else(|| "now".to_owned(), |_| format!("{} ago", row.age()));
        cells.extend([row.mebibytes(), row.faults(), said]);
        if wide {
            cells.push(or_dash(row.from.map(|(_, report)| report.pid)));
            let totals = ["calls", "published", "received", "lanesOpened", "busy", "upgrades"];
            cells.extend(totals.map(|name| row.text(&format!("totals/{name}"))));
            cells.push(row.text("digest"));
        }
        table.row(cells);
    }
    table.print()?;
    let told: Vec<_> = rows
        .iter()
        .flat_map(Row::troubles)
        .chain(notes.iter().cloned())
        .collect();
    if !told.is_empty() {
        line(&format!("\n{}", told.join("\n")))?;
    }
    Ok(())
}
