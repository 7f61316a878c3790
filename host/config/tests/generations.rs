//! The files in `tests/cases/configs`: each has exactly the problems that its header says. And what the older forms
//! mean.

mod common;

use common::{role, sound, warning};
use shardwright_config::{
    ClusterConfig, Code, CoordinatorConfig, KafkaSection, NatsSection, RedisSection, Report, parse,
};
use shardwright_core::role::{Member, Placement};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the names of the cases begin with that are checked here.
const KINDS: [&str; 3] = ["generation-", "store-", "ids-"];

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/cases/configs");
    let files = std::fs::read_dir(folder)
        .expect("the cases")
        .map(|entry| entry.expect("a case").path());
    let is_case = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        KINDS.iter().any(|kind| name.starts_with(kind)) && name.ends_with(".toml")
    };
    let mut files: Vec<_> = files.filter(is_case).collect();
    files.sort();
    files
}

/// What follows `name` in the header of a case, on one line or on several.
fn header(text: &str, name: &str) -> Option<String> {
    let lines = text.lines().take_while(|line| line.starts_with('#'));
    let found: Vec<_> = lines
        .filter_map(|line| line.strip_prefix(&format!("# {name}:")))
        .map(str::trim)
        .collect();
    (!found.is_empty()).then(|| found.join(" "))
}

/// The text of a case, with the variable that its header names taken from a file: tests cannot set variables.
fn with_variable(text: &str, place: &Path) -> String {
    let Some(with) = header(text, "With") else {
        return text.to_owned();
    };
    let (name, value) = with.split_once('=').expect("NAME=value");
    std::fs::write(place, value).expect("written");
    text.replace(&format!("%{{env:{name}}}%"), &format!("%{{file:{}}}%", place.display()))
}

#[test]
fn every_case_has_the_problems_that_its_header_says() {
    let folder = tempfile::tempdir().unwrap();
    let mut wrong = String::new();
    let cases = cases();
    for path in &cases {
        let name = path.file_name().unwrap().to_string_lossy();
        let text = std::fs::read_to_string(path).unwrap();
        let expected = header(&text, "Expected").unwrap_or_else(|| panic!("{name} says nothing of what is expected"));
        assert!(
            header(&text, "What is right").is_some(),
            "{name} does not say what is right"
        );
        let report: Report = match parse(&with_variable(&text, &folder.path().join("value")), &name) {
            Ok((_, report)) | Err(report) => report,
        };
        let found: Vec<_> = report.problems().iter().map(|p| p.code.as_str()).collect();
        if found.join(" ") != expected {
            wrong += &format!("{name}: expected {expected:?}, found {:?}\n{report}\n", found.join(" "));
        }
        let shown = report.render_text(false) + &report.render_json();
        assert!(!shown.contains("Passw0rd"), "{name} shows a password:\n{shown}");
        assert!(!shown.contains("key-of-the-example"), "{name} shows a key:\n{shown}");
    }
    assert!(cases.len() > 40 && wrong.is_empty(), "{} cases\n{wrong}", cases.len());
}

fn with(section: &str) -> ClusterConfig {
    sound(&format!("cluster.coordinator = \"x\"\n[store.x]\n{section}")).0
}

fn redis(lines: &str) -> RedisSection {
    match with(&format!("type = \"redis\"\n{lines}")).coordinator {
        CoordinatorConfig::Redis(section) => section,
        other => panic!("{other:?}"),
    }
}

fn nats(lines: &str) -> NatsSection {
    match with(&format!("type = \"nats\"\n{lines}")).coordinator {
        CoordinatorConfig::Nats(section) => section,
        other => panic!("{other:?}"),
    }
}

fn kafka(lines: &str) -> KafkaSection {
    match with(&format!("type = \"kafka\"\n{lines}")).coordinator {
        CoordinatorConfig::Kafka(section) => section,
        other => panic!("{other:?}"),
    }
}

fn urls(section: &RedisSection) -> Vec<&str> {
    section.urls.iter().map(|url| url.expose()).collect()
}

#[test]
fn numbered_keys_are_the_list_in_the_order_of_their_numbers() {
    let numbered: String = (0..12)
        .map(|i| format!("cluster.roles.purge.stores.{i} = \"{}\"\n", i + 1))
        .rev()
        .collect();
    let listed: Vec<_> = (1..=12)
        .map(|id| format!("{id:?}").replace(&id.to_string(), &format!("\"{id}\"")))
        .collect();
    let (numbered, listed) = (
        sound(&numbered).0,
        sound(&format!("cluster.roles.purge.stores = [{}]", listed.join(","))).0,
    );
    assert_eq!(role(&numbered, "purge.stores"), role(&listed, "purge.stores"));
    let Placement::Groups(groups) = &role(&numbered, "purge.stores").placement else {
        panic!()
    };
    assert_eq!(groups[10], [Member::Node(11)]);
    assert_eq!(
        urls(&redis(
            "redis-type = \"cluster\"\nurls.0001 = \"redis://b\"\nurls.0000 = \"redis://a\""
        )),
        ["redis://a", "redis://b"]
    );
}

