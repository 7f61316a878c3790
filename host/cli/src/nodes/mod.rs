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
    /// Include Shardwright's own fields in JSON: shards, zone, labels, orders, session
    #[arg(long)]
    all: bool,
}

#[derive(Subcommand, Debug)]
enum NodeOrder {
    /// Move all shards away from nodes, which stay in the cluster
    Drain(Drain),
    /// Allow drained nodes to own shards again
    Undrain(Named),
    /// Assign no new shards to nodes, which keep those they own
    Cordon(Named),
    /// Allow cordoned nodes to own new shards again
    Uncordon(Named),
    /// Remove nodes that ended for good, and free their ids
    Forget(Forget),
}

/// Some nodes.
#[derive(Args, Debug)]
#[command(after_help = "Exit codes: 0 ordered, or unchanged; 1 error.")]
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
The order stands until `undrain`, even if this command is interrupted or the node restarts. A node keeps acting on \
                        shards that no other node may own until it is stopped; then they have no acting node. The \
                        command lists such shards and is refused unless --force is given.

Exit codes: 0 ordered, and with --wait no shard is left; 1 error; 3 ordered, but with --wait some shards stay or the \
                        time-out expired; 4 refused without --force, nothing was changed.")]
struct Drain {
    /// The nodes, by id or hostname
    #[arg(value_name = "NODE", required = true, value_parser = targets::node)]
    nodes: Vec<String>,
    /// Wait until the nodes have no shard left, and show the progress
    #[arg(long)]
    wait: bool,
    /// The limit of --wait, as in 5m
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, requires = "wait")]
    timeout: Option<Duration>,
    /// Give the order even if some shards have no other eligible node
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    which: ClusterArgs,
    #[command(flatten)]
    output: Output,
}

#[derive(Args, Debug)]
#[command(after_help = "\
If one of the named nodes cannot be forgotten, none is. With --ended, nodes that ended too recently are skipped.

Exit codes: 0 forgotten; 1 nothing was forgotten; 3 with --ended, some nodes were skipped.")]
struct Forget {
    /// The nodes, by id or hostname
    #[arg(value_name = "NODE", required_unless_present = "ended", value_parser = targets::node)]
    nodes: Vec<String>,
    /// Forget all nodes that have left, or whose sessions have expired
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
