//! `shardwright nodes`: the registry.

use crate::cluster::{Cluster, Which};
use crate::exit::Exit;
use crate::orders::{self, Order};
use crate::output::{self, Format, Output, Table};
use clap::{Args, Subcommand};
use serde::Serialize;
use shardwright_core::engine::{NodeRecord, Status};
use shardwright_core::human::{Span, Utc};
use shardwright_core::store::StoreTime;

/// Arguments of `nodes`.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Nodes {
    #[command(subcommand)]
    order: Option<NodeOrder>,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    output: Output,
    /// In JSON, also what other software does not know: zone, labels, orders, session
    #[arg(long)]
    all: bool,
}

#[derive(Subcommand, Debug)]
enum NodeOrder {
    /// Move everything away from a node; it stays in the cluster
    Drain(OneNode),
    /// Let a drained node have shards again
    Undrain(OneNode),
    /// Let a node keep what it has, and give it nothing more
    Cordon(OneNode),
    /// Let a cordoned node have more shards again
    Uncordon(OneNode),
    /// Remove a node that is gone for good, and free its id
    Forget(OneNode),
}

#[derive(Args, Debug)]
struct OneNode {
    /// The node's id
    #[arg(value_name = "ID")]
    id: std::num::NonZeroU32,
    #[command(flatten)]
    which: Which,
}

/// Lists the nodes, or gives one of them an order.
pub(crate) async fn run(args: &Nodes) -> anyhow::Result<Exit> {
    let (order, one) = match &args.order {
        None => return list(args).await,
        Some(NodeOrder::Drain(one)) => (Order::Drain(true), one),
        Some(NodeOrder::Undrain(one)) => (Order::Drain(false), one),
        Some(NodeOrder::Cordon(one)) => (Order::Cordon(true), one),
        Some(NodeOrder::Uncordon(one)) => (Order::Cordon(false), one),
        Some(NodeOrder::Forget(one)) => (Order::Forget, one),
    };
    let cluster = Cluster::open(&one.which).await?;
    orders::give(&cluster, order, one.id.get()).await
}

async fn list(args: &Nodes) -> anyhow::Result<Exit> {
    let sight = Cluster::open(&args.which).await?.look().await?;
    let prevailing = sight.view.prevailing();
    match args.output.format {
        Format::Json if args.all => output::json(
            &sight
                .records
                .iter()
                .map(|record| Everything::of(record, prevailing))
                .collect::<Vec<_>>(),
        )?,
        Format::Json => output::json(&sight.records.iter().map(Known::of).collect::<Vec<_>>())?,
        Format::Table => {
            let mut table = Table::new(&["ID", "HOSTNAME", "STATUS", "LAST RENEWAL", "NOTES"]);
            for record in &sight.records {
                let known = Known::of(record);
                table.row([
                    record.node_id.to_string(),
                    record.hostname.clone(),
                    word(record.status),
                    known.last_renewal,
                    notes(record, prevailing),
                ]);
            }
            table.print()?;
        }
        Format::Wide => {
            let mut table = Table::new(&[
                "ID",
                "HOSTNAME",
                "STATUS",
                "LAST RENEWAL",
                "AGE",
                "ZONE",
                "CAPACITY",
                "LABELS",
                "VERSION",
                "SESSION",
                "NOTES",
            ]);
            for record in &sight.records {
                let age = Span(sight.now.since(record.last_renewal));
                let info = &record.info;
                let labels: Vec<_> = info.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
                table.row([
                    record.node_id.to_string(),
                    record.hostname.clone(),
                    word(record.status),
                    rfc3339(record.last_renewal),
                    age.to_string(),
                    output::or_dash(Some(&info.zone).filter(|zone| !zone.is_empty())),
                    info.capacity.to_string(),
                    output::or_dash(Some(labels.join(",")).filter(|labels| !labels.is_empty())),
                    output::or_dash(Some(&info.version).filter(|version| !version.is_empty())),
                    record.session.to_string(),
                    notes(record, prevailing),
                ]);
            }
            table.print()?;
        }
    }
    Ok(Exit::Ok)
}

/// A node exactly as other tools of operators know it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Known {
    node_id: u32,
    hostname: String,
    last_renewal: String,
    status: Status,
}

impl Known {
    fn of(record: &NodeRecord) -> Self {
        Self {
            node_id: record.node_id.get(),
            hostname: record.hostname.clone(),
            last_renewal: rfc3339(record.last_renewal),
            status: record.status,
        }
    }
}

/// A node with everything that is known of it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Everything<'r> {
    #[serde(flatten)]
    known: Known,
    /// Milliseconds since the Unix epoch on the backend's clock.
    last_renewal_ms: u64,
    leader: bool,
    ended: bool,
    draining: bool,
    cordoned: bool,
    /// Its settings are not those of most nodes, so it refuses to act.
    settings_differ: bool,
    zone: &'r str,
    labels: &'r std::collections::BTreeMap<String, String>,
    capacity: u32,
    version: &'r str,
    addresses: &'r [String],
    session: String,
    instance: String,
}

impl<'r> Everything<'r> {
    fn of(record: &'r NodeRecord, prevailing: Option<u128>) -> Self {
        let info = &record.info;
        Self {
            known: Known::of(record),
            last_renewal_ms: record.last_renewal.0,
            leader: record.leader,
            ended: record.ended,
            draining: info.drain,
            cordoned: info.cordon,
            settings_differ: differs(record, prevailing),
            zone: &info.zone,
            labels: &info.labels,
            capacity: info.capacity,
            version: &info.version,
            addresses: &info.addresses,
            session: record.session.to_string(),
            instance: record.instance.to_string(),
        }
    }
}

fn differs(record: &NodeRecord, prevailing: Option<u128>) -> bool {
    !record.ended && prevailing.is_some_and(|settings| settings != record.info.settings)
}

/// A status as text.
pub(crate) fn word(status: Status) -> String {
    match status {
        Status::Active => "active",
        Status::Stale => "stale",
        Status::Inactive => "inactive",
    }
    .to_owned()
}

fn notes(record: &NodeRecord, prevailing: Option<u128>) -> String {
    let all = [
        (differs(record, prevailing), "other settings: does not act"),
        (record.leader, "leader"),
        (record.ended, "ended"),
        (record.info.drain, "draining"),
        (record.info.cordon, "cordoned"),
        (record.info.capacity == 0, "capacity 0"),
    ];
    let told: Vec<_> = all.into_iter().filter_map(|(is, text)| is.then_some(text)).collect();
    told.join(", ")
}

/// A backend's time as operators know it: UTC, to the second.
pub(crate) fn rfc3339(time: StoreTime) -> String {
    Utc(time).to_string()
}
