//! A node and a server that is not there yet, loses everything, or does not want it. With the other servers it is the
//! same code.

mod common;

use common::{PATIENCE, TIMING, event, greeted, joins_anew, next, until, work};
use shardwright::backend::BackendError;
use shardwright::{Builder, Message, Node, NodeEvent, StartError};
use shardwright_coordinator::broker::BrokerError;
use shardwright_servers::RedisServer;
use std::path::{Path, PathBuf};

fn builder(url: &str, more: &str, folder: &Path, host: &str) -> Builder {
    timed(url, more, TIMING, folder, host)
}

fn timed(url: &str, more: &str, timing: &str, folder: &Path, host: &str) -> Builder {
    let timeout = if more.contains("timeout") {
        ""
    } else {
        "timeout = \"2s\""
    };
    let config = format!(
        "[cluster]\nname = \"test\"\ncoordinator = \"main\"\n[store.main]\ntype = \"redis\"\nurl = \
         \"{url}\"\n{timeout}\n{more}\n[cluster.roles]\nwork = {{ shards = 4 }}\n{timing}"
    );
    Node::builder()
        .config_str(config)
        .hostname(host)
        .state_dir(folder.join(host))
        .cache_dir(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("policies"))
}

/// Waits for the servers, which block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> anyhow::Result<T> + Send + 'static) -> T {
    tokio::task::spawn_blocking(work)
        .await
        .expect("no panic")
        .expect("the server does it")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_waits_for_its_server_and_goes_on_when_it_lost_everything() {
    let temp = tempfile::tempdir().expect("a folder");
    let server = blocking(|| {
        let server = RedisServer::start()?;
        server.stop()?;
        Ok(server)
    })
    .await;
    let url = server.url();
    let starting = ["a", "b"].map(|host| tokio::spawn(builder(&url, "", temp.path(), host).start()));
    let server = blocking(move || {
        server.start_again()?;
        Ok(server)
    })
    .await;
    let mut nodes = Vec::new();
    for starting in starting {
        let started = tokio::time::timeout(PATIENCE, starting).await.expect("in time");
        nodes.push(started.expect("no panic").expect("the server is there now"));
    }
    let [a, b] = &nodes[..] else { panic!("two nodes") };
    until("all is done", &[a, b], || {
        work(a).shards().count() + work(b).shards().count() == 4
    })
    .await;
    let mut messages = a.subscribe(&["t"]).await.expect("subscribed");
    let (mut events, mut others) = (a.events(), b.events());
    let _server = blocking(move || {
        server.kill()?;
        server.wipe()?;
        server.start_again()?;
        Ok(server)
    })
    .await;
    for events in [&mut events, &mut others] {
        joins_anew(events).await;
    }
    until("all is done again", &[a, b], || {
        work(a).shards().count() + work(b).shards().count() == 4
    })
    .await;
    assert!(matches!(next(&mut messages).await, Message::Resync { .. }));
    greeted(b, &mut messages).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_refuses_a_node_ends_its_start_at_once() {
    let temp = tempfile::tempdir().expect("a folder");
    let server = blocking(|| RedisServer::builder().set("requirepass", "right").start()).await;
    // Its own address has the password in it.
    let url = format!("redis://127.0.0.1:{}", server.port());
    let start = builder(&url, "password = \"hunter2\"", temp.path(), "a").start();
    let refused = tokio::time::timeout(PATIENCE, start)
        .await
        .expect("in time")
        .expect_err("it must not start");
    let text = refused.to_string();
    assert!(
        matches!(
            &refused,
            StartError::Backend(BackendError::Broker {
                error: BrokerError::Denied { .. },
                ..
            })
        ),
        "{text}"
    );
    assert!(text.contains("[store.\"main\"]") && !text.contains("hunter2"), "{text}");
    builder(&url, "password = \"right\"", temp.path(), "a")
        .start()
        .await
        .expect("nothing is left behind");
}

/// How often a server was asked to wait for its replicas: once for each write.
async fn waits(server: RedisServer) -> (u64, RedisServer) {
    blocking(move || {
        let told = server.cli(&["INFO", "commandstats"])?;
        let calls = told.lines().find_map(|line| {
            line.strip_prefix("cmdstat_wait:calls=")?
                .split(',')
                .next()?
                .parse()
                .ok()
        });
        Ok((calls.unwrap_or(0), server))
    })
    .await
}

/// Waits until that was so often.
async fn waited(mut server: RedisServer, often: u64) -> RedisServer {
    let end = std::time::Instant::now() + PATIENCE;
    loop {
        let calls;
        (calls, server) = waits(server).await;
        if calls >= often {
            return server;
        }
        assert!(std::time::Instant::now() < end, "{calls} of {often} writes");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// A master without its replica goes on answering, and knows of its own writes: what counts is that no replica has
/// them.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_writes_no_replica_has_stops_and_does_not_go_on() {
    let temp = tempfile::tempdir().expect("a folder");
    let (master, replica) = blocking(|| {
        let master = RedisServer::start()?;
        let replica = RedisServer::builder()
            .line(&format!("replicaof 127.0.0.1 {}", master.port()))
            .start()?;
        Ok((master, replica))
    })
    .await;
    // Short, so that the node hears what came of its writes before it gives them up.
    let more = "min-replicas = 1\ntimeout = \"200ms\"";
    let node = builder(&master.url(), more, temp.path(), "a").start();
    let node = tokio::time::timeout(PATIENCE, node)
        .await
        .expect("in time")
        .expect("there is a replica");
    until("all is done", &[&node], || work(&node).shards().count() == 4).await;
    let mut events = node.events();
    let replica = blocking(move || replica.pause().map(|()| replica)).await;
    event("it stops", &mut events, |event| {
        matches!(event, NodeEvent::Fenced { .. }).then_some(())
    })
    .await;
    // What was on its way is answered after so many more, and then it is fenced for good.
    let (first, master) = waits(master).await;
    let mut master = waited(master, first + 5).await;
    until("it is fenced", &[&node], || !node.is_live()).await;
    // It finds its own entry as it wrote it, again and again.
    for more in 1..=20 {
        master = waited(master, first + 5 + more).await;
        assert!(!node.is_live(), "it goes on although no replica has its session");
    }
    let _replica = blocking(move || replica.resume().map(|()| replica)).await;
    until("all is done again", &[&node], || work(&node).shards().count() == 4).await;
}

/// Every entry is an hour old then, by the server's clock: also for a node that comes right after, and has nothing to
/// compare it with.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_clock_steps_forward_costs_nobody_his_session() {
    const CALM: &str = "[cluster.timing]\nvalidity = \"6s\"\nrenew = \"1s\"\nmargin = \"100ms\"\nsettle = \
                        \"20ms\"\nstale-after = \"10s\"\n";
    let temp = tempfile::tempdir().expect("a folder");
    let server = blocking(|| RedisServer::builder().clock_ahead_by(0).start()).await;
    let url = server.url();
    let start = async |host: &str| timed(&url, "", CALM, temp.path(), host).start().await.expect(host);
    let (a, b) = tokio::join!(start("a"), start("b"));
    until("they share the work", &[&a, &b], || {
        [&a, &b].iter().all(|node| work(node).shards().count() == 2)
    })
    .await;
    let (mut events, mut others) = (a.events(), b.events());
    let server = blocking(move || server.shift_clock(3_600_000).map(|()| server)).await;
    let c = start("c").await;
    // The newcomer has its share, and has been there for longer than anybody may be silent.
    until("all share the work", &[&a, &b, &c], || {
        [&a, &b, &c]
            .iter()
            .all(|node| (1..=2).contains(&work(node).shards().count()))
    })
    .await;
    for events in [&mut events, &mut others] {
        let mut jumped = false;
        let watching = tokio::time::timeout(std::time::Duration::from_secs(8), async {
            while let Some(event) = events.next().await {
                let lost = matches!(
                    event,
                    NodeEvent::SessionLost | NodeEvent::HistoryLost { .. } | NodeEvent::Ended { .. }
                );
                assert!(!lost, "{event:?}");
                jumped |= matches!(event, NodeEvent::ClockJumped { by, .. } if by > 3_590_000);
            }
        });
        assert!(watching.await.is_err(), "the node goes on");
        assert!(jumped, "it saw the step");
    }
    assert_eq!(
        [&a, &b, &c]
            .iter()
            .map(|node| work(node).shards().count())
            .sum::<usize>(),
        4
    );
    drop(server);
}
