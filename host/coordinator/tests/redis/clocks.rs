//! Servers whose clocks differ, one taking over from the other: no entry ever looks older than it is.

use crate::common::{at, eventually, fresh, open, single};
use bytes::Bytes;
use shardwright_coordinator::redis::RedisCoordinator;
use shardwright_coordinator::{Store, clock};
use shardwright_core::store::{Expected, Revision, StoreError, StoreTime, Written};
use shardwright_servers::{Proxy, RedisServer};
use std::collections::BTreeMap;

/// When each key was last written, at the earliest, on this machine's clock.
#[derive(Default)]
struct Truth(BTreeMap<String, u64>);

impl Truth {
    async fn write(&mut self, handle: &RedisCoordinator, key: &str) -> Written {
        let (written, sent) = eventually("a write", async || {
            let sent = clock::boottime();
            match handle.put(key, Bytes::new(), Expected::Any).await {
                Ok(written) => Some((written, sent)),
                Err(StoreError::Unavailable(_)) => None,
                Err(error) => panic!("{error}"),
            }
        })
        .await;
        self.0.insert(key.to_owned(), sent);
        written
    }

    /// Reads everything by each of `handles`: nothing is older there than it is. The latest time that was told.
    async fn check(&self, handles: &[&RedisCoordinator], when: &str) -> StoreTime {
        let mut latest = StoreTime(0);
        for (number, handle) in handles.iter().enumerate() {
            let listing = eventually("a listing", async || match handle.list("", Revision(0)).await {
                Ok(listing) => Some(listing),
                Err(StoreError::Unavailable(_)) => None,
                Err(error) => panic!("{when}: {error}"),
            })
            .await;
            let come = clock::boottime();
            assert_eq!(listing.entries.len(), self.0.len(), "{when}");
            for (key, entry) in &listing.entries {
                let (age, truth) = (listing.now.since(entry.written), come - self.0[key]);
                // Each of the clocks tells whole milliseconds.
                assert!(
                    age <= truth + 2,
                    "{when}: to handle {number}, {key} is {age} ms old, and it is {truth} ms at most"
                );
            }
            latest = latest.max(listing.now);
        }
        latest
    }
}

/// A server, another one with a clock that differs from its, which has all that it has, and a way to the one or the
/// other.
struct Pair {
    old: RedisServer,
    new: RedisServer,
    way: Proxy,
}

impl Pair {
    fn start(ahead: i64) -> Self {
        let old = RedisServer::start().unwrap();
        let new = RedisServer::builder()
            .line(&format!("replicaof 127.0.0.1 {}", old.port()))
            .clock_ahead_by(ahead)
            .start()
            .unwrap();
        let way = Proxy::to(old.port()).unwrap();
        Self { old, new, way }
    }

    /// Waits until the other one has everything.
    async fn copied(&self) {
        let offset = |server: &RedisServer| {
            let state = server.cli(&["info", "replication"]).unwrap();
            let line = state.lines().find(|line| line.starts_with("master_repl_offset:"));
            line.unwrap().trim().to_owned()
        };
        eventually("replication", async || {
            let linked = self
                .new
                .cli(&["info", "replication"])
                .unwrap()
                .contains("master_link_status:up");
            (linked && offset(&self.old) == offset(&self.new)).then_some(())
        })
        .await;
    }

    /// The other one is the master from now on, and the way leads there.
    fn promote(&self) {
        self.new.cli(&["replicaof", "no", "one"]).unwrap();
        self.way.lead_to(self.new.port());
        self.old.cli(&["client", "kill", "type", "normal"]).unwrap();
    }
}

/// Minutes are more than any margin, and seconds are what happens.
const DIFFERENCES: [i64; 4] = [6_000, -6_000, 600_000, -600_000];

