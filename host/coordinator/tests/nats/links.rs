//! What happens when the link to the server swallows answers, is cut, or is slow.

use crate::common::{eventually, expect_bus, expect_gap, open, options, put, space};
use bytes::Bytes;
use shardwright_coordinator::Delivery;
use shardwright_core::store::{Expected, StoreError};
use shardwright_servers::{NatsServer, Proxy};
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_never_came_is_read_back() {
    let server = NatsServer::start().unwrap();
    let proxy = Proxy::to(server.port()).unwrap();
    let address = format!("nats://127.0.0.1:{}", proxy.port());
    let handle = open(options([address.as_str()]), space("swallow")).await.unwrap();
    let witness = open(options([server.url().as_str()]), space("swallow")).await.unwrap();
    proxy.swallow_answers(true);
    let (outcome, ()) = tokio::join!(handle.put("k", Bytes::from_static(b"v"), Expected::Absent), async {
        // It was done; only the answer is missing.
        while witness.get("k").await.unwrap().entry.is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::task::block_in_place(|| proxy.cut());
    });
    assert!(matches!(outcome, Err(StoreError::Indeterminate(_))), "{outcome:?}");
    let outcome = handle.put("k", Bytes::from_static(b"w"), Expected::Any).await;
    assert!(
        matches!(outcome, Err(StoreError::Unavailable(_))),
        "nothing can be sent: {outcome:?}"
    );
    proxy.swallow_answers(false);
    proxy.heal().unwrap();
    let entry = eventually(|| handle.get("k")).await.entry.unwrap();
    assert_eq!(entry.value, "v");
}

/// On threads of its own, so that what they use of the processors is not what other tests use.
#[test]
fn a_cut_link_fails_fast_and_heals() {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).thread_name(CUT).enable_all().build().unwrap();
    runtime.block_on(cut_and_healed());
}

const CUT: &str = "cut-link";

async fn cut_and_healed() {
    let server = NatsServer::start().unwrap();
    let proxy = Proxy::to(server.port()).unwrap();
    let address = format!("nats://127.0.0.1:{}", proxy.port());
    let handle = open(options([address.as_str()]), space("cut")).await.unwrap();
    let mut subscription = handle.subscribe(&["t"]).await.unwrap();
    let written = put(&*handle, "k", "v").await;
    let (attempts, spent) = (proxy.connections(), cpu_time());
    proxy.cut();
    let begun = Instant::now();
    for _ in 0..20 {
        // Of the twenty seconds that a call may take, a quarter at most.
        let refused = tokio::time::timeout(Duration::from_secs(5), handle.get("k"))
            .await
            .expect("calls do not hang");
        assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let (cut, used) = (begun.elapsed(), cpu_time() - spent);
    assert!(used < cut / 2, "busy while the link was cut: {used:?} of {cut:?}");
    proxy.heal().unwrap();
    let reading = eventually(|| handle.get("k")).await;
    assert_eq!(reading.entry.unwrap().revision, written.revision);
    assert!(
        proxy.connections() - attempts < 10,
        "{} connections",
        proxy.connections() - attempts
    );
    expect_gap(&mut *subscription).await;
    expect_bus(&*handle, &mut *subscription).await;
}

/// What the threads of that name have used of the processors.
fn cpu_time() -> Duration {
    let threads = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let ticks = threads.filter_map(|thread| {
        let usage = std::fs::read_to_string(thread.path().join("stat")).ok()?;
        let (name, rest) = usage.rsplit_once(')')?;
        let fields: Vec<_> = rest.split_whitespace().collect();
        let used = fields[11].parse::<u64>().ok()? + fields[12].parse::<u64>().ok()?;
        name.ends_with(CUT).then_some(used)
    });
    Duration::from_millis(ticks.sum::<u64>() * 10)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_link_is_only_slow() {
    let server = NatsServer::start().unwrap();
    let proxy = Proxy::to(server.port()).unwrap();
    proxy.delay(Duration::from_millis(200));
    let address = format!("nats://127.0.0.1:{}", proxy.port());
    let far = open(options([address.as_str()]), space("slow")).await.unwrap();
    let near = open(options([server.url().as_str()]), space("slow")).await.unwrap();
    let mut subscription = far.subscribe(&["t"]).await.unwrap();
    let mut last = put(&*far, "k", "0").await;
    for round in 1..4 {
        let read = near.get("k").await.unwrap().entry.unwrap();
        assert_eq!(read.revision, last.revision);
        let mine = near
            .put(
                "k",
                Bytes::from(format!("near {round}")),
                Expected::Revision(last.revision),
            )
            .await
            .unwrap();
        let stale = far
            .put("k", Bytes::from_static(b"late"), Expected::Revision(last.revision))
            .await;
        let Err(StoreError::Conflict(Some(found))) = stale else {
            panic!("{stale:?}")
        };
        assert_eq!(found.revision, mine.revision);
        last = far
            .put(
                "k",
                Bytes::from(format!("far {round}")),
                Expected::Revision(mine.revision),
            )
            .await
            .unwrap();
        assert!(last.now >= mine.now);
    }
    near.publish("t", Bytes::from_static(b"hello")).await.unwrap();
    assert!(matches!(
        &subscription.next(1).await.unwrap()[..],
        [Delivery::Message { .. }]
    ));
}
