//! `shardwright roles` and `shardwright owner`: who has which shard.

use crate::cluster::{Cluster, ClusterArgs};
use crate::exit::Exit;
use crate::output::{self, Format, Output, Table};
use crate::shards::{self, RoleView, Shard, State};
use anyhow::Context;
use clap::{Args, Subcommand};
use serde::Serialize;
use shardwright_core::role::Mode;
use shardwright_core::shard::shard_of;

/// Arguments of `roles`.
#[derive(Args, Debug)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Shards are numbered from 0.\n\nExit codes: 0 every shard has an acting node; 1 error; 3 a shard has \
                  none: `shardwright status` shows the reason."
)]
pub(crate) struct Roles {
    #[command(subcommand)]
    show: Option<Show>,
    #[command(flatten)]
    which: ClusterArgs,
    #[command(flatten)]
    output: Output,
}

#[derive(Subcommand, Debug)]
enum Show {
    /// Show each shard of a role: its primary, token, standbys and target
    Show(ShowRole),
}

#[derive(Args, Debug)]
#[command(after_help = "Exit codes: 0 every shard has an acting node; 1 error; 3 a shard has none.")]
struct ShowRole {
    /// The role, as in `purge.accounts`
    role: String,
    #[command(flatten)]
    which: ClusterArgs,
    #[command(flatten)]
    output: Output,
}

/// Arguments of `owner`.
#[derive(Args, Debug)]
#[command(after_help = "Exit codes: 0 the shard has an acting node; 1 error; 3 it has none.")]
pub(crate) struct Owner {
    /// The role, as in `purge.accounts`
    role: String,
    /// The key: interpreted as a number, signed or not, if it is one, and as text otherwise
    #[arg(allow_negative_numbers = true)]
    key: String,
    /// Interpret the key as text, even if it is a number
    #[arg(long)]
    text: bool,
    #[command(flatten)]
    which: ClusterArgs,
    #[command(flatten)]
    output: Output,
}

#[derive(Serialize)]
struct Summary {
    role: String,
    mode: Mode,
    shards: u32,
    policy: Option<String>,
    epoch: u64,
    held: usize,
    moving: usize,
    orphaned: usize,
    unowned: usize,
    /// Shards per acting node.
    nodes: std::collections::BTreeMap<u32, u32>,
}

/// Lists the roles, or shows one.
pub(crate) async fn run(args: &Roles) -> anyhow::Result<Exit> {
    if let Some(Show::Show(show)) = &args.show {
        return one(show).await;
    }
    let cluster = Cluster::open(&args.which).await?;
    let sight = cluster.look().await?;
    let summaries: Vec<Summary> = shards::roles(&cluster, &sight).iter().map(summary).collect();
    let exit = health(summaries.iter().all(|summary| summary.orphaned + summary.unowned == 0));
    if args.output.format == Format::Json {
        output::json(&summaries)?;
        return Ok(exit);
    }
    let wide = args.output.format == Format::Wide;
    let columns = ["ROLE", "MODE", "SHARDS", "HELD", "STATE", "POLICY", "EPOCH", "NODES"];
    let mut table = Table::new(&columns[..if wide { 8 } else { 5 }]);
    for summary in summaries {
        let shares: Vec<_> = summary
            .nodes
            .iter()
            .map(|(node, count)| format!("{node}:{count}"))
            .collect();
        let state = state(&summary);
        let cells = [
            summary.role,
            mode(summary.mode).to_owned(),
            summary.shards.to_string(),
            summary.held.to_string(),
            state,
        ];
        let more = [
            output::or_dash(summary.policy),
            summary.epoch.to_string(),
            shares.join(" "),
        ];
        table.row(cells.into_iter().chain(more.into_iter().filter(|_| wide)));
    }
    table.print()?;
    Ok(exit)
}

const fn health(well: bool) -> Exit {
    if well { Exit::Ok } else { Exit::Unhealthy }
}

fn summary(role: &RoleView<'_>) -> Summary {
    let all = role.every_shard();
    let count = |state| all.iter().filter(|shard| shard.state == state).count();
    let mut nodes = std::collections::BTreeMap::new();
    for shard in &all {
        let others = shard.standbys.iter().copied().filter(|_| role.mode() == Mode::All);
        for node in shard.primary.into_iter().chain(others) {
            *nodes.entry(node).or_insert(0) += 1;
        }
    }
    Summary {
        role: role.name.clone(),
        mode: role.mode(),
        shards: role.count(),
        policy: role.spec.map(|spec| spec.policy.clone()),
        epoch: role.epoch(),
        held: count(State::Held),
        moving: count(State::Moving),
        orphaned: count(State::Orphaned),
        unowned: count(State::Unowned),
        nodes,
    }
}