#[tokio::test(flavor = "multi_thread")]
async fn nothing_looks_older_than_it_is_after_a_failover() {
    for ahead in DIFFERENCES {
        let pair = Pair::start(ahead);
        let (options, namespace) = (at(pair.way.port()), fresh());
        let (one, two) = (open(&options, &namespace).await, open(&options, &namespace).await);
        let mut truth = Truth::default();
        for key in ["a", "b", "c"] {
            truth.write(&one, key).await;
        }
        pair.copied().await;
        // One has a later time than the last write.
        let before = truth.check(&[&one], "before").await;
        pair.promote();
        let when = format!("after a server took over that is {ahead} ms ahead");
        let after = truth.check(&[&two, &one], &when).await;
        let late = open(&options, &namespace).await;
        truth.check(&[&late, &two, &one], &when).await;
        for key in ["b", "d"] {
            truth.write(&one, key).await;
            truth.check(&[&late, &two, &one], &when).await;
        }
        truth.write(&two, "e").await;
        // It goes on, whichever way the clocks differ: later than anything that was told.
        eventually("the clock going on", async || {
            let now = truth.check(&[&late, &one, &two], &when).await;
            (now.0 > before.0.max(after.0) + 20).then_some(())
        })
        .await;
        let server = pair.new.cli(&["time"]).unwrap();
        let server = server
            .lines()
            .next()
            .and_then(|seconds| seconds.parse::<u64>().ok())
            .unwrap()
            * 1000;
        let told = truth.check(&[&late], &when).await.0;
        assert!(
            told.abs_diff(server) > ahead.unsigned_abs() / 2,
            "the clocks do not differ: the test shows nothing"
        );
    }
}

/// For a moment two nodes see two masters; then all see the new one.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_looks_older_than_it_is_to_who_stayed_with_the_old_server() {
    for ahead in DIFFERENCES {
        let pair = Pair::start(ahead);
        let namespace = fresh();
        let stays = Proxy::to(pair.old.port()).unwrap();
        let (one, two) = (
            open(&at(pair.way.port()), &namespace).await,
            open(&at(stays.port()), &namespace).await,
        );
        let mut truth = Truth::default();
        truth.write(&one, "a").await;
        truth.write(&two, "b").await;
        pair.copied().await;
        pair.promote();
        let when = format!("beside a server that is {ahead} ms ahead");
        truth.check(&[&one], &when).await;
        truth.write(&one, "c").await;
        for _ in 0..5 {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            two.get("a").await.unwrap();
        }
        truth.write(&one, "d").await;
        stays.lead_to(pair.new.port());
        pair.old.cli(&["client", "kill", "type", "normal"]).unwrap();
        truth.check(&[&two, &one], &when).await;
        for key in ["d", "e"] {
            truth.write(&two, key).await;
            truth.check(&[&one, &two], &when).await;
        }
    }
}

/// Whoever lived through it knows how long the server was away; the clock does not go back for him.
#[tokio::test(flavor = "multi_thread")]
async fn the_time_of_an_outage_counts_for_who_saw_it() {
    let server = RedisServer::start().unwrap();
    let handle = open(&single(&server.url()), &fresh()).await;
    let mut truth = Truth::default();
    truth.write(&handle, "a").await;
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    let (before, seen) = (truth.check(&[&handle], "before").await, clock::boottime());
    server.kill().unwrap();
    server.start_again().unwrap();
    let back = clock::boottime();
    let after = truth.check(&[&handle], "after").await;
    let least = (back - seen) * 9 / 10;
    assert!(
        after.0 + 2 >= before.0 + least,
        "{} ms later at most {} ms have passed",
        back - seen,
        after.since(before)
    );
}

/// Somebody puts the clock of a server back by an hour: the store's goes on, once something is written.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_put_back_does_not_stop_the_stores() {
    let server = RedisServer::builder().clock_ahead_by(0).start().unwrap();
    let namespace = fresh();
    let (one, two) = (
        open(&single(&server.url()), &namespace).await,
        open(&single(&server.url()), &namespace).await,
    );
    let mut truth = Truth::default();
    truth.write(&one, "a").await;
    let before = truth.check(&[&one, &two], "before").await;
    server.shift_clock(-3_600_000).unwrap();
    truth.check(&[&one, &two], "after").await;
    truth.write(&one, "b").await;
    eventually("the clock going on", async || {
        let now = truth.check(&[&two, &one], "after").await;
        (now.0 > before.0 + 20).then_some(())
    })
    .await;
}
