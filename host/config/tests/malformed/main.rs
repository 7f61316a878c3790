//! Malformed input: each is an error at its place, with a help line, and never a smaller cluster. `«…»` marks the
//! place.

#[path = "../common/mod.rs"]
mod common;
mod roles;

use common::{error, report};
use shardwright_config::{Code, Severity};

#[test]
fn node_id() {
    let cluster = |value: &str| format!("[cluster]\nnode-id = {value}\n");
    error(&cluster("«0»"), Code::OutOfRange, "from 1 to 511");
    error(&cluster("«0»"), Code::OutOfRange, "`node-id = \"%{env:POD_INDEX}%+1\"`");
    error(&cluster("«-3»"), Code::OutOfRange, "from 1 to 511");
    error(&cluster("«1.5»"), Code::WrongType, "not a fraction");
    error(&cluster("«\"x\"»"), Code::WrongType, "an integer");
    error(&cluster("«\"\"»"), Code::WrongType, "an integer");
    error(&cluster("«\"0\"»"), Code::OutOfRange, "POD_INDEX");
    error(&cluster("«\"512\"»"), Code::OutOfRange, "max-node-id");
    error(&cluster("«\"511+1\"»"), Code::OutOfRange, "max-node-id");
    for odd in ["+1", "1+", "1+1+1", "-1+2", "1-1", "0x1"] {
        error(&cluster(&format!("«\"{odd}\"»")), Code::WrongType, "an integer");
    }
    error(&cluster("«512»"), Code::OutOfRange, "from 1 to 511");
    error(&cluster("«99999999999999999999»"), Code::OutOfRange, "from 1 to 511");
    error(&cluster("«[1]»"), Code::WrongType, "not a list");
    error(
        "[cluster]\nmax-node-id = 10\nnode-id = «11»\n",
        Code::OutOfRange,
        "from 1 to 10",
    );
    error("cluster.max-node-id = «70000»", Code::OutOfRange, "65535");
}

#[test]
fn unknown_keys() {
    error("[cluster]\n«node_id» = 1", Code::UnknownKey, "did you mean `node-id`?");
    error("[cluster]\n«nodeid» = 1", Code::UnknownKey, "did you mean `node-id`?");
    error(
        "cluster.«coordnator» = \"x\"",
        Code::UnknownKey,
        "did you mean `coordinator`?",
    );
    error(
        "[cluster]\n«backend» = \"x\"",
        Code::UnknownKey,
        "one of the keys of `cluster`",
    );
    error(
        "[cluster.timing]\n«valdity» = \"1s\"",
        Code::UnknownKey,
        "did you mean `validity`?",
    );
    error("[node]\n«lables» = {}", Code::UnknownKey, "did you mean `labels`?");
    error(
        "[policy.x]\npath = \"Cargo.toml\"\n«buget» = {}",
        Code::UnknownKey,
        "did you mean `budget`?",
    );
    error(
        "[policy.balanced.budget]\n«wal» = \"1s\"",
        Code::UnknownKey,
        "did you mean `wall`?",
    );
    error(
        "[cluster.roles]\nfts-indexing = { «shard» = 4 }",
        Code::UnknownKey,
        "did you mean `shards`?",
    );
    error(
        "[cluster.roles]\nmine = { «shard» = 4 }",
        Code::UnknownKey,
        "did you mean `shards`?",
    );
    error(
        "[cluster.roles.fts-indexing]\nfts-indexing = [\"1\"]\n«extra» = 1",
        Code::UnknownKey,
        "no key `extra`",
    );
}

#[test]
fn coordinators() {
    let with = |section: &str| format!("[cluster]\ncoordinator = \"main\"\n\n{section}\n");
    error(
        "[cluster]\ncoordinator = «\"redis\"»",
        Code::UnknownCoordinator,
        "add a section `[store.\"redis\"]`",
    );
    error(
        "[cluster]\ncoordinator = «\"redus\"»\n[store.redis]\ntype = \"redis\"",
        Code::UnknownCoordinator,
        "did you mean \"redis\"?",
    );
    error("[cluster]\ncoordinator = «5»", Code::WrongType, "in quotes");
    error(
        &with("[store.main]\ntype = «\"redys\"»"),
        Code::UnknownStoreType,
        "did you mean \"redis\"?",
    );
    error(
        &with("[store.main]\ntype = «\"carrier-pigeon\"»"),
        Code::UnknownStoreType,
        "can coordinate are: memory, sqlite",
    );
    error(&with("[store.«main»]\nurls = \"x\""), Code::MissingKey, "has no `type`");
    error(
        "[cluster]\ncoordinator = «\"main\"»\n[store.main]\ntype = \"rocksdb\"",
        Code::NotACoordinator,
        "cannot coordinate",
    );
    error(
        "[cluster]\ncoordinator = «\"main\"»\n[store.main]\ntype = \"memory\"\ndisable = true",
        Code::NotACoordinator,
        "remove `disable`",
    );
    for (kind, missing) in [
        ("redis", "add `urls`"),
        ("nats", "add `address`"),
        ("kafka", "add `brokers`"),
        ("zenoh", "add `config`"),
        ("sqlite", "add `path`"),
    ] {
        error(
            &with(&format!("«[store.main]»\ntype = \"{kind}\"")),
            Code::MissingKey,
            missing,
        );
    }
}

