//! A node whose store is lost under it: it opens what is there now, and goes on.

mod common;

use common::{PATIENCE, TIMING, event, until, work};
use shardwright::{Message, Node, NodeEvent};
use std::path::PathBuf;

#[tokio::test(flavor = "multi_thread")]
async fn a_node_goes_on_with_the_store_that_is_there_now() {
    let temp = tempfile::tempdir().expect("a folder");
    let path = temp.path().join("cluster.db");
    let config = format!(
        "[cluster]\nname = \"test\"\ncoordinator = \"local\"\n[store.local]\ntype = \"sqlite\"\npath = \
         {path:?}\n[cluster.roles]\nwork = {{ shards = 4 }}\n{TIMING}"
    );
    let start = async |host: &str| {
        let builder = Node::builder().config_str(config.clone()).hostname(host);
        let builder = builder.state_dir(temp.path().join(host));
        let cache = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("policies");
        builder.cache_dir(cache).start().await.expect(host)
    };
    let (a, b) = (start("a").await, start("b").await);
    let mut messages = a.subscribe(&["t"]).await.expect("subscribed");
    let (mut events, mut others) = (a.events(), b.events());
    // The first stream has what happened before, too: only what follows the loss counts.
    for entry in std::fs::read_dir(temp.path()).expect("the folder") {
        let path = entry.expect("an entry").path();
        if path.is_file() {
            std::fs::remove_file(path).expect("removed");
        }
    }
    for events in [&mut events, &mut others] {
        event("it notices", events, |event| {
            matches!(event, NodeEvent::HistoryLost { .. }).then_some(())
        })
        .await;
        event("it joins again", events, |event| {
            matches!(event, NodeEvent::Joined { .. }).then_some(())
        })
        .await;
    }
    until("all is done again", &[&a, &b], || {
        work(&a).shards().count() + work(&b).shards().count() == 4
    })
    .await;
    let next = async |messages: &mut shardwright::Messages| {
        tokio::time::timeout(PATIENCE, messages.next()).await.expect("in time")
    };
    assert!(matches!(next(&mut messages).await, Some(Message::Resync { .. })));
    let received = loop {
        b.publish("t", "hello").await.expect("sent");
        match next(&mut messages).await {
            Some(Message::Resync { .. }) => {}
            received => break received,
        }
    };
    assert!(
        matches!(received, Some(Message::Received { from, .. }) if from == b.id()),
        "{received:?}"
    );
}
