//! What is found about a server.

use crate::common::{fresh, open, refused, single};
use shardwright_coordinator::broker::BrokerError;
use shardwright_coordinator::redis::{RedisCoordinator, RedisOptions, RedisTopology};
use shardwright_coordinator::{Coordinator, Finding, Verdict};
use shardwright_servers::RedisServer;

fn found<'a>(findings: &'a [Finding], name: &str) -> &'a Finding {
    findings
        .iter()
        .find(|finding| finding.name == name)
        .unwrap_or_else(|| panic!("no {name} in {findings:#?}"))
}

async fn examine(options: RedisOptions) -> Vec<Finding> {
    let handle: RedisCoordinator = open(&options, &fresh()).await;
    let findings = handle.examine().await;
    for finding in &findings {
        assert_eq!(
            finding.verdict == Verdict::Good,
            finding.remedy.is_none(),
            "{finding:?}"
        );
    }
    findings
}

#[tokio::test(flavor = "multi_thread")]
async fn a_safe_server_is_good_in_everything() {
    let server = RedisServer::builder().set("appendfsync", "always").start().unwrap();
    let findings = examine(single(&server.url())).await;
    for name in [
        "version",
        "eviction",
        "persistence",
        "replicas",
        "clock",
        "store",
        "bus",
    ] {
        assert_eq!(found(&findings, name).verdict, Verdict::Good, "{findings:#?}");
    }
    assert!(found(&findings, "version").detail.contains("Redis 7"), "{findings:#?}");
    assert!(found(&findings, "bus").detail.contains("p50"), "{findings:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_safe_is_named_with_its_remedy() {
    let server = RedisServer::builder()
        .set("appendonly", "no")
        .set("maxmemory-policy", "allkeys-lru")
        .start()
        .unwrap();
    let options = single(&server.url());
    let findings = examine(options.clone()).await;
    assert_eq!(found(&findings, "eviction").verdict, Verdict::Warning, "{findings:#?}");
    let persistence = found(&findings, "persistence");
    assert_eq!(persistence.verdict, Verdict::Warning);
    assert!(
        persistence
            .remedy
            .as_ref()
            .is_some_and(|remedy| remedy.contains("appendonly yes")),
        "{persistence:?}"
    );

    server.cli(&["config", "set", "maxmemory", "100mb"]).unwrap();
    let findings = examine(RedisOptions {
        min_replicas: 1,
        ..options
    })
    .await;
    assert_eq!(found(&findings, "eviction").verdict, Verdict::Bad, "{findings:#?}");
    assert_eq!(found(&findings, "replicas").verdict, Verdict::Bad, "{findings:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_may_not_read_the_settings_is_served() {
    let server = RedisServer::builder()
        .line("user default on nopass ~* &* +@all")
        .line("user node on >pw ~* &* +@all -config")
        .start()
        .unwrap();
    let findings = examine(single(&format!("redis://node:pw@127.0.0.1:{}", server.port()))).await;
    let persistence = found(&findings, "persistence");
    assert!(persistence.detail.contains("could not be read"), "{persistence:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_another_kind_is_refused() {
    let master = RedisServer::start().unwrap();
    let error = refused(RedisOptions {
        topology: RedisTopology::Cluster,
        ..single(&master.url())
    })
    .await;
    assert!(error.to_string().contains("Cluster"), "{error}");
    let replica = RedisServer::builder()
        .line(&format!("replicaof 127.0.0.1 {}", master.port()))
        .start()
        .unwrap();
    let error = refused(single(&replica.url())).await;
    assert!(
        matches!(error, BrokerError::Unreachable { .. }) && error.to_string().contains("replica"),
        "{error}"
    );
    let error = refused(RedisOptions {
        topology: RedisTopology::Sentinel {
            service: "nothing".into(),
            user: None,
            password: None,
        },
        ..single(&master.url())
    })
    .await;
    assert!(
        matches!(error, BrokerError::Invalid(_)) && error.to_string().contains("sentinel"),
        "{error}"
    );
}
