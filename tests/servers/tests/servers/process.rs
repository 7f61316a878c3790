//! A server ends with the process that started it, also when that one is killed.
#![allow(clippy::print_stdout, reason = "the child tells its parent by its output")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use shardwright_servers::{PostgresServer, RedisServer, Server};

/// In the environment of the process that is to be killed.
const CHILD: &str = "SHARDWRIGHT_SERVERS_TEST_CHILD";

#[test]
fn a_killed_process_leaves_no_server() {
    if std::env::var_os(CHILD).is_some() {
        let (redis, postgres) = (RedisServer::start().unwrap(), PostgresServer::start().unwrap());
        let say = |server: &Server| {
            println!(
                "\nserver {} {}",
                server.process_id().unwrap(),
                server.data_folder().display()
            );
        };
        say(&redis);
        say(&postgres);
        std::thread::park();
    }
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "process::a_killed_process_leaves_no_server", "--nocapture"])
        .env(CHILD, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let servers: Vec<_> = output
        .filter_map(|line| line.strip_prefix("server ").map(str::to_owned))
        .take(2)
        .collect();
    assert_eq!(servers.len(), 2, "the child says which servers it has");
    let servers: Vec<_> = servers.iter().map(|line| line.split_once(' ').unwrap()).collect();
    let running = |process: &str| {
        let command = std::fs::read_to_string(format!("/proc/{process}/cmdline")).unwrap_or_default();
        command.contains("redis-server") || command.contains("postgres")
    };
    for (process, folder) in &servers {
        assert!(running(process) && Path::new(folder).is_dir());
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    for (process, folder) in &servers {
        while running(process) || Path::new(folder).exists() {
            assert!(
                Instant::now() < deadline,
                "the server {process} or its data outlive their parent"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
