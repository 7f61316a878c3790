//! The contract suite on our own backends, and what its report proves.

use shardwright_coordinator::suite::{CHECKS, Factory, Opening, Options, Outcome, Unproven, factory, run, run_some};
use shardwright_coordinator::{
    Coordinator, MemoryBroker, MemoryCoordinator, Namespace, Secret, SqliteCoordinator, protect,
};
use std::convert::Infallible;
use std::future::ready;
use std::sync::Arc;

/// What there is no disturbance for.
const UNDISTURBED: &[&str] = &["reconnect"];

async fn verify(factory: &Factory, options: Options, kind: &str) {
    let report = run(factory, options).await;
    report.verify(kind, UNDISTURBED).expect("the contract is kept");
}

fn memory_factory() -> impl Fn(Namespace) -> Opening + Send + Sync {
    let broker = MemoryBroker::new();
    factory(move |namespace| ready(Ok::<_, Infallible>(broker.open(namespace))))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn memory() {
    verify(&memory_factory(), Options::default(), "memory").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sqlite() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store");
    let factory = factory(move |namespace| SqliteCoordinator::open(path.clone(), namespace));
    verify(&factory, Options::default(), "sqlite").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sealed_sqlite() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store");
    let secret = Secret::new("a secret of thirty-two characters").expect("long enough");
    let factory = move |namespace: Namespace| -> Opening {
        let (path, secret) = (path.clone(), secret.clone());
        Box::pin(async move {
            let opened = SqliteCoordinator::open(path, namespace.clone()).await;
            let opened = opened.map_err(|error| error.to_string())?;
            Ok(protect(Arc::new(opened), &namespace, Some(&secret)) as Arc<dyn Coordinator>)
        })
    };
    let options = Options {
        keys: 2_000,
        ..Options::default()
    };
    verify(&factory, options, "sqlite").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn framed_memory() {
    let broker = MemoryBroker::new();
    let factory = move |namespace: Namespace| -> Opening {
        let framed = protect(Arc::new(broker.open(namespace.clone())), &namespace, None);
        Box::pin(ready(Ok(framed as Arc<dyn Coordinator>)))
    };
    verify(&factory, Options::default(), "memory").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_report_proves_the_contract_of_one_kind_if_every_check_ran_and_passed() {
    let whole = run(
        &memory_factory(),
        Options {
            keys: 100,
            flood: 1_500,
            ..Options::default()
        },
    )
    .await;
    assert_eq!(whole.verify("memory", UNDISTURBED), Ok(()));

    let Err(Unproven::Skipped(rows)) = whole.verify("memory", &[]) else {
        panic!("something was left out: {whole:?}")
    };
    assert_eq!(rows.iter().map(|row| row.name).collect::<Vec<_>>(), UNDISTURBED);

    let other = whole.verify("sqlite", UNDISTURBED).expect_err("it is memory");
    assert_eq!(
        other.to_string(),
        "the backend is of kind memory, not sqlite; look at what the suite's factory opens"
    );

    let mut broken = whole.clone();
    broken.rows[0].outcome = Outcome::Failed;
    broken.rows[0].detail = "no".into();
    broken.rows[2].outcome = Outcome::Failed;
    broken.rows[2].detail = "neither".into();
    let said = broken.verify("memory", UNDISTURBED).expect_err("two failed");
    assert_eq!(said.to_string(), "expectations: no; names: neither");

    let some = run_some(&memory_factory(), Options::default(), |name| name != "list-many").await;
    assert_eq!(some.verify("memory", UNDISTURBED), Err(Unproven::Partial(CHECKS - 1)));
}

/// What is optional may be left out; it may not fail.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn without_a_backend_every_check_fails() {
    let nobody = factory(|_| ready(Err::<MemoryCoordinator, _>("nobody is there")));
    let report = run(&nobody, Options::default()).await;
    let Err(Unproven::Broken(rows)) = report.verify("memory", UNDISTURBED) else {
        panic!("{report:?}")
    };
    assert_eq!(rows.len(), CHECKS - UNDISTURBED.len());
    assert!(
        rows.iter().all(|row| row.detail.contains("nobody is there")),
        "{rows:?}"
    );
}
