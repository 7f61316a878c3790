//! Orders for several nodes, told, waited for, and refused where they would do harm.

use crate::common::{Cluster, OutputLine, SETTINGS, holders};
use crate::status::status;
use crate::{HOSTS, id, line, node, started, with};
use serde_json::{Value, json};
use std::collections::BTreeSet;

#[test]
fn several_nodes_are_ordered_at_once_by_id_or_hostname_and_the_orders_are_told() {
    let mut cluster = started(SETTINGS, &HOSTS);
    let ids = HOSTS.map(|host| id(&mut cluster, host));
    let leader = cluster.until("a leader", |told| {
        told.iter()
            .find(|told| told.event == "leading")
            .map(|told| told.host.clone())
    });
    let (before, charlie) = (cluster.told.len(), ids[2].to_string());
    let given = cluster
        .ask(&["nodes", "cordon", "BRAVO", &charlie, "-o", "json"])
        .code(0)
        .json();
    assert_eq!(given["order"], "cordon");
    let of = |given: &Value| -> BTreeSet<String> {
        let nodes = given["nodes"].as_array().expect("a list").iter();
        nodes
            .map(|node| node["hostname"].as_str().expect("a name").to_owned())
            .collect()
    };
    assert_eq!(of(&given), BTreeSet::from(["bravo".to_owned(), "charlie".to_owned()]));
    for (host, node) in [("bravo", ids[1]), ("charlie", ids[2])] {
        for teller in [host, &leader] {
            let is = |told: &OutputLine| told.host == teller && told.event == "ordered" && told.fields["node"] == node;
            let told = cluster.until("the order to be told", |told| {
                told.iter().skip(before).find(|told| is(told)).cloned()
            });
            assert_eq!(
                (&told.fields["drain"], &told.fields["cordon"]),
                (&json!(false), &json!(true))
            );
        }
        assert!(
            cluster
                .yard
                .log(host)
                .contains(&format!("the operator's order for node {node} ({host}): ")),
            "{}",
            cluster.yard.log(host)
        );
    }
    let quiet = HOSTS.iter().filter(|host| **host != leader && **host != "bravo");
    for host in quiet {
        let told = cluster
            .told
            .iter()
            .filter(|told| told.host == *host && told.event == "ordered");
        assert!(
            told.into_iter().all(|told| told.fields["node"] == ids[2]),
            "{host} tells of others"
        );
    }

    cluster.ask(&["nodes", "cordon", "bravo"]).code(0).says("already");
    cluster
        .ask(&["nodes", "uncordon", "bravo", &charlie])
        .code(0)
        .says("bravo")
        .says("charlie");
    assert_eq!(node(&cluster, "charlie")["cordoned"], false);
    // All of them, or none.
    cluster
        .ask(&["nodes", "cordon", "alpha", "nosuch"])
        .code(1)
        .says("there is no node nosuch")
        .says("2 (");
    assert_eq!(node(&cluster, "alpha")["cordoned"], false);
    cluster.ask(&["nodes", "cordon"]).code(2);
}

