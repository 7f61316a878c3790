//! No line of a text file of this project has more than 120 columns.

use anyhow::{Context as _, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};

/// In characters.
const COLUMNS: usize = 120;

/// What git ignores, as `.gitignore` has it: paths from the root, or how they begin.
const NOT_COMMITTED: [&str; 5] = [".git", "target", "fuzz/target", "fuzz/artifacts", "fuzz/coverage"];

/// What cannot be broken: how its path begins or ends, and why.
const UNBREAKABLE: [(&str, &str); 5] = [
    (".json", "a text of JSON has no second line"),
    ("xtask/etcd/go.sum", "Go writes it"),
    ("fuzz/corpus/", "it is input, byte by byte"),
    ("wit/wasi/", "it is as WASI has published it"),
    (
        "host/config/tests/several-problems.txt",
        "it is what the program prints",
    ),
];

/// Every file below the folder `below` of `root`, by its path from there. A link's target is found where it is.
fn files(root: &Path, below: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let folder = root.join(below);
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        let name = path.to_string_lossy();
        let kind = entry.file_type()?;
        if NOT_COMMITTED.iter().any(|start| is_or_begins(&name, start)) {
            continue;
        }
        if kind.is_dir() {
            files(root, &path, found)?;
        } else if kind.is_file() {
            found.push(path);
        }
    }
    Ok(())
}

/// `target`, `target/…` and `target-2`, not `targets`.
fn is_or_begins(path: &str, start: &str) -> bool {
    let rest = path.strip_prefix(start);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '-']))
}

/// Whether the line could be shorter: an address alone could not.
fn is_too_long(line: &str) -> bool {
    let words = line
        .split_whitespace()
        .filter(|word| word.contains(char::is_alphanumeric));
    line.chars().count() > COLUMNS && !matches!(words.collect::<Vec<_>>()[..], [word] if word.contains("://"))
}

/// `path:line: columns` of each line below `root` that is too long.
fn too_long(root: &Path) -> Result<Vec<String>> {
    let mut paths = Vec::new();
    files(root, Path::new(""), &mut paths)?;
    paths.sort();
    let mut texts = 0;
    let mut found = Vec::new();
    for path in paths {
        // What is no text has no columns.
        let Ok(text) = fs::read_to_string(root.join(&path)) else {
            continue;
        };
        texts += 1;
        for (at, line) in text.lines().enumerate().filter(|(_, line)| is_too_long(line)) {
            found.push(format!(
                "{}:{}: {} columns",
                path.display(),
                at + 1,
                line.chars().count()
            ));
        }
    }
    ensure!(texts > 500, "only {texts} texts are found below {}", root.display());
    Ok(found)
}

fn is_unbreakable(found: &str, (place, _): (&str, &str)) -> bool {
    let path = found.split(':').next().unwrap_or_default();
    path.starts_with(place) || path.ends_with(place)
}

/// Fails where a line of the project in the current directory is too long, and names all of them.
pub(crate) fn check() -> Result<()> {
    let mut found = too_long(Path::new("."))?;
    found.retain(|line| !UNBREAKABLE.iter().any(|&place| is_unbreakable(line, place)));
    ensure!(
        found.is_empty(),
        "more than {COLUMNS} columns:\n{}\nBreak the line: `cargo fmt --all` does it for code, a text in code goes on \
         after `\\` at the end of a line. In a table, use fewer words, or make it a list.",
        found.join("\n")
    );
    Ok(())
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn no_exception_is_needless() {
        let found = too_long(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))).expect("the project is read");
        for (place, why) in UNBREAKABLE {
            assert!(
                found.iter().any(|line| is_unbreakable(line, (place, why))),
                "{place} ({why}) has no line that is too long: take it out of the list"
            );
        }
    }

    #[test]
    fn columns_are_characters() {
        let long = "ü".repeat(COLUMNS - 2);
        assert!(!is_too_long(&format!("{long} b")) && is_too_long(&format!("{long}  b")));
        let address = format!("https://example.org/{long}");
        assert!(!is_too_long(&format!("  /// - {address}")));
        assert!(is_too_long(&format!("see {address}")) && is_too_long(&long.replace("ü", "üü")));
    }
}
