//! A store of which somebody else has changed a part: what is left is kept, and whoever may know more is told.

use crate::common::{fresh, open, single};
use bytes::Bytes;
use shardwright_coordinator::broker::BrokerError;
use shardwright_coordinator::redis::RedisCoordinator;
use shardwright_coordinator::{Namespace, Store};
use shardwright_core::store::{Expected, Listing, Revision, StoreError, StoreTime, Written};
use shardwright_servers::RedisServer;

/// A server with a namespace of three entries, and a handle that knows them.
struct Scene {
    server: RedisServer,
    namespace: Namespace,
    handle: RedisCoordinator,
    last: Written,
}

impl Scene {
    async fn new() -> Self {
        let server = RedisServer::start().unwrap();
        let namespace = fresh();
        let handle = open(&single(&server.url()), &namespace).await;
        for key in ["a", "b", "c"] {
            handle
                .put(key, Bytes::from_static(b"old"), Expected::Absent)
                .await
                .unwrap();
        }
        let last = handle
            .put("a", Bytes::from_static(b"new"), Expected::Any)
            .await
            .unwrap();
        Self {
            server,
            namespace,
            handle,
            last,
        }
    }

    fn cli(&self, command: &str, part: &str, arguments: &[&str]) {
        let key = format!("shardwright:{{{}}}:{part}", self.namespace);
        let mut all = vec![command, &key];
        all.extend(arguments);
        self.server.cli(&all).unwrap();
    }

    async fn open_anew(&self) -> RedisCoordinator {
        open(&single(&self.server.url()), &self.namespace).await
    }
}

fn values(listing: &Listing<Bytes>) -> Vec<(&str, &[u8], u64)> {
    listing
        .entries
        .iter()
        .map(|(key, entry)| (&key[..], &entry.value[..], entry.revision.0))
        .collect()
}

const ALL: [(&str, &[u8], u64); 3] = [("a", b"new", 4), ("b", b"old", 2), ("c", b"old", 3)];

/// The index follows the entries: nothing is missing, so nobody need hear of it.
#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_is_wrong_is_made_again() {
    for (command, arguments) in [
        ("unlink", &[][..]),
        // As a write left it that was denied half-way by an earlier release.
        ("zadd", &["5", "b"]),
        ("zrem", &["c"]),
        ("zadd", &["7", "stranger"]),
    ] {
        let scene = Scene::new().await;
        scene.cli(command, "index", arguments);
        let new = scene.open_anew().await;
        let listing = new.list("", Revision(0)).await.unwrap();
        assert_eq!(values(&listing), ALL, "{command} {arguments:?}");
        assert_eq!(listing.unsure_before, StoreTime(0), "{command} {arguments:?}");
        new.put("b", Bytes::from_static(b"next"), Expected::Revision(Revision(2)))
            .await
            .unwrap();
        assert_eq!(&scene.handle.get("b").await.unwrap().entry.unwrap().value[..], b"next");
    }
}

/// Something may be missing: everybody who knew the store is told, everybody who comes waits, and what is there is
/// kept.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_of_a_store_is_kept() {
    for (command, part, arguments, left) in [
        ("unlink", "meta", &[][..], &ALL[..]),
        ("hdel", "entries", &["c"], &ALL[..2]),
        ("unlink", "entries", &[], &[]),
        ("hset", "meta", &["revision", "5", "count", "4"], &ALL),
        ("hset", "meta", &["revision", "3"], &ALL),
    ] {
        let scene = Scene::new().await;
        scene.cli(command, part, arguments);
        let new = scene.open_anew().await;
        let when = format!("{command} {part} {arguments:?}");
        let listing = new.list("", Revision(0)).await.unwrap();
        assert_eq!(values(&listing), left, "{when}");
        assert!(listing.unsure_before > scene.last.now, "{when}: {listing:?}");
        assert!(listing.revision > Revision(1 << 20), "{when}: {listing:?}");
        let written = new.put("d", Bytes::new(), Expected::Absent).await.unwrap();
        assert!(
            written.revision > listing.revision && written.now >= scene.last.now,
            "{when}"
        );
        for _ in 0..2 {
            let told = scene.handle.get("a").await;
            assert!(matches!(told, Err(StoreError::HistoryLost(_))), "{when}: {told:?}");
        }
        let again = scene.open_anew().await.list("", Revision(0)).await.unwrap();
        assert_eq!(again.entries.len(), left.len() + 1, "{when}");
        assert_eq!(again.unsure_before, listing.unsure_before, "{when}: it is mended once");
    }
}

/// Whoever may not do what mending takes is sent away, and changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn mending_that_is_denied_throws_nothing_away() {
    let scene = Scene::new().await;
    scene.cli("unlink", "index", &[]);
    let lacking = crate::revoked::COMMANDS.replace("+hkeys ", "");
    let mut user = vec!["acl", "setuser", "node", "on", ">secret", "~*", "&*"];
    user.extend(lacking.split(' '));
    scene.server.cli(&user).unwrap();
    let options = single(&format!("redis://node:secret@127.0.0.1:{}", scene.server.port()));
    let denied = RedisCoordinator::open(options.clone(), scene.namespace.clone())
        .await
        .err()
        .unwrap();
    assert!(
        matches!(&denied, BrokerError::Denied { why, .. } if why.contains("HKEYS")),
        "{denied:?}"
    );
    scene
        .server
        .cli(&["acl", "setuser", "node", "+hkeys", "-zadd"])
        .unwrap();
    let denied = RedisCoordinator::open(options.clone(), scene.namespace.clone())
        .await
        .err()
        .unwrap();
    assert!(
        matches!(&denied, BrokerError::Denied { why, .. } if why.contains("ZADD")),
        "{denied:?}"
    );
    scene.server.cli(&["acl", "setuser", "node", "+zadd"]).unwrap();
    let listing = open(&options, &scene.namespace)
        .await
        .list("", Revision(0))
        .await
        .unwrap();
    assert_eq!(values(&listing), ALL);
}

/// What is no entry is left to whoever put it there.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_entry_is_not_touched() {
    let scene = Scene::new().await;
    scene.cli("hset", "entries", &["d", "not ours"]);
    let refused = RedisCoordinator::open(single(&scene.server.url()), scene.namespace.clone())
        .await
        .err()
        .unwrap();
    assert!(
        matches!(&refused, BrokerError::Unsafe { why, .. } if why.contains("not in format 1: d")),
        "{refused:?}"
    );
    scene.cli("hdel", "entries", &["d"]);
    let listing = scene.open_anew().await.list("", Revision(0)).await.unwrap();
    assert_eq!(values(&listing), ALL);
}
