//! A small server that mails a digest for each account once a period, however many of it run.
//!
//! `embed CONFIG JOURNAL` runs one of them. The journal is the outside world that the jobs act on: a database that all
//! share.
#![allow(clippy::print_stdout, reason = "it is a program")]

mod journal;

use journal::Journal;
use shardwright::{Claim, Node};
use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

/// The accounts of this server.
const ACCOUNTS: u64 = 12;
/// How often each account gets its digest.
const PERIOD: u64 = 1_000;
/// How long composing and mailing one takes.
const WORK: Duration = Duration::from_millis(30);

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        // Not returned from here: what follows `Error:` then is its `Debug` form, which is not made for people.
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [config, journal] = arguments.as_slice() else {
        return Err("usage: embed CONFIG JOURNAL".into());
    };
    let journal = Arc::new(Journal::open(journal)?);
    let node = Node::builder()
        .config_file(config)
        .version(env!("CARGO_PKG_VERSION"))
        .start()
        .await?;
    let role = node.role("digest")?;
    println!("ready as {node:?}");

    let mut terminated = signal(SignalKind::terminate())?;
    let mut ticks = tokio::time::interval(Duration::from_millis(50));
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = terminated.recv() => break,
        }
        let period = journal::now() / PERIOD;
        let mut jobs = JoinSet::new();
        for account in 0..ACCOUNTS {
            // Nearly free for those that are not this node's.
            if let (Some(claim), Some(id)) = (role.claim(account), node.id()) {
                jobs.spawn(digest(claim, journal.clone(), account, period, id.get()));
            }
        }
        for done in jobs.join_all().await {
            done?;
        }
    }
    // The others go on at once, not when a session has expired.
    node.shutdown().await;
    Ok(())
}

/// Mails the digest of `account` for `period`, unless that was done.
async fn digest(claim: Claim, journal: Arc<Journal>, account: u64, period: u64, node: u32) -> rusqlite::Result<()> {
    let token = claim.token();
    // When this node decided to act: before it, the claim was valid.
    let began = journal::now();
    let Some(attempt) = journal.begin(account, period, node, token, began)? else {
        return Ok(());
    };
    let mailed = claim.run(tokio::time::sleep(WORK)).await;
    match mailed {
        // The journal refuses a token that is older than one it has seen: whoever was stopped in between comes too
        // late.
        Ok(()) => journal.finish(attempt, claim.shard(), token),
        Err(_) => journal.cut(attempt),
    }
    // Only now the claim is dropped, and the shard may go to its next owner.
}
