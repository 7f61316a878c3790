//! The contract suite.

use super::options;
use shardwright_coordinator::kafka::{KafkaCoordinator, KafkaOptions};
use shardwright_coordinator::suite::{Disturb, Options, disturbance, factory, run};
use shardwright_servers::KafkaServer;
use std::time::Duration;

pub(super) async fn suite(options: KafkaOptions, disturb: Option<Disturb>) {
    let optional: &[&str] = if disturb.is_some() { &[] } else { &["reconnect"] };
    let factory = factory(move |namespace| KafkaCoordinator::open(options.clone(), namespace));
    let suite = Options {
        flood: 2_000,
        disturb,
        patience: Duration::from_secs(120),
        ..Options::default()
    };
    let report = run(&factory, suite).await;
    report.verify("kafka", optional).unwrap();
}

/// On a broker whose connections are all cut in the middle, or on the one that `SHARDWRIGHT_TEST_KAFKA_URL` names.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_broker() {
    if let Ok(url) = std::env::var("SHARDWRIGHT_TEST_KAFKA_URL") {
        let address = url.trim_start_matches("kafka://").to_owned();
        return suite(options(&[address]), None).await;
    }
    let server = KafkaServer::builder().proxied().start().unwrap();
    let addresses = [server.address()];
    let cut = disturbance(move || {
        server.proxy().cut();
        server.proxy().heal().unwrap();
    });
    suite(options(&addresses), Some(cut)).await;
}
