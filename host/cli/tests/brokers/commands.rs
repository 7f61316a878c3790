//! The operator's commands on a cluster that lives on a server.

use crate::common::{Answer, Following, SETTINGS, command, run, yard};
use crate::trial::{HOSTS, ROLE, SHARDS, Trial};
use serde_json::Value;
use std::net::TcpListener;

/// A password that no server here has.
pub(crate) const WRONG: &str = "another-word";

/// Every command that asks a server, on the one of `trial`, which is at `address`, and where nobody is, which is at
/// `nowhere` with a port for `PORT`.
pub(crate) fn all(trial: &Trial, kind: &str, address: &str, nowhere: &str) {
    looks(trial);
    watch(trial, kind);
    doctor(trial, kind);
    check(trial, kind);
    demo(address);
    nobody_there(nowhere);
}

fn looks(trial: &Trial) {
    let nodes = trial.ask(&["nodes", "-o", "json"]).code(0).json();
    let nodes = nodes.as_array().expect("a list").clone();
    assert_eq!(nodes.len(), HOSTS.len());
    assert!(nodes.iter().all(|node| node["status"] == "active"), "{nodes:?}");
    let shown = trial.ask(&["roles", "show", ROLE, "-o", "json"]).code(0).json();
    assert_eq!(shown["shards"].as_array().map(Vec::len), Some(SHARDS));
    trial.ask(&["owner", ROLE, "191179"]).code(0).says("token");
    let other = ["nodes", "--cluster", "nosuch"];
    trial.ask(&other).code(1).says("nosuch").says("--cluster");
}

fn watch(trial: &Trial, kind: &str) {
    let watching = Following::start(
        &["coordinator", "watch", "-o", "json", "--topic", "node/look"],
        &trial.operator(),
    );
    let first = watching.until("beginning", |_| true);
    assert_eq!(
        (first["event"].as_str(), first["kind"].as_str()),
        (Some("watching"), Some(kind))
    );
    let id = trial.ask(&["nodes", "-o", "json"]).json()[0]["nodeId"].to_string();
    trial.ask(&["nodes", "cordon", &id]).code(0);
    trial.ask(&["nodes", "uncordon", &id]).code(0);
    let message = watching.until("word of the operator", |line| {
        line["event"] == "message" && line["origin"].is_null()
    });
    assert_eq!(message["topic"], "node/look");
    assert_eq!(message["meaning"], "the store has changed, look");
    let (code, rest) = watching.interrupt();
    let sums = rest.last().expect("the sums");
    assert_eq!((code, sums["event"].as_str()), (Some(0), Some("sums")), "{rest:?}");
    assert!(sums["messages"].as_u64() >= Some(1), "{sums}");
    assert_eq!(
        (sums["unreadable"].as_u64(), sums["malformed"].as_u64()),
        (Some(0), Some(0)),
        "{sums}"
    );
}

fn doctor(trial: &Trial, kind: &str) {
    let found = trial.ask(&["coordinator", "doctor", "-o", "json"]).code(0).json();
    assert_eq!(
        (found["kind"].as_str(), found["ok"].as_bool()),
        (Some(kind), Some(true)),
        "{found}"
    );
    let findings = found["findings"].as_array().expect("a list");
    assert!(findings.len() >= 4, "{found}");
    for finding in findings {
        let good = finding["verdict"] == "good";
        assert_eq!(finding["remedy"].is_null(), good, "{finding}");
    }
    trial
        .ask(&["coordinator", "doctor"])
        .code(0)
        .says("VERDICT")
        .says("version");
}

fn check(trial: &Trial, kind: &str) {
    let found = trial
        .ask(&["coordinator", "check", "--quick", "-o", "json"])
        .code(0)
        .json();
    assert_eq!(
        (found["kind"].as_str(), found["ok"].as_bool()),
        (Some(kind), Some(true)),
        "{found}"
    );
    let checks = found["checks"].as_array().expect("a list");
    let skipped: Vec<_> = checks
        .iter()
        .filter(|check| check["verdict"] != "ok")
        .map(|check| &check["check"])
        .collect();
    assert_eq!(skipped, ["reconnect"], "{found}");
    for latency in found["latencies"].as_array().expect("a list") {
        assert!(
            latency["p50Us"].as_u64() > Some(0) && latency["p99Us"].as_u64() >= latency["p50Us"].as_u64(),
            "{latency}"
        );
    }
}

/// With `section`, which has a wrong password instead of `password`, nothing goes, and it is said why.
pub(crate) fn wrong_password(section: &str, password: &str) {
    let yard = yard(SETTINGS).meeting_at(section);
    let config = yard.config("stranger").expect("written");
    for args in [
        &["nodes"][..],
        &["coordinator", "check"],
        &["coordinator", "doctor"],
        &["coordinator", "watch"],
        &["run"],
    ] {
        let output = command()
            .args(args)
            .arg("--config")
            .arg(&config)
            .output()
            .expect("it runs");
        let answer = Answer::from(output).code(1).says("refuses").says("password");
        assert!(
            !format!("{answer:?}").contains(password) && !format!("{answer:?}").contains("another-word"),
            "{answer:?}"
        );
    }
}

fn demo(address: &str) {
    let answer = run(&["demo", "--coordinator", address, "-o", "json"]).code(0);
    let secret = address.split_once('@').and_then(|(login, _)| login.rsplit_once(':'));
    assert!(
        secret.is_none_or(|(_, password)| !format!("{answer:?}").contains(password)),
        "{answer:?}"
    );
    let summary: Value = serde_json::from_str(answer.out.lines().last().expect("a summary")).expect("JSON");
    assert_eq!(
        (summary["ok"].as_bool(), summary["doubleOwners"].as_u64()),
        (Some(true), Some(0)),
        "{summary}"
    );
}

fn nobody_there(nowhere: &str) {
    let port = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a port")
        .port();
    let address = nowhere.replace("PORT", &port.to_string());
    for args in [
        &["nodes"][..],
        &["coordinator", "check"],
        &["coordinator", "doctor"],
        &["coordinator", "watch"],
    ] {
        run(&[args, &["--store", &address]].concat())
            .code(1)
            .says("cannot be reached")
            .says(&port.to_string());
    }
    run(&["demo", "--coordinator", &address])
        .code(1)
        .says("cannot be reached")
        .says(&port.to_string());
}
