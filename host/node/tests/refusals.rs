//! What keeps a node from starting or acting, and what it says then.

mod common;

use common::{Cluster, event, held, id, until, work};
use shardwright::{Difference, JoinError, Node, NodeEvent, Refusal, StartError};

async fn refused(starting: impl Future<Output = Result<Node, StartError>>) -> StartError {
    starting.await.expect_err("it must not start")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_live_instance_of_a_hostname_names_both() {
    let cluster = Cluster::new("{ shards = 4 }");
    let first = cluster.start("mail").await;
    until("it works", &[&first], || held(&[&first]) == [4]).await;
    let other = cluster.builder("mail").state_dir(cluster.temp.path().join("other"));
    let error = refused(other.start()).await;
    let text = error.to_string();
    let StartError::Refused(Refusal::Join(JoinError::HostnameConflict {
        other, mine, frees_in, ..
    })) = error
    else {
        panic!("{text}")
    };
    assert_eq!(other, first.instance());
    assert!(
        frees_in == 1_550 && text.contains(&mine.to_string()) && text.contains(&other.to_string()),
        "{text}"
    );
    assert!(first.is_live() && held(&[&first]) == [4], "the first is not harmed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_a_running_node_finds_its_state_directory_locked() {
    let cluster = Cluster::new("{ shards = 4 }");
    let _first = cluster.start("mail").await;
    let text = refused(cluster.builder("mail").start()).await.to_string();
    assert!(text.contains(&format!("process {}", std::process::id())), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_secret_is_named() {
    let mut cluster = Cluster::new("{ shards = 4 }");
    let plain = cluster.config.clone();
    let with = |secret: &str| plain.replace("name = \"test\"", &format!("name = \"test\"\nsecret = \"{secret}\""));
    cluster.config = with("correct horse battery staple");
    let first = cluster.start("a").await;
    for config in [with("another horse battery staple"), plain.clone()] {
        cluster.config = config;
        let text = refused(cluster.builder("b").start()).await.to_string();
        assert!(text.contains("cluster.secret") && !text.contains("horse"), "{text}");
    }
    assert!(first.is_live());
}

#[tokio::test(flavor = "multi_thread")]
async fn other_settings_are_named_and_keep_a_node_from_acting() {
    let mut cluster = Cluster::new("{ shards = 4 }");
    let (a, b) = (cluster.start("a").await, cluster.start("b").await);
    until("both work", &[&a, &b], || held(&[&a, &b]) == [2, 2]).await;
    let mut seen = a.events();
    cluster.config = cluster.config.replace("shards = 4", "shards = 5");
    let odd = cluster.start("odd").await;
    let differ = |here: &str, there: &str| Difference {
        key: "cluster.roles.work.shards".into(),
        here: Some(here.into()),
        there: Some(there.into()),
    };
    let told = event("it learns in what it differs", &mut odd.events(), |event| match event {
        NodeEvent::SettingsDiffer { from, keys, .. } => Some((from, keys)),
        _ => None,
    })
    .await;
    assert_eq!(told, (vec![id(&a), id(&b)], vec![differ("5", "4")]));
    let told = event("the others name it", &mut seen, |event| match event {
        NodeEvent::PeerDiffers { node, keys, .. } => Some((node, keys)),
        _ => None,
    })
    .await;
    assert_eq!(told, (id(&odd), vec![differ("4", "5")]));
    assert_eq!(held(&[&a, &b, &odd]), [2, 2, 0]);
    assert!(work(&odd).claim(1_u64).is_none());
}

/// Whichever of two has the lower id, a restart with another file takes nothing from the other.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_nodes_the_one_that_acts_keeps_its_work() {
    let mut cluster = Cluster::new("{ shards = 4 }");
    let (a, b) = (cluster.start("a").await, cluster.start("b").await);
    until("both work", &[&a, &b], || held(&[&a, &b]) == [2, 2]).await;
    assert!(id(&a) < id(&b));
    let mut seen = b.events();
    a.shutdown().await;
    until("the other has all", &[&b], || held(&[&b]) == [4]).await;
    cluster.config = cluster.config.replace("shards = 4", "shards = 5");
    let a = cluster.start("a").await;
    let from = event("it learns that it differs", &mut a.events(), |event| match event {
        NodeEvent::SettingsDiffer { from, .. } => Some(from),
        _ => None,
    })
    .await;
    assert_eq!(from, [id(&b)]);
    event("the other sees it", &mut seen, |event| {
        assert!(
            !matches!(event, NodeEvent::SettingsDiffer { .. }),
            "it is not the one that differs"
        );
        matches!(event, NodeEvent::PeerDiffers { .. }).then_some(())
    })
    .await;
    assert_eq!(held(&[&a, &b]), [0, 4]);
    assert!(work(&b).claim(1_u64).is_some());
    // As soon as it acts by them alone, its own settings are in force, and stay so.
    b.shutdown().await;
    until("it does all the work", &[&a], || held(&[&a]) == [5]).await;
}

/// Which roles exist is a setting like any other: a node that mentions a role of the mail server has all of them, and
/// differs.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_the_mail_servers_roles_differs_from_those_without() {
    let mut cluster = Cluster::new("{ shards = 4 }");
    let (a, b) = (cluster.start("a").await, cluster.start("b").await);
    until("both work", &[&a, &b], || held(&[&a, &b]) == [2, 2]).await;
    assert_eq!(a.config().roles.len(), 1);
    let mut seen = a.events();
    cluster.config = cluster.config.replace("work =", "merge-threads = []\nwork =");
    let odd = cluster.start("odd").await;
    assert_eq!(odd.config().roles.len(), 13);
    event("it learns that it differs", &mut odd.events(), |event| {
        matches!(event, NodeEvent::SettingsDiffer { .. }).then_some(())
    })
    .await;
    event("the others name it", &mut seen, |event| {
        matches!(event, NodeEvent::PeerDiffers { node, .. } if Some(node) == odd.id()).then_some(())
    })
    .await;
    assert_eq!(held(&[&a, &b, &odd]), [2, 2, 0]);
    assert!(
        odd.role("merge-threads")
            .expect("it is configured")
            .claim(1_u64)
            .is_none()
    );
}

#[tokio::test]
async fn what_cannot_start_says_why() {
    let cluster = Cluster::new("{ shards = 4 }");
    let path = |name: &str| cluster.temp.path().join(name);
    let text = |error: StartError| error.to_string();

    assert!(text(refused(Node::builder().start()).await).contains("config_file"));

    let broken = text(refused(cluster.builder("a").config_str("[cluster]\nnode-id = 0\n").start()).await);
    assert!(
        broken.contains("node-id") && broken.contains("configuration:2:"),
        "{broken}"
    );

    let missing = text(refused(cluster.builder("a").config_file(path("no.toml")).start()).await);
    assert!(missing.contains("no.toml"), "{missing}");

    let host = text(refused(cluster.builder("a b").start()).await);
    assert!(
        host.contains("\"a b\"") && host.contains("SHARDWRIGHT_HOSTNAME"),
        "{host}"
    );

    let zenoh = "[cluster]\ncoordinator = \"z\"\n[store.\"z\"]\ntype = \"zenoh\"\nconfig = \"{}\"\n";
    let backend = Node::builder()
        .config_str(zenoh)
        .hostname("a")
        .state_dir(path("zenoh"))
        .cache_dir(cluster.cache());
    let backend = text(refused(backend.start()).await);
    assert!(backend.contains("\"zenoh\"") && backend.contains("nats"), "{backend}");
}

/// The feature to enable is named before anything is tried.
#[cfg(not(any(feature = "redis", feature = "nats", feature = "kafka")))]
#[tokio::test]
async fn a_build_without_a_backend_names_its_feature() {
    let folder = tempfile::tempdir().expect("a folder");
    for (kind, key) in [
        ("redis", "url = \"redis://127.0.0.1\""),
        ("nats", "address = \"h\""),
        ("kafka", "brokers = \"h\""),
    ] {
        let config = format!("[cluster]\ncoordinator = \"main\"\n[store.main]\ntype = \"{kind}\"\n{key}\n");
        let builder = Node::builder()
            .config_str(config)
            .hostname("a")
            .state_dir(folder.path());
        let error = refused(builder.start()).await;
        assert!(
            matches!(error, StartError::Backend(shardwright::BackendError::NotBuilt { .. })),
            "{error}"
        );
        assert!(error.to_string().contains(&format!("feature \"{kind}\"")), "{error}");
    }
}

#[tokio::test]
async fn a_policy_that_cannot_be_used_is_named_with_its_file() {
    let mut cluster = Cluster::new("{ shards = 4, policy = \"own\" }");
    let file = cluster.temp.path().join("own.wasm");
    cluster
        .config
        .push_str(&format!("\n[policy.\"own\"]\npath = {file:?}\n"));
    let says = async |wanted: &str| {
        let text = refused(cluster.builder("a").start()).await.to_string();
        assert!(
            text.contains("\"own\"") && text.contains("own.wasm") && text.contains(wanted),
            "{text}"
        );
    };
    says("No such file").await;
    std::fs::write(&file, "(module)").expect("written");
    says("not a WebAssembly component").await;
    std::fs::write(&file, shardwright_components::bundled::BALANCED.bytes).expect("written");

    let config = cluster
        .config
        .replace("policy = \"own\"", "policy = \"own\", config = { nonsense = 1 }");
    let text = refused(cluster.builder("a").config_str(config).start())
        .await
        .to_string();
    assert!(text.contains("role work") && text.contains("own.wasm"), "{text}");
}
