//! Three brokers whose clocks differ: whoever leads dates the records, so another leader makes everything look older
//! than it is.

use super::cluster::{leader, replicated};
use super::{PATIENCE, open, reopen};
use shardwright_coordinator::Store;
use shardwright_coordinator::clock::boottime;
use shardwright_coordinator::kafka::{KafkaCoordinator, KafkaOptions};
use shardwright_core::clock::BackendClock;
use shardwright_core::store::{Expected, Reading, StoreError};
use shardwright_core::time::{Instant, Timing};
use shardwright_servers::{KafkaBuilder, KafkaCluster};
use std::sync::Arc;
use std::time::Duration;

/// By how many milliseconds the others' clocks are ahead of the first's.
const AHEAD: i64 = 6_000;

/// A handle to a log that the first broker leads, and the log's name.
async fn led_by_the_first(cluster: &KafkaCluster, options: &KafkaOptions) -> (Arc<KafkaCoordinator>, String) {
    // The controller gives the leads out as it likes.
    for number in 0..40 {
        let name = format!("clocks-{number}");
        let store = reopen(options, &name).await;
        if tokio::task::block_in_place(|| leader(cluster, &name)) == 0 {
            return (store, name);
        }
    }
    panic!("the first broker leads none of forty logs");
}

/// A node's view of the backend's clock, as the engine has it.
struct Observer {
    store: Arc<KafkaCoordinator>,
    clock: BackendClock,
    timing: Timing,
}

impl Observer {
    /// Reads once; also says when.
    async fn look(&mut self) -> Result<(Reading<bytes::Bytes>, u64), StoreError<bytes::Bytes>> {
        let sent = boottime();
        let reading = self.store.get("session").await?;
        let now = boottime();
        let Timing { drift_ppm, .. } = self.timing;
        self.clock
            .learn(Instant(sent), Instant(now), reading.now, drift_ppm, self.timing.taker());
        Ok((reading, now))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_age_is_believed_that_the_clock_of_another_leader_made() {
    let brokers = [0, AHEAD, AHEAD].map(|ahead| KafkaBuilder::default().clock(ahead));
    let cluster = KafkaCluster::start_each(brokers).unwrap();
    let options = replicated(&cluster);
    let (store, name) = led_by_the_first(&cluster, &options).await;
    let timing = Timing {
        validity: 3_000,
        ..Timing::default()
    };
    let mut observer = Observer {
        store: store.clone(),
        clock: BackendClock::default(),
        timing: timing.clone(),
    };
    let begun = std::time::Instant::now();
    while !observer.clock.is_trusted(Instant(boottime())) {
        observer.look().await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Just renewed, when the broker that dated it is lost.
    let (written, sent) = loop {
        let sent = boottime();
        match store.put("session", "renewed".into(), Expected::Any).await {
            Ok(written) => break (written, sent),
            Err(error) => assert!(begun.elapsed() < PATIENCE, "{error}"),
        }
    };
    cluster.node(0).kill().unwrap();
    let (mut told_too_much, mut seen) = (false, 0);
    while seen < 20 {
        let Ok((reading, now)) = observer.look().await else {
            assert!(begun.elapsed() < 3 * PATIENCE, "it does not answer again");
            continue;
        };
        let entry = reading.entry.expect("it is there");
        assert_eq!(entry.revision, written.revision);
        // It may have been written right after it was sent: it is not older than this.
        let most = now - sent + timing.margin;
        told_too_much |= reading.now.since(entry.written) > most;
        let believed = observer.clock.age(entry.written, reading.now, Instant(now));
        // After the doubt all that is from before the step is older than a taker waits, in truth too.
        let doubt_is_over = now - sent >= timing.taker();
        assert!(
            believed <= most || doubt_is_over,
            "{believed} ms are believed, and it is at most {most}"
        );
        seen += 1;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(told_too_much, "the clocks did not differ: this shows nothing");
    // Whoever comes now believes nothing before it has watched for as long as that.
    let fresh = open(&options, &name).await.unwrap();
    let mut newcomer = Observer {
        store: fresh,
        clock: BackendClock::default(),
        timing: timing.clone(),
    };
    let arrived = boottime();
    let (reading, now) = newcomer.look().await.unwrap();
    let entry = reading.entry.expect("it is there");
    assert_eq!(newcomer.clock.age(entry.written, reading.now, Instant(now)), 0);
    assert!(!newcomer.clock.is_trusted(Instant(arrived + timing.taker() - 1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_while_the_broker_runs_is_seen_and_the_store_s_never_goes_back() {
    const HOUR: u64 = 3_600_000;
    let broker = KafkaBuilder::default().clock(0).start().unwrap();
    let store = reopen(&super::options(&[broker.address()]), "set").await;
    let put = async || store.put("a", "1".into(), Expected::Any).await.unwrap();
    let written = put().await;
    broker.shift_clock(HOUR.cast_signed()).unwrap();
    let ahead = put().await;
    assert!(ahead.now.since(written.now) >= HOUR, "{ahead:?} after {written:?}");
    broker.shift_clock(0).unwrap();
    let back = put().await;
    assert!(back.now >= ahead.now, "{back:?} after {ahead:?}");
    let read = store.get("a").await.unwrap();
    assert!(read.now >= back.now && read.entry.is_some(), "{read:?} after {back:?}");
}
