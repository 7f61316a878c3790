//! Kafka: the contract suite on real brokers.
#![allow(clippy::unwrap_used, reason = "a test may")]

use shardwright_coordinator::kafka::{KafkaCoordinator, KafkaOptions};
use shardwright_coordinator::suite::{BoxFuture, Factory, Options, SuiteReport, run};
use shardwright_coordinator::{Coordinator, Namespace};
use std::sync::Arc;
use std::time::Duration;

type Opened = BoxFuture<'static, Result<Arc<dyn Coordinator>, String>>;

fn options(brokers: &[String]) -> KafkaOptions {
    KafkaOptions {
        brokers: brokers.to_vec(),
        login: None,
        tls: None,
        replication: 1,
        timeout_message: Duration::from_secs(5),
        timeout_session: Duration::from_secs(5),
    }
}

async fn open(options: KafkaOptions, namespace: Namespace) -> Result<Arc<dyn Coordinator>, String> {
    let coordinator = KafkaCoordinator::open(options, namespace).await.map_err(|error| error.to_string())?;
    Ok(Arc::new(coordinator))
}

#[expect(clippy::print_stdout, reason = "the table is worth reading when a test is run by hand")]
fn verify(report: &SuiteReport) {
    for [name, outcome, millis, detail] in report.table() {
        println!("{name:<16} {outcome:<8} {millis:>6} ms  {detail}");
    }
    assert!(report.passed(), "{:#?}", report.failures().collect::<Vec<_>>());
    assert_eq!((report.kind.as_str(), report.rows.len()), ("kafka", 20));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn contract() {
    let address = std::env::var("SHARDWRIGHT_TEST_KAFKA_URL").unwrap();
    let factory: &Factory = &move |namespace| -> Opened { Box::pin(open(options(std::slice::from_ref(&address)), namespace)) };
    verify(&run(factory, Options::default()).await);
}
