//! Every form that is read, and what it means.

mod common;

use common::{is_quiet, role, sound, warning};
use shardwright_config::{BUNDLED_POLICIES, Code, CoordinatorConfig, KNOWN_ROLES, shared_settings};
use shardwright_core::role::{Member, Mode, Placement, Replicas};
use shardwright_core::time::Timing;
use std::path::PathBuf;

fn ids(ids: &[u32]) -> Vec<Member> {
    ids.iter().map(|id| Member::Node(*id)).collect()
}

fn label(key: &str, value: &str) -> Member {
    Member::Label {
        key: key.to_owned(),
        value: value.to_owned(),
    }
}

#[test]
fn an_empty_file_has_sound_defaults() {
    let (config, report) = sound("");
    assert!(report.problems().is_empty());
    assert_eq!(
        (config.name.as_str(), config.node_id, config.max_node_id),
        ("default", None, 511)
    );
    assert_eq!(config.coordinator, CoordinatorConfig::Sqlite { path: None });
    assert_eq!(
        (config.timing, config.node.capacity, config.secret),
        (Timing::default(), 100, None)
    );
    assert_eq!(config.roles, []);
}

#[test]
fn roles_of_the_mail_server_that_are_not_set_are_done_by_every_node() {
    let (config, _) = sound("cluster.preset = \"stalwart\"");
    let names: Vec<_> = config.roles.iter().map(|role| role.name.as_str()).collect();
    assert_eq!(names, KNOWN_ROLES, "all known roles, sorted");
    for role in &config.roles {
        let push = role.name == "push-notifications";
        assert_eq!(role.mode, if push { Mode::Primary } else { Mode::All }, "{role:?}");
        assert_eq!(role.policy, if push { "balanced" } else { "static-groups" });
        assert_eq!(
            (role.shards, role.replicas, &role.placement),
            (1, Replicas::Every, &Placement::Anywhere)
        );
        assert!(BUNDLED_POLICIES.contains(&role.policy.as_str()));
    }
}

#[test]
fn shard_strings() {
    let (config, _) = sound(
        "[cluster.roles.purge]\nstores = [\"1,4\", \" 2 , 3 \"]\naccounts = [\"1\", \
         \"2\"]\n[cluster.roles.acme]\nrenew = [\"1,2\"]\n",
    );
    let stores = role(&config, "purge.stores");
    assert_eq!(
        (stores.shards, stores.replicas, stores.mode, stores.policy.as_str()),
        (2, Replicas::Every, Mode::All, "static-groups")
    );
    assert_eq!(stores.placement, Placement::Groups(vec![ids(&[1, 4]), ids(&[2, 3])]));
    assert_eq!(
        role(&config, "purge.accounts").placement,
        Placement::Groups(vec![ids(&[1]), ids(&[2])])
    );
    assert_eq!(
        role(&config, "acme.renew").placement,
        Placement::Groups(vec![ids(&[1, 2])])
    );
    assert_eq!(stores.config, "{}");
}

#[test]
fn one_string_without_brackets_is_one_shard() {
    let (config, report) = sound("cluster.roles.fts-indexing = \"2,3\"");
    assert_eq!(
        role(&config, "fts-indexing").placement,
        Placement::Groups(vec![ids(&[2, 3])])
    );
    assert!(is_quiet(&report), "{report}");
}

#[test]
fn integers_are_one_group_with_the_modern_spelling() {
    let text = "[cluster.roles]\nmerge-threads = «[1, 2]»\n";
    warning(text, Code::IntegerList, "[\"1,2\"]");
    warning("cluster.roles.metrics.push = «3»", Code::IntegerList, "[\"3\"]");
    let (config, _) = sound(&text.replace(['«', '»'], ""));
    let role = role(&config, "merge-threads");
    assert_eq!(
        (role.shards, role.mode, &role.placement),
        (1, Mode::All, &Placement::Groups(vec![ids(&[1, 2])]))
    );
}

#[test]
fn a_role_stands_flat_nested_dotted_or_quoted() {
    let forms = [
        "[cluster.roles.fts-indexing]\nfts-indexing = [\"2,3\"]",
        "[cluster.roles]\nfts-indexing = [\"2,3\"]",
        "cluster.roles.fts-indexing = [\"2,3\"]",
        "cluster = { roles = { \"fts-indexing\" = [\"2,3\"] } }",
        "[cluster.roles.fts-indexing]\ngroups = [\"2,3\"]\nmode = \"all\"",
    ];
    for form in forms {
        assert_eq!(
            role(&sound(form).0, "fts-indexing").placement,
            Placement::Groups(vec![ids(&[2, 3])]),
            "{form}"
        );
    }
    for form in [
        "[cluster.roles]\n\"purge.stores\" = [\"1\"]",
        "cluster.roles.purge.stores = [\"1\"]",
        "[cluster.roles.purge.stores]\nstores = [\"1\"]",
    ] {
        assert_eq!(
            role(&sound(form).0, "purge.stores").placement,
            Placement::Groups(vec![ids(&[1])]),
            "{form}"
        );
    }
}

