//! Three real processes on a sqlite store: one is killed, one is stopped for longer than its session and continued.

use rusqlite::{Connection, OpenFlags};
use rustix::process::{Pid, Signal, kill_process};
use rustix::time::{ClockId, clock_gettime};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const ACCOUNTS: u64 = 12;
const PERIOD: u64 = 1_000;
/// validity + margin of the configuration below: what a dead node's session takes to expire.
const TAKER: u64 = 1_550;

/// A server; killed when the test ends, however it ends.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Server {
    fn start(dir: &Path, host: &str) -> Self {
        let config = format!(
            r#"
            [cluster]
            name = "embed"
            coordinator = "local"
            [cluster.roles]
            digest = {{ shards = 6, replicas = 2 }}
            [cluster.timing]
            validity = "1500ms"
            renew = "300ms"
            margin = "50ms"
            settle = "20ms"
            stop-timeout = "1s"
            rejoin-delay = "1s"
            [node]
            state-dir = "{host}"
            [store."local"]
            type = "sqlite"
            path = "cluster.db"
            "#
        );
        let file = dir.join(format!("{host}.toml"));
        std::fs::write(&file, config).expect("written");
        let mut command = Command::new(env!("CARGO_BIN_EXE_embed"));
        command
            .arg(&file)
            .arg(dir.join("journal.db"))
            .env("SHARDWRIGHT_HOSTNAME", host);
        let mut server = Self(command.stdout(Stdio::piped()).spawn().expect("started"));
        let mut line = String::new();
        BufReader::new(server.0.stdout.take().expect("piped"))
            .read_line(&mut line)
            .expect("a line");
        assert!(line.starts_with("ready as node "), "{line:?}");
        server
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).expect("it runs");
    }
}

fn now() -> u64 {
    let t = clock_gettime(ClockId::Monotonic);
    t.tv_sec as u64 * 1000 + t.tv_nsec as u64 / 1_000_000
}

fn journal(dir: &Path) -> Connection {
    let journal =
        Connection::open_with_flags(dir.join("journal.db"), OpenFlags::SQLITE_OPEN_READ_WRITE).expect("opened");
    journal.busy_timeout(Duration::from_secs(10)).expect("set");
    journal
}

/// Waits until every account has had its digest for some period that begins at `from` or later; returns that period.
fn complete_period(journal: &Connection, from: u64) -> u64 {
    let began = Instant::now();
    let sql = "SELECT period FROM sent WHERE period >= ?1 GROUP BY period HAVING count(*) = ?2 ORDER BY period LIMIT 1";
    loop {
        if let Ok(period) = journal.query_row(sql, [from.div_ceil(PERIOD), ACCOUNTS], |row| row.get(0)) {
            return period;
        }
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "no complete period for a minute"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[derive(Debug)]
struct Attempt {
    account: u64,
    period: u64,
    node: u32,
    token: u64,
    began: u64,
    ended: Option<u64>,
    outcome: Option<String>,
}

fn attempts(journal: &Connection) -> Vec<Attempt> {
    let sql = "SELECT account, period, node, token, began, ended, outcome FROM attempts ORDER BY account, began, id";
    let mut statement = journal.prepare(sql).expect("prepared");
    let rows = statement.query_map([], |row| {
        Ok(Attempt {
            account: row.get(0)?,
            period: row.get(1)?,
            node: row.get(2)?,
            token: row.get(3)?,
            began: row.get(4)?,
            ended: row.get(5)?,
            outcome: row.get(6)?,
        })
    });
    rows.expect("queried").collect::<Result<_, _>>().expect("read")
}

#[test]
fn each_job_runs_once_while_nodes_are_killed_and_stopped() {
    let temp = tempfile::tempdir().expect("a folder");
    let dir = temp.path();
    let mut killed = Server::start(dir, "killed");
    let (paused, steady) = (Server::start(dir, "paused"), Server::start(dir, "steady"));
    let journal = journal(dir);

    // Undisturbed: let the three settle, then look at two periods.
    let settled = complete_period(&journal, now());
    let last = complete_period(&journal, (settled + 2) * PERIOD);
    let calm = (settled + 1)..last;

    let killed_at = now();
    killed.0.kill().expect("killed");
    killed.0.wait().expect("gone");
    let after_kill = complete_period(&journal, killed_at);

    // Stopped until the third node has done everybody's work, then continued until all work is shared again.
    let stopped_at = now();
    paused.signal(Signal::STOP);
    let alone = complete_period(&journal, stopped_at + TAKER);
    let continued_at = now();
    paused.signal(Signal::CONT);
    let began = Instant::now();
    let back = "SELECT count(DISTINCT node) FROM attempts WHERE began > ?1 AND outcome = 'sent'";
    while journal
        .query_row(back, [continued_at], |row| row.get::<_, u32>(0))
        .expect("queried")
        < 2
    {
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "the continued node does not work again"
        );
        std::thread::sleep(Duration::from_millis(20));
    }

    for mut server in [paused, steady] {
        server.signal(Signal::TERM);
        assert!(server.0.wait().expect("it ends").success());
    }

    let attempts = attempts(&journal);
    for period in calm {
        for account in 0..ACCOUNTS {
            let runs: Vec<_> = attempts
                .iter()
                .filter(|a| (a.period, a.account) == (period, account))
                .collect();
            assert!(
                runs.len() == 1 && runs[0].outcome.as_deref() == Some("sent"),
                "once, undisturbed: {runs:?}"
            );
        }
    }
    let bound = killed_at + TAKER + 2 * PERIOD + 3_000;
    assert!(
        after_kill * PERIOD <= bound,
        "all jobs run again within the bound: {} ms after the kill",
        after_kill * PERIOD - killed_at
    );
    let alone: BTreeMap<u32, usize> =
        attempts
            .iter()
            .filter(|a| a.period == alone)
            .fold(BTreeMap::new(), |mut nodes, a| {
                *nodes.entry(a.node).or_default() += 1;
                nodes
            });
    assert_eq!(
        alone.into_values().collect::<Vec<_>>(),
        [ACCOUNTS as usize],
        "one node did all the work while two were gone"
    );
    for (former, next) in attempts
        .iter()
        .zip(attempts.iter().skip(1))
        .filter(|(former, next)| former.account == next.account)
    {
        assert!(
            former.token <= next.token,
            "an older token acted after a newer one: {former:?}, {next:?}"
        );
        // Stopped in the middle: it noticed only when it was continued, and until then it did nothing.
        let asleep = former.outcome.as_deref() != Some("sent")
            && former.began < continued_at
            && former.ended >= Some(continued_at);
        match former.ended.filter(|_| !asleep) {
            Some(ended) => assert!(
                ended <= next.began,
                "one job ran twice at the same time: {former:?}, {next:?}"
            ),
            // Stopped or killed in the middle: its session had to expire first.
            None => assert!(
                next.token > former.token && next.began >= killed_at,
                "{former:?}, {next:?}"
            ),
        }
    }
}
