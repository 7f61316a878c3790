//! Permissions that are taken away in the middle of a node's life: what is denied has not happened, and nothing that
//! was acknowledged goes.

use crate::common::{PATIENCE, eventually, fresh, open, single};
use bytes::Bytes;
use shardwright_coordinator::broker::BrokerError;
use shardwright_coordinator::redis::{RedisCoordinator, RedisOptions};
use shardwright_coordinator::{Bus, BusError, Delivery, Namespace, Store};
use shardwright_core::store::{Expected, Revision, StoreError, Written};
use shardwright_servers::RedisServer;
use std::collections::BTreeMap;

/// What the user of a coordinator needs, as `docs/redis.md` says.
pub(crate) const COMMANDS: &str = "+ping +eval +evalsha +info +time +hget +hkeys +hmget +hset +hdel +hlen +zadd \
                                   +zcard +zrem +zscore +zrangebyscore +unlink +wait +publish +subscribe";

const SECRET: &str = "s3cret-of-the-test";

fn server() -> RedisServer {
    let user = format!("user node on >{SECRET} ~* &* {COMMANDS}");
    RedisServer::builder().line(&user).start().unwrap()
}

fn node(server: &RedisServer) -> RedisOptions {
    single(&format!("redis://node:{SECRET}@127.0.0.1:{}", server.port()))
}

/// One permission: how it is taken away, and how it is given back.
struct Permission {
    take: Vec<String>,
    give: Vec<String>,
}

/// Each command, each key, the channel.
fn permissions(namespace: &Namespace) -> Vec<Permission> {
    let words = |text: String| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let key = |what: &str| format!("shardwright:{{{namespace}}}:{what}");
    let commands = COMMANDS.split(' ').map(|command| Permission {
        take: words(command.replace('+', "-")),
        give: words(command.to_owned()),
    });
    let keys = ["meta", "index", "entries"];
    let keys = keys.map(|gone| Permission {
        take: words(
            keys.iter()
                .filter(|what| **what != gone)
                .fold("resetkeys".to_owned(), |rule, what| format!("{rule} ~{}", key(what))),
        ),
        give: words("resetkeys ~*".into()),
    });
    // Only to be read, where the server knows the difference.
    let read = keys.iter().zip(["meta", "index", "entries"]).map(|(without, what)| {
        let mut take = without.take.clone();
        take.push(format!("%R~{}", key(what)));
        Permission {
            take,
            give: without.give.clone(),
        }
    });
    let read = read.collect::<Vec<_>>();
    let channel = Permission {
        take: words(format!("resetchannels &{}", key("other"))),
        give: words("allchannels".into()),
    };
    commands.chain(keys).chain(read).chain([channel]).collect()
}

fn rule(server: &RedisServer, rules: &[String]) {
    let mut command = vec!["acl", "setuser", "node"];
    command.extend(rules.iter().map(String::as_str));
    server.cli(&command).unwrap();
}

/// What must be there: value and revision of each key.
#[derive(Default)]
struct Model {
    entries: BTreeMap<String, (Bytes, Revision)>,
    last: Revision,
    denied: usize,
}

impl Model {
    /// Takes note of the outcome of a write.
    fn note(&mut self, key: &str, value: Option<&Bytes>, outcome: Result<Written, StoreError<Bytes>>, when: &str) {
        match outcome {
            Ok(written) => {
                assert!(
                    written.revision > self.last,
                    "{when}: {key} got revision {} again",
                    written.revision.0
                );
                self.last = written.revision;
                match value {
                    Some(value) => drop(self.entries.insert(key.into(), (value.clone(), written.revision))),
                    None => drop(self.entries.remove(key)),
                }
            }
            Err(StoreError::Denied(_)) => self.denied += 1,
            Err(error) => panic!("{when}: {key}: {error:?}"),
        }
    }

    async fn check(&self, handle: &RedisCoordinator, when: &str) {
        let listing = handle
            .list("", Revision(0))
            .await
            .unwrap_or_else(|error| panic!("{when}: {error}"));
        let there = listing
            .entries
            .into_iter()
            .map(|(key, entry)| (key, (entry.value, entry.revision)));
        assert_eq!(there.collect::<BTreeMap<_, _>>(), self.entries, "{when}");
        for (key, (value, revision)) in &self.entries {
            let entry = handle
                .get(key)
                .await
                .unwrap()
                .entry
                .unwrap_or_else(|| panic!("{when}: {key} is gone"));
            assert_eq!((&entry.value, entry.revision), (value, *revision), "{when}: {key}");
        }
    }
}

