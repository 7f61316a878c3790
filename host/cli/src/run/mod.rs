//! `shardwright run`: one node, as a process of its own.

mod events;
mod logs;

use crate::cluster::{self, ClusterArgs};
use crate::exit::Exit;
use crate::stop;
use anyhow::{Context, bail};
use clap::Args;
use events::{Events, EventsFormat};
use logs::LogFormat;
use shardwright::Node;
use shardwright_config::Code;
use std::path::PathBuf;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

/// What a start that needs the file says by itself, as the reason why there is none.
const MISSING: [Code; 3] = [Code::MissingPolicyFile, Code::MissingAdapterFile, Code::MissingTlsFile];

/// Signals that follow the first within this time count as the same.
const ECHO: Duration = Duration::from_millis(500);

/// Arguments of `run`.
#[derive(Args, Debug)]
#[command(after_help = "\
The hostname is SHARDWRIGHT_HOSTNAME, else STALWART_HOSTNAME, else the hostname of the operating system.
SIGTERM and SIGINT end the node in good order: its work stops, and other nodes take over its shards at once. If the \
                        node returns within rejoin-delay, it gets them back. A second signal ends it immediately. \
                        SIGHUP reloads the files of the policies and of the adapter. RUST_LOG filters the log.")]
pub(crate) struct Run {
    /// The node's configuration [default: ./shardwright.toml, /etc/shardwright/config.toml]
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Write the events of the node to stdout, one per line; see docs/events.md
    #[arg(long, value_enum, value_name = "FORMAT")]
    events: Option<EventsFormat>,
    /// Simulate work: at this interval, write an `act` event for the shards of which this node is the primary
    #[arg(long, value_name = "PAUSE", value_parser = pause, requires = "events")]
    rehearse: Option<Duration>,
    /// The format of the log on stderr
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    log_format: LogFormat,
    /// The folder of the code cache [default: /var/cache/shardwright for root, else below XDG_CACHE_HOME]
    #[arg(long, value_name = "DIR")]
    cache_dir: Option<PathBuf>,
    /// End in good order when stdin ends, so that the node ends with its parent process
    #[arg(long)]
    until_stdin_ends: bool,
}

/// Runs the node until it is told to stop.
pub(crate) async fn run(args: Run) -> anyhow::Result<Exit> {
    logs::init(args.log_format);
    let Some((config, report)) = ClusterArgs::of(args.config).read()? else {
        bail!(
            "there is no configuration: name one with --config FILE, or write ./shardwright.toml or \
             /etc/shardwright/config.toml"
        );
    };
    for problem in report
        .problems()
        .iter()
        .filter(|problem| !MISSING.contains(&problem.code))
    {
        tracing::warn!(code = problem.code.as_str(), help = problem.help, "{}", problem.message);
    }
    cluster::check_usable(&config.coordinator)?;
    let mut stop = Stop::new(args.until_stdin_ends)?;
    let mut hangup = signal(SignalKind::hangup()).context("SIGHUP cannot be listened for")?;
    let events = Events::new(args.events)?;
    let builder = Node::builder()
        .config(config)
        .version(env!("CARGO_PKG_VERSION"))
        .on_losing(events.on_losing());
    let builder = match &args.cache_dir {
        Some(dir) => builder.cache_dir(dir),
        None => builder,
    };
    let node = tokio::select! {
        started = builder.start() => started?,
        () = stop.asked() => {
            tracing::info!("asked to stop before the node had joined: there is nothing to hand over");
            events.finish().await;
            return Ok(Exit::Ok);
        }
    };
    let mut telling = events.follow(&node);
    let mut rehearsing = JoinSet::new();
    if let Some(pause) = args.rehearse {
        rehearsing.spawn(events.rehearse(&node, pause));
    }
    let mut told = None;
    let mut failed = None;
    loop {
        tokio::select! {
            () = stop.asked() => {
                tracing::info!("asked to stop: handing over");
                break;
            }
            _ = node.ended() => break,
            // It ends with the node, or by a panic.
            done = &mut telling => {
                told = Some(done);
                break;
            }
            Some(Err(error)) = rehearsing.join_next() => {
                failed = Some(anyhow::Error::from(error).context("the rehearsal failed"));
                break;
            }
            _ = hangup.recv() => tokio::select! {
                () = reload(&node) => {}
                () = stop.asked() => break,
                _ = node.ended() => break,
            },
        }
    }
    tokio::select! {
        // What has ended already is not held up.
        () = node.shutdown() => {}
        // Who sends one signal to a process and to its group means one.
        () = async { tokio::time::sleep(ECHO).await; stop.asked().await } => bail!(
            "told to stop a second time: ended on the spot; the others take over when the session has expired"
        ),
    }
    rehearsing.shutdown().await;
    let told = match told {
        Some(told) => told,
        None => telling.await,
    };
    let ended = told.context("the events could not be told to the end")?;
    events.finish().await;
    match (ended, failed) {
        (Some(reason), _) => bail!("the node has ended: {reason}"),
        (None, Some(failed)) => Err(failed),
        (None, None) => Ok(Exit::Ok),
    }
}

fn pause(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err("there must be some time between two acts".into()),
        other => other.map_err(|error| error.to_string()),
    }
}

async fn reload(node: &Node) {
    match node.reload_policies().await {
        Ok(replaced) if replaced.is_empty() => {
            tracing::info!("the files of the policies were read again: none has changed");
        }
        Ok(replaced) => tracing::info!(replaced = replaced.join(" "), "policies were read again, and replaced"),
        Err(error) => tracing::error!(
            %error,
            "a policy was not replaced, and the present one goes on. A node that is started with this file refuses it"
        ),
    }
    // What came of it otherwise is an event, which is logged too.
    #[cfg(feature = "adapters")]
    if let (Ok(None), Some(present)) = (node.reload_adapter().await, node.adapter_status()) {
        tracing::info!(
            name = present.name,
            version = present.version,
            "the adapter was read again and is the same"
        );
    }
}

/// The ways to be told to stop.
struct Stop {
    signals: stop::Stop,
    /// Closed when stdin has ended, if that counts.
    parent_gone: Option<tokio::sync::oneshot::Receiver<()>>,
}

impl Stop {
    fn new(until_stdin_ends: bool) -> anyhow::Result<Self> {
        let mut parent_gone = None;
        if until_stdin_ends {
            let (here, gone) = tokio::sync::oneshot::channel::<()>();
            let watch = move || {
                // However the thread ends, nobody holds the other end any more.
                let _here = here;
                // An unreadable stdin is as good as an ended one.
                let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
            };
            std::thread::Builder::new()
                .name("stdin".into())
                .spawn(watch)
                .context("no thread for stdin")?;
            parent_gone = Some(gone);
        }
        Ok(Self {
            signals: stop::Stop::new()?,
            parent_gone,
        })
    }

    /// Waits for the next request. Cancel-safe.
    async fn asked(&mut self) {
        tokio::select! {
            () = self.signals.asked() => {}
            () = ended(&mut self.parent_gone) => {}
        }
    }
}

/// Waits until the other end is gone, once.
async fn ended(gone: &mut Option<tokio::sync::oneshot::Receiver<()>>) {
    match gone {
        Some(ends) => {
            // It only ever says that it is gone.
            let _ = ends.await;
            *gone = None;
        }
        None => std::future::pending().await,
    }
}
