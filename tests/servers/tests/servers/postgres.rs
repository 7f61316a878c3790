//! PostgreSQL servers come up, live through what tests do to them, and keep or lose their data as told.
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use shardwright_servers::{Authority, Certificate, PgBouncer, PostgresPair, PostgresServer, Proxy, tools};

/// Has psql run this at `url`, as any client would.
fn psql(url: &str, statement: &str) -> Result<String, String> {
    let mut psql = Command::new(tools::postgres().unwrap().join("psql"));
    psql.args(["--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--no-password"]);
    let output = psql
        .args(["--command", statement, url])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    if output.status.success() {
        Ok(said.trim().to_owned())
    } else {
        Err(said)
    }
}

/// What makes a PostgreSQL another one.
fn identity(server: &PostgresServer) -> String {
    server.sql("SELECT system_identifier FROM pg_control_system()").unwrap()
}

#[test]
fn data_outlives_a_kill_and_a_stop_and_not_a_wipe() {
    let server = PostgresServer::start().unwrap();
    let url = server.url();
    assert_eq!(
        url,
        format!("postgres://node:secret@127.0.0.1:{}/shardwright", server.port())
    );
    let first = identity(&server);
    psql(&url, "CREATE TABLE t (v int)").unwrap();
    // Somebody who does not leave, and holds a lock.
    let idle = std::thread::spawn({
        let url = url.clone();
        move || psql(&url, "BEGIN; LOCK TABLE t; SELECT pg_sleep(600)")
    });
    let deadline = Instant::now() + Duration::from_secs(60);
    while server
        .sql("SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock'")
        .unwrap()
        == "0"
    {
        assert!(Instant::now() < deadline, "nobody holds the lock");
    }
    server.kill().unwrap();
    idle.join().unwrap().unwrap_err();
    psql(&url, "SELECT 1").unwrap_err();
    server.start_again().unwrap();
    assert!(
        server.log().contains("automatic recovery in progress"),
        "{}",
        server.log()
    );
    for value in 0..100 {
        psql(&url, &format!("INSERT INTO t VALUES ({value})")).unwrap();
    }
    server.kill().unwrap();
    server.start_again().unwrap();
    assert_eq!(psql(&url, "SELECT count(*) FROM t").unwrap(), "100");
    server.wipe().unwrap_err();
    server.stop().unwrap();
    server.start_again().unwrap();
    assert_eq!(psql(&url, "SELECT count(*) FROM t").unwrap(), "100");
    assert_eq!(identity(&server), first);
    server.kill().unwrap();
    server.wipe().unwrap();
    server.start_again().unwrap();
    psql(&url, "SELECT count(*) FROM t").unwrap_err();
    assert_ne!(identity(&server), first);
}

#[test]
fn a_stop_does_not_wait_for_clients() {
    let server = PostgresServer::start().unwrap();
    let url = server.url();
    let idle = std::thread::spawn(move || psql(&url, "SELECT pg_sleep(600)"));
    let deadline = Instant::now() + Duration::from_secs(60);
    while server
        .sql("SELECT count(*) FROM pg_stat_activity WHERE usename = 'node'")
        .unwrap()
        == "0"
    {
        assert!(Instant::now() < deadline, "the client does not come");
    }
    server.stop().unwrap();
    idle.join().unwrap().unwrap_err();
}

#[test]
fn a_paused_server_answers_when_it_is_resumed() {
    let server = PostgresServer::start().unwrap();
    let url = server.url();
    // Its connection is served by a process of its own.
    let mut open = Command::new(tools::postgres().unwrap().join("psql"))
        .args(["--no-psqlrc", "--quiet", "--no-align", "--tuples-only", &url])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = open.stdin.take().unwrap();
    let mut output = std::io::BufRead::lines(std::io::BufReader::new(open.stdout.take().unwrap()));
    std::io::Write::write_all(&mut input, b"SELECT 1;\n").unwrap();
    assert_eq!(output.next().unwrap().unwrap(), "1");
    server.pause().unwrap();
    std::io::Write::write_all(&mut input, b"SELECT 2;\n").unwrap();
    drop(input);
    std::thread::scope(|scope| {
        let answer = scope.spawn(|| output.next().unwrap().unwrap());
        let new = scope.spawn(|| psql(&url, "SELECT 3"));
        std::thread::sleep(Duration::from_millis(300));
        assert!(!answer.is_finished() && !new.is_finished());
        server.resume().unwrap();
        assert_eq!(answer.join().unwrap(), "2");
        assert_eq!(new.join().unwrap().unwrap(), "3");
    });
    open.wait().unwrap();
}

