//! The simulated etcd: its keys, and transactions and ranges of them, spoken to in JSON.

use crate::codec::{base64, unbase64};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Key, value and revision of each version, and where it ended.
#[derive(Default)]
pub(crate) struct Keyspace {
    versions: BTreeMap<Vec<u8>, Vec<Version>>,
    revision: u64,
    compacted: u64,
    /// The member that answers.
    member: usize,
}

struct Version {
    from: u64,
    to: u64,
    value: Vec<u8>,
}

type Failure = (u16, String);

impl Keyspace {
    pub(crate) fn compact(&mut self) {
        self.compacted = self.revision;
    }

    /// Status and body, from one of so many members.
    pub(crate) fn answer(&mut self, path: &str, body: &[u8], member: usize, members: usize) -> (u16, String) {
        self.member = member;
        let body: Value = serde_json::from_slice(body).unwrap();
        self.revision = self.revision.max(1);
        let answer = match path {
            "kv/range" => self.range(&body).map(|mut answer| {
                answer["header"] = self.header();
                answer
            }),
            "kv/txn" => self.txn(&body),
            "cluster/member/list" => Ok(json!({ "members": vec![json!({}); members] })),
            path => panic!("{path} is not simulated"),
        };
        answer.map_or_else(|failure| failure, |answer| (200, answer.to_string()))
    }

    fn header(&self) -> Value {
        json!({
            "cluster_id": "1",
            "member_id": (self.member + 2).to_string(),
            "revision": self.revision.to_string(),
            "raft_term": "2",
        })
    }

    /// What is there under `key` at `revision`.
    fn at(&self, key: &[u8], revision: u64) -> Option<&Version> {
        let versions = self.versions.get(key)?;
        versions
            .iter()
            .find(|version| version.from <= revision && revision < version.to)
    }

    fn holds(&self, compare: &Value) -> bool {
        let there = self.at(&bytes(&compare["key"]), self.revision);
        match (compare["target"].as_str().unwrap(), compare["result"].as_str().unwrap()) {
            ("MOD", "EQUAL") => there.map_or(0, |version| version.from) == number(&compare["mod_revision"]),
            ("VALUE", "EQUAL") => there.is_some_and(|version| version.value == bytes(&compare["value"])),
            ("VALUE", "LESS") => there.is_some_and(|version| version.value < bytes(&compare["value"])),
            other => panic!("{other:?} is not simulated"),
        }
    }

    fn txn(&mut self, body: &Value) -> Result<Value, Failure> {
        let list = |name: &str| body[name].as_array().cloned().unwrap_or_default();
        let succeeded = list("compare").iter().all(|compare| self.holds(compare));
        let ops = list(if succeeded { "success" } else { "failure" });
        let mut changed = false;
        let mut responses = Vec::new();
        for op in &ops {
            let (name, request) = op.as_object().unwrap().iter().next().unwrap();
            responses.push(match &**name {
                "request_range" => json!({ "response_range": self.range(request)? }),
                "request_put" => {
                    self.set(&bytes(&request["key"]), Some(bytes(&request["value"])), &mut changed);
                    json!({ "response_put": {} })
                }
                "request_delete_range" => {
                    for key in self.keys(request) {
                        self.set(&key, None, &mut changed);
                    }
                    json!({ "response_delete_range": {} })
                }
                name => panic!("{name} is not simulated"),
            });
        }
        Ok(json!({ "header": self.header(), "succeeded": succeeded, "responses": responses }))
    }

    fn set(&mut self, key: &[u8], value: Option<Vec<u8>>, changed: &mut bool) {
        if !std::mem::replace(changed, true) {
            self.revision += 1;
        }
        let versions = self.versions.entry(key.to_vec()).or_default();
        if let Some(last) = versions.last_mut().filter(|last| last.to == u64::MAX) {
            last.to = self.revision;
        }
        versions.extend(value.map(|value| Version {
            from: self.revision,
            to: u64::MAX,
            value,
        }));
    }

    fn keys(&self, request: &Value) -> Vec<Vec<u8>> {
        let from = bytes(&request["key"]);
        if request["range_end"].is_null() {
            return vec![from];
        }
        self.versions
            .range(from..bytes(&request["range_end"]))
            .map(|(key, _)| key.clone())
            .collect()
    }

    fn range(&self, request: &Value) -> Result<Value, Failure> {
        let at = match number(&request["revision"]) {
            0 => self.revision,
            at if at < self.compacted => {
                return Err((
                    400,
                    json!({ "code": 11, "message": "etcdserver: mvcc: required revision has been compacted" })
                        .to_string(),
                ));
            }
            at => at,
        };
        let (limit, least) = (number(&request["limit"]), number(&request["min_mod_revision"]));
        let mut kvs = Vec::new();
        let mut more = false;
        for key in self.keys(request) {
            let Some(version) = self.at(&key, at).filter(|version| version.from >= least) else {
                continue;
            };
            if limit > 0 && kvs.len() as u64 == limit {
                more = true;
                break;
            }
            kvs.push(json!({
                "key": base64(&key),
                "mod_revision": version.from.to_string(),
                "value": base64(&version.value),
            }));
        }
        Ok(json!({ "kvs": kvs, "more": more }))
    }
}

fn bytes(text: &Value) -> Vec<u8> {
    unbase64(text.as_str().unwrap()).unwrap()
}

fn number(value: &Value) -> u64 {
    value.as_str().map_or(0, |text| text.parse().unwrap())
}
