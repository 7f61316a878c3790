//! `shardwright nodes`: the registry, and the operator's orders.

mod forget;
mod impact;
mod list;
mod load;
mod orders;
mod targets;
mod wait;

pub(crate) use list::{rfc3339, word};
pub(crate) use load::Load;

use crate::cluster::{Cluster, ClusterArgs};
use crate::exit::Exit;
use crate::output::Output;
use clap::{Args, Subcommand};
use orders::Order;
use std::time::Duration;

/// Arguments of `nodes`.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Nodes {
    #[command(subcommand)]
    order: Option<NodeOrder>,
    #[command(flatten)]
    which: ClusterArgs,
    #[command(flatten)]
    output: Output,
    /// In JSON, also what other software does not know: shards, zone, labels, orders, session
    #[arg(long)]
    all: bool,
}

#[derive(Subcommand, Debug)]
enum NodeOrder {
    /// Move everything away from nodes; they stay in the cluster
    Drain(Drain),
    /// Let drained nodes have shards again
    Undrain(Named),
    /// Let nodes keep what they have, and give them nothing more
    Cordon(Named),
    /// Let cordoned nodes have more shards again
    Uncordon(Named),
    /// Remove nodes that are gone for good, and free their ids
    Forget(Forget),
}

/// Some nodes.
#[derive(Args, Debug)]
#[command(after_help = "Exit codes: 0 ordered, or it was so already; 1 it could not be ordered.")]
struct Named {
    /// The nodes, by id or hostname
    #[arg(value_name = "NODE", required = true, value_parser = targets::node)]
    nodes: Vec<String>,
    #[command(flatten)]
    which: ClusterArgs,
    #[command(flatten)]
    output: Output,
}

#[derive(Args, Debug)]
#[command(after_help = "\
The order stands until `undrain`, also if this command is interrupted or the node restarts. A node whose shards nobody \
                        else may take keeps acting on them until it is stopped; then nobody does. Where this is so, \
                        it is said, and nothing is ordered without --force.

Exit codes: 0 ordered, and with --wait: nothing is left there; 1 it could not be ordered; 3 ordered, but with --wait: \
                        something stays there, or the time is over; 4 refused without --force, nothing was changed.")]
struct Drain {
    /// The nodes, by id or hostname
    #[arg(value_name = "NODE", required = true, value_parser = targets::node)]
    nodes: Vec<String>,
    /// Wait until nothing is left on them, and show how far it is
    #[arg(long)]
    wait: bool,
    /// The longest to wait, as in 5m
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, requires = "wait")]
    timeout: Option<Duration>,
    /// Order it even if it leaves shards without anybody who may take them
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    which: ClusterArgs,
    #[command(flatten)]
    output: Output,
}

#[derive(Args, Debug)]
#[command(after_help = "\
If one of the named nodes cannot be forgotten, none is. With --ended, those that cannot be yet are left out.

Exit codes: 0 forgotten; 1 nothing was forgotten; 3 with --ended: some were left out.")]
struct Forget {
    /// The nodes, by id or hostname
    #[arg(value_name = "NODE", required_unless_present = "ended", value_parser = targets::node)]
    nodes: Vec<String>,
    /// All nodes that have left, or whose sessions have expired
    #[arg(long, conflicts_with = "nodes")]
    ended: bool,
    #[command(flatten)]
    which: ClusterArgs,
    #[command(flatten)]
    output: Output,
}

/// Lists the nodes, or gives some of them an order.
pub(crate) async fn run(args: &Nodes) -> anyhow::Result<Exit> {
    match &args.order {
        None => {
            let cluster = Cluster::open(&args.which).await?;
            list::show(&cluster, &cluster.look().await?, args.output.format, args.all)
        }
        Some(NodeOrder::Drain(args)) => drain(args).await,
        Some(NodeOrder::Undrain(args)) => give(args, Order::Drain(false)).await,
        Some(NodeOrder::Cordon(args)) => give(args, Order::Cordon(true)).await,
        Some(NodeOrder::Uncordon(args)) => give(args, Order::Cordon(false)).await,
        Some(NodeOrder::Forget(args)) => {
            let cluster = Cluster::open(&args.which).await?;
            forget::run(&cluster, &args.nodes, args.output.format).await
        }
    }
}

async fn give(args: &Named, order: Order) -> anyhow::Result<Exit> {
    let cluster = Cluster::open(&args.which).await?;
    let sight = cluster.look().await?;
    let nodes = targets::find(&sight, &args.nodes)?;
    let given = orders::give(&cluster, &sight, order, &nodes, args.output.format).await?;
    given.show(args.output.format)?;
    Ok(Exit::Ok)
}

async fn drain(args: &Drain) -> anyhow::Result<Exit> {
    let cluster = Cluster::open(&args.which).await?;
    let format = args.output.format;
    let sight = cluster.look().await?;
    let nodes = targets::find(&sight, &args.nodes)?;
    let stranded = impact::of_drain(&cluster, &sight, &nodes);
    if !stranded.is_empty() && !args.force {
        return impact::refuse(&cluster, &stranded, format);
    }
    impact::warn(&cluster, &stranded, format)?;
    let mut given = orders::give(&cluster, &sight, Order::Drain(true), &nodes, format).await?;
    if args.wait {
        given.drained = Some(wait::until_empty(&cluster, &nodes, args.timeout, format).await?);
    }
    given.show(format)?;
    Ok(if given.drained == Some(false) {
        Exit::Unhealthy
    } else {
        Exit::Ok
    })
}
