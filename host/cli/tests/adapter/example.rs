//! `examples/adapter-python`: it is what `adapter new` makes, it keeps the whole contract, and a cluster lives on it
//! over restarts of its server.

use crate::common::{Cluster, SETTINGS, run};
use crate::workshop::{built, config};
use shardwright_cli::process::{ClusterFolder, OutputLine};
use shardwright_servers::ExampleServer;
use std::path::Path;

#[test]
fn the_example_is_what_is_made() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/adapter-python");
    let component = built("python");
    let made = component.parent().expect("a folder");
    for file in [
        "adapter.py",
        "web.py",
        "server.py",
        "pyproject.toml",
        "wit/world.wit",
        "wit/deps/coordinator.wit",
        "wit/deps/http.wit",
    ] {
        let read = |folder: &Path| {
            std::fs::read_to_string(folder.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
        };
        assert_eq!(
            read(made),
            read(&example).replace("example-http", "my-python"),
            "{file}"
        );
    }
}

#[test]
fn it_keeps_the_whole_contract() {
    let server = ExampleServer::forgetful(&[]).expect("a server");
    let adapter = built("python");
    let adapter = adapter.to_str().expect("UTF-8");
    let found = run(&[
        "adapter",
        "check",
        adapter,
        "-o",
        "json",
        "--config-json",
        &config(&server.url()),
    ]);
    assert_eq!(found.code, Some(0), "{found:?}");
}

#[test]
fn a_cluster_lives_on_it_while_its_server_comes_and_goes() {
    let server = ExampleServer::start().expect("a server");
    let url = server.url();
    let adapter = built("python");
    let section =
        format!("type = \"component\"\npath = {adapter:?}\nallow = [\"{url}\"]\nconfig = {{ url = \"{url}\" }}\n");
    let yard = ClusterFolder::new(crate::common::binary(), SETTINGS)
        .expect("a folder")
        .meeting_at(section);
    let mut cluster = Cluster::inside(yard);
    for host in ["alpha", "beta"] {
        cluster.start(host);
    }
    // Both compile it.
    cluster.patient("both to be ready", |told| {
        let ready = |host: &str| told.iter().any(|told| told.host == host && told.event == "ready");
        (ready("alpha") && ready("beta")).then_some(())
    });
    cluster.shared(&["alpha", "beta"]);
    let before = cluster.told.len();
    server.kill().expect("killed");
    cluster.event("alpha", "coordinator-down", before);
    server.start_again().expect("started");
    cluster.event("alpha", "coordinator-up", before);
    let lost = |told: &&OutputLine| told.event == "history-lost";
    assert_eq!(cluster.told.iter().find(lost), None, "it is the store that it was");
    cluster.ask_until(&["nodes"], |answer| {
        answer.code == Some(0) && answer.out.contains("alpha") && answer.out.contains("beta")
    });
    cluster.shared(&["alpha", "beta"]);
    cluster
        .ask(&["coordinator", "doctor"])
        .code(0)
        .says("every write is on the disk");
}
