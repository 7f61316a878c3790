//! Documents with a few commands each.

use crate::blocks::of;
use crate::common::{binary, with_cargo};
use crate::shell::Shell;
use std::path::Path;
use std::process::Command;

/// A shell with the binary, in which Rust can be built.
pub(crate) fn bash() -> Command {
    let mut bash = Command::new("bash");
    let bin = Path::new(binary()).parent().expect("a folder").to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(bin).chain(std::env::split_paths(&path)));
    bash.env("PATH", path.expect("a path")).env_remove("RUST_LOG");
    with_cargo(&mut bash);
    bash
}

#[test]
fn the_commands_of_coordinators() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = "[cluster]\nname = \"tour\"\ncoordinator = \"local\"\n[cluster.timing]\nvalidity = \"2s\"\nrenew = \
                  \"400ms\"\nmargin = \"100ms\"\n[store.local]\ntype = \"sqlite\"\npath = \
                  \"cluster.db\"\n[node]\nstate-dir = \"state\"\n";
    std::fs::write(dir.path().join("cluster.toml"), config).expect("written");
    let mut shell = Shell::start(&mut bash(), dir.path());
    // They look at a cluster that there is.
    shell.run("SHARDWRIGHT_HOSTNAME=mail-1 shardwright run --config cluster.toml > log 2>&1 &");
    shell.run("until grep -q '^ready' log; do sleep 0.1; kill -0 %1; done");
    shell.follow(&of("docs/coordinators.md"), |_, text| text.to_owned());
}

#[test]
fn the_certificate_of_configuration_is_one_that_fits() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut shell = Shell::start(&mut bash(), dir.path());
    shell.follow(&of("docs/configuration.md"), |_, text| text.to_owned());
    let shown = shell.run("openssl x509 -in server.pem -noout -ext subjectAltName");
    assert!(shown.contains("DNS:redis-1.example.org"), "{shown}");
    shell.run("openssl pkey -in server.key -noout");
}
