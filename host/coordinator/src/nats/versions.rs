//! Which servers keep the stream, and whether all of them are new enough.
//!
//! Before nats-server 2.9.21 the leader of a replicated stream only looks at the last sequence of a subject before it proposes a message:
//! two writers that expect the same one may both succeed (nats-server#4320). The last sequence of the whole stream is checked properly by
//! all of them. Since any of the servers may lead, all must be known to be new enough.

use super::api::StreamInfo;
use super::wire::Wire;
use futures_util::StreamExt;
use serde::Deserialize;
use std::collections::HashMap;
use std::time::Duration;

/// The first version that checks it atomically.
const ATOMIC: [u32; 3] = [2, 9, 21];
/// What every server of a cluster answers to any user, with its name and version; the connections that it lists are not wanted.
pub(super) const QUESTION: &str = "$SYS.REQ.ACCOUNT.PING.CONNZ";
const REQUEST: &[u8] = br#"{"limit":1}"#;
/// How long to wait for the servers of a cluster to say what they are.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Deserialize)]
struct Status {
    server: Server,
}

#[derive(Deserialize)]
struct Server {
    name: String,
    ver: String,
}

/// Whether all servers that keep the stream are known to check the last sequence of a subject atomically.
pub(super) async fn all_atomic(wire: &Wire, info: &StreamInfo) -> bool {
    let Some(cluster) = &info.cluster else {
        return false;
    };
    let wanted: Vec<&str> = cluster.servers().collect();
    if wanted.len() < usize::from(info.config.num_replicas) {
        return false;
    }
    let versions = of_servers(wire, &wanted).await;
    wanted
        .iter()
        .all(|name| versions.get(*name).is_some_and(|version| is_atomic(version)))
}

/// What the servers called `wanted` say of their versions, as far as they do.
pub(super) async fn of_servers(wire: &Wire, wanted: &[&str]) -> HashMap<String, String> {
    let mut versions = HashMap::new();
    let inbox = wire.client.new_inbox();
    let Ok(mut answers) = wire.client.subscribe(inbox.clone()).await else {
        return versions;
    };
    let asked = wire
        .client
        .publish_with_reply(QUESTION, inbox, bytes::Bytes::from_static(REQUEST))
        .await;
    if asked.is_err() {
        return versions;
    }
    let collect = async {
        while let Some(answer) = answers.next().await {
            // Nobody may answer, or not to us.
            let Ok(status) = serde_json::from_slice::<Status>(&answer.payload) else {
                break;
            };
            versions.insert(status.server.name, status.server.ver);
            if wanted.iter().all(|name| versions.contains_key(*name)) {
                break;
            }
        }
    };
    // Whoever has not answered by then is unknown.
    let _ = tokio::time::timeout(PATIENCE, collect).await;
    versions
}

/// Whether `version` is one that checks the last sequence of a subject atomically.
pub(super) fn is_atomic(version: &str) -> bool {
    // 2.9.21-beta.1 comes before 2.9.21; it is not worth telling them apart more finely.
    let (numbers, preview) = version.split_once('-').map_or((version, false), |(numbers, _)| (numbers, true));
    let mut parts = numbers.split('.').map_while(|part| part.parse::<u32>().ok());
    let found = [parts.next(), parts.next(), parts.next()].map(|part| part.unwrap_or(0));
    found > ATOMIC || (found == ATOMIC && !preview)
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn old_servers_are_told_from_new_ones() {
        for version in ["2.9.21", "2.10.0-preview.1", "2.10.0", "2.15.1", "3.0.0"] {
            assert!(is_atomic(version), "{version}");
        }
        for version in ["2.9.10", "2.9.20", "2.9.21-beta.1", "2.8.4", "", "unknown"] {
            assert!(!is_atomic(version), "{version}");
        }
    }
}
