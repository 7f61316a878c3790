//! A disk that is full, with all that nodes keep on it.

use crate::common::{Answer, Cluster, LIMIT, SETTINGS, binary, command, holders};
use crate::{owned_again, stopped, unharmed};
use shardwright_cli::process::ClusterFolder;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Where the small disk is, told to the process that has it.
const DISK: &str = "SHARDWRIGHT_TEST_DISK";

/// Plays in a process whose mounts are its own: nobody else's disk is filled.
#[test]
fn nodes_on_a_full_disk_stop_at_their_deadline_and_go_on_when_there_is_space() {
    if let Some(disk) = std::env::var_os(DISK) {
        return played(Path::new(&disk));
    }
    let disk = tempfile::tempdir().expect("a folder");
    let this = "disk::nodes_on_a_full_disk_stop_at_their_deadline_and_go_on_when_there_is_space";
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "--"])
        .arg(std::env::current_exe().expect("this program"))
        .args(["--exact", this, "--nocapture"])
        .env(DISK, disk.path())
        .env("TMPDIR", disk.path())
        .output()
        .expect("this needs unshare");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "this needs user namespaces:\n{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn played(disk: &Path) {
    let mount = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=64m", "none"])
        .arg(disk)
        .status();
    assert!(mount.expect("mount").success());
    let yard = ClusterFolder::new(binary(), SETTINGS).expect("a folder");
    assert!(yard.path().starts_with(disk), "all that they keep is on the small disk");
    let hosts = ["alpha", "bravo"];
    let mut cluster = Cluster::inside(yard);
    hosts.iter().for_each(|host| cluster.start(host));
    cluster.shared(&hosts);
    let before = tokens(&cluster);

    // There is no space for it later.
    let config = cluster.yard.config("operator").expect("written");
    let skip = cluster.told.len();
    let ballast = Ballast::new(disk.join("ballast"));
    stopped(&mut cluster, &hosts, skip);
    assert!(
        hosts.iter().any(|host| cluster.yard.log(host).contains("full")),
        "one of them says why"
    );
    // It answers, and takes no writes: that is said, and not that every node hangs.
    let end = Instant::now() + LIMIT;
    let answer = loop {
        let status = command().args(["status", "--config"]).arg(&config).output();
        let answer = Answer::from(status.expect("it runs"));
        if answer.out.contains("no node has renewed its session for ") {
            break answer.code(3);
        }
        assert!(Instant::now() < end, "{answer:?}");
    };
    answer
        .says("the store takes no writes (a full disk")
        .says("`shardwright coordinator doctor`");
    for host in hosts {
        let log = cluster.yard.log(host);
        assert!(
            log.matches("is opened anew").count() <= 1,
            "what lasts is told once: {log}"
        );
    }

    let skip = cluster.told.len();
    ballast.remove();
    owned_again(&mut cluster, skip);
    // Nothing that was acknowledged is forgotten: who has a shard now does not have it under an older token than
    // before.
    for (shard, token) in tokens(&cluster) {
        assert!(
            token >= before[&shard],
            "shard {shard}: {token} after {}",
            before[&shard]
        );
    }
    unharmed(&cluster);
}

/// What fills a disk, and goes on filling it: whatever others free is gone at once.
struct Ballast {
    file: PathBuf,
    enough: Arc<AtomicBool>,
    filling: JoinHandle<()>,
}

impl Ballast {
    fn new(file: PathBuf) -> Self {
        let enough = Arc::new(AtomicBool::new(false));
        let (stop, mut ballast) = (enough.clone(), fs::File::create(&file).expect("made"));
        let filling = std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                for size in [1 << 20, 1 << 12, 1] {
                    while ballast.write_all(&vec![1; size]).is_ok() {}
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        Self { file, enough, filling }
    }

    fn remove(self) {
        self.enough.store(true, Ordering::Relaxed);
        self.filling.join().expect("no panic");
        fs::remove_file(self.file).expect("there is space again");
    }
}

/// The newest token of every shard that is held.
fn tokens(cluster: &Cluster) -> std::collections::BTreeMap<u32, u64> {
    let held = holders(&cluster.told, "fts-indexing");
    let gains = cluster
        .told
        .iter()
        .filter(|told| told.event == "gained" && told.role() == "fts-indexing");
    let shards = gains.flat_map(shardwright_cli::process::OutputLine::shards);
    let mut newest = std::collections::BTreeMap::new();
    for (shard, token) in shards.filter(|(shard, _)| held.contains_key(shard)) {
        newest.insert(shard, token.expect("a token"));
    }
    newest
}
