//! What the demonstration shows, step by step, and what it checks.

use super::Demo;
use super::stage::{BALANCED, DemoRun, Gain, MARGIN_MS, SHARDS, VALIDITY_MS};
use crate::audit::ShardName;
use crate::exit::Exit;
use anyhow::Context;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// Something that must hold for the demonstration to have gone well.
struct Check {
    name: &'static str,
    held: bool,
}

/// Plays it from beginning to end.
pub(super) fn play(args: &Demo, stage: &mut DemoRun) -> anyhow::Result<Exit> {
    let began = Instant::now();
    let mut checks = Vec::new();

    begin(stage)?;
    checks.push(settle(stage)?);
    let (host, owned) = victim(stage)?;
    let takeover = kill(stage, &host, &owned)?;
    let standing = takeover.iter().all(|gain| gain.host != host);
    checks.push(Check {
        name: "every shard of the dead node was taken over",
        held: standing && takeover.len() == owned.len(),
    });
    checks.push(restart(stage, &host, &owned)?);
    if args.keep {
        linger(stage)?;
    }
    let well = stage.end()?;
    checks.push(Check {
        name: "all nodes ended in good order",
        held: well,
    });
    summary(stage, began, checks)
}

fn begin(stage: &mut DemoRun) -> anyhow::Result<()> {
    let hosts = stage.hosts.clone();
    let nodes = hosts.len();
    let place = stage.place()?;
    stage.screen.step(
        "begin",
        &format!(
            "{nodes} nodes, each a process of its own, meet {place}. They share {SHARDS} shards of {BALANCED} evenly, \
             and one\nshard each of purge.stores with a neighbour standing by; everybody does metrics.calculate."
        ),
        json!({ "nodes": nodes, "hosts": hosts, "place": place }),
    )?;
    for host in hosts {
        let pid = stage.start(host)?;
        stage.screen.step(
            "start",
            &format!("started {host}, process {pid}"),
            json!({ "host": host, "pid": pid }),
        )?;
    }
    let wait = VALIDITY_MS + MARGIN_MS;
    stage.screen.step(
        "grace",
        &format!(
            "The store is new. It could replace one that was lost, whose users are still at work, so nobody joins \
             before their sessions\nmust have run out: {wait} ms."
        ),
        json!({ "waitMs": wait }),
    )?;
    stage.until("all nodes to join", |stage, _| (stage.ids.len() == nodes).then_some(()))?;
    let ids: Vec<_> = stage
        .hosts
        .iter()
        .map(|host| format!("{host} is node {}", stage.ids[*host]))
        .collect();
    let text = format!("All have leased an id: {}.", ids.join(", "));
    Ok(stage.screen.step("joined", &text, json!({ "ids": stage.ids }))?)
}

/// Waits until every shard has an owner and the balanced ones are shared evenly.
fn settle(stage: &mut DemoRun) -> anyhow::Result<Check> {
    let nodes = u32::try_from(stage.hosts.len()).unwrap_or(u32::MAX);
    let (least, most) = (SHARDS / nodes, SHARDS.div_ceil(nodes));
    let counts = stage.until("the shards to be shared evenly", |stage, _| {
        let owned = stage.all_shards().all(|shard| stage.audit.holder(&shard).is_some());
        let count = |host: &&str| {
            stage
                .audit
                .held_by(host)
                .iter()
                .filter(|(role, _)| role == BALANCED)
                .count()
        };
        let counts: BTreeMap<&str, usize> = stage.hosts.iter().map(|host| (*host, count(host))).collect();
        let even = counts.values().all(|n| (least as usize..=most as usize).contains(n));
        // Static groups name the nodes by id: each acts on the shard of its own.
        let grouped = stage
            .hosts
            .iter()
            .all(|host| stage.audit.held_by(host).iter().any(|(role, _)| role != BALANCED));
        (owned && even && grouped).then_some(counts)
    })?;
    stage.screen.keep()?;
    let shares: Vec<_> = counts.iter().map(|(host, n)| format!("{host} {n}")).collect();
    let text = format!(
        "Every shard has an owner. {BALANCED} is balanced: {}.",
        shares.join(", ")
    );
    stage.screen.step("settled", &text, json!({ "shares": counts }))?;
    Ok(Check {
        name: "every shard found an owner, evenly",
        held: true,
    })
}

/// The node to be killed: the leader, the hardest case, with what it owns.
fn victim(stage: &mut DemoRun) -> anyhow::Result<(String, BTreeSet<ShardName>)> {
    let sight = stage.look()?;
    let leader = sight
        .records
        .iter()
        .find(|record| record.leader)
        .or_else(|| sight.records.first());
    let host = leader.context("there is no node")?.hostname.clone();
    let owned = stage.audit.held_by(&host);
    Ok((host, owned))
}

