//! Advice about a single file, and about the files of all nodes of a cluster together.

mod common;

use common::{is_quiet, report, sound, warning};
use shardwright_config::{CheckOptions, Code, Problem, Report, Severity, check};
use std::path::PathBuf;

/// Checks several files at once; their names are `0.toml`, `1.toml` and so on.
fn check_all(texts: &[&str], options: &CheckOptions) -> Report {
    let dir = tempfile::tempdir().expect("a folder");
    let write = |(i, text): (usize, &&str)| {
        let path = dir.path().join(format!("{i}.toml"));
        std::fs::write(&path, text).expect("written");
        path
    };
    let paths: Vec<PathBuf> = texts.iter().enumerate().map(write).collect();
    check(&paths, options)
}

/// What is said besides that nodes have nowhere to meet, which the texts here leave open.
fn said(report: &Report) -> Vec<&Problem> {
    report
        .problems()
        .iter()
        .filter(|p| p.code != Code::NoCoordinator)
        .collect()
}

/// File number, line and code of each problem.
fn found(report: &Report) -> Vec<(char, usize, Code)> {
    said(report)
        .iter()
        .map(|p| {
            (
                p.file.chars().rev().nth(5).expect("a digit before `.toml`"),
                p.line,
                p.code,
            )
        })
        .collect()
}

fn nodes(ids: &[u32]) -> CheckOptions {
    CheckOptions {
        node_ids: Some(ids.iter().copied().collect()),
    }
}

#[test]
fn a_critical_role_on_one_node() {
    for name in ["purge.stores", "purge.accounts", "calendar-alerts", "imip-processing"] {
        warning(
            &format!("cluster.roles.{name} = «[\"4\"]»"),
            Code::SingleNodeRole,
            "depends on node 4 alone",
        );
    }
    warning(
        "cluster.roles.purge.stores = «[\"1\", \"2\"]»",
        Code::SingleNodeRole,
        "its shard 0 (counted from 0) depends on node 1 alone",
    );
    warning(
        "cluster.roles.purge.stores = «{ shards = 4, nodes = [\"2\"] }»",
        Code::SingleNodeRole,
        "node 2 alone",
    );
    for fine in [
        "cluster.roles.purge.stores = [\"1,2\"]",
        "cluster.roles.acme.renew = [\"5\"]",
        "cluster.roles.purge.stores = { shards = 4 }",
    ] {
        assert!(is_quiet(&sound(fine).1), "{fine}");
    }
}

#[test]
fn shards_of_uneven_size() {
    warning(
        "cluster.roles.merge-threads = «[\"1,2\", \"3\"]»",
        Code::UnevenShards,
        "from 1 to 2 nodes",
    );
    assert!(is_quiet(&sound("cluster.roles.merge-threads = [\"1,2\", \"3,4\"]").1));
    // How many nodes a label selects is not known from one file.
    assert!(is_quiet(
        &sound("cluster.roles.merge-threads = [\"1,2\", \"zone=a\"]").1
    ));
}

#[test]
fn shards_of_uneven_capacity() {
    let file = |id: u32, capacity: u32| {
        format!("cluster.node-id = {id}\ncluster.roles.merge-threads = [\"1\", \"2\"]\nnode.capacity = {capacity}\n")
    };
    let report = check_all(&[&file(1, 100), &file(2, 200)], &CheckOptions::default());
    assert_eq!(found(&report), [('0', 2, Code::UnevenCapacity)], "{report}");
    assert!(said(&report)[0].message.contains("from 100 to 200"));
    let report = check_all(&[&file(1, 100), &file(2, 120)], &CheckOptions::default());
    assert!(is_quiet(&report), "{report}");
}

#[test]
fn a_heavy_role_with_a_latency_sensitive_one() {
    for heavy in ["fts-indexing", "spam-training", "bayes-training"] {
        let text = format!("[cluster.roles]\npush-notifications = [\"1,2\", \"2,3\"]\n{heavy} = «[\"3,4\"]»\n");
        warning(&text, Code::HeavyWithLatency, "shares node 3 with `push-notifications`");
    }
    let apart = sound("[cluster.roles]\npush-notifications = [\"1\", \"2\"]\nfts-indexing = [\"3,4\"]\n");
    assert!(is_quiet(&apart.1));
}

