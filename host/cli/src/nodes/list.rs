//! The list of nodes.

use super::load::Load;
use crate::cluster::{Cluster, ClusterSnapshot};
use crate::exit::Exit;
use crate::output::{self, Format, Table, line};
use crate::shards;
use serde::Serialize;
use shardwright_core::engine::{Ending, NodeRecord, Status};
use shardwright_core::human::{Span, Utc};
use shardwright_core::store::StoreTime;

/// Shows the registry. In JSON, `all` tells also what other software does not know.
pub(super) fn show(cluster: &Cluster, sight: &ClusterSnapshot, format: Format, all: bool) -> anyhow::Result<Exit> {
    let loads = Load::of(&shards::roles(cluster, sight), sight);
    let load = |record: &NodeRecord| loads.get(&record.node_id.get()).copied().unwrap_or_default();
    let differs = |record: &NodeRecord| sight.differing.contains(&record.node_id);
    let noted = |record: &NodeRecord| notes(record, load(record), differs(record), sight.late(record.node_id));
    match format {
        Format::Json if all => output::json(
            &sight
                .records
                .iter()
                .map(|record| Everything::of(record, load(record), differs(record)))
                .collect::<Vec<_>>(),
        )?,
        Format::Json => output::json(&sight.records.iter().map(Known::of).collect::<Vec<_>>())?,
        Format::Table => {
            let mut table = Table::new(&[
                "ID",
                "HOSTNAME",
                "STATUS",
                "LAST RENEWAL",
                "ACTING",
                "TAKING",
                "STANDBY",
                "NOTES",
            ]);
            for record in &sight.records {
                let known = Known::of(record);
                table.row([
                    record.node_id.to_string(),
                    record.hostname.clone(),
                    word(record.status),
                    known.last_renewal,
                    load(record).acting.to_string(),
                    load(record).taking.to_string(),
                    load(record).standby.to_string(),
                    noted(record),
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
                "ACTING",
                "TAKING",
                "STANDBY",
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
                let labels: Vec<_> = info
                    .labels
                    .iter()
                    .map(|(key, value)| format!("{key}={value}"))
                    .collect();
                table.row([
                    record.node_id.to_string(),
                    record.hostname.clone(),
                    word(record.status),
                    rfc3339(record.last_renewal),
                    age.to_string(),
                    load(record).acting.to_string(),
                    load(record).taking.to_string(),
                    load(record).standby.to_string(),
                    output::or_dash(Some(&info.zone).filter(|zone| !zone.is_empty())),
                    info.capacity.to_string(),
                    output::or_dash(Some(labels.join(",")).filter(|labels| !labels.is_empty())),
                    output::or_dash(Some(&info.version).filter(|version| !version.is_empty())),
                    record.session.to_string(),
                    noted(record),
                ]);
            }
            table.print()?;
        }
    }
    if let (Some(left), Format::Table | Format::Wide) = (sight.grace(), format) {
        line(&format!(
            "Grace: the store is new, or may have lost its last writes. Nobody joins, and nothing is granted, for \
             another {}.",
            Span(left)
        ))?;
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
    /// How its session ended: `left` in good order, or `expired`; null while it lasts.
    ended: Option<Ending>,
    shards: Load,
    draining: bool,
    /// It is draining, and nothing is left there.
    drained: bool,
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
    fn of(record: &'r NodeRecord, load: Load, settings_differ: bool) -> Self {
        let info = &record.info;
        Self {
            known: Known::of(record),
            last_renewal_ms: record.last_renewal.0,
            leader: record.leader,
            ended: record.ended,
            shards: load,
            draining: info.drain,
            drained: info.drain && load.is_empty(),
            cordoned: info.cordon,
            settings_differ,
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

/// A status as text.
pub(crate) fn word(status: Status) -> String {
    match status {
        Status::Active => "active",
        Status::Stale => "stale",
        Status::Inactive => "inactive",
    }
    .to_owned()
}

fn notes(record: &NodeRecord, load: Load, settings_differ: bool, late: Option<u64>) -> String {
    let drained = load.is_empty();
    let all = [
        (settings_differ, "other settings, see `status`: does not act"),
        (record.leader, "leader"),
        (record.ended == Some(Ending::Left), "left"),
        (record.ended == Some(Ending::Expired), "expired: crashed, or cut off"),
        (record.info.drain && !drained, "draining"),
        (record.info.drain && drained, "drained"),
        (record.info.cordon, "cordoned"),
        (record.info.capacity == 0, "capacity 0"),
    ];
    let told = all.into_iter().filter(|(is, _)| *is).map(|(_, text)| text.to_owned());
    let late = late.map(|late| format!("not renewed for {}", Span(late)));
    told.chain(late).collect::<Vec<_>>().join(", ")
}

/// A backend's time as operators know it: UTC, to the second.
pub(crate) fn rfc3339(time: StoreTime) -> String {
    Utc(time).to_string()
}
