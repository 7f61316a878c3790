//! docs/writing-a-policy.md: from `cargo new` to a component that runs. Its test is run by the package
//! `shardwright-docs`, where what it needs is compiled already.

use crate::blocks::{of, root};
use crate::guides;
use crate::shell::Shell;
use std::path::Path;
use wit_component::ComponentEncoder;

/// The files that its blocks are, in their order.
const FILES: [&str; 4] = ["Cargo.toml", "src/lib.rs", "tests/plan.rs", "snapshot.json"];

#[test]
fn the_guide_leads_to_a_policy_that_runs() {
    let dir = tempfile::tempdir().expect("a folder");
    // The crate stands beside a clone of this project.
    std::os::unix::fs::symlink(
        root().canonicalize().expect("the project"),
        dir.path().join("shardwright"),
    )
    .expect("a link");
    let blocks = of("docs/writing-a-policy.md");
    let mut files = blocks
        .iter()
        .filter(|block| ["toml", "rust", "json"].contains(&block.language.as_str()));
    let folder = dir.path().join("first-fit");
    let mut shell = Shell::start(&mut guides::bash(), dir.path());
    shell.follow(&blocks, |shell, text| {
        if text.starts_with("cargo build") {
            for name in FILES {
                let path = folder.join(name);
                std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
                std::fs::write(path, &files.next().expect(name).text).expect("written");
            }
        }
        if text.starts_with("shardwright policy inspect") {
            component(shell, &folder);
        }
        text.to_owned()
    });
    let said = shell.run("shardwright policy assign first-fit.wasm --snapshot snapshot.json");
    let said: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(
        (&said["accepted"], &said["policy"]["name"]),
        (&true.into(), &"first-fit".into()),
        "{said}"
    );
    let config = files.next().expect("a configuration").text.clone();
    assert!(files.next().is_none(), "a block that is no file of the guide");
    std::fs::write(folder.join("cluster.toml"), config).expect("written");
    shell.run("shardwright check cluster.toml");
}

/// What `wasm-tools component new` does, by the library that it is made of.
fn component(shell: &mut Shell, folder: &Path) {
    let target = shell.run("echo $CARGO_TARGET_DIR");
    let module = Path::new(target.trim()).join("wasm32-unknown-unknown/release/first_fit.wasm");
    let module = std::fs::read(&module).unwrap_or_else(|error| panic!("{}: {error}", module.display()));
    let encoded = ComponentEncoder::default()
        .validate(true)
        .module(&module)
        .expect("a module")
        .encode();
    std::fs::write(folder.join("first-fit.wasm"), encoded.expect("a component")).expect("written");
}
