//! Which servers keep the stream, what they say of themselves, and whether all of them are new enough.
//!
//! Before nats-server 2.9.21 the leader of a replicated stream only looks at the last sequence of a subject before it
//! proposes a message: two writers that expect the same one may both succeed (nats-server#4320). The last sequence of
//! the whole stream is checked properly by all of them. Since any of the servers may lead, all must be known to be new
//! enough.

use super::api::StreamInfo;
use super::clocks::{self, ClockOffset};
use super::connection::Connection;
use crate::clock::boottime;
use futures_util::StreamExt;
use serde::Deserialize;
use std::collections::HashMap;
use std::time::Duration;

/// The first version that checks it atomically.
const ATOMIC: [u32; 3] = [2, 9, 21];
/// What every server of a cluster answers to any user, with its name and version; the connections that it lists are not
/// wanted.
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
    #[serde(default)]
    time: String,
}

/// What a server says of itself.
#[derive(Clone, Debug)]
pub(super) struct ServerInfo {
    version: String,
    clock: Option<ClockOffset>,
}

/// What is known of the servers that keep a stream.
pub(super) struct Servers<'a> {
    wanted: Vec<&'a str>,
    told: HashMap<String, ServerInfo>,
    replicas: usize,
}

impl<'a> Servers<'a> {
    /// Asks those that keep the stream of `info`.
    pub(super) async fn ask(wire: &Connection, info: &'a StreamInfo) -> Self {
        let wanted: Vec<&str> = info.cluster.iter().flat_map(|cluster| cluster.servers()).collect();
        let told = of_servers(wire, &wanted).await;
        let replicas = usize::from(info.config.num_replicas);
        Self { wanted, told, replicas }
    }

    /// Whether all are known to check the last sequence of a subject atomically.
    pub(super) fn are_atomic(&self) -> bool {
        let atomic = |name: &&str| self.told.get(*name).is_some_and(|told| is_atomic(&told.version));
        self.wanted.len() >= self.replicas && self.wanted.iter().all(atomic)
    }

    /// Which of their clocks differ by too much.
    pub(super) fn clocks_differ(&self) -> Option<String> {
        let told = |name: &&'a str| Some((*name, self.told.get(*name)?.clock?));
        clocks::differ(self.wanted.iter().filter_map(told))
    }
}

/// What the servers called `wanted` say of themselves, as far as they do.
async fn of_servers(wire: &Connection, wanted: &[&str]) -> HashMap<String, ServerInfo> {
    let mut found = HashMap::new();
    if wanted.is_empty() {
        return found;
    }
    let inbox = wire.client.new_inbox();
    let Ok(mut answers) = wire.client.subscribe(inbox.clone()).await else {
        return found;
    };
    let asked_at = boottime();
    let asked = wire
        .client
        .publish_with_reply(QUESTION, inbox, bytes::Bytes::from_static(REQUEST))
        .await;
    if asked.is_err() {
        return found;
    }
    let collect = async {
        while let Some(answer) = answers.next().await {
            // Nobody may answer, or not to us.
            let Ok(status) = serde_json::from_slice::<Status>(&answer.payload) else {
                break;
            };
            let Server { name, ver, time } = status.server;
            let clock = clocks::parse(&time).map(|time| ClockOffset::by(time, asked_at, boottime()));
            found.insert(name, ServerInfo { version: ver, clock });
            if wanted.iter().all(|name| found.contains_key(*name)) {
                break;
            }
        }
    };
    // Whoever has not answered by then is unknown.
    let _ = tokio::time::timeout(PATIENCE, collect).await;
    found
}

/// Whether `version` is one that checks the last sequence of a subject atomically.
pub(super) fn is_atomic(version: &str) -> bool {
    // 2.9.21-beta.1 comes before 2.9.21; it is not worth telling them apart more finely.
    let (numbers, preview) = version
        .split_once('-')
        .map_or((version, false), |(numbers, _)| (numbers, true));
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
