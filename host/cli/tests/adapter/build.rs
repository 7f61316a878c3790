//! `adapter build`: what it builds is tested where it is used; here, what it says when it cannot.

use crate::common::{Answer, command};
use crate::workshop::run_in;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Runs it with nothing but these programs to be found, each a script.
fn build_with(folder: &Path, programs: &[(&str, &str)]) -> Answer {
    let bin = tempfile::tempdir().expect("a folder");
    for (name, script) in programs {
        let file = bin.path().join(name);
        std::fs::write(&file, format!("#!/bin/sh\n{script}\n")).expect("written");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).expect("set");
    }
    let mut command = command();
    command.args(["adapter", "build"]).arg(folder).env("PATH", bin.path());
    command.output().expect("the binary runs").into()
}

#[test]
fn a_tool_that_is_missing_or_does_not_fit_is_named_with_the_command_that_brings_it() {
    let dir = tempfile::tempdir().expect("a folder");
    for lang in ["rust", "javascript", "python"] {
        run_in(dir.path(), &["adapter", "new", lang, "--lang", lang]).code(0);
    }
    let (rust, javascript, python) = (
        dir.path().join("rust"),
        dir.path().join("javascript"),
        dir.path().join("python"),
    );
    build_with(&rust, &[]).code(1).says("rustup");
    build_with(&rust, &[("cargo", ""), ("rustc", "exit 1")])
        .code(1)
        .says("rustup target add wasm32-wasip2");
    build_with(&python, &[])
        .code(1)
        .says("pip install componentize-py==0.25.1");
    build_with(&python, &[("componentize-py", "echo componentize-py 0.17.0")])
        .code(1)
        .says("0.17.0")
        .says("pip install componentize-py==0.25.1");
    build_with(&javascript, &[]).code(1).says("Node.js").says("20");
    build_with(&javascript, &[("node", "echo v18.20.4")])
        .code(1)
        .says("18.20.4");
    build_with(&javascript, &[("node", "echo v20.1.0")])
        .code(1)
        .says("npm install");
}

#[test]
fn what_does_not_compile_is_no_component() {
    let dir = tempfile::tempdir().expect("a folder");
    run_in(dir.path(), &["adapter", "new", "broken", "--lang", "rust"]).code(0);
    std::fs::write(dir.path().join("broken/src/lib.rs"), "fn f() { this is no Rust }").expect("written");
    run_in(dir.path(), &["adapter", "build", "broken"])
        .code(1)
        .says("cargo could not build");
    assert!(!dir.path().join("broken/broken.wasm").exists());
    // Compiled, and still no component: a plain library.
    let manifest = dir.path().join("broken/Cargo.toml");
    let text = std::fs::read_to_string(&manifest).expect("read");
    std::fs::write(&manifest, text.replace("crate-type = [\"cdylib\"]", "")).expect("written");
    std::fs::write(dir.path().join("broken/src/lib.rs"), "").expect("written");
    run_in(dir.path(), &["adapter", "build", "broken"])
        .code(1)
        .says("cdylib");
}

#[test]
fn a_folder_that_is_no_adapter_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    run_in(dir.path(), &["adapter", "build"])
        .code(1)
        .says("Cargo.toml, package.json, pyproject.toml");
    run_in(dir.path(), &["adapter", "build", "/nonexistent"])
        .code(1)
        .says("/nonexistent")
        .says("adapter new");
}
