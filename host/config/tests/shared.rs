//! What all nodes must share, as a text: it is a contract between releases, and it explains what differs.

mod common;

use common::sound;
use shardwright_config::{Difference, differences, shared_settings, told};
use shardwright_core::values::SharedSettings;

fn of(text: &str) -> SharedSettings {
    shared_settings(&sound(text).0)
}

/// The lines about `prefix`.
fn lines<'t>(settings: &'t SharedSettings, prefix: &str) -> Vec<&'t str> {
    settings.text.lines().filter(|line| line.starts_with(prefix)).collect()
}

#[test]
fn what_is_particular_to_a_node_is_not_in_it() {
    let base = of("");
    for same in [
        "[node]\nzone = \"a\"",
        "cluster.node-id = 3",
        "cluster.name = \"default\"",
        "cluster.timing.settle = 300",
        "cluster.secret = \"0123456789abcdef\"",
        "policy.balanced.budget.wall = \"2s\"",
        "cluster.coordinator = \"here\"\nstore.here = { type = \"sqlite\", path = \"/x\" }",
    ] {
        assert_eq!(of(same), base, "{same}");
    }
    let mail = "[cluster.roles]\npurge.stores = [\"1,2\"]\n";
    assert_eq!(of(&format!("server.hostname = \"x\"\n{mail}")), of(mail));
}

