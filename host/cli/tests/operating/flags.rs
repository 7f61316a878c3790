//! Flags that are the same everywhere, and clusters of other users.

use crate::common::{Answer, SETTINGS, binary, run};
use crate::started;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;

/// Root may do everything: it runs a copy of the binary as somebody else.
#[test]
fn a_cluster_of_another_user_is_denied_and_not_missing() {
    let cluster = started(SETTINGS, &["alpha"]);
    let store = cluster.yard.store();
    let folder = tempfile::tempdir().expect("a folder");
    let copy = folder.path().join("shardwright");
    fs::copy(binary(), &copy).expect("copied");
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
    mode(folder.path(), 0o755);
    mode(&copy, 0o755);
    let root = fs::metadata("/proc/self").expect("proc").uid() == 0;
    let ask = |what: &str| -> Answer {
        let mut asking = std::process::Command::new(&copy);
        asking
            .args([what, "--cluster", "test", "--store"])
            .arg(&store)
            .current_dir(folder.path());
        if root {
            asking.uid(65_534).gid(65_534);
        }
        asking.output().expect("it runs").into()
    };
    // A folder that only its owner may enter, and a file that only its owner may read.
    for (of_folder, of_file) in [
        (if root { 0o700 } else { 0 }, 0o644),
        (0o755, if root { 0o600 } else { 0 }),
    ] {
        let old = fs::metadata(&store).expect("there").permissions();
        mode(&store, of_file);
        mode(cluster.yard.path(), of_folder);
        for what in ["nodes", "status"] {
            let denied = ask(what);
            mode(cluster.yard.path(), 0o700);
            let denied = denied.code(1).says("permission denied").says("sudo -u");
            assert!(!denied.err.contains("there is no store"), "{denied:?}");
            mode(cluster.yard.path(), of_folder);
        }
        mode(cluster.yard.path(), 0o700);
        fs::set_permissions(&store, old).expect("chmod");
    }
    cluster.ask(&["nodes"]).code(0);
}

/// Every command and its subcommands, by their help.
fn helps(path: &[&str], found: &mut Vec<(String, String)>) {
    let help = run(&[path, &["--help"]].concat()).code(0).out;
    let commands = help.split("Commands:\n").nth(1).unwrap_or_default();
    let names: Vec<String> = commands
        .lines()
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
        .filter(|name| name != "help")
        .collect();
    for name in &names {
        helps(&[path, &[name.as_str()]].concat(), found);
    }
    found.push((path.join(" "), help));
}

#[test]
fn each_flag_has_one_name_and_one_meaning() {
    let mut found = Vec::new();
    helps(&[], &mut found);
    assert!(found.len() > 25, "{}", found.len());
    // What does something, and shows nothing; what prints for a program; what is one JSON in any case.
    let silent = [
        "",
        "coordinator",
        "policy",
        "adapter",
        "run",
        "completions",
        "policy assign",
        "adapter new",
        "adapter build",
        "coordinator upgrade",
    ];
    let silent = BTreeSet::from(silent);
    for (name, help) in &found {
        assert!(
            !help.contains(" --json") && !help.contains(" --format"),
            "{name}: {help}"
        );
        assert_eq!(
            help.contains("-o, --output"),
            !silent.contains(name.as_str()),
            "{name}: {help}"
        );
        for line in help.lines().filter(|line| line.trim_start().starts_with("-c,")) {
            assert!(line.contains("--config <"), "{name}: {line}");
        }
        let config = help
            .split("--config <")
            .nth(1)
            .map(|rest| rest.split("--").next().unwrap_or_default().to_lowercase());
        assert!(
            config.is_none_or(|about| about.contains("configuration")),
            "{name}: {help}"
        );
    }
}