#[test]
fn drain_waits_with_progress_and_an_empty_node_is_drained() {
    let mut cluster = started(SETTINGS, &HOSTS);
    assert!(node(&cluster, "bravo")["shards"]["acting"].as_u64() >= Some(3));
    let waited = cluster.ask(&["nodes", "drain", "bravo", "--wait"]).code(0);
    assert!(waited.out.contains("(bravo) is draining"), "{waited:?}");
    assert!(
        waited.out.contains("left: ") && waited.out.contains(", after ") && waited.out.contains("fts-indexing "),
        "{waited:?}"
    );
    assert!(waited.out.contains("nothing is left there, after "), "{waited:?}");
    let listed = cluster.ask(&["nodes"]).code(0);
    assert!(
        line(&listed, "bravo").contains("drained") && !listed.out.contains("draining"),
        "{listed:?}"
    );
    let drained = node(&cluster, "bravo");
    assert_eq!(
        (&drained["drained"], &drained["draining"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(drained["shards"], json!({ "acting": 0, "taking": 0, "standby": 0 }));
    let shards = |host: &str| node(&cluster, host)["shards"].clone();
    let sum = |host: &str, what: &str| shards(host)[what].as_u64().expect("a number");
    assert!(sum("alpha", "acting") + sum("charlie", "acting") >= 9);
    assert!(
        sum("alpha", "standby") + sum("charlie", "standby") >= 9,
        "two owners each"
    );
    // As JSON, progress is told beside the answer.
    let again = cluster
        .ask(&["nodes", "drain", "bravo", "--wait", "-o", "json"])
        .code(0);
    assert_eq!(
        (&again.json()["drained"], &again.json()["nodes"][0]["already"]),
        (&json!(true), &json!(true))
    );
    assert!(again.err.contains("nothing is left there"), "{again:?}");
    let (code, found) = status(&cluster, |status| status["ok"] == true);
    assert_eq!(
        (code, &found["nodes"]["drained"]),
        (Some(0), &json!([drained["nodeId"]]))
    );
    cluster.ask(&["nodes", "undrain", "bravo"]).code(0);
    cluster.shared(&HOSTS);
}

#[test]
fn what_a_drain_would_leave_without_an_owner_is_said_and_refused() {
    let settings = with("reports = { shards = 3, nodes = [\"1\"] }");
    let mut cluster = started(&settings, &["alpha", "bravo"]);
    let one = if id(&mut cluster, "alpha") == 1 {
        ["alpha", "bravo"]
    } else {
        ["bravo", "alpha"]
    };
    let refused = cluster.ask(&["nodes", "drain", "1"]).code(4);
    assert!(
        refused.out.contains("  reports: 0-2 (3 of 3)\n") && !refused.out.contains("fts-indexing"),
        "{refused:?}"
    );
    assert!(
        refused.out.contains("Nothing was ordered") && refused.out.contains("--force"),
        "{refused:?}"
    );
    assert_eq!(node(&cluster, one[0])["draining"], false);
    let refused = cluster
        .ask(&["nodes", "drain", "alpha", "bravo", "-o", "json"])
        .code(4)
        .json();
    let stranded = refused["stranded"].as_array().expect("a list");
    let of = |role: &str| stranded.iter().find(|stranded| stranded["role"] == role).cloned();
    assert_eq!(refused["refused"], true);
    assert_eq!(
        of("fts-indexing"),
        Some(json!({ "role": "fts-indexing", "shards": "0-8", "count": 9, "of": 9 }))
    );
    cluster.ask(&["nodes", "drain", "2"]).code(0);
    // What was nobody's to lose is not refused a second time; what can be lost now is.
    cluster.ask(&["nodes", "drain", "2"]).code(0).says("already");
    cluster
        .ask(&["nodes", "drain", "1"])
        .code(4)
        .says("fts-indexing: 0-8 (9 of 9)")
        .says("reports: 0-2");
    cluster.ask(&["nodes", "undrain", "2"]).code(0);
    // The rest goes; this stays, and waiting for it is in vain.
    let forced = cluster.ask(&["nodes", "drain", "1", "--force", "--wait"]).code(3);
    assert!(
        forced.out.contains("reports: 0-2 (3 of 3)") && forced.out.contains("nobody else may take"),
        "{forced:?}"
    );
    let listed = cluster.ask(&["nodes"]).code(0);
    assert!(line(&listed, one[0]).contains("draining"), "{listed:?}");
    cluster.ask(&["nodes", "drain", "--help"]).code(0).says("4 refused");
}

#[test]
fn drain_empties_a_node_and_undrain_lets_it_work_again() {
    let mut cluster = Cluster::of(&HOSTS);
    let id = cluster.ready("bravo").fields["node"].to_string();
    let held = |cluster: &Cluster| {
        holders(&cluster.told, "fts-indexing")
            .values()
            .filter(|host| *host == "bravo")
            .count()
    };
    assert_eq!(held(&cluster), 3);

    cluster
        .ask(&["nodes", "drain", &id])
        .code(0)
        .says("bravo")
        .says("draining");
    cluster.ask(&["nodes", "drain", &id]).code(0).says("already");
    cluster.until("bravo to be empty", |told| {
        let held = holders(told, "fts-indexing");
        (held.len() == 9 && held.values().all(|host| host != "bravo")).then_some(())
    });
    cluster.ask_until(&["nodes"], |answer| answer.out.contains("drained"));
    cluster.ask(&["nodes", "undrain", &id]).code(0).says("no more");
    cluster.shared(&HOSTS);

    cluster.ask(&["nodes", "cordon", &id]).code(0).says("cordoned");
    cluster.ask(&["nodes"]).code(0).says("cordoned");
    cluster.ask(&["nodes", "uncordon", &id]).code(0);
    cluster
        .ask(&["nodes", "drain", "77"])
        .code(1)
        .says("there is no node 77");
    cluster
        .ask(&["nodes", "forget", &id])
        .code(1)
        .says("alive")
        .says("SIGTERM");
}
