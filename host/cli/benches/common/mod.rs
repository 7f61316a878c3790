//! What a process costs, and how a figure is printed.

use shardwright_cli::process::NodeProcess;

/// Prints one figure.
#[expect(clippy::print_stdout, reason = "figures are what a benchmark is for")]
pub(crate) fn figure(name: &str, value: f64, limit: f64, unit: &str) {
    let verdict = if value <= limit { "ok" } else { "MISSED" };
    println!("figure: {name} | {value:.1} {unit} | ≤ {limit} {unit} | {verdict}");
}

/// Processor time of a node so far, in clock ticks.
pub(crate) fn ticks(node: &NodeProcess) -> anyhow::Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", node.pid()))?;
    // After the name, which may have blanks: state is the first field, user and system time the 12th and 13th.
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let fields: Vec<u64> = rest
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse().ok())
        .collect();
    anyhow::ensure!(fields.len() == 2, "unexpected: {stat}");
    Ok(fields.iter().sum())
}

/// The share of one processor that `ticks` in `time` are, in percent.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
pub(crate) fn percent(ticks: u64, time: std::time::Duration) -> f64 {
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64 / time.as_secs_f64() * 100.0
}

/// Resident memory of a node, in megabytes.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
pub(crate) fn resident(node: &NodeProcess) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.pid()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line
        .and_then(|line| line.trim().strip_suffix(" kB"))
        .and_then(|n| n.parse::<u64>().ok());
    Ok(kib.ok_or_else(|| anyhow::anyhow!("no VmRSS"))? as f64 * 1024.0 / 1e6)
}
