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
        assert!(problem.line <= lines && problem.end_line <= lines, "{problem:?} in {text:?}");
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