/// Nodes of different releases compare the digest of this text: these lines stay as they are.
#[test]
fn every_key_has_its_line_and_defaults_have_none() {
    let settings = of(r#"
[cluster]
name = "mail-eu"
max-node-id = 63
timing = { validity = "20s", renew = "5000ms", drift-ppm = 500, settle = 250, stale-after = "90s", reuse-after = "2d" }
[cluster.roles]
purge.stores = ["1,4", "1-3,disk=ssd"]
"a.job" = { shards = 8, replicas = 2, nodes = [
    "1", "3-5", "zone=\"eu\""
], policy = "mine", config = { b = 1, a = "x" } }
"b.job" = { shards = 1, replicas = 1, mode = "primary", policy = "balanced", config = {} }
"c.job" = { shards = 4, mode = "all" }
"d.job" = { groups = ["2,1", "3"], replicas = 1, policy = "balanced" }
[policy.mine]
path = "mine.wasm"
"#);
    let expected = [
        "cluster.max-node-id = 63",
        "cluster.name = \"mail-eu\"",
        "cluster.roles.a.job.config = \"xxh3:e02de5863dafb8f60dfe6f7343dc2fe8\"",
        "cluster.roles.a.job.nodes = \"1,3-5,zone=\\\"eu\\\"\"",
        "cluster.roles.a.job.policy = \"mine\"",
        "cluster.roles.a.job.replicas = 2",
        "cluster.roles.a.job.shards = 8",
        "cluster.roles.b.job.shards = 1",
        "cluster.roles.c.job.mode = \"all\"",
        "cluster.roles.c.job.shards = 4",
        "cluster.roles.d.job.groups = [\"2,1\", \"3\"]",
        "cluster.roles.d.job.policy = \"balanced\"",
        "cluster.roles.d.job.replicas = 1",
        "cluster.roles.purge.stores.groups = [\"1,4\", \"1-3,disk=ssd\"]",
        "cluster.roles.purge.stores.mode = \"all\"",
        "cluster.timing.drift-ppm = 500",
        "cluster.timing.reuse-after = \"48h\"",
        "cluster.timing.settle = \"250ms\"",
        "cluster.timing.stale-after = \"90s\"",
        "cluster.timing.validity = \"20s\"",
    ];
    let asked = |line: &&str| {
        let roles = ["a.job", "b.job", "c.job", "d.job", "purge.stores"];
        !line.starts_with("cluster.roles.") || roles.iter().any(|role| line.contains(role))
    };
    let found: Vec<_> = settings.text.lines().filter(asked).collect();
    assert_eq!(found, expected);
    assert!(settings.text.lines().is_sorted());
    let fixed = SharedSettings {
        text: "cluster.max-node-id = 63\n".to_owned(),
    };
    assert_eq!(
        format!("{:032x}", fixed.fingerprint()),
        "a8728cfd44f2f333c1e663c0fa23585e"
    );
}

/// The text is a configuration: read again, it says the same.
#[test]
fn the_text_can_be_read_as_a_configuration() {
    let settings = of(r#"
[cluster]
name = "mail-eu"
timing = { validity = "20s", settle = 250 }
[cluster.roles]
purge.stores = ["1,4", "2-7,disk=ssd"]
push-notifications = ["1", "2,3"]
fts-indexing = [1, 2]
"a.job" = { shards = 8, replicas = 2, nodes = ["1", "zone=a b"], policy = "rendezvous" }
"c.job" = { shards = 4, mode = "all", replicas = 1 }
"d.job" = { groups = ["2,1", "3"], mode = "all", policy = "balanced" }
"#);
    assert_eq!(of(&settings.text), settings);
}

fn difference(key: &str, here: Option<&str>, there: Option<&str>) -> Difference {
    Difference {
        key: key.to_owned(),
        here: here.map(str::to_owned),
        there: there.map(str::to_owned),
    }
}

#[test]
fn what_differs_has_both_values() {
    let here = of(r#"
[cluster]
timing.settle = "1s"
[cluster.roles]
"a.job" = { shards = 8 }
"b.job" = { shards = 2, mode = "all" }
"c.job" = { shards = 3, replicas = 2 }
"e.job" = { shards = 3, nodes = "1-3" }
"#);
    let there = of(r#"
[cluster]
max-node-id = 63
[cluster.roles]
"a.job" = { shards = 4 }
"b.job" = { shards = 2, replicas = "every" }
"d.job" = { groups = ["1", "2"] }
"e.job" = { shards = 3 }
"#);
    let found = differences(&here, &there);
    let expected = [
        difference("cluster.max-node-id", Some("511"), Some("63")),
        difference("cluster.roles.a.job.shards", Some("8"), Some("4")),
        difference("cluster.roles.b.job.mode", Some("\"all\""), Some("\"primary\"")),
        difference("cluster.roles.b.job.replicas", Some("\"every\""), Some("\"every\"")),
        difference("cluster.roles.c.job", Some("{ replicas = 2, shards = 3 }"), None),
        difference("cluster.roles.d.job", None, Some("{ groups = [\"1\", \"2\"] }")),
        difference("cluster.roles.e.job.nodes", Some("\"1-3\""), None),
        difference("cluster.timing.settle", Some("\"1s\""), Some("\"300ms\"")),
    ];
    let expected: Vec<_> = expected.into_iter().filter(|found| found.here != found.there).collect();
    assert_eq!(found, expected);
    assert_eq!(differences(&here, &here), []);
    assert_eq!(
        told(&found, "here", "there"),
        "`cluster.max-node-id` is 511 here and 63 there, `cluster.roles.a.job.shards` is 8 here and 4 there, \
         `cluster.roles.b.job.mode` is \"all\" here and \"primary\" there, `cluster.roles.c.job` is { replicas = 2, \
         shards = 3 } here and not set there, `cluster.roles.d.job` is not set here and { groups = [\"1\", \"2\"] } \
         there, and 2 more"
    );
    assert!(lines(&here, "cluster.roles.a.job") == ["cluster.roles.a.job.shards = 8"]);
}

#[test]
fn what_a_macro_brings_into_a_policys_config_is_not_in_it() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "hunter2-hunter2").expect("written");
    let settings = of(&format!(
        "[cluster.roles]\n\"a.job\" = {{ policy = \"mine\", config = {{ key = \"%{{file:{}}}%\" }} \
         }}\n[policy.mine]\npath = \"mine.wasm\"\n",
        file.path().display()
    ));
    assert!(settings.text.contains("a.job.config = \"xxh3:"), "{}", settings.text);
    assert!(!settings.text.contains("hunter2"), "{}", settings.text);
}
