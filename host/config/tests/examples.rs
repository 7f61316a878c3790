//! The committed examples are read as they are meant.

use shardwright_config::{AdapterSource, CoordinatorConfig, KNOWN_ROLES, Report, load};
use shardwright_core::role::{Member, Placement};
use std::collections::BTreeMap;
use std::path::PathBuf;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../examples/config")
}

/// The warnings about each example, by kind.
fn kinds(report: &Report) -> Vec<&'static str> {
    report.problems().iter().map(|p| p.code.as_str()).collect()
}

#[test]
fn every_example_is_sound_and_its_warnings_are_known() {
    let expected = BTreeMap::from([
        ("balanced.toml", vec!["no-coordinator", "missing-policy-file"]),
        ("coordinator-etcd.toml", vec![]),
        ("coordinator-kafka.toml", vec!["ignored-key"]),
        ("coordinator-nats.toml", vec!["single-replica", "ignored-key"]),
        ("coordinator-postgresql.toml", vec!["missing-tls-file"]),
        ("coordinator-redis.toml", vec!["ignored-key"]),
        ("coordinator-zenoh.toml", vec![]),
        ("hostname.toml", vec![]),
        (
            "integer-roles.toml",
            vec![
                "no-coordinator",
                "integer-list",
                "integer-list",
                "single-node-role",
                "integer-list",
                "integer-list",
                "integer-list",
            ],
        ),
        ("node-id.toml", vec![]),
        ("own-role.toml", vec![]),
        (
            "roles.toml",
            vec![
                "no-coordinator",
                "heavy-with-latency",
                "heavy-with-latency",
                "single-node-role",
                "single-node-role",
            ],
        ),
    ]);
    let mut seen = 0;
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let (_, report) = load(&path).unwrap_or_else(|report| panic!("{report}"));
        assert_eq!(Some(&kinds(&report)), expected.get(name.as_str()), "{name}:\n{report}");
        seen += 1;
    }
    assert_eq!(seen, expected.len());
}

/// All but those that have nothing of the mail server's.
#[test]
fn examples_of_the_mail_server_have_its_roles() {
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let (config, _) = load(&path).unwrap();
        let own = match name.as_str() {
            "balanced.toml" => 1 + KNOWN_ROLES.len(),
            "own-role.toml" => 1,
            "node-id.toml" => 0,
            _ => KNOWN_ROLES.len(),
        };
        assert_eq!(config.roles.len(), own, "{name}: {:?}", config.mail_roles);
    }
}

#[test]
fn coordinators_name_their_sections() {
    for kind in ["redis", "nats", "kafka", "zenoh"] {
        let (config, _) = load(&folder().join(format!("coordinator-{kind}.toml"))).unwrap();
        assert_eq!(config.coordinator.kind(), kind);
        assert_eq!(config.coordinator.id(), Some(kind));
    }
}

#[test]
fn adapters_are_granted_the_servers_that_they_are_told() {
    let read = |name: &'static str| {
        let (config, _) = load(&folder().join(format!("coordinator-{name}.toml"))).unwrap();
        let CoordinatorConfig::Component(section) = config.coordinator else {
            panic!("{name}: an adapter")
        };
        assert_eq!(
            (section.id.as_str(), &section.adapter),
            (name, &AdapterSource::Bundled(name))
        );
        let grants: Vec<_> = section.grants.iter().map(ToString::to_string).collect();
        (grants, section.config.expose().to_owned(), section.tls.is_some())
    };
    let (grants, told, tls) = read("etcd");
    assert_eq!(told, format!("{{\"endpoints\":{grants:?}}}").replace(", ", ","));
    assert!((grants.len(), tls) == (3, false));
    let (grants, told, tls) = read("postgresql");
    assert_eq!(grants, ["tls://db.example.org:5432"]);
    assert_eq!(
        told,
        r#"{"database":"cluster","host":"db.example.org","port":5432,"tls":true,"user":"shardwright"}"#
    );
    assert!(tls);
}

#[test]
fn the_ten_roles() {
    let (config, _) = load(&folder().join("roles.toml")).unwrap();
    let groups: BTreeMap<&str, Vec<Vec<u32>>> = config
        .roles
        .iter()
        .filter_map(|role| match &role.placement {
            Placement::Groups(groups) => Some((role.name.as_str(), groups.iter().map(|g| ids(g)).collect())),
            _ => None,
        })
        .collect();
    let expected = BTreeMap::from([
        ("purge.stores", vec![vec![1, 4], vec![2, 3], vec![5, 6]]),
        ("purge.accounts", vec![vec![1, 4]]),
        ("acme.renew", vec![vec![5]]),
        ("metrics.calculate", vec![vec![3, 4]]),
        ("metrics.push", vec![vec![4]]),
        ("push-notifications", vec![vec![1, 2], vec![3, 4]]),
        ("fts-indexing", vec![vec![2, 3]]),
        ("spam-training", vec![vec![1]]),
        ("imip-processing", vec![vec![4]]),
        ("calendar-alerts", vec![vec![5]]),
    ]);
    assert_eq!(groups, expected);
}

fn ids(group: &[Member]) -> Vec<u32> {
    group
        .iter()
        .map(|m| if let Member::Node(id) = m { *id } else { panic!("an id") })
        .collect()
}
