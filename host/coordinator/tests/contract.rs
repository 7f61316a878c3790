//! The contract suite on our own backends.

use shardwright_coordinator::suite::{BoxFuture, CHECKS, Factory, Options, SuiteReport, run};
use shardwright_coordinator::{Coordinator, MemoryBroker, Namespace, Secret, SqliteCoordinator, protect};
use std::path::PathBuf;
use std::sync::Arc;

type Opened = BoxFuture<'static, Result<Arc<dyn Coordinator>, String>>;

#[expect(
    clippy::print_stdout,
    reason = "the table is worth reading when a test is run by hand"
)]
fn verify(report: &SuiteReport, kind: &str) {
    for [name, outcome, millis, detail] in report.table() {
        println!("{name:<16} {outcome:<8} {millis:>6} ms  {detail}");
    }
    assert!(report.passed(), "{:#?}", report.failures().collect::<Vec<_>>());
    assert_eq!((report.kind.as_str(), report.rows.len()), (kind, CHECKS));
}

async fn open_sqlite(path: PathBuf, namespace: Namespace) -> Result<Arc<dyn Coordinator>, String> {
    let coordinator = SqliteCoordinator::open(&path, namespace)
        .await
        .map_err(|error| error.to_string())?;
    Ok(Arc::new(coordinator))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn memory() {
    let broker = MemoryBroker::new();
    let factory: &Factory = &move |namespace| -> Opened {
        let coordinator: Arc<dyn Coordinator> = Arc::new(broker.open(namespace));
        Box::pin(async { Ok(coordinator) })
    };
    verify(&run(factory, Options::default()).await, "memory");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sqlite() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store");
    let factory: &Factory = &move |namespace| -> Opened { Box::pin(open_sqlite(path.clone(), namespace)) };
    verify(&run(factory, Options::default()).await, "sqlite");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sealed_sqlite() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store");
    let secret = Secret::new("a secret of thirty-two characters").expect("long enough");
    let factory: &Factory = &move |namespace| -> Opened {
        let (path, secret) = (path.clone(), secret.clone());
        Box::pin(async move {
            let coordinator: Arc<dyn Coordinator> =
                protect(open_sqlite(path, namespace.clone()).await?, &namespace, Some(&secret));
            Ok(coordinator)
        })
    };
    verify(
        &run(
            factory,
            Options {
                keys: 2_000,
                ..Options::default()
            },
        )
        .await,
        "sqlite",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn framed_memory() {
    let broker = MemoryBroker::new();
    let factory: &Factory = &move |namespace| -> Opened {
        let coordinator: Arc<dyn Coordinator> = protect(Arc::new(broker.open(namespace.clone())), &namespace, None);
        Box::pin(async { Ok(coordinator) })
    };
    verify(&run(factory, Options::default()).await, "memory");
}