#[test]
fn every_known_role_is_read() {
    for name in KNOWN_ROLES {
        let (config, _) = sound(&format!("cluster.roles.{name} = [\"1\", \"2\"]"));
        assert_eq!(role(&config, name).shards, 2, "{name}");
    }
}

#[test]
fn an_empty_role_is_as_if_unset() {
    let (unset, _) = sound("cluster.preset = \"stalwart\"");
    for empty in [
        "cluster.roles.fts-indexing = []",
        "[cluster.roles.fts-indexing]",
        "[cluster.roles.fts-indexing]\nfts-indexing = []",
        "[cluster.roles.purge]\nstores = []",
        "[cluster]\npreset = \"stalwart\"\n[cluster.roles.purge]",
    ] {
        let (config, report) = sound(empty);
        assert_eq!(config.roles, unset.roles, "{empty}");
        assert!(report.problems().is_empty(), "{report}");
    }
}

#[test]
fn push_notifications_is_always_primary() {
    let (config, report) = sound("cluster.roles.push-notifications = [\"1,2\", \"3,4\"]");
    let push = role(&config, "push-notifications");
    assert_eq!(
        (push.shards, push.mode, push.replicas),
        (2, Mode::Primary, Replicas::Every)
    );
    assert_eq!(push.policy, "static-groups");
    assert!(is_quiet(&report), "{report}");
    // What the refusal of one list of several nodes proposes.
    sound("cluster.roles.push-notifications = [\"1\", \"2\"]");
    sound("cluster.roles.push-notifications = { shards = 16, replicas = 2, nodes = [\"1,2\"] }");
    // One node alone notifies nobody twice; a mode that is spelt out says that the rest stand by.
    sound("cluster.roles.push-notifications = [\"3\"]");
    let (config, _) = sound("cluster.roles.push-notifications = { groups = [\"1,2\"], mode = \"primary\" }");
    assert_eq!(role(&config, "push-notifications").mode, Mode::Primary);
}

#[test]
fn ranges_and_labels() {
    let (config, _) = sound("cluster.roles.fts-indexing = [\"1-4,7\", \"zone=eu, disk=ssd\"]");
    let expected = vec![ids(&[1, 2, 3, 4, 7]), vec![label("zone", "eu"), label("disk", "ssd")]];
    assert_eq!(role(&config, "fts-indexing").placement, Placement::Groups(expected));
}

#[test]
fn table_form() {
    let (config, _) = sound(
        "[cluster.roles]\nfts-indexing = { shards = 64 }\nmerge-threads = { shards = 8, mode = \"all\" \
         }\ncalendar-alerts = { shards = 4, replicas = \"every\", nodes = [\"zone=eu\", \"1-2\"], policy = \
         \"rendezvous\" }\nimip-processing = { groups = [\"1,4\", \"2,3\"] }\n",
    );
    let fts = role(&config, "fts-indexing");
    assert_eq!(
        (fts.shards, fts.replicas, fts.mode, fts.policy.as_str()),
        (64, Replicas::Count(1), Mode::Primary, "balanced")
    );
    assert_eq!(fts.placement, Placement::Anywhere);
    let merge = role(&config, "merge-threads");
    assert_eq!((merge.mode, merge.replicas), (Mode::All, Replicas::Every));
    let alerts = role(&config, "calendar-alerts");
    assert_eq!(
        (alerts.replicas, alerts.policy.as_str()),
        (Replicas::Every, "rendezvous")
    );
    assert_eq!(
        alerts.placement,
        Placement::Nodes(vec![label("zone", "eu"), Member::Node(1), Member::Node(2)])
    );
    let imip = role(&config, "imip-processing");
    assert_eq!(
        (imip.shards, imip.mode, imip.replicas, imip.policy.as_str()),
        (2, Mode::Primary, Replicas::Every, "static-groups")
    );
}

#[test]
fn roles_of_your_own() {
    let (config, _) = sound(
        "[cluster.roles]\nnightly = { shards = 4 }\n\"reports.daily\" = { groups = [\"1,2\"] \
         }\n[cluster.roles.reports.weekly]\nshards = 2\n[cluster.roles.merge-thread]\ncustom = true\n",
    );
    assert_eq!(role(&config, "nightly").shards, 4);
    assert_eq!(role(&config, "reports.daily").shards, 1);
    assert_eq!(role(&config, "reports.weekly").shards, 2);
    assert_eq!(role(&config, "merge-thread").mode, Mode::Primary);
    assert_eq!(config.roles.len(), 4);
    assert!(config.roles.is_sorted_by_key(|role| role.name.clone()));
}

