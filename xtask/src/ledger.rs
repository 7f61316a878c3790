//! The ledger of faults names a test for each, and each of these exists.

use std::fs;
use std::path::Path;

/// Every `file` `test` that a row names, with what is missing about it.
fn missing(ledger: &str, root: &Path) -> Vec<String> {
    let rows = ledger
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| fault "));
    rows.filter_map(|row| {
        let cell = row.split('|').nth(2).unwrap_or_default();
        let names: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
        let [file, test] = names[..] else {
            return Some(format!("no test is named: {row}"));
        };
        let code = fs::read_to_string(root.join(file)).unwrap_or_default();
        (!code.contains(&format!("fn {test}("))).then(|| format!("{file} has no test {test}"))
    })
    .collect()
}

#[test]
fn every_fault_has_a_test_that_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let ledger = fs::read_to_string(root.join("docs/ledger.md")).unwrap();
    assert!(ledger.matches("\n| ").count() > 50, "the rows are read");
    assert_eq!(missing(&ledger, root), Vec::<String>::new());
}

#[test]
fn a_row_without_its_test_is_told() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let row = |cell: &str| format!("| something | {cell} | a cure |\n");
    let wrong = [
        row(""),
        row("`host/core/tests/clock.rs` `nothing_of_this_name`"),
        row("`nowhere.rs` `a`"),
    ]
    .concat();
    assert_eq!(missing(&wrong, root).len(), 3);
}