#[test]
fn timing() {
    let timing = |text: &str| format!("[cluster.timing]\n{text}\n");
    error(&timing("validity = «\"10s\"»"), Code::TimingConflict, "two renewals");
    error(
        &timing("stale-after = «\"1s\"»"),
        Code::TimingConflict,
        "validity + margin",
    );
    error(
        "«[cluster.timing]»\nrenew = \"10s\"",
        Code::TimingConflict,
        "two renewals",
    );
    error(&timing("renew = «\"5\"»"), Code::InvalidValue, "(ms, s, m, h, d)");
    error(&timing("renew = «1.5»"), Code::WrongType, "a duration");
    error(&timing("renew = «-5»"), Code::OutOfRange, "");
    error(&timing("reuse-after = «\"1000d\"»"), Code::OutOfRange, "milliseconds");
    error(&timing("drift-ppm = «100001»"), Code::OutOfRange, "from 0 to 100000");
}

#[test]
fn small_settings() {
    error("cluster = «5»", Code::WrongType, "a table");
    error(
        "[cluster]\nname = «\"Mail EU\"»",
        Code::InvalidValue,
        "lower-case letters",
    );
    error("[cluster]\nname = «\"\"»", Code::InvalidValue, "1 to 63");
    error("[node]\ncapacity = «-1»", Code::OutOfRange, "from 0");
    error("[node]\nzone = «\"a,b\"»", Code::InvalidValue, "selected by a role");
    error("[node.labels]\n«zone» = \"a\"", Code::ConflictingKeys, "`[node]`");
    error("[node.labels]\n«\"a b\"» = \"a\"", Code::InvalidValue, "label's key");
    error("[node.labels]\ndisk = «3»", Code::WrongType, "in quotes");
    error("[server]\nhostname = «3»", Code::WrongType, "in quotes");
    error("«[policy.mine]»", Code::MissingKey, "path = \"x.wasm\"");
    error(
        "[policy.«\"My Policy\"»]\npath = \"x\"",
        Code::InvalidValue,
        "lower-case",
    );
    error(
        "[policy.balanced]\n«path» = \"x.wasm\"",
        Code::ConflictingKeys,
        "bundled",
    );
    error(
        "[policy.balanced]\ndigest = «\"sha256:12\"»",
        Code::InvalidValue,
        "64 hexadecimal digits",
    );
    error(
        "[policy.balanced.budget]\nmemory = «\"64MB\"»",
        Code::InvalidValue,
        "MiB",
    );
    error(
        "[policy.balanced.budget]\nmemory = «\"1KiB\"»",
        Code::OutOfRange,
        "bytes",
    );
    error(
        "[policy.balanced.budget]\nwall = «0»",
        Code::OutOfRange,
        "from 1 to 60000",
    );
    error(
        "[policy.balanced.budget]\nfuel = «\"x\"»",
        Code::WrongType,
        "an integer",
    );
}

#[test]
fn syntax() {
    error("[cluster]\nname = «@»\n", Code::Syntax, "not valid TOML");
    error(
        "[cluster]\nname = \"a\"\n«name» = \"b\"\n",
        Code::Syntax,
        "duplicate key",
    );
}

/// What follows a broken line is still read, and nothing is reported that only follows from the break.
#[test]
fn syntax_and_more() {
    let report = report("[cluster]\nname = \nnode-id = 0\ncoordinator = \"main\"\n[store.main\ntype = \"redis\"\n");
    let found: Vec<_> = report.problems().iter().map(|p| (p.line, p.code)).collect();
    assert!(
        found.contains(&(2, Code::Syntax)) && found.contains(&(5, Code::Syntax)),
        "{report}"
    );
    assert!(found.contains(&(3, Code::OutOfRange)), "{report}");
    assert!(!report.has(Code::UnknownCoordinator), "{report}");
}

#[test]
fn all_problems_in_one_run() {
    let report = report(
        "[cluster]\nnode-id = 0\nnam = 1\n[cluster.roles.purge]\nstores = [\"1\", \"2x\", \"\", \
         \"3,,\"]\n[node]\ncapacity = \"a\"\n",
    );
    let errors = report.problems().iter().filter(|p| p.severity == Severity::Error);
    let found: Vec<_> = errors.map(|p| (p.line, p.column, p.code)).collect();
    let expected = [
        (2, 11, Code::OutOfRange),
        (3, 1, Code::UnknownKey),
        (5, 17, Code::InvalidMember),
        (5, 22, Code::EmptyShard),
        (5, 29, Code::InvalidMember),
        (5, 30, Code::InvalidMember),
        (7, 12, Code::WrongType),
    ];
    assert_eq!(found, expected, "{report}");
}