fn state(summary: &Summary) -> String {
    let parts = [
        (summary.moving, "moving"),
        (summary.orphaned, "orphaned"),
        (summary.unowned, "unowned"),
    ];
    let told: Vec<_> = parts
        .into_iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, what)| format!("{n} {what}"))
        .collect();
    if told.is_empty() {
        "ok".to_owned()
    } else {
        told.join(", ")
    }
}

const fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Primary => "primary",
        Mode::All => "all",
    }
}

async fn one(args: &ShowRole) -> anyhow::Result<Exit> {
    let cluster = Cluster::open(&args.which).await?;
    let sight = cluster.look().await?;
    let views = shards::roles(&cluster, &sight);
    let role = find(&views, &args.role)?;
    let all = role.shards();
    let exit = health(role.every_shard().iter().all(|shard| shard.primary.is_some()));
    if args.output.format == Format::Json {
        #[derive(Serialize)]
        struct Shown<'a> {
            role: &'a str,
            mode: Mode,
            epoch: u64,
            shards: &'a [Shard],
        }
        output::json(&Shown {
            role: &role.name,
            mode: role.mode(),
            epoch: role.epoch(),
            shards: &all,
        })?;
        return Ok(exit);
    }
    let others = if role.mode() == Mode::All {
        "OTHER OWNERS"
    } else {
        "STANDBYS"
    };
    let mut table = Table::new(&["SHARD", "PRIMARY", "TOKEN", others, "TARGET", "STATE"]);
    for shard in &all {
        table.row([
            shard.shard.to_string(),
            output::or_dash(shard.primary.map(|node| sight.label(node))),
            output::or_dash(shard.token),
            output::or_dash(Some(list(&shard.standbys)).filter(|text| !text.is_empty())),
            output::or_dash(shard.target.map(|node| sight.label(node))),
            shard.state.word().to_owned(),
        ]);
    }
    table.print()?;
    if all.is_empty() {
        output::line("This role has no plan yet: the leader makes one when a node that runs it is there.")?;
    }
    if !role.agrees() {
        output::line(
            "The stored plan is of another number of shards or mode than the configuration says: nodes with this \
             configuration do not act on it.",
        )?;
    }
    Ok(exit)
}

fn find<'v, 's>(views: &'v [RoleView<'s>], name: &str) -> anyhow::Result<&'v RoleView<'s>> {
    views.iter().find(|role| role.name == name).with_context(|| {
        let known: Vec<_> = views.iter().map(|role| role.name.as_str()).collect();
        format!("there is no role {name:?}; there are: {}", known.join(", "))
    })
}

fn list(nodes: &[u32]) -> String {
    nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// Says who has the shard of a key. Unhealthy if nobody acts on it.
pub(crate) async fn owner(args: &Owner) -> anyhow::Result<Exit> {
    let cluster = Cluster::open(&args.which).await?;
    let sight = cluster.look().await?;
    let views = shards::roles(&cluster, &sight);
    let role = find(&views, &args.role)?;
    let unsigned = args.key.parse::<u64>().ok();
    let number = unsigned.or_else(|| args.key.parse::<i64>().ok().map(i64::cast_unsigned));
    let number = number.filter(|_| !args.text);
    let at = number.map_or_else(
        || shard_of(args.key.as_str(), role.count()),
        |key| shard_of(&key, role.count()),
    );
    let shard = role
        .shards()
        .into_iter()
        .nth(at as usize)
        .unwrap_or(Shard::unplanned(at));
    let exit = health(shard.primary.is_some());
    if args.output.format == Format::Json {
        #[derive(Serialize)]
        struct Owned<'a> {
            role: &'a str,
            key: &'a str,
            #[serde(flatten)]
            shard: Shard,
        }
        output::json(&Owned {
            role: &role.name,
            key: &args.key,
            shard,
        })?;
        return Ok(exit);
    }
    let rows = [
        ("role", role.name.clone()),
        (
            "key",
            format!("{} ({})", args.key, if number.is_some() { "number" } else { "text" }),
        ),
        ("shard", format!("{} of {}", shard.shard, role.count())),
        ("primary", output::or_dash(shard.primary.map(|node| sight.label(node)))),
        (
            if role.mode() == Mode::All {
                "also act"
            } else {
                "standbys"
            },
            output::or_dash(Some(list(&shard.standbys)).filter(|text| !text.is_empty())),
        ),
        ("token", output::or_dash(shard.token)),
        ("state", shard.state.word().to_owned()),
    ];
    for (name, value) in rows {
        output::line(&format!("{name:<9} {}", output::plain(&value)))?;
    }
    Ok(exit)
}
