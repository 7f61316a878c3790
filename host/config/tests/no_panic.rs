//! Whatever a file holds, it is read or refused; nothing panics, and every place lies in the file.

use proptest::prelude::*;
use shardwright_config::{Report, parse};

const EXAMPLES: &[&str] = &[
    include_str!("../../../examples/config/balanced.toml"),
    include_str!("../../../examples/config/coordinator-etcd.toml"),
    include_str!("../../../examples/config/coordinator-nats.toml"),
    include_str!("../../../examples/config/coordinator-postgresql.toml"),
    include_str!("../../../examples/config/coordinator-redis.toml"),
    include_str!("../../../examples/config/coordinator-zenoh.toml"),
    include_str!("../../../examples/config/integer-roles.toml"),
    include_str!("../../../examples/config/roles.toml"),
    include_str!("several-problems.toml"),
];

const PIECES: &[&str] = &[
    "\"",
    "'",
    "[",
    "]",
    "{",
    "}",
    "=",
    ",",
    ".",
    "\n",
    "\r\n",
    "#",
    "-",
    "1-9",
    "0",
    "1.5",
    "true",
    "\"\"\"",
    "%{env:PATH}%",
    "%{",
    "}%",
    "é",
    "\u{feff}",
    "zone=a",
    "{ env = \"PATH\" }",
    "[cluster]",
    "[cluster.roles]",
    "[[cluster]]",
    "shards = 4",
    "groups",
    "secret = \"x",
    "://a@",
    "[store.etcd.config.a.b]\n",
    "config.a.b = ",
    "budget = ",
    "env:",
    "tls://[::1]:1",
    "99999999999999999999",
    "\\u0041",
    "nan",
    ".0000 = ",
    "00",
    "unix:/x?db=",
    "#insecure",
    ",redis://",
    "+",
];

fn read(text: &str) {
    let report: Report = match parse(text, "fuzz.toml") {
        Ok((_, report)) | Err(report) => report,
    };
    let lines = text.split('\n').count();
    for problem in report.problems() {
        assert!(
            problem.line <= lines && problem.end_line <= lines,
            "{problem:?} in {text:?}"
        );
        assert!(!problem.message.is_empty() && !problem.help.is_empty(), "{problem:?}");
    }
    assert_eq!(report.render_text(false).is_empty(), report.problems().is_empty());
    assert!(report.render_json().starts_with('['));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_examples(
        example in 0..EXAMPLES.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0usize..12, 0..PIECES.len()), 1..6),
    ) {
        let mut text: Vec<char> = EXAMPLES[example].chars().collect();
        for (at, removed, piece) in changes {
            let at = at.index(text.len() + 1);
            let end = (at + removed).min(text.len());
            text.splice(at..end, PIECES[piece].chars());
        }
        read(&text.into_iter().collect::<String>());
    }

    #[test]
    fn any_text(text in "\\PC{0,200}") {
        read(&text);
        read(&format!("[cluster.roles]\nfts-indexing = [\"{text}\"]\n"));
        read(&format!("cluster.secret = \"{text}\"\ncluster.\"{text}\" = 1\n"));
    }
}

/// Files in the mail server's dialect, which the tolerant reader reads.
const DIALECT: &[&str] = &[
    include_str!("../../../tests/cases/configs/dialect-backslashes-in-expressions.toml"),
    include_str!("../../../tests/cases/configs/dialect-bare-words-of-ours.toml"),
    include_str!("../../../tests/cases/configs/dialect-broken-beyond-help-elsewhere.toml"),
    include_str!("../../../tests/cases/configs/dialect-our-section-in-an-unclosed-text.toml"),
    include_str!("../../../tests/cases/configs/dialect-sets-and-tables-over-lines.toml"),
    include_str!("../../../tests/cases/configs/dialect-tables-opened-twice.toml"),
    include_str!("../../../tests/cases/configs/dialect-text-and-table-in-another-section.toml"),
    include_str!("../../../tests/cases/configs/dialect-texts-over-lines.toml"),
];

/// What somebody may have left in a section that is not ours.
const JUNK: &[&str] = &[
    "\"",
    "'",
    "\"\"\"",
    "'''",
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "=",
    ",",
    ".",
    "\n",
    "\r\n",
    "#",
    " ",
    "\\",
    "a",
    "b = ",
    "\nc = ",
    "\n[d]\n",
    "\n[d.e]\n",
    "1",
    "é",
    "\nf = \"",
    "\"\n",
    "\ng = [",
    "\nh = { i = 1,",
    "'\n",
    "= =",
];

/// What follows the junk.
const OURS: &str = "\n[cluster]\nname = \"mail\"\nnode-id = 7\ncoordinator = \"s\"\n[cluster.roles]\npurge.stores = \
                    [\"1,2\", '3']\n[store.s]\ntype = \"memory\"\n[node]\nzone = 'a'\n";

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_dialect(
        example in 0..DIALECT.len(),
        changes in prop::collection::vec(
            (any::<prop::sample::Index>(), 0usize..40, 0..PIECES.len() + JUNK.len()),
            1..6,
        ),
    ) {
        let mut text: Vec<char> = DIALECT[example].chars().collect();
        for (at, removed, piece) in changes {
            let at = at.index(text.len() + 1);
            let end = (at + removed).min(text.len());
            let piece = PIECES.iter().chain(JUNK).nth(piece).copied().unwrap_or_default();
            text.splice(at..end, piece.chars());
        }
        read(&text.into_iter().collect::<String>());
    }

    /// Whatever stands in another section: our sections mean what they mean without it, or it is said that they may
    /// not.
    ///
    /// Except for a text in three quotes that is properly closed behind them: then they are text, as TOML has it.
    #[test]
    fn junk_elsewhere_changes_nothing_silently(
        junk in prop::collection::vec(0..JUNK.len(), 0..12),
        tail in prop::collection::vec(0..JUNK.len(), 0..6),
    ) {
        let clean = parse(OURS, "fuzz.toml").expect("sound").0;
        let pieces = |chosen: &[usize]| chosen.iter().map(|&i| JUNK[i]).collect::<String>();
        let tail: Vec<_> = tail.into_iter().filter(|&i| JUNK[i].len() < 3).collect();
        let text = format!("[other]\n{}{OURS}[other.tail]\n{}", pieces(&junk), pieces(&tail));
        if let Ok((config, _)) = parse(&text, "fuzz.toml") {
            prop_assert_eq!(config, clean, "{}", text);
        }
    }
}
