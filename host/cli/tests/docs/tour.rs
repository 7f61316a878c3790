//! README.md: its tour, as an ordinary user types it; and its adapter.

use crate::blocks::{Block, of};
use crate::common::{Answer, binary};
use crate::guides;
use crate::shell::Shell;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// How long a cluster may take to come up.
const PATIENCE: Duration = Duration::from_secs(180);

/// Nobody in particular: for root, the default places of files are the system's.
const USER: u32 = 65_534;

/// Whether a block belongs to the guide to adapters, which builds something.
fn is_adapter(block: &Block) -> bool {
    block.text.starts_with("shardwright adapter")
}

/// `program` as an ordinary user, whose home is `home`.
fn as_user(program: &str, home: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("HOME", home).env("LANG", "C.UTF-8");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::split_paths(&path);
    command.env(
        "PATH",
        std::env::join_paths(std::iter::once(home.join("bin")).chain(path)).expect("a path"),
    );
    if rustix::process::geteuid().is_root() {
        command.uid(USER).gid(USER);
    }
    command
}

/// A home with the binary in it.
fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().expect("a folder");
    let bin = home.path().join("bin");
    std::fs::create_dir(&bin).expect("a folder");
    std::fs::copy(binary(), bin.join("shardwright")).expect("the binary");
    if rustix::process::geteuid().is_root() {
        std::fs::set_permissions(&bin, PermissionsExt::from_mode(0o755)).expect("permissions");
        chown(home.path(), Some(USER), Some(USER)).expect("a home");
    }
    home
}

#[test]
fn the_tour_shows_what_it_says() {
    let home = home();
    let blocks: Vec<_> = of("README.md").into_iter().filter(|block| !is_adapter(block)).collect();
    let mut slept = 0;
    let mut shell = Shell::start(&mut as_user("bash", home.path()), home.path());
    shell.follow(&blocks, |shell, text| {
        // How long a cluster takes depends on the machine: the document says a time, the test looks.
        let Some((start, look)) = text.split_once("\nsleep 20 ") else {
            return text.to_owned();
        };
        slept += 1;
        shell.run(start);
        until_all_is_owned(home.path());
        look.split_once('\n').expect("a line").1.to_owned()
    });
    assert_eq!(slept, 1, "the nodes need a while, once");
    // `kill %1` is the last of it: that node hands over and ends.
    shell.run("wait %1");
}

/// Waits until both nodes are there and each shard of `purge.accounts` has a primary and a standby.
fn until_all_is_owned(home: &Path) {
    let ask = |args: &[&str]| -> Answer {
        let mut command = as_user("shardwright", home);
        let output = command
            .args(args)
            .args(["--config", "cluster.toml", "-o", "json"])
            .current_dir(home)
            .output();
        output.expect("the binary runs").into()
    };
    let owned = |answer: &Answer| {
        let shards = answer.json()["shards"].as_array().cloned().unwrap_or_default();
        let is_owned = |shard: &serde_json::Value| {
            shard["state"] == "held" && shard["standbys"].as_array().is_some_and(|s| s.len() == 1)
        };
        shards.len() == 12 && shards.iter().all(is_owned)
    };
    let end = Instant::now() + PATIENCE;
    loop {
        let answer = ask(&["roles", "show", "purge.accounts"]);
        if answer.code == Some(0) && owned(&answer) {
            return;
        }
        assert!(Instant::now() < end, "no cluster: {answer:?}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn the_adapter_is_made_and_inspected() {
    let dir = tempfile::tempdir().expect("a folder");
    let blocks: Vec<_> = of("README.md").into_iter().filter(is_adapter).collect();
    assert_eq!(blocks.len(), 1);
    Shell::start(&mut guides::bash(), dir.path()).follow(&blocks, |_, text| text.to_owned());
    assert!(dir.path().join("kv/kv.wasm").exists());
}
