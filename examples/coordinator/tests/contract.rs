//! The example keeps the contract, and carries a cluster.

use shardwright::coordinator::{Namespace, suite};
use shardwright::{Node, NodeEvent};
use shardwright_example_coordinator::Backend;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_every_promise_of_the_contract() {
    let backend = Backend::default();
    let open = move |namespace| std::future::ready(Ok::<_, Infallible>(backend.open(namespace)));
    let report = suite::run(&suite::factory(open), suite::Options::default()).await;
    // There is no connection to cut.
    report.verify("example", &["reconnect"]).expect("the contract");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_share_the_work_on_it_and_one_takes_over_from_the_other() {
    let (backend, temp) = (Backend::default(), tempfile::tempdir().expect("a folder"));
    let start = async |host: &str| {
        let handle = backend.open(Namespace::new("example").expect("a name"));
        Node::builder()
            .config_str("[cluster]\nname = \"example\"\n[cluster.roles]\nwork = { shards = 4 }\n")
            .hostname(host)
            .state_dir(temp.path().join(host))
            .cache_dir(temp.path().join("cache"))
            .coordinator(Arc::new(handle))
            .start()
            .await
            .expect(host)
    };
    let (one, other) = (start("one").await, start("other").await);
    let role = other.role("work").expect("it is configured");
    let mut events = other.events();
    let mut wait_for = async |count: usize| {
        let waiting = async {
            while role.shards().count() != count {
                let event = events.next().await.expect("the node runs");
                assert!(!matches!(event, NodeEvent::HistoryLost { .. }), "{event:?}");
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(60), waiting).await;
        assert!(waited.is_ok(), "it holds {} of {count}", role.shards().count());
    };
    wait_for(2).await;
    one.shutdown().await;
    wait_for(4).await;
    other.shutdown().await;
}
