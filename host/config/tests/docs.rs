//! The reference names exactly the keys, roles and codes that exist, and its examples are sound.

mod common;

use common::sound;
use shardwright_config::{Code, KNOWN_ROLES, keys};
use shardwright_core::time::Timing;
use std::path::{Path, PathBuf};

const REFERENCE: &str = include_str!("../../../docs/configuration.md");

/// The rows of the tables below the heading `heading`, up to the next heading, with their first column.
fn rows(heading: &str) -> Vec<(&'static str, &'static str)> {
    let section = REFERENCE
        .split_once(&format!("\n{heading}\n"))
        .unwrap_or_else(|| panic!("no heading {heading}"))
        .1;
    let section = section.split("\n#").next().unwrap_or_default();
    section
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .collect()
}

fn first_column(heading: &str) -> Vec<&'static str> {
    rows(heading).into_iter().map(|(key, _)| key).collect()
}

#[test]
fn sections_have_the_keys_that_are_read() {
    assert_eq!(first_column("### `[cluster]`"), keys::CLUSTER);
    assert_eq!(first_column("#### Keys of older releases"), keys::GOSSIP);
    assert_eq!(first_column("### `[cluster.timing]`"), keys::TIMING);
    assert_eq!(first_column("### The table form"), keys::ROLE);
    assert_eq!(first_column("### `[node]`"), keys::NODE);
    assert_eq!(first_column("### `[policy.\"<name>\"]`"), keys::POLICY);
    assert_eq!(first_column("### `[policy.\"<name>\".budget]`"), keys::BUDGET);
}

#[test]
fn coordinators_have_the_settings_that_are_read() {
    let documented = |heading: &str, settings: &[keys::Setting]| {
        let names: Vec<_> = settings.iter().map(|s| s.name).collect();
        assert_eq!(first_column(heading), names);
        for (setting, (name, row)) in settings.iter().zip(rows(heading)) {
            for alias in setting.aliases {
                assert!(row.contains(&format!("`{alias}`")), "{heading}, {name}: {alias}");
            }
            let ignored = matches!(setting.usage, keys::Use::Ignored(_));
            assert_eq!(row.contains("No effect:"), ignored, "{heading}, {name}");
            assert_eq!(
                row.contains("Required"),
                setting.usage == keys::Use::Required,
                "{heading}, {name}"
            );
        }
    };
    documented("### `[store.\"<id>\"]`", keys::COMMON);
    documented("### `tls.*`", keys::TLS);
    for backend in keys::COORDINATORS {
        documented(&format!("### `type = \"{}\"`", backend.kind), backend.settings);
    }
    assert_eq!(REFERENCE.matches("\n### `type = ").count(), keys::COORDINATORS.len());
}

#[test]
fn roles_and_codes_are_complete() {
    assert_eq!(first_column("### The mail server's roles"), KNOWN_ROLES);
    let codes: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(first_column("## Problems"), codes);
}

/// The examples in the reference, with sources of secrets that exist here.
fn examples() -> Vec<String> {
    examples_of(REFERENCE)
}

fn examples_of(text: &str) -> Vec<String> {
    let secret = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let blocks = text
        .split("```toml\n")
        .skip(1)
        .map(|block| block.split("```").next().unwrap_or_default());
    blocks
        .map(|block| {
            block
                .replace("CLUSTER_SECRET", "CARGO_PKG_NAME")
                .replace("/etc/shardwright/secret", secret)
                // Any number will do.
                .replace("%{env:POD_INDEX}%", "0")
        })
        .collect()
}

#[test]
fn every_example_is_sound() {
    let examples = examples();
    assert_eq!(examples.len(), REFERENCE.matches("\n```toml\n").count());
    for example in &examples {
        sound(example);
    }
}

#[test]
fn the_example_of_the_readme_is_sound() {
    let examples = examples_of(include_str!("../../../README.md"));
    assert_eq!(examples.len(), 1);
    assert!(sound(&examples[0]).0.roles.iter().any(|role| role.name == "my-own-job"));
}

#[test]
fn the_defaults_of_timing_are_stated() {
    let example = examples()
        .into_iter()
        .find(|example| example.starts_with("[cluster.timing]"))
        .unwrap();
    assert_eq!(example.lines().count(), 1 + keys::TIMING.len());
    assert_eq!(sound(&example).0.timing, Timing::default());
    for line in example.lines().skip(1) {
        let (key, value) = line.split_once(" = ").unwrap();
        assert!(
            REFERENCE.contains(&format!("| `{key}` | `{value}` |")),
            "{key} = {value} in the table"
        );
    }
}

/// Every file of Rust below `folder`.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if entry.file_type().expect("a type").is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// `` `file.rs` `` or `` `file.rs::test` ``: the end of one file's path, in which that test is.
#[test]
fn the_tests_that_documents_cite_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = Vec::new();
    for folder in ["host", "tests", "examples"] {
        sources(&root.join(folder), &mut files);
    }
    for (document, least) in [("guarantees.md", 40), ("coordinators.md", 10)] {
        let text = std::fs::read_to_string(root.join("docs").join(document)).expect("read");
        // Every second piece is code.
        let code = text.split('`').skip(1).step_by(2);
        let cited: Vec<_> = code
            .filter_map(|code| match code.split_once("::") {
                Some((file, test)) if file.ends_with(".rs") => Some((file, test)),
                None if code.ends_with(".rs") => Some((code, "")),
                _ => None,
            })
            .collect();
        assert!(cited.len() >= least, "{document}: {cited:?}");
        for (file, test) in cited {
            let meant: Vec<_> = files.iter().filter(|path| path.ends_with(file)).collect();
            let [meant] = meant[..] else {
                panic!("{document} cites {file}, which is {meant:?}")
            };
            let source = std::fs::read_to_string(meant).expect("read");
            // In some files tests are made by a macro, by their names.
            let named = [
                format!("fn {test}("),
                format!("    {test}: "),
                format!("    {test} => "),
            ];
            assert!(
                test.is_empty() || named.iter().any(|name| source.contains(name)),
                "{document} cites {file}::{test}, and there is no such test"
            );
        }
    }
}
