//! `adapter new`.

use crate::common::{Answer, command};
use std::path::Path;

fn new(folder: &Path, args: &[&str]) -> Answer {
    let mut command = command();
    command.current_dir(folder).args(["adapter", "new"]).args(args);
    command.output().expect("the binary runs").into()
}

#[test]
fn each_language_gets_what_it_needs_and_is_told_what_is_next() {
    let dir = tempfile::tempdir().expect("a folder");
    for (lang, files, next) in [
        (
            "rust",
            &[
                "Cargo.toml",
                "src/lib.rs",
                "sdk/src/adapter/mod.rs",
                "sdk/wit/coordinator/0.1.0/coordinator.wit",
            ][..],
            "rustup target add",
        ),
        (
            "javascript",
            &[
                "package.json",
                "adapter.js",
                "wit/world.wit",
                "wit/deps/coordinator.wit",
            ][..],
            "npm install",
        ),
        (
            "python",
            &["pyproject.toml", "adapter.py", "web.py", "wit/deps/http.wit"][..],
            "pip install componentize-py==",
        ),
    ] {
        let name = format!("x-{lang}");
        new(dir.path(), &[&name, "--lang", lang])
            .code(0)
            .says(next)
            .says("adapter check");
        for file in files.iter().chain(&["README.md", ".gitignore", "server.py"]) {
            let text = std::fs::read_to_string(dir.path().join(&name).join(file))
                .unwrap_or_else(|error| panic!("{file}: {error}"));
            assert!(!text.contains("@name@") && !text.contains("example-http"), "{file}");
        }
        let readme = std::fs::read_to_string(dir.path().join(&name).join("README.md")).expect("read");
        assert!(readme.contains(&format!("# {name}")), "{readme}");
    }
}

#[test]
fn what_is_there_stays_as_it_is() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(dir.path().join("taken")).expect("made");
    std::fs::write(dir.path().join("file"), "mine").expect("written");
    std::os::unix::fs::symlink("/nonexistent", dir.path().join("link")).expect("linked");
    for name in ["taken", "file", "link"] {
        new(dir.path(), &[name, "--lang", "rust"])
            .code(1)
            .says(name)
            .says("exists");
    }
    assert_eq!(std::fs::read_dir(dir.path().join("taken")).expect("read").count(), 0);
    assert_eq!(std::fs::read_to_string(dir.path().join("file")).expect("read"), "mine");
}

#[test]
fn bad_names_languages_and_places_of_the_sdk_are_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    for name in ["../x", "Etcd", "a_b", "2x", "a--b", &"x".repeat(33)] {
        new(dir.path(), &[name, "--lang", "python"])
            .code(1)
            .says("cannot be an adapter's name");
    }
    new(dir.path(), &["x"]).code(2).says("--lang");
    new(dir.path(), &["x", "--lang", "cobol"]).code(2).says("javascript");
    new(dir.path(), &["x", "--lang", "rust", "--sdk", "/nonexistent"])
        .code(1)
        .says("there is no SDK");
    new(dir.path(), &["x", "--lang", "rust", "--sdk", "."])
        .code(1)
        .says("guests/sdk");
    new(dir.path(), &["x", "--lang", "python", "--sdk", "."])
        .code(1)
        .says("--lang rust");
    assert_eq!(
        std::fs::read_dir(dir.path()).expect("read").count(),
        0,
        "nothing is left behind"
    );
}

#[test]
fn the_sdk_of_a_checkout_is_named_by_its_path() {
    let dir = tempfile::tempdir().expect("a folder");
    let sdk = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../guests/sdk");
    new(
        dir.path(),
        &["x", "--lang", "rust", "--sdk", sdk.to_str().expect("UTF-8")],
    )
    .code(0);
    let manifest = std::fs::read_to_string(dir.path().join("x/Cargo.toml")).expect("read");
    let sdk = sdk.canonicalize().expect("a path");
    assert!(manifest.contains(&format!("path = {sdk:?}")), "{manifest}");
    assert!(!dir.path().join("x/sdk").exists());
}

#[test]
fn the_copied_sdk_depends_on_what_the_sdk_depends_on() {
    let workspace = include_str!("../../../../Cargo.toml");
    let copied = include_str!("../../scaffold/rust/sdk.toml");
    let (_, dependencies) = copied.split_once("[dependencies]\n").expect("dependencies");
    assert!(dependencies.lines().count() >= 2);
    for line in dependencies.lines() {
        let same = workspace.lines().any(|other| other == line);
        assert!(same, "sdk.toml has what the workspace has not: {line}");
    }
}