#[test]
fn repeated_effects_recommend_primary() {
    for name in ["calendar-alerts", "imip-processing"] {
        let corrected = "{ groups = [\"1,4\", \"2,3\"], mode = \"primary\" }";
        warning(
            &format!("cluster.roles.{name} = «[\"1,4\", \"2,3\"]»"),
            Code::RepeatedEffects,
            corrected,
        );
        warning(
            &format!("cluster.roles.{name} = «{{ shards = 2, mode = \"all\" }}»"),
            Code::RepeatedEffects,
            "mode = \"primary\"",
        );
        assert!(is_quiet(&sound(&format!("cluster.roles.{name} = {corrected}")).1));
    }
}

#[test]
fn files_that_agree_are_told_once_that_their_nodes_have_nowhere_to_meet() {
    let file = |id: u32| format!("cluster.node-id = {id}");
    let report = check_all(&[&file(1), &file(2), &file(3)], &CheckOptions::default());
    let told: Vec<_> = report
        .problems()
        .iter()
        .map(|p| (p.code, p.message.contains("nodes 1, 2, 3")))
        .collect();
    assert_eq!(told, [(Code::NoCoordinator, true)], "{report}");
}

#[test]
fn a_node_without_a_role() {
    warning(
        "cluster.node-id = «3»\ncluster.roles.merge-threads = [\"1,2\"]",
        Code::NodeWithoutRole,
        "node 3",
    );
    for fine in [
        "cluster.node-id = 3",
        "cluster.node-id = 3\ncluster.roles.merge-threads = [\"1-3\"]",
        "cluster.node-id = 3\ncluster.roles.merge-threads = [\"1,2\"]\nnode.capacity = 0",
        "cluster.node-id = 3\ncluster.roles.merge-threads = [\"zone=a\"]\nnode.zone = \"a\"",
        "cluster.node-id = 3\ncluster.roles.merge-threads = [\"1,2\"]\ncluster.roles.fts-indexing = { shards = 4 }",
    ] {
        assert!(is_quiet(&sound(fine).1), "{fine}");
    }
    let report = check_all(&["cluster.roles.merge-threads = [\"1,2\"]"], &nodes(&[1, 2, 7]));
    assert_eq!(found(&report), [('0', 1, Code::NodeWithoutRole)], "{report}");
    assert!(said(&report)[0].message.contains("node 7"));
}

#[test]
fn an_id_that_no_node_holds() {
    let report = check_all(&["cluster.roles.merge-threads = [\"1,2,8,9\"]"], &nodes(&[1, 2]));
    assert_eq!(found(&report), [('0', 1, Code::UnheldId)], "{report}");
    assert!(
        said(&report)[0].message.contains("nodes 8, 9") && said(&report)[0].help.contains("nodes 1, 2"),
        "{report}"
    );
    let file = |id: u32| format!("cluster.node-id = {id}\ncluster.roles.merge-threads = [\"1-3\"]");
    let report = check_all(&[&file(1), &file(2)], &CheckOptions::default());
    assert_eq!(found(&report), [('0', 2, Code::UnheldId)], "{report}");
    // With a leased id among them, any id may be held.
    let report = check_all(
        &[&file(1), "cluster.roles.merge-threads = [\"1-3\"]"],
        &CheckOptions::default(),
    );
    assert!(is_quiet(&report), "{report}");
}

#[test]
fn more_replicas_than_nodes() {
    let role = |table: &str| format!("cluster.roles.fts-indexing = «{{ {table} }}»");
    warning(
        &role("replicas = 3, nodes = [\"1,2\"]"),
        Code::ReplicasOverNodes,
        "only 2 nodes",
    );
    warning(
        &role("replicas = 3, groups = [\"1,2\", \"3,4\"]"),
        Code::ReplicasOverNodes,
        "write `replicas = 2`",
    );
    warning(&role("replicas = 1000"), Code::ReplicasOverNodes, "only 511 nodes");
    let report = check_all(&["cluster.roles.fts-indexing = { replicas = 3 }"], &nodes(&[1, 2]));
    assert_eq!(found(&report), [('0', 1, Code::ReplicasOverNodes)], "{report}");
}

