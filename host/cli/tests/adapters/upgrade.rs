//! Another version of an adapter in the place of the present one.

use crate::common::{Answer, SETTINGS};
use crate::relay::{BROKEN, BUILT, MORE, NEWER, adapter};
use crate::{OutputLine, Stage};
use std::path::Path;

/// With times that a busy machine keeps: a renewal that is late is harm here.
#[test]
fn a_newer_version_takes_over_and_a_bad_one_does_not() {
    let settings = SETTINGS
        .replace("2500ms", "12s")
        .replace("400ms", "4s")
        .replace("\"3s\"", "\"13s\"");
    let mut stage = Stage::set(&settings).with(&["alpha", "beta"]);
    let skip = stage.cluster.told.len();
    stage.put(&adapter(NEWER));
    let upgraded = stage.hang_up("alpha", "adapter-upgraded").fields;
    assert_eq!(
        (&upgraded["from"], &upgraded["to"]),
        (&BUILT.into(), &NEWER.into()),
        "{upgraded}"
    );
    let status = stage.status("alpha", 0, |status| status["nodes"][0]["adapter"]["version"] == NEWER);
    assert_eq!(status["nodes"][0]["adapter"]["totals"]["upgrades"], 1, "{status}");
    stage.status("beta", 0, |status| status["nodes"][0]["adapter"]["version"] == BUILT);

    for (bytes, says) in [
        (adapter(MORE), "wants more than the present one: grant env:MORE"),
        (b"not a component".to_vec(), "the adapter cannot be used"),
        (adapter(BROKEN), "does not keep the contract"),
    ] {
        stage.put(&bytes);
        let refused = stage.hang_up("alpha", "adapter-refused").fields;
        assert!(
            refused["reason"].as_str().is_some_and(|why| why.contains(says)),
            "{refused}"
        );
        assert_eq!(refused["version"], NEWER, "{refused}");
    }
    stage.status("alpha", 0, |status| status["nodes"][0]["adapter"]["version"] == NEWER);
    // A shard may still be on its way to its place; who loses one by harm says one of these, too.
    let harm = |told: &&OutputLine| {
        ["fenced", "session-lost", "history-lost", "coordinator-down"].contains(&told.event.as_str())
    };
    let harm: Vec<_> = stage.cluster.told.iter().skip(skip).filter(harm).collect();
    assert!(harm.is_empty(), "{harm:?}");
    let log = stage.cluster.yard.log("alpha");
    assert!(
        log.contains("replaced by another version") && log.contains("was not replaced"),
        "{log}"
    );

    // What took over is good for all that a node needs.
    stage.cluster.take("beta").kill().expect("killed");
    stage.cluster.until("what beta had", |told| {
        let gained = told
            .iter()
            .filter(|told| told.host == "alpha" && told.event == "gained");
        let shards: std::collections::BTreeSet<_> =
            gained.flat_map(OutputLine::shards).map(|(shard, _)| shard).collect();
        (shards.len() == 9).then_some(())
    });
}

fn upgrade(stage: &Stage, new: &Path, more: &[&str]) -> Answer {
    let args = [&["coordinator", "upgrade", new.to_str().expect("UTF-8")], more].concat();
    stage.cluster.ask(&args)
}

#[test]
fn the_file_is_replaced_after_a_trial() {
    let mut stage = Stage::of(&["alpha"]);
    let folder = stage.cluster.yard.path().to_owned();
    let new = |version: &str| {
        let path = folder.join(format!("new-{version}.wasm"));
        std::fs::write(&path, adapter(version)).expect("written");
        path
    };
    let present = |version: &str| {
        assert!(
            std::fs::read(stage.file()).expect("read") == adapter(version),
            "not {version}"
        );
    };

    upgrade(&stage, &new(MORE), &[])
        .code(3)
        .says("+ grant env:MORE")
        .says("--accept-grants");
    upgrade(&stage, &new(BROKEN), &[])
        .code(3)
        .says("does not keep the contract");
    let garbage = folder.join("garbage.wasm");
    std::fs::write(&garbage, "garbage").expect("written");
    upgrade(&stage, &garbage, &[]).code(1).says("the new component");
    upgrade(&stage, &new(NEWER), &["--dry-run"])
        .code(0)
        .says("It would be put in place");
    upgrade(&stage, &new(BUILT), &[]).code(0).says("They are the same");
    present(BUILT);
    assert!(!folder.join("relay.previous.wasm").exists());

    upgrade(&stage, &new(NEWER), &[])
        .code(0)
        .says("relay.previous.wasm")
        .says("SIGHUP");
    present(NEWER);
    assert!(std::fs::read(folder.join("relay.previous.wasm")).expect("kept") == adapter(BUILT));
    upgrade(&stage, &new(MORE), &["--accept-grants", "--dry-run"])
        .code(0)
        .says("+ grant env:MORE");
    stage.hang_up("alpha", "adapter-upgraded");
}

#[test]
fn what_the_section_says_is_kept_to() {
    let stage = Stage::new();
    let new = stage.cluster.yard.path().join("new.wasm");
    let with = |section: &str, version: &str, more: &[&str]| {
        std::fs::write(&new, adapter(version)).expect("written");
        let config = stage.cluster.yard.config("operator").expect("written");
        let text = std::fs::read_to_string(&config)
            .expect("read")
            .replace("allow = ", section);
        std::fs::write(&config, text).expect("written");
        let args = [
            "coordinator",
            "upgrade",
            new.to_str().expect("UTF-8"),
            "--config",
            config.to_str().expect("UTF-8"),
        ];
        crate::common::run(&[&args, more].concat())
    };
    let digest = |version: &str| shardwright_components::Digest::of(&adapter(version));
    let pin = |version: &str| format!("digest = \"sha256:{}\"\nallow = ", digest(version));
    let wanted = format!("digest = \"sha256:{}\"", digest(NEWER));
    with(&pin(BUILT), NEWER, &[])
        .code(3)
        .says("pins the digest")
        .says(&wanted);
    with(&pin(NEWER), NEWER, &[])
        .code(0)
        .says("Nodes read `digest` when they start");
    assert!(std::fs::read(stage.file()).expect("read") == adapter(NEWER));
    let narrow = format!("allow = [\"tcp://{}\"] # ", stage.relay.address());
    with(&narrow, MORE, &["--accept-grants"])
        .code(3)
        .says("add to `allow`")
        .says("\"env:MORE\"");
    let bundled = "adapter = \"etcd\"\n#";
    let other = |config: &str| config.replace("path = ", bundled);
    let config = stage.cluster.yard.config("operator").expect("written");
    let text = other(&std::fs::read_to_string(&config).expect("read"));
    std::fs::write(&config, text.replace("config = {", "#")).expect("written");
    let config = config.to_str().expect("UTF-8");
    crate::common::run(&["coordinator", "upgrade", "x.wasm", "--config", config])
        .code(1)
        .says("bundled");
}
