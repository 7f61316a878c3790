//! A server that works on the shards of its node, as an embedder would: `chaos-worker node …`. And the end of a wire in
//! another network namespace: `chaos-worker relay …`.

mod act;
mod journal;
mod plant;
mod relay;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use act::Worker;
use anyhow::{Result, bail};
use clap::{Args, Parser};
use journal::{Journal, Line};
use plant::Plant;
use shardwright::{EventStream, Mode, Node, NodeEvent};
use shardwright_chaos::clock::now;
use shardwright_chaos::history::Process;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tracing_subscriber::EnvFilter;

/// How often a node notes that it holds its id.
const LIVE: Duration = Duration::from_millis(50);

/// How long acts may take to end when the node is gone.
const LAST_WORDS: Duration = Duration::from_secs(2);

#[derive(Parser)]
enum Command {
    /// Run one node and work on its shards.
    Node(NodeArguments),
    /// Carry connections from a port of 127.0.0.1 to an address.
    Relay(relay::Arguments),
}

#[derive(Args)]
struct NodeArguments {
    /// The node's configuration.
    #[arg(long)]
    config: PathBuf,
    /// Where compiled components are kept.
    #[arg(long)]
    cache_dir: PathBuf,
    /// The hostname.
    #[arg(long)]
    host: String,
    /// Which of the processes under this hostname it is.
    #[arg(long)]
    number: u32,
    /// The file to append acts to.
    #[arg(long)]
    journal: PathBuf,
    /// The socket of the resource.
    #[arg(long)]
    resource: PathBuf,
    /// Work wrongly, for the checker to find.
    #[arg(long, value_enum)]
    plant: Option<Plant>,
}

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let done = match Command::parse() {
        Command::Node(arguments) => run(arguments).await,
        Command::Relay(arguments) => relay::run(arguments).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: NodeArguments) -> Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .init();
    let mut terminate = signal(SignalKind::terminate())?;
    let builder = Node::builder()
        .config_file(&arguments.config)
        .cache_dir(&arguments.cache_dir)
        .hostname(&arguments.host);
    let node = tokio::select! {
        node = builder.start() => node?,
        _ = terminate.recv() => return Ok(()),
    };
    let worker = Worker {
        by: Process {
            host: arguments.host,
            number: arguments.number,
        },
        node: Arc::new(RwLock::new(Some(node.clone()))),
        journal: Arc::new(Journal::open(&arguments.journal)?),
        resource: arguments.resource,
        plant: arguments.plant,
        graces: Arc::default(),
    };
    let mut tasks = JoinSet::new();
    for role in node.roles().filter(|role| role.spec().mode == Mode::Primary) {
        for shard in 0..role.spec().shards {
            tasks.spawn(act::work(worker.clone(), role.clone(), shard));
        }
    }
    tasks.spawn(live(worker.clone()));
    tasks.spawn(listen(worker.clone(), node.events()));
    tokio::select! {
        _ = terminate.recv() => {}
        reason = node.ended() => bail!("the node has ended: {reason}"),
        Some(failed) = tasks.join_next() => bail!("a task of the worker failed: {failed:?}"),
    }
    worker.close();
    node.shutdown().await;
    // Their claims are lost, so their acts are over, but for the last lines of each.
    let ends = async {
        while let Some(ended) = tasks.join_next().await {
            ended??;
        }
        Ok(())
    };
    tokio::time::timeout(LAST_WORDS, ends).await.unwrap_or(Ok(()))
}

/// Notes what the node is told of the store.
async fn listen(worker: Worker, mut events: EventStream) -> Result<()> {
    while worker.is_open() {
        // So that it ends with the others.
        let Ok(event) = tokio::time::timeout(LIVE, events.next()).await else {
            continue;
        };
        let at = now();
        match event {
            Some(NodeEvent::Grace { wait, .. }) => {
                worker.graces.fetch_add(1, Ordering::Relaxed);
                let wait = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                worker.journal.append(&Line::Grace { wait, at })?;
            }
            Some(NodeEvent::ClockJumped { .. }) => worker.journal.append(&Line::ClockJumped)?,
            Some(_) => {}
            // The node has ended; whoever waits for that says why.
            None => tokio::time::sleep(LIVE).await,
        }
    }
    Ok(())
}

/// Notes, while it lasts, that the node holds its id, and whose the ids are that it knows.
async fn live(worker: Worker) -> Result<()> {
    let mut ticks = tokio::time::interval(LIVE);
    let mut noted = Vec::new();
    loop {
        ticks.tick().await;
        let at = now();
        let Some(nodes) = worker.known() else { return Ok(()) };
        if nodes != noted {
            noted.clone_from(&nodes);
            worker.journal.append(&Line::Known { nodes, at })?;
        }
        let Some((node, _)) = worker.id() else { continue };
        let at = now();
        // Whoever joins again may get another id in between.
        if worker.id() == Some((node, true)) {
            worker.journal.append(&Line::Live { node, at })?;
        }
    }
}
