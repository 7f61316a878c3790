//! Roles: their names, their members in either form, their tables.

use crate::common::{error, report};
use shardwright_config::Code;

fn stores(value: &str) -> String {
    format!("[cluster.roles.purge]\nstores = {value}\n")
}

#[test]
fn members() {
    error(&stores("[\"1,«,»4\", \"2,3\"]"), Code::InvalidMember, "extra comma");
    error(
        &stores("[\"1,«4x»\", \"2,3\"]"),
        Code::InvalidMember,
        "did you mean `4`?",
    );
    error(
        &stores("[\"1, «x4» \", \"2,3\"]"),
        Code::InvalidMember,
        "a label (`zone=eu`)",
    );
    error(&stores("[«\"\"», \"2,3\"]"), Code::EmptyShard, "has no member");
    error(&stores("«\"\"»"), Code::EmptyShard, "has no member");
    error(
        &stores("[\"1,4,«1»\", \"2,3\"]"),
        Code::DuplicateMember,
        "node 1 is named twice",
    );
    error(&stores("[\"1-4,«3»\", \"5-8\"]"), Code::DuplicateMember, "node 3");
    error(&stores("[\"zone=a,«zone=a»\"]"), Code::DuplicateMember, "zone=a");
    error(&stores("[\"«0»,1\"]"), Code::OutOfRange, "ids begin at 1");
    error(&stores("[\"1,«512»\"]"), Code::OutOfRange, "max-node-id");
    error(&stores("[\"1,«99999999999»\"]"), Code::OutOfRange, "from 1 to 511");
    // Columns count characters, not bytes.
    error(&stores("[\"zone=größe,«0»\"]"), Code::OutOfRange, "ids begin at 1");
    error(&stores("[\"«-1»\"]"), Code::InvalidMember, "no node id");
    error(&stores("[\"«4-1»\"]"), Code::InvalidMember, "write `1-4`");
    error(&stores("[\"«1-»\"]"), Code::InvalidMember, "no node id");
    error(&stores("[\"«1-2-3»\"]"), Code::InvalidMember, "no node id");
    error(&stores("[\"«=eu»\"]"), Code::InvalidMember, "key=value");
    error(&stores("[\"«zone=»\"]"), Code::InvalidMember, "key=value");
    error(&stores("[«\"1,\\u0034x\"»]"), Code::InvalidMember, "4x");
}

#[test]
fn lists() {
    error(&stores("[1, «\"2\"»]"), Code::MixedList, "each shard as one string");
    error(&stores("[«\"2\"», 1]"), Code::MixedList, "each shard as one string");
    error(&stores("[«[1, 4]», \"2\"]"), Code::NestedList, "one string");
    error(&stores("[«true»]"), Code::WrongType, "not a boolean");
    error(&stores("[1, «1»]"), Code::DuplicateMember, "node 1");
    error(&stores("[1, «0»]"), Code::OutOfRange, "from 1 to 511");
    error(&stores("«true»"), Code::WrongType, "a list or a table");
    error("[cluster]\nroles = «[]»", Code::WrongType, "must be a table");
}

#[test]
fn role_names() {
    error(
        "[cluster.roles.purge]\n«acounts» = [\"1,2\"]",
        Code::UnknownRole,
        "did you mean `purge.accounts`?",
    );
    error(
        "[cluster.roles]\n«fts-indexng» = [\"1\"]",
        Code::UnknownRole,
        "did you mean `fts-indexing`?",
    );
    error(
        "[cluster.roles]\n«ftsIndexing» = [\"1\"]",
        Code::UnknownRole,
        "did you mean `fts-indexing`?",
    );
    error(
        "[cluster.roles]\n«fts-indexng» = { shards = 4 }",
        Code::UnknownRole,
        "custom = true",
    );
    error(
        "[cluster.roles]\n«purge» = [\"1,2\"]",
        Code::UnknownRole,
        "did you mean `purge.accounts` or `purge.stores`?",
    );
    error(
        "[cluster.roles]\n«backups» = [\"1,2\"]",
        Code::UnknownRole,
        "table form",
    );
    error(
        "[cluster.roles]\n«Backups» = { shards = 4 }",
        Code::InvalidValue,
        "lower-case",
    );
    error(
        "[cluster.roles]\n\"purge.stores\" = [\"1,2\"]\npurge.«stores» = [\"1,2\"]",
        Code::DuplicateRole,
        "set twice",
    );
}

