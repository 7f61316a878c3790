//! The ledger of faults has one shape, names a test for each fault, and each of these exists.

use std::fs;
use std::path::Path;

/// The entries of its sections, each on one line. What is no entry is one that has no fault.
fn entries(ledger: &str) -> Vec<String> {
    let sections = ledger.lines().skip_while(|line| !line.starts_with("## "));
    let mut entries: Vec<String> = Vec::new();
    for line in sections.filter(|line| !line.is_empty() && !line.starts_with("## ")) {
        match entries.last_mut() {
            Some(entry) if line.starts_with("  ") => {
                entry.push(' ');
                entry.push_str(line.trim());
            }
            _ => entries.push(line.to_owned()),
        }
    }
    entries
}

/// Of `- FAULT - shown by `file` `test` - cured: CURE`, the file and the test.
fn shown_by(entry: &str) -> Option<(&str, &str)> {
    let (_, rest) = entry.strip_prefix("- ")?.split_once(" - shown by ")?;
    let (shown, cure) = rest.split_once(" - cured: ")?;
    let pieces: Vec<&str> = shown.split('`').collect();
    let ["", file, " ", test, ""] = pieces[..] else {
        return None;
    };
    (!cure.contains(" - ")).then_some((file, test))
}

/// What is wrong with each entry that has not this shape, or whose test is missing.
fn flaws(ledger: &str, root: &Path) -> Vec<String> {
    let flaw = |entry: &String| {
        let Some((file, test)) = shown_by(entry) else {
            return Some(format!(
                "an entry is `- FAULT`, `  - shown by `file` `test``, `  - cured: CURE`, and this is none: {entry}"
            ));
        };
        let code = fs::read_to_string(root.join(file)).unwrap_or_default();
        (!code.contains(&format!("fn {test}("))).then(|| format!("{file} has no test {test}"))
    };
    entries(ledger).iter().filter_map(flaw).collect()
}

#[test]
fn every_fault_has_a_test_that_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let ledger = fs::read_to_string(root.join("docs/ledger.md")).unwrap();
    assert!(entries(&ledger).len() > 50, "the entries are read");
    assert_eq!(flaws(&ledger, root), Vec::<String>::new());
}

#[test]
fn an_entry_without_its_test_or_of_another_shape_is_told() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let right =
        "- something\n  - shown by `xtask/src/ledger.rs`\n    `every_fault_has_a_test_that_exists`\n  - cured: so\n";
    let all = |entries: &[&str]| flaws(&format!("- no entry yet\n\n## Faults\n\n{}", entries.concat()), root);
    assert_eq!(all(&[right, "\n## More\n\n", right]), Vec::<String>::new());
    let wrong = [
        "- something\n  - shown by nobody\n  - cured: so\n",
        "- something\n  - shown by `host/core/tests/clock.rs` `nothing_of_this_name`\n  - cured: so\n",
        "- something\n  - shown by `nowhere.rs` `a`\n  - cured: so\n",
        "- something\n  - shown by `xtask/src/ledger.rs` `every_fault_has_a_test_that_exists`\n",
        "| something | `xtask/src/ledger.rs` `every_fault_has_a_test_that_exists` | so |\n",
    ];
    assert_eq!(all(&wrong).len(), wrong.len());
    assert_eq!(all(&[right, wrong[4], right]).len(), 1);
}
