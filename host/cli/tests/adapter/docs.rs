//! docs/writing-an-adapter.md: what it tells people to type, typed.

use crate::common::{LIMIT, command};
use crate::workshop::path;
use rustix::process::{Pid, Signal, kill_process_group};
use shardwright_servers::Port;
use std::collections::BTreeSet;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const GUIDE: &str = include_str!("../../../../docs/writing-an-adapter.md");

/// The port that the guide names.
const PORT: &str = "8700";

/// The nodes that it starts.
const NODES: [&str; 2] = ["mail-1", "mail-2"];

/// A fenced block of a document: its language and text.
fn blocks(text: &str) -> Vec<(&str, &str)> {
    let fenced = text.split("\n```").skip(1).step_by(2);
    fenced
        .map(|block| block.split_once('\n').unwrap_or((block, "")))
        .collect()
}

/// What is started in the background ends with the test.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        let _ = kill_process_group(Pid::from_child(&self.0), Signal::KILL);
        let _ = self.0.wait();
    }
}

#[test]
fn the_guide_leads_from_nothing_to_a_cluster() {
    let dir = tempfile::tempdir().expect("a folder");
    let port = Port::free().expect("a port");
    // Waiting is ours to do; and what is printed at the end is looked at again and again until it is there.
    let mut script = String::from("set -e\n");
    let mut last = "";
    for (language, text) in blocks(GUIDE) {
        match language {
            "sh" => {
                last = text;
                script.push_str(text);
            }
            "toml" => {
                script.push_str(&format!("cat > cluster.toml <<'EOF'\n{text}\nEOF\n"));
                // Each node with its state in the test's folder instead of the machine's.
                for node in NODES {
                    let state = format!("[node]\nstate-dir = {:?}", dir.path().join(node));
                    script.push_str(&format!("cat cluster.toml - > {node}.toml <<'EOF'\n{state}\nEOF\n"));
                }
            }
            other => panic!("a block of {other:?}, which nobody tests"),
        }
        script.push('\n');
    }
    for node in NODES {
        let typed = format!("{node} shardwright run --config cluster.toml");
        assert!(script.contains(&typed), "{typed}");
        script = script.replace(&typed, &typed.replace("cluster.toml", &format!("{node}.toml")));
    }
    let (start, look) = script.split_once("sleep 20").expect("the nodes need a while");
    assert!(last.contains("sleep 20"), "the nodes are the end of it");
    let look = look.split_once('\n').expect("a line").1;
    let started = format!(
        "{}\necho all is started; wait\n",
        start.replace(PORT, &port.number().to_string())
    );
    let bin = Path::new(crate::common::binary()).parent().expect("a folder");
    let path =
        std::env::join_paths(std::iter::once(bin.to_owned()).chain(std::env::split_paths(&path()))).expect("a path");
    let log = dir.path().join("log");
    let shell = |script: &str, folder: &Path| {
        let mut bash = Command::new("bash");
        bash.args(["-c", script])
            .current_dir(folder)
            .env("PATH", &path)
            .stdin(Stdio::null());
        bash.env(
            "CARGO_TARGET_DIR",
            shardwright_servers::tools::folder().with_file_name("adapters"),
        );
        bash
    };
    let out = std::fs::File::create(&log).expect("a file");
    let mut run = shell(&started, dir.path());
    run.stdout(out.try_clone().expect("a file"))
        .stderr(out)
        .process_group(0);
    let mut group = Group(run.spawn().expect("bash"));
    let said = || std::fs::read_to_string(&log).unwrap_or_default();
    let until = |what: &str, limit: Duration, done: &mut dyn FnMut() -> bool| {
        let end = Instant::now() + limit;
        while !done() {
            assert!(Instant::now() < end, "no {what}:\n{}", said());
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    until("cluster", 15 * LIMIT, &mut || {
        assert!(group.0.try_wait().expect("a child").is_none(), "it ended:\n{}", said());
        said().contains("all is started")
    });
    assert!(said().contains("Every promise that was checked is kept."), "{}", said());
    let folder = dir.path().join("my-store");
    until("nodes", 2 * LIMIT, &mut || {
        let output = shell(look, &folder).output().expect("bash");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.contains("mail-1") && text.contains("mail-2") && text.contains("every write is on the disk")
    });
}

#[test]
fn the_help_names_what_the_guide_uses() {
    let mut tasks = BTreeSet::new();
    let typed = blocks(GUIDE).into_iter().filter(|(language, _)| *language == "sh");
    for line in typed.flat_map(|(_, text)| text.lines()) {
        let mut words = line.split_whitespace().skip_while(|word| word.contains('='));
        if words.next() != Some("shardwright") {
            continue;
        }
        let words: Vec<_> = words.collect();
        let length = if ["adapter", "coordinator"].contains(&words[0]) {
            2
        } else {
            1
        };
        let task = &words[..length];
        let help = command().args(task).arg("--help").output().expect("the binary runs");
        let help = String::from_utf8(help.stdout).expect("UTF-8");
        assert!(help.contains("Usage: shardwright "), "{task:?}: {help}");
        for flag in words.iter().filter(|word| word.starts_with("--")) {
            let named = |said: &str| said.trim_matches([',', '[', ']']) == *flag;
            assert!(
                help.split_whitespace().any(named),
                "{task:?} says nothing of {flag}: {help}"
            );
        }
        tasks.insert(task.join(" "));
    }
    for task in ["new", "build", "inspect", "check"] {
        assert!(
            tasks.contains(&format!("adapter {task}")),
            "the guide leaves {task} out: {tasks:?}"
        );
    }
}