#[test]
fn passwords_are_asked_for_as_told() {
    let server = PostgresServer::builder().password("hidden").start().unwrap();
    assert_eq!(psql(&server.url(), "SELECT current_user").unwrap(), "node");
    let wrong = server.url().replace("hidden", "wrong");
    let refusal = psql(&wrong, "SELECT 1").unwrap_err();
    assert!(refusal.contains("password authentication failed"), "{refusal}");
    let kept = "SELECT left(rolpassword, 3) FROM pg_authid WHERE rolname = 'node'";
    assert_eq!(server.sql(kept).unwrap(), "SCR");
    // Nobody else comes from outside.
    psql(&server.url().replace("node", "postgres"), "SELECT 1").unwrap_err();

    let server = PostgresServer::builder()
        .md5()
        .set("max_connections", "7")
        .start()
        .unwrap();
    assert_eq!(psql(&server.url(), "SHOW max_connections").unwrap(), "7");
    assert_eq!(server.sql(kept).unwrap(), "md5");
    psql(&server.url().replace("secret", "wrong"), "SELECT 1").unwrap_err();

    let server = PostgresServer::builder().trust().start().unwrap();
    assert_eq!(psql(&server.url().replace(":secret", ""), "SELECT 1").unwrap(), "1");
}

#[test]
fn tls_asks_for_a_certificate_of_the_authority() {
    let authority = Authority::new().unwrap();
    let stranger = Authority::new().unwrap();
    let url = |server: &PostgresServer, ca: &Path, client: Option<&Certificate>| {
        let client = client.map_or_else(String::new, |own| {
            format!("&sslcert={}&sslkey={}", own.certificate.display(), own.key.display())
        });
        format!(
            "{}?sslmode=verify-full&sslrootcert={}{client}",
            server.url(),
            ca.display()
        )
    };
    let ssl = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    let server = PostgresServer::builder().tls(&authority, false).start().unwrap();
    assert_eq!(psql(&url(&server, &authority.ca(), None), ssl).unwrap(), "t");
    psql(&url(&server, &stranger.ca(), None), ssl).unwrap_err();
    psql(&(server.url() + "?sslmode=disable"), ssl).unwrap_err();

    let server = PostgresServer::builder().tls(&authority, true).start().unwrap();
    let own = authority.client("node").unwrap();
    assert_eq!(psql(&url(&server, &authority.ca(), Some(&own)), ssl).unwrap(), "t");
    psql(&url(&server, &authority.ca(), None), ssl).unwrap_err();
    let other = stranger.client("node").unwrap();
    psql(&url(&server, &authority.ca(), Some(&other)), ssl).unwrap_err();
}

#[test]
fn a_promoted_standby_lacks_what_it_did_not_hear_of() {
    let pair = PostgresPair::start().unwrap();
    let (primary, standby) = (pair.primary(), pair.standby());
    let proxy = Proxy::to(primary.port()).unwrap();
    let url = primary
        .url()
        .replace(&primary.port().to_string(), &proxy.port().to_string());
    psql(&url, "CREATE TABLE t (v int)").unwrap();
    psql(&url, "INSERT INTO t VALUES (1)").unwrap();
    pair.wait_until_whole().unwrap();
    psql(&standby.url(), "INSERT INTO t VALUES (9)").unwrap_err();
    standby.kill().unwrap();
    psql(&url, "INSERT INTO t VALUES (2)").unwrap();
    primary.kill().unwrap();
    standby.start_again().unwrap();
    pair.promote().unwrap();
    proxy.lead_to(standby.port());
    assert_eq!(psql(&url, "SELECT v FROM t").unwrap(), "1");
    psql(&url, "INSERT INTO t VALUES (3)").unwrap();
    assert_eq!(identity(standby), {
        primary.start_again().unwrap();
        identity(primary)
    });
    assert_eq!(psql(&primary.url(), "SELECT max(v) FROM t").unwrap(), "2");
}

#[test]
fn a_pooler_leads_to_its_server() {
    let server = PostgresServer::start().unwrap();
    let pooler = PgBouncer::before(&server, &["pool_mode = transaction"]).unwrap();
    let through = server
        .url()
        .replace(&server.port().to_string(), &pooler.port().to_string());
    assert_eq!(psql(&through, "SELECT 1 + 1").unwrap(), "2");
    pooler.stop().unwrap();
    psql(&through, "SELECT 1").unwrap_err();
}

#[test]
fn a_clock_of_its_own_is_set_while_it_runs() {
    let server = PostgresServer::builder().clock_ahead_by(3_600_000).start().unwrap();
    let ahead = || {
        let told = psql(&server.url(), "SELECT floor(extract(epoch FROM now()))::bigint").unwrap();
        let here = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        told.parse::<i64>().unwrap() - here.as_secs().cast_signed()
    };
    // Asking may take a while.
    let about = |expected: i64| (expected - 600..expected + 2).contains(&ahead());
    assert!(about(3_600));
    server.shift_clock(-3_600_000).unwrap();
    assert!(about(-3_600));
    server.kill().unwrap();
    server.start_again().unwrap();
    assert!(about(-3_600));
    server.shift_clock(0).unwrap();
    assert!(about(0));
}
