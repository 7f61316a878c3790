//! `status`: all is well, and everything that may not be.

use crate::common::schema::validate;
use crate::common::{Cluster, LIMIT, OutputLine, SETTINGS, command, run};
use crate::{HOSTS, id, line, node, started, with};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;

pub(crate) fn status(cluster: &Cluster, done: impl Fn(&Value) -> bool) -> (Option<i32>, Value) {
    let answer = cluster.ask_until(&["status", "-o", "json"], |answer| {
        !answer.out.is_empty() && done(&answer.json())
    });
    let found = answer.json();
    validate("status.schema.json", &found);
    assert_eq!(found["ok"] == true, answer.code == Some(0), "{found:#}");
    assert_eq!(found["ok"] == true, found["problems"] == json!([]), "{found:#}");
    (answer.code, found)
}

fn kinds(status: &Value) -> BTreeSet<String> {
    let problems = status["problems"].as_array().expect("a list").iter();
    problems
        .map(|problem| problem["kind"].as_str().expect("a kind").to_owned())
        .collect()
}

fn problem(status: &Value, kind: &str) -> String {
    let problems = status["problems"].as_array().expect("a list");
    let of_kind = problems.iter().find(|problem| problem["kind"] == kind);
    of_kind.unwrap_or_else(|| panic!("no {kind} in {status:#}"))["text"]
        .as_str()
        .expect("a text")
        .to_owned()
}

/// The shards of a role that nobody acts on, and why.
fn unowned<'v>(status: &'v Value, role: &str) -> Option<&'v Value> {
    status["unowned"]
        .as_array()
        .expect("a list")
        .iter()
        .find(|unowned| unowned["role"] == role)
}

/// Stops the processes of these nodes, at a moment at which none of them holds the lock of the file: that would stop
/// everybody.
fn hang(cluster: &Cluster, hosts: &[&str]) {
    let all = |signal| {
        let nodes = cluster.nodes.iter().filter(|node| hosts.contains(&node.host()));
        nodes.for_each(|node| node.signal(signal).expect("it lives"));
    };
    loop {
        all(Signal::STOP);
        if cluster
            .ask(&["nodes", "cordon", "nosuch"])
            .err
            .contains("there is no node nosuch")
        {
            return;
        }
        all(Signal::CONT);
    }
}