/// Every kind of write: a new key, an old one, one that is compared, removals.
async fn write_all(handle: &RedisCoordinator, model: &mut Model, round: usize, when: &str) {
    let value = Bytes::from(format!("value of round {round}"));
    let new = format!("new/{round}");
    let outcome = handle.put(&new, value.clone(), Expected::Absent).await;
    model.note(&new, Some(&value), outcome, when);
    let outcome = handle.put("any", value.clone(), Expected::Any).await;
    model.note("any", Some(&value), outcome, when);
    let expected = model
        .entries
        .get("compared")
        .map_or(Expected::Absent, |entry| Expected::Revision(entry.1));
    let outcome = handle.put("compared", value.clone(), expected).await;
    model.note("compared", Some(&value), outcome, when);
    let old = model
        .entries
        .keys()
        .find(|key| key.starts_with("new/") && **key != new)
        .cloned();
    if let Some(key) = old {
        let outcome = handle.delete(&key, Expected::Revision(model.entries[&key].1)).await;
        model.note(&key, None, outcome, when);
    }
    let outcome = handle.delete("never", Expected::Any).await;
    model.note("never", None, outcome, when);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_denied_has_not_happened() {
    let server = server();
    let (options, namespace) = (node(&server), fresh());
    let handle = open(&options, &namespace).await;
    let mut model = Model::default();
    for round in 0..3 {
        write_all(&handle, &mut model, round, "at first").await;
    }
    let permissions = permissions(&namespace);
    for (round, permission) in (3..).zip(&permissions) {
        let when = format!("{:?} was taken away", permission.take);
        rule(&server, &permission.take);
        write_all(&handle, &mut model, round, &when).await;
        // Who comes now is let in or sent away, and does no harm either way.
        let late = RedisCoordinator::open(options.clone(), namespace.clone()).await;
        match late {
            Ok(late) => write_all(&late, &mut model, 1000 + round, &when).await,
            Err(BrokerError::Denied { .. }) => {}
            Err(error) => panic!("{when}: {error:?}"),
        }
        rule(&server, &permission.give);
        model.check(&handle, &when).await;
        model.check(&open(&options, &namespace).await, &when).await;
        write_all(&handle, &mut model, 2000 + round, &when).await;
    }
    model.check(&handle, "at last").await;
    assert!(
        model.denied > permissions.len(),
        "only {} writes were denied",
        model.denied
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_denied_was_not_sent() {
    let server = server();
    let (options, namespace) = (node(&server), fresh());
    let handle = open(&options, &namespace).await;
    let ear = open(&single(&server.url()), &namespace).await;
    let mut subscription = ear.subscribe(&["t"]).await.unwrap();
    let channel = format!("&shardwright:{{{namespace}}}:");
    for (take, give) in [("-publish", "+publish"), ("resetchannels", &*format!("{channel}bus"))] {
        rule(&server, &[take.into()]);
        let denied = handle.publish("t", Bytes::from_static(b"denied")).await;
        assert!(
            matches!(&denied, Err(BusError::Denied(why)) if why.contains(&channel) || why.contains("+publish")),
            "{denied:?}"
        );
        rule(&server, &[give.into()]);
        eventually("the bus", async || {
            handle.publish("t", Bytes::from_static(b"sent")).await.ok()
        })
        .await;
        let came = tokio::time::timeout(PATIENCE, subscription.next(1))
            .await
            .expect("a delivery")
            .unwrap();
        let payload = Bytes::from_static(b"sent");
        assert_eq!(
            came,
            [Delivery::Message {
                topic: "t".into(),
                payload
            }]
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_wait_for_replicas_is_told() {
    let server = server();
    let (plain, namespace) = (node(&server), fresh());
    let waits = RedisOptions {
        min_replicas: 1,
        ..plain.clone()
    };
    let handle = open(&waits, &namespace).await;
    rule(&server, &["-wait".into()]);
    let unsure = handle.put("k", Bytes::new(), Expected::Absent).await;
    assert!(
        matches!(&unsure, Err(StoreError::Indeterminate(why))
            if why.contains("wait") && why.contains("cannot be asked")),
        "{unsure:?}"
    );
    assert!(handle.get("k").await.unwrap().entry.is_some(), "it was written");
    let denied = RedisCoordinator::open(waits, namespace.clone()).await.err().unwrap();
    assert!(
        matches!(&denied, BrokerError::Denied { why, .. } if why.contains("wait")),
        "{denied:?}"
    );
    open(&plain, &namespace).await;
}
