//! A server ends with the process that started it, also when that one is killed.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may; the child tells its parent by its output"
)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use shardwright_servers::RedisServer;

/// In the environment of the process that is to be killed.
const CHILD: &str = "SHARDWRIGHT_SERVERS_TEST_CHILD";

#[test]
fn a_killed_process_leaves_no_server() {
    if std::env::var_os(CHILD).is_some() {
        let server = RedisServer::start().unwrap();
        println!("\nserver {} {}", server.process_id().unwrap(), server.data_folder().display());
        std::thread::park();
    }
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_killed_process_leaves_no_server", "--nocapture"])
        .env(CHILD, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let line = output
        .lines()
        .find_map(|line| line.unwrap().strip_prefix("server ").map(str::to_owned))
        .expect("the child says which server it has");
    let (process, folder) = line.split_once(' ').unwrap();
    let running = || std::fs::read_to_string(format!("/proc/{process}/cmdline")).is_ok_and(|command| command.contains("redis-server"));
    assert!(running() && Path::new(folder).is_dir());
    child.kill().unwrap();
    child.wait().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while running() || Path::new(folder).exists() {
        assert!(Instant::now() < deadline, "the server {process} or its data outlive their parent");
        std::thread::sleep(Duration::from_millis(10));
    }
}
