//! Which nodes an operator means: by id, or by hostname.

use crate::cluster::ClusterSnapshot;
use anyhow::bail;
use shardwright_core::engine::NodeRecord;
use shardwright_core::id::NodeId;

/// Refuses what can be neither an id nor a hostname.
pub(super) fn node(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("name a node, by id or hostname".to_owned()),
        "0" => Err("ids begin at 1".to_owned()),
        name => Ok(name.to_owned()),
    }
}

/// The nodes of these names, each once, in the order of their ids. All of them, or none.
pub(super) fn find(sight: &ClusterSnapshot, names: &[String]) -> anyhow::Result<Vec<NodeId>> {
    let mut found = names
        .iter()
        .map(|name| one(&sight.records, name))
        .collect::<anyhow::Result<Vec<_>>>()?;
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

fn one(records: &[NodeRecord], name: &str) -> anyhow::Result<NodeId> {
    let by_id = name.parse().ok().and_then(NodeId::new);
    if let Some(record) = records.iter().find(|record| Some(record.node_id) == by_id) {
        return Ok(record.node_id);
    }
    // Hostnames are lower case, and end in no dot, wherever they come from.
    let name = name.trim_end_matches('.');
    let named: Vec<&NodeRecord> = records
        .iter()
        .filter(|record| record.hostname.eq_ignore_ascii_case(name))
        .collect();
    let live = named.iter().find(|record| record.ended.is_none());
    match (live, &named[..]) {
        // One of them is what a host left behind that has another id now.
        (Some(record), _) | (None, [record]) => Ok(record.node_id),
        (None, []) => bail!(
            "there is no node {name}; there are: {}",
            records
                .iter()
                .map(|record| format!("{} ({})", record.node_id, record.hostname))
                .collect::<Vec<_>>()
                .join(", ")
        ),
        (None, several) => bail!(
            "{name} had several ids: name one of {}",
            several
                .iter()
                .map(|record| record.node_id.to_string())
                .collect::<Vec<_>>()
                .join(", ")
        ),
    }
}

#[cfg(test)]
mod test {
    use super::*;
    use shardwright_core::engine::{Ending, Status};
    use shardwright_core::id::{InstanceId, SessionId};
    use shardwright_core::store::StoreTime;

    fn record(id: u32, hostname: &str, ended: Option<Ending>) -> NodeRecord {
        NodeRecord {
            node_id: NodeId::new(id).expect("not 0"),
            hostname: hostname.to_owned(),
            last_renewal: StoreTime(0),
            status: Status::Active,
            ended,
            session: SessionId(1),
            instance: InstanceId(1),
            leader: false,
            info: Default::default(),
        }
    }

    #[test]
    fn ids_and_hostnames_name_nodes_and_a_live_one_comes_first() {
        let gone = Some(Ending::Left);
        let records = [
            record(1, "mail-1", gone),
            record(2, "mail-1", None),
            record(3, "4", None),
            record(4, "mail-4", gone),
            record(5, "mail-5", gone),
            record(6, "mail-5", gone),
        ];
        let find = |name: &str| one(&records, name).map(NodeId::get).map_err(|error| error.to_string());
        assert_eq!(find("1"), Ok(1), "an id is an id, whatever became of the node");
        assert_eq!(find("MAIL-1."), Ok(2));
        assert_eq!(find("4"), Ok(4), "an id comes before a hostname");
        assert_eq!(find("mail-4"), Ok(4));
        assert_eq!(
            find("mail-5"),
            Err("mail-5 had several ids: name one of 5, 6".to_owned())
        );
        assert!(
            find("9")
                .is_err_and(|error| error.starts_with("there is no node 9; there are: 1 (mail-1), 2 (mail-1), 3 (4)"))
        );
        assert!(node(" ").is_err() && node("0").is_err() && node("mail-1").is_ok());
    }
}
