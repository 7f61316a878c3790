//! Processes that share a file, and are killed in the middle of things.

use crate::child::{Process, say};
use bytes::Bytes;
use shardwright_coordinator::{Bus, Delivery, Namespace, SqliteCoordinator, Store};
use shardwright_core::store::{Expected, Revision, StoreError};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

async fn open(path: &Path) -> SqliteCoordinator {
    SqliteCoordinator::open(path, Namespace::new("n").expect("valid"))
        .await
        .expect("opens")
}

/// Counts up under `key`, against everybody else who does.
async fn increment(store: &SqliteCoordinator, key: &str) -> (Revision, u64) {
    loop {
        let entry = store.get(key).await.expect("reads").entry;
        let count: u64 = entry.as_ref().map_or(0, |entry| {
            String::from_utf8_lossy(&entry.value).parse().expect("a number")
        }) + 1;
        let expected = entry.map_or(Expected::Absent, |entry| Expected::Revision(entry.revision));
        match store.put(key, Bytes::from(count.to_string()), expected).await {
            Ok(written) => return (written.revision, count),
            Err(StoreError::Conflict(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// In a process of its own.
pub(crate) async fn play(role: &str, path: &Path) {
    let store = open(path).await;
    match role {
        "talker" => {
            for n in 0_u64.. {
                store
                    .publish("t", Bytes::from(format!("{} {n}", std::process::id())))
                    .await
                    .expect("publishes");
                say(&n.to_string());
            }
        }
        "listener" => {
            let mut subscription = store.subscribe(&["t"]).await.expect("subscribes");
            say("ready");
            loop {
                for delivery in subscription.next(100).await.expect("news") {
                    match delivery {
                        Delivery::Message { payload, .. } => say(&String::from_utf8_lossy(&payload)),
                        Delivery::Gap { lost } => say(&format!("gap {lost}")),
                    }
                }
            }
        }
        writer => loop {
            for key in ["shared", writer] {
                let (revision, count) = increment(&store, key).await;
                say(&format!("{key} {} {count}", revision.0));
            }
        },
    }
}

/// Writers are killed again and again while they write. What they had been told is all there, nothing is counted twice,
/// and no revision is ever given to two writes or goes back.
#[tokio::test]
async fn killed_writers_lose_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store");
    let kills = 30;
    let mut writers: Vec<Process> = (0..3).map(|i| Process::start(&format!("w{i}"), &path)).collect();
    let mut said = Vec::new();
    for kill in 0..kills {
        let victim = kill % writers.len();
        for _ in 0..10 + kill {
            said.push((victim, kill, writers[victim].line().expect("it writes for ever")));
        }
        writers[victim].kill();
        // What it said before it died, but nobody had read yet.
        let dead = std::mem::replace(&mut writers[victim], Process::start(&format!("w{victim}"), &path));
        said.extend(dead.rest().into_iter().map(|line| (victim, kill, line)));
    }
    for (i, mut writer) in writers.into_iter().enumerate() {
        writer.kill();
        said.extend(writer.rest().into_iter().map(|line| (i, kills, line)));
    }

    let (mut revisions, mut acknowledged, mut newest) = (
        BTreeSet::new(),
        BTreeMap::<String, BTreeSet<u64>>::new(),
        BTreeMap::new(),
    );
    for (writer, _, line) in &said {
        let parts: Vec<&str> = line.split(' ').collect();
        let [key, revision, count] = parts[..] else {
            panic!("{line}")
        };
        let (revision, count): (u64, u64) = (revision.parse().expect("a number"), count.parse().expect("a number"));
        assert!(revisions.insert(revision), "revision {revision} was given twice");
        let last = newest.insert(*writer, revision).unwrap_or(0);
        assert!(revision > last, "revision {revision} after {last}");
        assert!(
            acknowledged.entry(key.into()).or_default().insert(count),
            "count {count} of {key} was reached twice"
        );
    }
    let store = open(&path).await;
    for (key, counts) in acknowledged {
        let entry = store.get(&key).await.expect("reads").entry.expect("it is there");
        let count: u64 = String::from_utf8_lossy(&entry.value).parse().expect("a number");
        assert!(
            counts.iter().all(|acknowledged| *acknowledged <= count),
            "{key} stands at {count}, acknowledged were {counts:?}"
        );
        // Each life may have died between a write and the word of it.
        let unsaid = count - counts.len() as u64;
        assert!(
            unsaid <= kills as u64 + 3,
            "{key}: {count} increments, {} acknowledged",
            counts.len()
        );
    }
    let next = store.put("next", Bytes::new(), Expected::Absent).await.expect("writes");
    assert!(next.revision.0 > *revisions.last().expect("some"), "revisions go on");
    assert!(said.len() > 500, "{} writes are too few to tell", said.len());
}

/// Publishers are killed while they publish: listeners in two other processes hear all of everybody up to the death, in
/// order.
#[tokio::test]
async fn killed_publishers_and_listeners_harm_nobody() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store");
    let here = open(&path).await;
    let mut subscription = here.subscribe(&["t"]).await.expect("subscribes");
    let mut listener = Process::start("listener", &path);
    assert_eq!(listener.line().as_deref(), Some("ready"));
    let mut killed_listener = Process::start("listener", &path);
    assert_eq!(killed_listener.line().as_deref(), Some("ready"));
    let mut next: BTreeMap<String, u64> = BTreeMap::new();
    let mut hear = |text: &str| {
        let (who, n) = text.split_once(' ').expect("two words");
        assert_ne!(who, "gap", "nothing is lost among the quick");
        let next = next.entry(who.into()).or_default();
        assert_eq!(*next, n.parse::<u64>().expect("a number"), "of {who}");
        *next += 1;
    };
    let (mut talked, mut heard) = (0, 0);
    for round in 0..5 {
        let mut talker = Process::start("talker", &path);
        for _ in 0..50 {
            talker.line().expect("it talks for ever");
        }
        if round == 2 {
            killed_listener.kill();
        }
        talker.kill();
        talked += 50 + talker.rest().len();
        here.publish("t", Bytes::from(format!("end {round}")))
            .await
            .expect("publishes");
        let last = format!("end {round}");
        loop {
            let said = listener.line().expect("it listens for ever");
            hear(&said);
            heard += 1;
            if said == last {
                break;
            }
        }
    }
    assert!(
        heard >= talked + 5,
        "{heard} heard of {talked} acknowledged and 5 of this process"
    );
    // The subscription of this process heard the same.
    let mut own = 0;
    while own < heard {
        own += subscription
            .next(1000)
            .await
            .expect("news")
            .iter()
            .filter(|d| matches!(d, Delivery::Message { .. }))
            .count();
    }
    assert_eq!(own, heard);
}
