//! The mail server's own way to write its file: what is not ours does not matter, and what is ours is read if it has
//! one meaning.

mod common;

use common::{error, report, sound, warning};
use shardwright_config::{ClusterConfig, Code, CoordinatorConfig, Problem, Report, Severity, parse};
use std::path::Path;

/// The text of `tests/cases/configs/dialect-NAME`.
fn text(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/cases/configs");
    std::fs::read_to_string(folder.join(format!("dialect-{name}"))).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The case `name`, which must be sound.
fn case(name: &str) -> (ClusterConfig, Report) {
    sound(&text(&format!("{name}.toml")))
}

fn places(report: &Report, severity: Severity) -> Vec<(usize, usize, Code)> {
    let of = report.problems().iter().filter(|problem| problem.severity == severity);
    of.map(|problem| (problem.line, problem.column, problem.code)).collect()
}

/// What `report` says about the way the file is written.
fn dialect(report: &Report) -> Vec<&Problem> {
    report
        .problems()
        .iter()
        .filter(|problem| problem.code == Code::Dialect)
        .collect()
}

fn redis(config: &ClusterConfig) -> &shardwright_config::RedisSection {
    match &config.coordinator {
        CoordinatorConfig::Redis(section) => section,
        other => panic!("Redis expected, not {other:?}"),
    }
}

#[test]
fn what_is_wrong_in_other_sections_does_not_matter() {
    for (name, id) in [
        ("bare-word-in-another-section", 4),
        ("text-and-table-in-another-section", 1),
        ("sets-and-tables-over-lines", 3),
        ("backslashes-in-expressions", 3),
    ] {
        let (config, report) = case(name);
        assert!(
            report.problems().iter().all(|p| p.code != Code::Dialect),
            "{name}\n{report}"
        );
        assert_eq!(
            (config.node_id, redis(&config).id.as_str()),
            (Some(id), "cache"),
            "{name}"
        );
    }
    let (config, report) = case("broken-beyond-help-elsewhere");
    assert_eq!((config.node_id, config.node.zone.as_str()), (Some(9), "fra-1"));
    assert!(dialect(&report).is_empty(), "{report}");
}

#[test]
fn texts_without_quotes() {
    let (config, report) = case("bare-words-of-ours");
    assert_eq!(redis(&config).timeout.as_secs(), 10);
    let says: Vec<_> = dialect(&report)
        .iter()
        .map(|p| (p.line, p.column, p.help.as_str()))
        .collect();
    let expected = [
        (4, 15, "write `coordinator = \"cache\"`"),
        (11, 8, "write `type = \"redis\"`"),
        (13, 11, "write `timeout = \"10s\"`"),
        (14, 12, "write `password = \"…\"`"),
    ];
    assert_eq!(says, expected, "{report}");
    assert!(
        !report.to_string().contains("Hunter2") && !report.render_json().contains("Hunter2"),
        "{report}"
    );
}

#[test]
fn tables_that_are_opened_twice() {
    let (config, report) = case("tables-opened-twice");
    assert_eq!((config.node_id, redis(&config).id.as_str()), (Some(3), "cache"));
    assert_eq!(config.server_hostname.as_deref(), Some("mx.example.net"));
    assert_eq!(places(&report, Severity::Warning), [(11, 2, Code::Dialect)], "{report}");
    assert!(report.problems()[0].help.contains("below one `[cluster]`"), "{report}");
    // Also where a header and a dotted key, or braces, mean the same table.
    let (config, report) = sound(
        "cluster.node-id = 3\n[cluster]\nname = \"a\"\n[node]\nlabels = { a = \"1\" }\n[node.labels]\nb = \"2\"\n",
    );
    assert_eq!(
        (config.node_id, config.name.as_str(), config.node.labels.len()),
        (Some(3), "a", 2)
    );
    assert_eq!(
        dialect(&report).iter().map(|p| p.line).collect::<Vec<_>>(),
        [2, 6],
        "{report}"
    );
    // A header below another is TOML.
    let (_, report) = sound("[queue]\nx = y\n[cluster.timing]\nrenew = \"5s\"\n[cluster]\nnode-id = 3\n");
    assert!(dialect(&report).is_empty(), "{report}");
}

#[test]
fn contradictions() {
    let report = parse(&text("contradiction.toml"), "test.toml").expect_err("a contradiction");
    assert_eq!(places(&report, Severity::Error), [(7, 1, Code::Syntax)], "{report}");
    let warnings: Vec<_> = dialect(&report).iter().map(|p| p.line).collect();
    assert_eq!(warnings, [6, 8], "{report}");
    error(
        "[cluster]\nname = \"a\"\n[cluster]\n«name» = \"b\"\n",
        Code::Syntax,
        "duplicate key",
    );
    error(
        "[cluster]\nnode-id = 5\n[cluster.«node-id»]\n",
        Code::Syntax,
        "a value in one place and a table",
    );
    error(
        "[cluster]\ncoordinator = \"a\"\n[cluster.coordinator.«x»]\n",
        Code::Syntax,
        "a table in another",
    );
    error(
        "store = \"a\"\ncluster.coordinator = \"b\"\n[store.«b»]\ntype = \"memory\"\n",
        Code::Syntax,
        "a table in another",
    );
    error(
        "[cluster]\nnode-id = 3\n[cluster]\n«node-id» = \"3\"\n",
        Code::Syntax,
        "duplicate key",
    );
}

#[test]
fn texts_over_lines() {
    let (config, report) = case("texts-over-lines");
    let tls = redis(&config).tls.as_ref().expect("TLS");
    let pem = format!("{:?}", tls.ca);
    assert!(pem.contains("Text"), "{pem}");
    assert_eq!(
        places(&report, Severity::Warning),
        [(13, 10, Code::Dialect)],
        "{report}"
    );
    // Another statement in it: a quote may be missing.
    error(
        "[cluster]\nname = «\"»a\nnode-id = 3 # \"\n",
        Code::Syntax,
        "looks like another statement",
    );
}

#[test]
fn a_text_that_may_hide_our_section() {
    let report = parse(&text("our-section-in-an-unclosed-text.toml"), "test.toml").expect_err("ambiguous");
    assert_eq!(places(&report, Severity::Error), [(3, 12, Code::Syntax)], "{report}");
    // In three quotes it is what it is, unless quotes are missing somewhere.
    let text = "[a]\nb = '''\n[cluster]\nnode-id = 1\n'''\n[cluster]\nnode-id = 2\n";
    assert_eq!(sound(&format!("{text}[c]\nd = e\n")).0.node_id, Some(2));
    error(
        &format!("{}[c]\nd = \"\n", text.replacen("'''", "«'''»", 1)),
        Code::Syntax,
        "a quote is missing",
    );
    error(
        "[a]\nb = «\"»\"\"\n[cluster]\nnode-id = 1\n",
        Code::Syntax,
        "not closed",
    );
}

#[test]
fn headers_in_capitals() {
    let (config, report) = case("headers-in-capitals");
    assert_eq!((config.node_id, redis(&config).id.as_str()), (Some(5), "cache"));
    assert_eq!(
        places(&report, Severity::Warning),
        [(2, 2, Code::Dialect), (6, 2, Code::Dialect)],
        "{report}"
    );
    warning("[«Node»]\nzone = \"a\"\n", Code::Dialect, "write `[node]`");
    // The server folds headers, and no keys.
    warning(
        "«Cluster».node-id = 3\n",
        Code::SimilarSection,
        "did you mean `cluster.node-id`?",
    );
}

/// What has two meanings, or none, is an error in our sections, at its place.
#[test]
fn what_is_not_clear_is_not_read() {
    let roles = |value: &str| format!("[cluster.roles]\nfts-indexing = {value}\n");
    error(
        &roles("[«01», \"2\"]"),
        Code::Syntax,
        "if a text is meant, write `\"01\"`",
    );
    error(&roles("[«1-2»]"), Code::Syntax, "if a text is meant");
    error(&roles("{ «\"1,2\"», }"), Code::Syntax, "write a list");
    error(
        "[cluster]\nname = «yes»\n",
        Code::Syntax,
        "if a text is meant, write `name = \"yes\"`",
    );
    error("[cluster]\nnode-id = «%»{env:ID}%\n", Code::Syntax, "TOML");
    error("[cluster]\nname = «a b»\n", Code::Syntax, "TOML");
    error("[cluster] «»node-id = 3\n", Code::Syntax, "TOML");
    error("[node]\nzone = 'a\\'«»b\\d'\n", Code::Syntax, "TOML");
    for (text, line) in [
        ("[cluster]\nname\nnode-id = 3\n", 2),
        ("hello\n[cluster]\nnode-id = 3\n", 1),
        ("[clustr\nnode-id = 3\n", 1),
    ] {
        let errors = places(&report(text), Severity::Error);
        assert_eq!(
            errors.iter().map(|p| (p.0, p.2)).collect::<Vec<_>>(),
            [(line, Code::Syntax)],
            "{text}"
        );
    }
    // A backslash that the server drops, and TOML refuses.
    let report = report("[node]\nzone = \"a\\.b\"\n");
    assert_eq!(
        places(&report, Severity::Error).first().map(|p| (p.0, p.2)),
        Some((2, Code::Syntax)),
        "{report}"
    );
}

/// One mistake is reported once, whatever the lines after it look like.
#[test]
fn a_list_that_is_not_closed_is_one_problem() {
    let report = report("[cluster.roles]\nfts-indexing = [\n  \"1\"\n  \"2\"\n]\n[node]\ncapacity = -1\n");
    assert_eq!(
        places(&report, Severity::Error).iter().map(|p| p.0).collect::<Vec<_>>(),
        [4, 7],
        "{report}"
    );
}

#[test]
fn sections_with_similar_names() {
    let (config, found) = case("similar-names");
    assert_eq!(config.node.zone, "");
    let says = found.problems().iter().filter(|p| p.code == Code::SimilarSection);
    let says: Vec<_> = says.map(|p| (p.line, p.help.as_str())).collect();
    let expected = [
        (6, "did you mean `[cluster.roles.purge]`?"),
        (12, "did you mean `[node]`?"),
        (15, "did you mean `[policy.by-size]`?"),
    ];
    assert_eq!(says, expected, "{found}");
    warning(
        "[«clustre»]\nnode-id = 3\n",
        Code::SimilarSection,
        "did you mean `[cluster]`?",
    );
    let misspelt = report("cluster.coordinator = \"a\"\n[stroe.a]\ntype = \"memory\"\n");
    assert!(misspelt.has(Code::SimilarSection), "{misspelt}");
    let (_, quiet) = sound("[storage]\nx = 1\n[note]\n[mode]\n[clock]\n[police-report]\n[store.a]\ntype = \"s3\"\n");
    assert!(!quiet.has(Code::SimilarSection), "{quiet}");
}

/// An object of the registry is no file of ours: it is named for what it is, with the way to write it.
#[test]
fn an_object_of_the_registry() {
    let report = parse(&text("registry-object.json"), "object.json").expect_err("no TOML");
    let [problem] = report.problems() else {
        panic!("{report}")
    };
    assert_eq!((problem.code, problem.severity), (Code::Syntax, Severity::Error));
    assert!(problem.message.contains("release 0.16"), "{report}");
    let (_, written) = problem.help.split_once("\n\n").expect("a configuration");
    assert!(!report.to_string().contains("Hunter2"), "{report}");
    // What it tells to write is a configuration.
    let written: String = written
        .lines()
        .filter(|line| !line.starts_with("password"))
        .map(|line| format!("{line}\n"))
        .collect();
    let (config, _) = sound(&written);
    let CoordinatorConfig::Kafka(kafka) = config.coordinator else {
        panic!("{written}")
    };
    assert_eq!(kafka.brokers.len(), 2);
    for text in ["{\"a\": 1", "{\"@type\": \"Nats\"}", "{}", "{\"@type\": \"Disabled\"}"] {
        assert!(parse(text, "object.json").is_err(), "{text}");
    }
}