#[test]
fn status_is_one_screen_and_one_exit_code() {
    let mut cluster = started(SETTINGS, &HOSTS);
    let (code, found) = status(&cluster, |status| status["ok"] == true);
    assert_eq!(code, Some(0));
    let listed = |name: &str| found["nodes"][name].as_array().map(Vec::len);
    assert_eq!(
        (listed("active"), listed("expired"), listed("stale")),
        (Some(3), Some(0), Some(0))
    );
    let role = found["roles"]
        .as_array()
        .expect("a list")
        .iter()
        .find(|role| role["role"] == "fts-indexing")
        .expect("a role");
    assert_eq!(
        *role,
        json!({ "role": "fts-indexing", "shards": 9, "held": 9, "moving": 0, "unowned": 0 })
    );
    assert_eq!(found["coordinator"]["reachable"], true);

    let screen = cluster.ask(&["status"]).code(0);
    let lines: Vec<&str> = screen.out.lines().collect();
    let leader = format!(
        "leader       {} ({}), since 20",
        found["leader"]["nodeId"],
        found["leader"]["hostname"].as_str().expect("a name")
    );
    let store = cluster.yard.store().display().to_string();
    let begins = [
        "test: all is well",
        "",
        "coordinator  sqlite at ",
        &leader,
        "nodes        3 active",
        "shards       ",
    ];
    assert_eq!(lines.len(), begins.len(), "{screen:?}");
    for (line, begin) in lines.iter().zip(begins) {
        assert!(line.starts_with(begin), "{line:?} does not begin with {begin:?}");
    }
    assert!(
        lines[2].contains(&store) && lines[2].contains(", answers in ") && lines[2].contains(", history "),
        "{screen:?}"
    );
    assert!(lines[5].ends_with(" held, 0 moving, 0 with nobody"), "{screen:?}");

    // One leaves in good order, which is no trouble; one crashes, which is.
    let (left, lost) = (id(&mut cluster, "alpha"), id(&mut cluster, "bravo"));
    let before = cluster.told.len();
    let mut alpha = cluster.take("alpha");
    alpha.signal(Signal::TERM).expect("it lives");
    assert!(alpha.wait(LIMIT).expect("it ends").success());
    let told = cluster.event("charlie", "peer-left", before);
    assert_eq!(
        (&told.fields["node"], &told.fields["how"]),
        (&json!(left), &json!("left"))
    );
    let (code, found) = status(&cluster, |status| status["ok"] == true);
    assert_eq!((code, &found["nodes"]["left"]), (Some(0), &json!([left])));
    assert!(line(&cluster.ask(&["nodes"]).code(0), "alpha").ends_with("left"));

    let before = cluster.told.len();
    cluster.take("bravo").kill().expect("killed");
    let told = cluster.event("charlie", "peer-left", before);
    assert_eq!(
        (&told.fields["node"], &told.fields["how"]),
        (&json!(lost), &json!("expired"))
    );
    let all_held =
        |status: &Value| status["unowned"] == json!([]) && kinds(status) == BTreeSet::from(["node".to_owned()]);
    let (code, found) = status(&cluster, all_held);
    assert_eq!((code, &found["nodes"]["expired"]), (Some(3), &json!([lost])));
    assert!(
        problem(&found, "node").contains(&format!("nodes forget {lost}")),
        "{found:#}"
    );
    let listed = cluster.ask(&["nodes"]).code(0);
    assert!(
        line(&listed, "bravo").contains("expired: crashed, or cut off"),
        "{listed:?}"
    );
    let screen = cluster.ask(&["status"]).code(3);
    screen
        .says("something is not well")
        .says("Not well:")
        .says("- node ")
        .says("(bravo) is lost");

    // Both are forgotten at once, which the leader tells.
    let before = cluster.told.len();
    let forgotten = cluster.ask_until(&["nodes", "forget", "--ended", "-o", "json"], |answer| {
        answer.code == Some(0)
    });
    assert_eq!(forgotten.json()["left"], json!([]));
    cluster
        .ask(&["nodes", "forget", "--ended"])
        .code(0)
        .says("nothing to forget");
    for node in [left, lost] {
        cluster.until("charlie to tell of it", |told| {
            let is = |told: &&OutputLine| told.event == "forgotten" && told.fields["node"] == node;
            told.iter().skip(before.min(told.len())).find(is).map(|_| ())
        });
    }
    cluster.ask(&["status"]).code(0).says("nodes        1 active");
}