#[test]
fn role_tables() {
    let role = |table: &str| format!("[cluster.roles]\nfts-indexing = {{ {table} }}");
    error(&role("shards = «0»"), Code::OutOfRange, "from 1 to 1048576");
    error(&role("shards = «1048577»"), Code::OutOfRange, "from 1 to 1048576");
    error(&role("shards = «\"4\"»"), Code::WrongType, "an integer");
    error(&role("replicas = «0»"), Code::OutOfRange, "from 1 to 1024");
    error(
        &role("replicas = «\"evry\"»"),
        Code::InvalidValue,
        "did you mean \"every\"?",
    );
    error(
        &role("mode = «\"primry\"»"),
        Code::InvalidValue,
        "did you mean \"primary\"?",
    );
    error(
        &role("policy = «\"balancd\"»"),
        Code::UnknownPolicy,
        "did you mean \"balanced\"?",
    );
    error(&role("policy = «\"mine-alone\"»"), Code::UnknownPolicy, "add a section");
    error(&role("config = «1»"), Code::WrongType, "a table");
    error(&role("config = { a = [«nan»] }"), Code::OutOfRange, "JSON");
    error(
        &role("«config» = { a = 1 }"),
        Code::InvalidValue,
        "\"balanced\" takes no settings",
    );
    error(
        &role("groups = [\"1\"], «config» = { a = 1 }"),
        Code::InvalidValue,
        "\"static-groups\" takes no settings",
    );
    error(
        &role("policy = \"rendezvous\", «config».a = 1"),
        Code::InvalidValue,
        "name a policy of your own",
    );
    error(&role("nodes = [«1», \"2\"]"), Code::WrongType, "a string");
    error(&role("nodes = «[]»"), Code::EmptyShard, "names no node");
    error(&role("nodes = [\"1-3\", «\"2\"»]"), Code::DuplicateMember, "node 2");
    error(&role("groups = «[]»"), Code::EmptyShard, "no group");
    error(
        &role("groups = [\"1,2\"], «shards» = 1"),
        Code::ConflictingKeys,
        "exclude each other",
    );
    error(
        &role("groups = [\"1,2\"], «nodes» = [\"1\"]"),
        Code::ConflictingKeys,
        "exclude each other",
    );
    error(
        "[cluster.roles]\npush-notifications = { shards = 4, mode = «\"all\"» }",
        Code::AlwaysPrimary,
        "more than once",
    );
}

#[test]
fn unsharded_push_notifications() {
    let push = |value: &str| format!("[cluster.roles]\npush-notifications = {value}\n");
    error(
        &push("«[\"1,2\"]»"),
        Code::UnshardedPush,
        "push-notifications = [\"1\", \"2\"];",
    );
    error(&push("«[1, 2, 3]»"), Code::UnshardedPush, "nodes = [\"1,2,3\"]");
    error(&push("«[\"1-9\"]»"), Code::UnshardedPush, "shards = 16");
    error(&push("«[\"zone=eu\"]»"), Code::UnshardedPush, "nodes = [\"zone=eu\"]");
    error(&push("{ groups = «[\"1,2\"]» }"), Code::UnshardedPush, "more than once");
}

#[test]
fn too_many_members() {
    let shard = "\"1-511\",".repeat(600);
    let report = report(&stores(&format!("[{shard}]")));
    assert!(report.has(Code::TooManyMembers), "{report}");
}
