//! The blocks of a document: what people are told to type, what they are told to expect, and what cannot be tried here.

use std::path::{Path, PathBuf};

/// A fenced block.
#[derive(Debug)]
pub(crate) struct Block {
    /// The language behind the fence.
    pub(crate) language: String,
    pub(crate) text: String,
    /// Why it is not run: from a comment `<!-- not run: … -->` in the line before it.
    pub(crate) not_run: Option<String>,
}

/// The root of the project.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The blocks of the document at `path`, from the root of the project, in their order.
pub(crate) fn of(path: &str) -> Vec<Block> {
    let text = std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    parse(&text)
}

fn parse(text: &str) -> Vec<Block> {
    let (mut blocks, mut lines, mut before) = (Vec::new(), text.lines(), "");
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let inside: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
            let reason = before
                .strip_prefix("<!-- not run: ")
                .and_then(|rest| rest.strip_suffix(" -->"));
            blocks.push(Block {
                language: language.to_owned(),
                text: inside.join("\n"),
                not_run: reason.map(ToOwned::to_owned),
            });
        }
        before = line;
    }
    blocks
}

/// Whether `said` is what `expected` shows: `…` in a line stands for anything in it, a line of its own for any lines,
/// and blanks count as one.
pub(crate) fn fits(expected: &str, said: &str) -> bool {
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let lines = |text: &str| {
        text.lines()
            .map(words)
            .filter(|line| !line.is_empty())
            .collect::<Vec<_>>()
    };
    let (expected, said) = (lines(expected), lines(said));
    matches(
        &expected,
        &said,
        |line| line == "…",
        |pattern, line| {
            let pattern: Vec<_> = pattern.chars().collect();
            let line: Vec<_> = line.chars().collect();
            matches(&pattern, &line, |c| *c == '…', |a, b| a == b)
        },
    )
}

/// Whether `all` is `pattern`, in which what is `any` stands for any number of them.
fn matches<T>(pattern: &[T], all: &[T], any: impl Fn(&T) -> bool + Copy, same: impl Fn(&T, &T) -> bool + Copy) -> bool {
    // What remains of both, and where to go on if the last `any` has to stand for one more.
    let (mut p, mut a, mut again) = (0, 0, None);
    while a < all.len() {
        if p < pattern.len() && any(&pattern[p]) {
            again = Some((p, a));
            p += 1;
        } else if p < pattern.len() && same(&pattern[p], &all[a]) {
            (p, a) = (p + 1, a + 1);
        } else if let Some((from, taken)) = again {
            again = Some((from, taken + 1));
            (p, a) = (from + 1, taken + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(any)
}

#[test]
fn blocks_are_found_with_their_marks() {
    let blocks = parse(
        "a\n```sh\nls\n\ncd\n```\n\n<!-- not run: it installs -->\n```sh\nrm\n```\n<!-- not run: no \
         -->\n\n```text\nx\n```",
    );
    let found: Vec<_> = blocks
        .iter()
        .map(|b| (b.language.as_str(), b.text.as_str(), b.not_run.as_deref()))
        .collect();
    assert_eq!(
        found,
        [
            ("sh", "ls\n\ncd", None),
            ("sh", "rm", Some("it installs")),
            ("text", "x", None)
        ]
    );
}

#[test]
fn dots_stand_for_anything_and_nothing_else_does() {
    let said = "ID  HOSTNAME\n 1  mail-1   active\n 2  mail-2   active\n\nend\n";
    for good in [
        "ID HOSTNAME\n1 mail-1 active\n2 mail-2 active\nend",
        "ID HOSTNAME\n1 mail-… active\n2 mail-…\nend",
        "…\n2 mail-2 active\n…",
        "ID …\n…\nend\n…",
        "…",
    ] {
        assert!(fits(good, said), "{good}");
    }
    for bad in [
        "ID HOSTNAME\n1 mail-1 active\nend",
        "…\n3 …\n…",
        "ID …\n…\nend\nmore",
        "",
        "…\n2 mail-2 active",
    ] {
        assert!(!fits(bad, said), "{bad}");
    }
}