/// Labels are resolved where every node's file is there.
#[test]
fn labels_across_files() {
    let file = |id: u32, zone: &str| {
        format!(
            "cluster.node-id = {id}\ncluster.roles.purge.stores = [\"zone=a\", \"zone=b\"]\nnode.zone = \"{zone}\"\n"
        )
    };
    let report = check_all(&[&file(1, "a"), &file(2, "a"), &file(3, "b")], &CheckOptions::default());
    assert_eq!(
        found(&report),
        [('0', 2, Code::SingleNodeRole), ('0', 2, Code::UnevenShards)],
        "{report}"
    );
}

#[test]
fn an_error_does_not_hide_the_advice() {
    let report = report("cluster.node-id = 0\ncluster.roles.purge.stores = [\"1\"]\n");
    assert!(
        report.has(Code::OutOfRange) && report.has(Code::SingleNodeRole),
        "{report}"
    );
}

#[test]
fn files_of_one_cluster_agree() {
    let a = "cluster.node-id = 1\ncluster.name = \"mail\"\ncluster.secret = \
             \"0123456789abcdef\"\ncluster.timing.settle = \"1s\"\ncluster.max-node-id = \
             63\ncluster.roles.merge-threads = [\"1,2\"]\ncluster.roles.metrics.push = [\"1,2\"]\n";
    let b = "cluster.node-id = 2\ncluster.name = \"male\"\ncluster.secret = \
             \"0123456789abcdeg\"\ncluster.timing.settle = \"2s\"\ncluster.max-node-id = \
             64\ncluster.roles.merge-threads = [\"2,1\"]\ncluster.coordinator = \"m\"\nstore.m.type = \
             \"memory\"\ncluster.roles.mine = { groups = [\"1,2\"] }\n";
    let report = check_all(&[a, b], &CheckOptions::default());
    let differ = |line| ('1', line, Code::SettingsDiffer);
    // Line 6 is reached by the role that differs, and by the one that `b` does not set (its roles begin there).
    let lines: Vec<_> = found(&report)
        .into_iter()
        .filter(|(.., code)| *code == Code::SettingsDiffer)
        .collect();
    for line in [2, 3, 4, 5, 6, 7, 9] {
        assert!(lines.contains(&differ(line)), "line {line}: {report}");
    }
    assert_eq!(lines.len(), 8, "{report}");
    assert!(!report.render_text(false).contains("0123456789abcde"), "{report}");
    let same = a.replace("node-id = 1", "node-id = 2");
    let report = check_all(&[a, &same], &CheckOptions::default());
    assert!(is_quiet(&report), "{report}");
}

/// The messages of a report.
fn messages(report: &Report) -> Vec<String> {
    said(report).iter().map(|problem| problem.message.clone()).collect()
}

#[test]
fn what_differs_between_files_is_told_with_both_values() {
    let a = "cluster.timing = { validity = \"20s\", settle = \"1s\" }\ncluster.roles.nightly = { shards = 4 }\n";
    let b = "cluster.roles.nightly = { shards = 8, replicas = 2 }\ncluster.max-node-id = 63\ncluster.roles.mine = { \
             shards = 1 }\n";
    let report = check_all(&[a, b], &CheckOptions::default());
    let told = messages(&report);
    let there = |text: &str| {
        told.iter()
            .any(|told| told.starts_with(text) && told.contains("/0.toml`"))
    };
    for text in [
        "`cluster.roles.nightly.replicas` is 2 here and 1 in `",
        "`cluster.max-node-id` is 63 here and 511 in `",
        "`cluster.roles.mine` is { shards = 1 } here and not set in `",
        "`cluster.timing.settle` is \"300ms\" here and \"1s\" in `",
    ] {
        assert!(there(text), "{text}: {told:#?}");
    }
    assert!(
        told.iter()
            .any(|told| told.contains("`cluster.roles.nightly.shards` is 8 here and 4 in `")),
        "{told:#?}"
    );
    assert_eq!(told.len(), 4, "one for each place: {told:#?}");
}

