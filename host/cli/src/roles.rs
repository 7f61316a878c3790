//! `shardwright roles` and `shardwright owner`: who has which shard.

use crate::cluster::{Cluster, Sight, Which};
use crate::exit::Exit;
use crate::output::{self, Format, Output, Table};
use crate::shards::{self, RoleView, Shard, State};
use anyhow::Context;
use clap::{Args, Subcommand};
use serde::Serialize;
use shardwright_core::id::NodeId;
use shardwright_core::role::Mode;
use shardwright_core::shard::shard_of;

/// Arguments of `roles`.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Roles {
    #[command(subcommand)]
    show: Option<Show>,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    output: Output,
}

#[derive(Subcommand, Debug)]
enum Show {
    /// Each shard of a role: who acts, under which token, who stands by, where it is moving
    Show(ShowRole),
}

#[derive(Args, Debug)]
struct ShowRole {
    /// The role, as in `purge.accounts`
    role: String,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    output: Output,
}

/// Arguments of `owner`.
#[derive(Args, Debug)]
pub(crate) struct Owner {
    /// The role, as in `purge.accounts`
    role: String,
    /// The key: a number is taken as one, anything else as text
    key: String,
    /// Take the key as text, even if it is a number
    #[arg(long)]
    text: bool,
    #[command(flatten)]
    which: Which,
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
    if args.output.format == Format::Json {
        output::json(&summaries)?;
        return Ok(Exit::Ok);
    }
    let wide = args.output.format == Format::Wide;
    let columns = ["ROLE", "MODE", "SHARDS", "HELD", "STATE", "POLICY", "EPOCH", "NODES"];
    let mut table = Table::new(&columns[..if wide { 8 } else { 5 }]);
    for summary in summaries {
        let shares: Vec<_> = summary.nodes.iter().map(|(node, count)| format!("{node}:{count}")).collect();
        let state = state(&summary);
        let cells = [
            summary.role,
            mode(summary.mode).to_owned(),
            summary.shards.to_string(),
            summary.held.to_string(),
            state,
        ];
        let more = [output::or_dash(summary.policy), summary.epoch.to_string(), shares.join(" ")];
        table.row(cells.into_iter().chain(more.into_iter().filter(|_| wide)));
    }
    table.print()?;
    Ok(Exit::Ok)
}

fn summary(role: &RoleView<'_>) -> Summary {
    let all = role.shards();
    let count = |state| all.iter().filter(|shard| shard.state == state).count();
    let mut nodes = std::collections::BTreeMap::new();
    for shard in &all {
        let others = shard.standbys.iter().copied().filter(|_| role.mode() == Mode::All);
        for node in shard.primary.into_iter().chain(others) {
            *nodes.entry(node).or_insert(0) += 1;
        }
    }
    let unplanned = if all.is_empty() { role.count() as usize } else { 0 };
    Summary {
        role: role.name.clone(),
        mode: role.mode(),
        shards: role.count(),
        policy: role.spec.map(|spec| spec.policy.clone()),
        epoch: role.epoch(),
        held: count(State::Held),
        moving: count(State::Moving),
        orphaned: count(State::Orphaned),
        unowned: count(State::Unowned) + unplanned,
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
    if told.is_empty() { "ok".to_owned() } else { told.join(", ") }
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
        return Ok(Exit::Ok);
    }
    let others = if role.mode() == Mode::All { "OTHER OWNERS" } else { "STANDBYS" };
    let mut table = Table::new(&["SHARD", "PRIMARY", "TOKEN", others, "TARGET", "STATE"]);
    for shard in &all {
        table.row([
            shard.shard.to_string(),
            output::or_dash(shard.primary.map(|node| named(&sight, node))),
            output::or_dash(shard.token),
            output::or_dash(Some(list(&shard.standbys)).filter(|text| !text.is_empty())),
            output::or_dash(shard.target.map(|node| named(&sight, node))),
            shard.state.word().to_owned(),
        ]);
    }
    table.print()?;
    if all.is_empty() {
        output::line("This role has no plan yet: the leader makes one when a node that runs it is there.")?;
    }
    if !role.agrees() {
        output::line(
            "The stored plan is of another number of shards or mode than the configuration says: nodes with this configuration do not act on it.",
        )?;
    }
    Ok(Exit::Ok)
}

fn find<'v, 's>(views: &'v [RoleView<'s>], name: &str) -> anyhow::Result<&'v RoleView<'s>> {
    views.iter().find(|role| role.name == name).with_context(|| {
        let known: Vec<_> = views.iter().map(|role| role.name.as_str()).collect();
        format!("there is no role {name:?}; there are: {}", known.join(", "))
    })
}

fn named(sight: &Sight, node: u32) -> String {
    NodeId::new(node).map_or_else(|| node.to_string(), |id| format!("{node} ({})", sight.name(id)))
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
    let number = args.key.parse::<u64>().ok().filter(|_| !args.text);
    let at = number.map_or_else(|| shard_of(args.key.as_str(), role.count()), |key| shard_of(&key, role.count()));
    let unplanned = Shard {
        shard: at,
        primary: None,
        token: None,
        standbys: Vec::new(),
        target: None,
        state: State::Unowned,
    };
    let shard = role.shards().into_iter().nth(at as usize).unwrap_or(unplanned);
    let exit = if shard.primary.is_some() { Exit::Ok } else { Exit::Unhealthy };
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
        ("primary", output::or_dash(shard.primary.map(|node| named(&sight, node)))),
        (
            if role.mode() == Mode::All { "also act" } else { "standbys" },
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
