//! A node whose store is lost under it: it opens what is there now, and goes on.

mod common;

use common::{TIMING, greeted, joins_anew, next, until, work};
use shardwright::{Message, Node};
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
        joins_anew(events).await;
    }
    until("all is done again", &[&a, &b], || {
        work(&a).shards().count() + work(&b).shards().count() == 4
    })
    .await;
    assert!(matches!(next(&mut messages).await, Message::Resync { .. }));
    greeted(&b, &mut messages).await;
}