#[test]
fn the_file_that_differs_from_most_is_the_one_that_is_named() {
    let (odd, usual) = ("cluster.max-node-id = 63\n", "[cluster]\n");
    for odd_at in 0..3 {
        let mut texts = [usual; 3];
        texts[odd_at] = odd;
        let report = check_all(&texts, &CheckOptions::default());
        let name = char::from_digit(u32::try_from(odd_at).expect("small"), 10).expect("a digit");
        assert_eq!(found(&report), [(name, 1, Code::SettingsDiffer)], "{report}");
        let told = messages(&report);
        assert!(
            told[0].contains("is 63 here and 511 in `") && told[0].ends_with(" and 1 more"),
            "{told:#?}"
        );
    }
}

/// Neither the secret, nor what a macro brings into one file or the other.
#[test]
fn nothing_secret_is_told_of_what_differs() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = folder.path().join("source");
    std::fs::write(&source, "hunter2").expect("written");
    let of_macro = format!(
        "cluster.roles.nightly = {{ shards = 2, nodes = [\"zone=%{{file:{}}}%\"] }}\n",
        source.display()
    );
    let plain = "cluster.roles.nightly = { shards = 2, nodes = [\"zone=a\"] }\n";
    for texts in [[of_macro.as_str(), plain], [plain, of_macro.as_str()]] {
        let texts = texts.map(|text| format!("cluster.secret = \"hunter2-{:0>16}\"\n{text}", text.len()));
        let report = check_all(&texts.each_ref().map(String::as_str), &CheckOptions::default());
        let shown = format!(
            "{}{}{:?}",
            report.render_text(false),
            report.render_json(),
            messages(&report)
        );
        assert!(
            shown.contains("`cluster.secret` is another than in `") && shown.contains("nightly.nodes"),
            "{shown}"
        );
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[test]
fn an_absent_setting_differs_at_the_beginning_of_the_file() {
    let report = check_all(&["cluster.name = \"mail\"", "# nothing\n"], &CheckOptions::default());
    assert_eq!(found(&report), [('1', 1, Code::SettingsDiffer)], "{report}");
    assert!(report.has_errors() && !report.has_warnings());
}

#[test]
fn two_files_with_one_id() {
    let report = check_all(
        &["cluster.node-id = 1", "\ncluster.node-id = 1"],
        &CheckOptions::default(),
    );
    assert_eq!(found(&report), [('1', 2, Code::DuplicateNodeId)], "{report}");
    assert_eq!(said(&report)[0].severity, Severity::Error);
}

#[test]
fn every_file_is_reported() {
    let report = check_all(
        &["cluster.node-id = 0", "cluster.nam = 1", "cluster.node-id = 2\n"],
        &CheckOptions::default(),
    );
    assert_eq!(
        found(&report),
        [('0', 1, Code::OutOfRange), ('1', 1, Code::UnknownKey)],
        "{report}"
    );
}

#[test]
fn problems_come_in_the_order_of_the_files() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("1.toml"), "cluster.node-id = 0").unwrap();
    let paths = [dir.path().join("1.toml"), dir.path().join("0.toml")];
    let report = check(&paths, &CheckOptions::default());
    assert_eq!(
        found(&report),
        [('1', 1, Code::OutOfRange), ('0', 0, Code::UnreadableFile)],
        "{report}"
    );
}

/// The same file named twice is one file, not two nodes of the same id.
#[test]
fn a_file_named_twice() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("0.toml");
    std::fs::write(&path, "cluster.node-id = 1").unwrap();
    assert!(
        check(&[path.clone(), path], &CheckOptions::default())
            .problems()
            .is_empty()
    );
}