#[test]
fn commas_separate_addresses() {
    assert_eq!(
        kafka("replication = 1\nbrokers = \"a:1, b:2,\"").brokers,
        ["a:1", "b:2"]
    );
    let section = nats("replicas = 1\naddress = [\"nats://u:p@a,nats://u:p@b\", \"c\"]");
    let addresses: Vec<_> = section.addresses.iter().map(|address| address.expose()).collect();
    assert_eq!(addresses, ["nats://u:p@a", "nats://u:p@b", "c"]);
    assert_eq!(urls(&redis("urls = \"redis://u:p,w@a\"")), ["redis://u:p,w@a"]);
}

#[test]
fn what_is_said_beside_an_address_does_not_go_with_it() {
    let section = redis("urls = \"rediss://u:p@h/2?protocol=3#insecure\"");
    assert_eq!(urls(&section), ["rediss://u:p@h/2"]);
    assert!(section.tls.is_some(), "it is verified nevertheless");
    assert!(redis("urls = \"valkeys://h\"").tls.is_some());
    assert!(redis("urls = \"valkey://h\"").tls.is_none());
}

#[test]
fn a_socket_keeps_one_spelling() {
    for url in ["unix:///run/r.sock", "unix:/run/r.sock", "redis+unix:///run/r.sock"] {
        let section = redis(&format!("url = \"{url}\"\nuser = \"u\"\npassword = \"p\""));
        assert_eq!((urls(&section), &section.tls), (vec!["unix:///run/r.sock"], &None));
    }
    let section = redis("url = \"redis+unix:///r.sock?db=3&pass=p&protocol=resp3\"");
    assert_eq!(urls(&section), ["unix:///r.sock?db=3&pass=p"]);
    for (url, says) in [
        ("unix:///r.sock?db=x", "database number"),
        ("unix://r.sock", "whole path"),
    ] {
        let text = format!("cluster.coordinator = \"x\"\n[store.x]\ntype = \"redis\"\nurl = «\"{url}\"»");
        common::error(&text, Code::InvalidValue, says);
    }
}

#[test]
fn limits_that_are_off() {
    let limit = |value: &str| nats(&format!("address = \"h\"\nmax-reconnects = {value}")).max_reconnects;
    for off in [
        "0",
        "false",
        "\"0\"",
        "\"false\"",
        "\"FALSE\"",
        "\"disabled\"",
        "\"never\"",
        "\"\"",
    ] {
        assert_eq!(limit(off), None, "{off}");
    }
    assert_eq!((limit("3"), limit("\"3\"")), (Some(3), Some(3)));
}

#[test]
fn durations_as_the_mail_server_has_them() {
    let timeout = |value: &str| redis(&format!("url = \"redis://h\"\ntimeout = {value}")).timeout;
    for same in [
        "\"30s\"",
        "\"30000\"",
        "30000",
        "\"30 S\"",
        "\"30000ms\"",
        "\"30000 MS\"",
        "\" 30s \"",
    ] {
        assert_eq!(timeout(same), Duration::from_secs(30), "{same}");
    }
    assert_eq!(timeout("\"2H\""), Duration::from_secs(7_200));
}

#[test]
fn a_node_id_is_a_number_in_whatever_form() {
    let id = |value: &str| sound(&format!("cluster.node-id = {value}")).0.node_id;
    for value in ["7", "\"7\"", "\" 7 \"", "\"6+1\"", "\"6 + 1\"", "\"0+7\""] {
        assert_eq!(id(value), Some(7), "{value}");
    }
}

#[test]
fn the_gossip_keys_that_are_documented_are_the_ones_that_are_read() {
    for key in shardwright_config::keys::GOSSIP {
        let text = format!("cluster.coordinator = \"x\"\ncluster.«{key}» = \"1\"\n[store.x]\ntype = \"memory\"");
        warning(&text, Code::IgnoredKey, "gossip");
    }
}

#[test]
fn who_meets_in_a_file_of_one_machine_is_told_once() {
    let says = |text: &str, says: &str| warning(text, Code::NoCoordinator, says);
    says("cluster.coordinator = «\"\"»", "is blank");
    says(
        "cluster.coordinator = «\" \"»\ncluster.roles.merge-threads = [\"1,2\"]",
        "is blank",
    );
    let told = |text: &str| sound(text).1.has(Code::NoCoordinator);
    assert!(told("cluster.roles.merge-threads = [\"1-2\"]"));
    assert!(told("cluster.node-id = 1\ncluster.roles.merge-threads = [\"2\"]"));
    assert!(!told("cluster.node-id = 2\ncluster.roles.merge-threads = [\"2\"]"));
    assert!(
        !told("cluster.roles.merge-threads = [\"zone=eu\"]"),
        "a label names no node"
    );
    assert!(!told("cluster.roles.merge-threads = { shards = 4 }"));
}