#[test]
fn status_says_why_nobody_acts() {
    let roles = "nobodys = { shards = 2, nodes = [\"9\"] }\nlarge = { shards = 600 }\n\n[policy.balanced]\nbudget = { \
                 output = \"1KiB\" }";
    let mut cluster = started(&with(roles), &["alpha", "bravo"]);
    // A policy whose budget of output is too small for the plan of the large role.
    let suspended = |status: &Value| {
        let policies = status["policies"].as_array().expect("a list");
        let large = policies
            .iter()
            .any(|policy| policy["role"] == "large" && policy["suspended"] == true);
        large && unowned(status, "large").is_none() && unowned(status, "fts-indexing").is_none()
    };
    let (code, found) = status(&cluster, suspended);
    assert_eq!(code, Some(3));
    let policy = problem(&found, "policy");
    assert!(
        policy.starts_with("large: its policy is suspended, and the native one stands in") && policy.contains("output"),
        "{policy}"
    );
    assert_eq!(
        found["policies"]
            .as_array()
            .expect("a list")
            .iter()
            .find(|p| p["role"] == "large")
            .expect("it")["policy"],
        "balanced"
    );

    let nobodys = unowned(&found, "nobodys").expect("nobody may own it").clone();
    assert_eq!(
        (&nobodys["shards"], &nobodys["count"], &nobodys["reason"]),
        (&json!("0-1"), &json!(2), &json!("no-eligible-node"))
    );
    assert_eq!(
        nobodys["text"],
        "no node is there that may own it: it is for node 9 only"
    );
    // `roles` says it with its exit code, too, and numbers alike.
    cluster.ask(&["roles"]).code(3).says("2 unowned");
    cluster.ask(&["roles", "show", "nobodys"]).code(3);
    cluster.ask(&["roles", "show", "fts-indexing"]).code(0);
    cluster
        .ask(&["owner", "nobodys", "4", "-o", "json"])
        .code(3)
        .says("\"shard\": 0");

    // Processes that hang are silent: they must have stopped, and nobody is there to take over.
    hang(&cluster, &["alpha", "bravo"]);
    let silent = |status: &Value| {
        let both = status["nodes"]["stale"]
            .as_array()
            .is_some_and(|stale| stale.len() == 2);
        both && unowned(status, "fts-indexing").is_some()
    };
    let (code, found) = status(&cluster, silent);
    let owner = unowned(&found, "fts-indexing").expect("nobody acts");
    assert_eq!((code, &owner["reason"]), (Some(3), &json!("owner-silent")));
    assert!(
        owner["text"]
            .as_str()
            .expect("a text")
            .contains("has not renewed its session for"),
        "{owner}"
    );
    let text = problem(&found, "node");
    assert!(
        text.starts_with("no node has renewed its session for ") && text.contains("coordinator doctor"),
        "{found:#}"
    );
    for host in ["alpha", "bravo"] {
        cluster.node(host).signal(Signal::CONT).expect("it is there");
    }
}

#[test]
fn a_node_that_misses_two_renewals_is_named_before_others_take_over() {
    // Time enough to look.
    let slow = SETTINGS
        .replace("validity = \"2500ms\"", "validity = \"20s\"")
        .replace("stale-after = \"3s\"", "stale-after = \"30s\"");
    let mut cluster = started(&slow, &["alpha", "bravo"]);
    let bravo = id(&mut cluster, "bravo");
    hang(&cluster, &["bravo"]);
    let (code, found) = status(&cluster, |status| status["nodes"]["stale"] == json!([bravo]));
    assert_eq!(code, Some(3));
    let text = problem(&found, "node");
    let begin = format!("node {bravo} (bravo) has not renewed its session for ");
    assert!(
        text.starts_with(&begin) && text.contains("It stops acting in ") && text.contains("others may take over in "),
        "{text}"
    );
    assert!(line(&cluster.ask(&["nodes"]).code(0), "bravo").contains("not renewed for "));
    cluster.node("bravo").signal(Signal::CONT).expect("it is there");
}

/// What all of them have, and nobody is told.
const SECRET: &str = "hunter2-hunter2-hunter2";

