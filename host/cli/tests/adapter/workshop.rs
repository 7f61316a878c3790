//! Adapters in temporary folders, and the programs that build them.

use crate::common::{Answer, command, run, with_cargo};
use shardwright_servers::languages;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{LazyLock, Mutex, PoisonError};
use tempfile::TempDir;

/// `PATH` with what builds components in front of it.
pub(crate) fn path() -> OsString {
    let tools = [
        languages::componentize_py(),
        languages::node(),
        languages::componentize_js(),
    ];
    let folder = |tool: anyhow::Result<PathBuf>| {
        let tool = tool.unwrap_or_else(|error| panic!("{error:#}"));
        tool.parent().expect("a folder").to_owned()
    };
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(tools.into_iter().map(folder).chain(std::env::split_paths(&path))).expect("a path")
}

/// The binary, run in `folder`, with everything that builds components.
pub(crate) fn shardwright(folder: &Path) -> Command {
    let mut command = command();
    command.current_dir(folder).env("PATH", path());
    with_cargo(&mut command);
    command
}

/// Runs the binary in `folder`.
pub(crate) fn run_in(folder: &Path, args: &[&str]) -> Answer {
    shardwright(folder).args(args).output().expect("the binary runs").into()
}

/// The component of a new adapter in `lang`, built once for all tests.
pub(crate) fn built(lang: &str) -> PathBuf {
    static BUILT: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a folder"));
    // One at a time: each takes all processors, and some a lot of memory.
    static BUILDING: Mutex<()> = Mutex::new(());
    let _building = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
    let name = format!("my-{lang}");
    let component = BUILT.path().join(&name).join(format!("{name}.wasm"));
    if !component.exists() {
        run_in(BUILT.path(), &["adapter", "new", &name, "--lang", lang]).code(0);
        run_in(BUILT.path(), &["adapter", "build", &name])
            .code(0)
            .says("sha256:");
    }
    component
}

/// What `adapter check --quick` says of this component with this configuration, as JSON.
pub(crate) fn quickly(adapter: &Path, config: &str) -> Answer {
    let adapter = adapter.to_str().expect("UTF-8");
    run(&[
        "adapter",
        "check",
        adapter,
        "--quick",
        "-o",
        "json",
        "--config-json",
        config,
    ])
}

/// The configuration of the adapters that are made here.
pub(crate) fn config(url: &str) -> String {
    serde_json::json!({ "url": url }).to_string()
}