/// Kills the node and waits until others act on all of its shards.
fn kill(stage: &mut DemoRun, host: &str, owned: &BTreeSet<ShardName>) -> anyhow::Result<Vec<Gain>> {
    let (pid, died) = stage.kill(host)?;
    let sight = stage.look()?;
    let renewed = sight
        .records
        .iter()
        .find(|record| record.hostname == host)
        .map(|record| record.last_renewal);
    // On the local clock: both are milliseconds of the same machine's clock.
    let renewed = sight
        .here
        .0
        .saturating_sub(sight.now.since(renewed.context("it is in the registry")?));
    let bound = renewed + VALIDITY_MS + MARGIN_MS;
    stage.screen.step(
        "kill",
        &format!(
            "\nkill -9 {pid}: {host}, which leads, is dead with {} shards. Nobody can tell that from being slow, so \
             they wait until its\nsession has run out: {} ms from now.",
            owned.len(),
            bound.saturating_sub(died)
        ),
        json!({ "host": host, "pid": pid, "at": died, "sessionEnds": bound, "shards": names(owned) }),
    )?;
    let mut gains = stage.until("the dead node's shards to be taken over", |stage, gains| {
        let taken = |shard: &ShardName| stage.audit.holder(shard).is_some();
        owned.iter().all(taken).then(|| gains.to_vec())
    })?;
    gains.retain(|gain| owned.contains(&gain.shard));
    gains.sort_by(|a, b| (a.at, &a.shard).cmp(&(b.at, &b.shard)));
    stage.screen.keep()?;
    for gain in &gains {
        let (after_kill, after_bound) = (gain.at.saturating_sub(died), signed(gain.at, bound));
        let (role, shard) = &gain.shard;
        stage.screen.step(
            "takeover",
            &format!(
                "    {role}/{shard}: {} acts, {after_kill} ms after the kill, {after_bound} ms after the session's end",
                gain.host
            ),
            json!({
                "role": role,
                "shard": shard,
                "host": gain.host,
                "afterKillMs": after_kill,
                "afterSessionMs": after_bound,
            }),
        )?;
    }
    Ok(gains)
}

/// Starts the node again and waits until it has its shards back.
fn restart(stage: &mut DemoRun, host: &str, owned: &BTreeSet<ShardName>) -> anyhow::Result<Check> {
    let former = stage.ids.remove(host);
    let pid = stage.start(host)?;
    stage.screen.step(
        "restart",
        &format!("\nStarted {host} again, process {pid}. It was not away for long, so its place was kept."),
        json!({ "host": host, "pid": pid }),
    )?;
    let began = shardwright_coordinator::clock::boottime();
    let at = stage.until("the node to get its own shards back", |stage, gains| {
        let back = owned.is_subset(&stage.audit.held_by(host));
        back.then(|| {
            gains
                .iter()
                .filter(|gain| gain.host == host)
                .map(|gain| gain.at)
                .max()
                .unwrap_or(began)
        })
    })?;
    stage.screen.keep()?;
    let (same_id, same_shards) = (
        stage.ids.get(host) == former.as_ref(),
        stage.audit.held_by(host) == *owned,
    );
    let took = at.saturating_sub(began);
    let text = format!(
        "{host} has its id and its {} shards back, {took} ms after it was started.",
        owned.len()
    );
    stage.screen.step(
        "restored",
        &text,
        json!({ "host": host, "tookMs": took, "sameId": same_id, "sameShards": same_shards }),
    )?;
    Ok(Check {
        name: "the node that came back got its own id and shards",
        held: same_id && same_shards,
    })
}

fn linger(stage: &mut DemoRun) -> anyhow::Result<()> {
    let config = stage.yard.config(stage.hosts[0])?;
    let text = format!(
        "\nThe cluster stays until Ctrl-C. Look around in it from another terminal:\n    shardwright nodes --config \
         {0}\n    shardwright roles show {BALANCED} --config {0}",
        config.display()
    );
    stage.screen.step("keep", &text, json!({ "config": config }))?;
    stage.until_stopped()?;
    Ok(stage.screen.keep()?)
}

fn summary(stage: &mut DemoRun, began: Instant, mut checks: Vec<Check>) -> anyhow::Result<Exit> {
    let verdict = stage.audit.verdict();
    checks.push(Check {
        name: "no shard ever had two owners",
        held: verdict.double_owners == 0,
    });
    checks.push(Check {
        name: "every new owner had a higher token",
        held: verdict.bad_tokens == 0,
    });
    let (plans, native) = stage.plans;
    checks.push(Check {
        name: "every plan was made by a WebAssembly component",
        held: plans > 0 && native == 0,
    });
    let ok = checks.iter().all(|check| check.held);
    let lines: Vec<_> = checks
        .iter()
        .map(|check| format!("  {}  {}", if check.held { "ok    " } else { "FAILED" }, check.name))
        .collect();
    let seconds = began.elapsed().as_secs_f64();
    let text = format!(
        "\n{}\n{} moves, {} gaps (longest {} ms), {} double owners, {plans} plans, {seconds:.1} s.",
        lines.join("\n"),
        verdict.moves,
        verdict.gaps,
        verdict.longest_gap_ms,
        verdict.double_owners,
    );
    let mut fields = serde_json::to_value(&verdict)?;
    fields["ok"] = ok.into();
    fields["seconds"] = seconds.into();
    fields["checks"] = checks
        .iter()
        .map(|check| json!({ "name": check.name, "held": check.held }))
        .collect::<Value>();
    stage.screen.step("summary", &text, fields)?;
    Ok(if ok { Exit::Ok } else { Exit::Unhealthy })
}

fn names(shards: &BTreeSet<ShardName>) -> Value {
    shards
        .iter()
        .map(|(role, shard)| json!({ "role": role, "shard": shard }))
        .collect()
}

/// `a − b`.
fn signed(a: u64, b: u64) -> i64 {
    let ms = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    ms(a) - ms(b)
}
