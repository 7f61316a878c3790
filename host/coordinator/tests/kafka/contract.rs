//! The contract suite.

use super::{boxed, open, options};
use shardwright_coordinator::Coordinator;
use shardwright_coordinator::kafka::KafkaOptions;
use shardwright_coordinator::suite::{BoxFuture, CHECKS, Disturb, Factory, Options, SuiteReport, run};
use shardwright_servers::KafkaServer;
use std::sync::Arc;
use std::time::Duration;

type Opened = BoxFuture<'static, Result<Arc<dyn Coordinator>, String>>;

#[expect(
    clippy::print_stdout,
    reason = "the table is worth reading when a test is run by hand"
)]
fn verify(report: &SuiteReport, disturbed: bool) {
    for [name, outcome, millis, detail] in report.table() {
        println!("{name:<16} {outcome:<8} {millis:>6} ms  {detail}");
    }
    assert!(report.passed(), "{:#?}", report.failures().collect::<Vec<_>>());
    assert_eq!((report.kind.as_str(), report.rows.len()), ("kafka", CHECKS));
    let skipped = report
        .table()
        .iter()
        .filter(|[_, outcome, ..]| outcome == "skipped")
        .count();
    assert_eq!(
        skipped,
        usize::from(!disturbed),
        "only what needs a disturbance may be left out"
    );
}

pub(super) async fn suite(options: KafkaOptions, disturb: Option<Disturb>) {
    let factory: &Factory = &move |namespace| -> Opened {
        let options = options.clone();
        Box::pin(async move { boxed(open(&options, namespace.as_str()).await) })
    };
    let disturbed = disturb.is_some();
    let options = Options {
        flood: 2_000,
        disturb,
        patience: Duration::from_secs(120),
        ..Options::default()
    };
    verify(&run(factory, options).await, disturbed);
}

/// On a broker whose connections are all cut in the middle, or on the one that `SHARDWRIGHT_TEST_KAFKA_URL` names.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_broker() {
    if let Ok(url) = std::env::var("SHARDWRIGHT_TEST_KAFKA_URL") {
        let address = url.trim_start_matches("kafka://").to_owned();
        return suite(options(&[address]), None).await;
    }
    let server = Arc::new(KafkaServer::builder().proxied().start().unwrap());
    let cut = server.clone();
    let disturb: Disturb = Arc::new(move || {
        let server = cut.clone();
        Box::pin(async move {
            server.proxy().cut();
            server.proxy().heal().unwrap();
        })
    });
    suite(options(&[server.address()]), Some(disturb)).await;
}