#[test]
fn policy_configuration_becomes_canonical_json() {
    let a = "[policy.mine]\npath = \"Cargo.toml\"\n[cluster.roles.fts-indexing]\nshards = 1\npolicy = \
             \"mine\"\nconfig = { b = [1, 2.5, true], a = { z = \"ü\", y = 1979-05-27 } }";
    let b = "[policy.mine]\npath = \"Cargo.toml\"\n[cluster.roles.fts-indexing]\nshards = 1\npolicy = \
             \"mine\"\nconfig.a.y = 1979-05-27\nconfig.a.z = \"ü\"\nconfig.b = [0x1, 2.5, true]";
    let (a, b) = (sound(a).0, sound(b).0);
    assert_eq!(
        role(&a, "fts-indexing").config,
        r#"{"a":{"y":"1979-05-27","z":"ü"},"b":[1,2.5,true]}"#
    );
    assert_eq!(shared_settings(&a), shared_settings(&b));
}

#[test]
fn policies_and_budgets() {
    let digest = "ab".repeat(32);
    let (config, report) = sound(&format!(
        "[policy.mine]\npath = \"Cargo.toml\"\ndigest = \"sha256:{digest}\"\nbudget = {{ wall = \"250ms\", fuel = 10, \
         memory = \"64MiB\", output = 4096 }}\n[policy.balanced.budget]\nwall = 2000\n[cluster.roles]\nfts-indexing = \
         {{ policy = \"mine\" }}\n"
    ));
    let mine = &config.policies["mine"];
    assert_eq!(
        (mine.path.clone(), mine.digest),
        (Some(PathBuf::from("Cargo.toml")), Some([0xab; 32]))
    );
    assert_eq!(
        (
            mine.budget.wall,
            mine.budget.fuel,
            mine.budget.memory,
            mine.budget.output
        ),
        (250, Some(10), 64 << 20, 4096)
    );
    let balanced = &config.policies["balanced"];
    assert_eq!((balanced.path.clone(), balanced.budget.wall), (None, 2_000));
    assert_eq!(role(&config, "fts-indexing").policy, "mine");
    assert!(report.problems().is_empty(), "{report}");
    warning(
        "[policy.mine]\npath = «\"absent.wasm\"»",
        Code::MissingPolicyFile,
        "absent.wasm",
    );
}

#[test]
fn node_timing_and_names() {
    let (config, _) = sound(
        "server.hostname = \"mail.example.org\"\ncluster.name = \"eu-1\"\ncluster.node-id = 0x07\ncluster.max-node-id \
         = 7\n[cluster.timing]\nvalidity = \"1m\"\nrenew = 20000\nstale-after = \"2m\"\ndrift-ppm = 50\n[node]\nzone \
         = \"a\"\ncapacity = 0\nlabels = { disk = \"ssd\" }\nstate-dir = \"/var/lib/shardwright\"\n",
    );
    assert_eq!(
        (config.name.as_str(), config.node_id, config.max_node_id),
        ("eu-1", Some(7), 7)
    );
    assert_eq!(
        (config.timing.validity, config.timing.renew, config.timing.drift_ppm),
        (60_000, 20_000, 50)
    );
    assert_eq!(
        (
            config.node.zone.as_str(),
            config.node.capacity,
            config.node.labels["disk"].as_str()
        ),
        ("a", 0, "ssd")
    );
    assert_eq!(config.state_dir, Some(PathBuf::from("/var/lib/shardwright")));
    assert_eq!(config.server_hostname.as_deref(), Some("mail.example.org"));
}

#[test]
fn the_mail_servers_other_sections_are_left_alone() {
    let (_, report) = sound(
        "authentication.fallback-admin.user = \"admin\"\nserver.listener.smtp.bind = [\"[::]:25\"]\n[[session]]\nx = \
         1\n[store.unused]\ntype = \"whatever\"\nstrange = 1\n[storage]\ndata = \"unused\"\n",
    );
    assert!(report.problems().is_empty(), "{report}");
}

#[test]
fn embedded_coordinators() {
    let (config, _) = sound(
        "cluster.coordinator = \"local\"\n[store.local]\ntype = \"sqlite\"\npath = \"/tmp/x.db\"\npool.workers = 4\n",
    );
    assert_eq!(
        config.coordinator,
        CoordinatorConfig::Sqlite {
            path: Some(PathBuf::from("/tmp/x.db"))
        }
    );
    assert_eq!(config.coordinator.kind(), "sqlite");
    let (config, _) = sound("cluster.coordinator = \"local\"\n[store.local]\ntype = \"memory\"\n");
    assert_eq!(config.coordinator, CoordinatorConfig::Memory);
}