#[test]
fn status_names_nodes_with_other_settings_and_the_keys_and_values() {
    let mut cluster = started(&format!("secret = \"{SECRET}\"\n{SETTINGS}"), &["alpha", "bravo"]);
    let config = cluster.yard.config("charlie").expect("written");
    let text = fs::read_to_string(&config)
        .expect("read")
        .replace("renew = \"400ms\"", "renew = \"300ms\"")
        .replace(
            "fts-indexing = { shards = 9",
            "nightly = { shards = 4 }\nfts-indexing = { shards = 8",
        );
    fs::write(&config, text).expect("written");
    let mut charlie = command()
        .args(["run", "--until-stdin-ends", "--config"])
        .arg(&config)
        .env("SHARDWRIGHT_HOSTNAME", "charlie")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("it runs");
    let (code, found) = status(&cluster, |status| status["nodes"]["differing"] != json!([]));
    assert_eq!(
        (code, &found["nodes"]["differing"]),
        (Some(3), &json!([node(&cluster, "charlie")["nodeId"]]))
    );
    let charlies = node(&cluster, "charlie")["nodeId"].as_u64().expect("an id");
    let of_file = BTreeSet::from(["alpha", "bravo"].map(|host| id(&mut cluster, host)));
    // What it has stored of its settings follows in a moment.
    let (_, found) = status(&cluster, |status| status["settings"][0]["keys"] != json!([]));
    let differing = found["settings"].as_array().expect("a list");
    assert_eq!(differing.len(), 1, "nobody differs from itself: {found:#}");
    let from: BTreeSet<u64> = differing[0]["from"]
        .as_array()
        .expect("ids")
        .iter()
        .filter_map(Value::as_u64)
        .collect();
    assert_eq!((differing[0]["node"].as_u64(), from), (Some(charlies), of_file));
    let keys = [
        json!({ "key": "cluster.roles.fts-indexing.shards", "here": "8", "there": "9" }),
        json!({ "key": "cluster.roles.nightly", "here": "{ shards = 4 }", "there": null }),
        json!({ "key": "cluster.timing.renew", "here": "\"300ms\"", "there": "\"400ms\"" }),
    ];
    assert_eq!(differing[0]["keys"], json!(keys));
    let text = problem(&found, "settings");
    let says = [
        format!("node {charlies} (charlie) does not act"),
        "(alpha)".to_owned(),
        "(bravo)".to_owned(),
        "`cluster.roles.fts-indexing.shards` is 8 there and 9 on the others".to_owned(),
        "`cluster.timing.renew` is \"300ms\" there and \"400ms\" on the others".to_owned(),
        "Correct its configuration and restart it".to_owned(),
    ];
    for says in says {
        assert!(text.contains(&says), "{says} is not in {text}");
    }
    assert!(!found.to_string().contains(SECRET), "{found:#}");
    let screen = cluster.ask(&["status"]).code(3).says(&format!("- {text}"));
    assert!(!screen.out.contains(SECRET), "{screen:?}");
    let listed = cluster.ask(&["nodes"]).code(0);
    assert!(
        line(&listed, "charlie").contains("other settings, see `status`"),
        "{listed:?}"
    );
    drop(charlie.stdin.take());
    assert!(charlie.wait().expect("it ends").success());
    cluster.told.clear();
}

#[test]
fn grace_and_a_silent_coordinator_are_said() {
    // A validity that no test outlasts.
    let slow = SETTINGS
        .replace("validity = \"2500ms\"", "validity = \"10m\"")
        .replace("stale-after = \"3s\"", "stale-after = \"11m\"");
    let mut cluster = Cluster::new(&slow.replace("margin = \"100ms\"", "margin = \"1s\"\ninactive-after = \"12m\""));
    cluster.start("alpha");
    let answer = cluster.ask_until(&["status", "-o", "json"], |answer| answer.code == Some(3));
    let found = answer.json();
    validate("status.schema.json", &found);
    assert!(
        found["grace"]["leftMs"]
            .as_u64()
            .is_some_and(|left| (1..=601_000).contains(&left)),
        "{found:#}"
    );
    assert!(
        kinds(&found).contains("grace") && !kinds(&found).contains("leader"),
        "{found:#}"
    );
    assert_eq!(unowned(&found, "fts-indexing").expect("nobody acts")["reason"], "grace");
    cluster
        .ask(&["status"])
        .code(3)
        .says("grace        nothing is granted for another ");
    cluster.ask(&["nodes"]).code(0).says("Grace: ").says("for another ");

    let silent = run(&["status", "--store", "redis://127.0.0.1:1", "-o", "json"])
        .code(3)
        .json();
    validate("status.schema.json", &silent);
    assert_eq!(
        (&silent["coordinator"]["reachable"], &silent["problems"][0]["kind"]),
        (&json!(false), &json!("coordinator"))
    );
    run(&["status", "--store", "redis://127.0.0.1:1"])
        .code(3)
        .says("redis: does not answer");
    run(&["status", "--store", "/nosuch/none.db"])
        .code(1)
        .says("there is no store");
}
