//! What happens in the course of each trial.

use crate::trial::{HOSTS, MARGIN, Trial, VALIDITY};
use rustix::process::Signal;
use shardwright_coordinator::clock::boottime;
use shardwright_servers::{Proxy, Server};
use std::time::Duration;

/// Three nodes start, and every shard is worked on.
pub(crate) fn begin(trial: &mut Trial) {
    for host in HOSTS {
        trial.start(host);
    }
    for host in HOSTS {
        trial.event(host, "ready", 0);
    }
    trial.shared(&HOSTS);
}

/// The leader is killed; the others take over, and it gets its place back.
pub(crate) fn leader_killed(trial: &mut Trial) {
    let leader = trial.leader();
    let others: Vec<_> = HOSTS.into_iter().filter(|host| *host != leader).collect();
    trial.kill(&leader);
    let dead = boottime();
    trial.taken_over(&others);
    trial.idle(Some(&leader), dead + 1, boottime());
    trial.start(&leader);
    trial.shared(&HOSTS);
}

/// A node is stopped for longer than its session holds, and goes on where it stood.
pub(crate) fn node_stopped(trial: &mut Trial, host: &str) {
    let others: Vec<_> = HOSTS.into_iter().filter(|other| *other != host).collect();
    trial.stop(host);
    let stopped = boottime();
    trial.taken_over(&others);
    let resumed = boottime();
    assert!(
        resumed - stopped > VALIDITY / 2,
        "nobody takes over from a session that holds"
    );
    trial.node(host).signal(Signal::CONT).expect("it lives");
    // It has found out before it does anything; that none of its acts comes too late is judged at the end.
    trial.event(host, "losing", stopped);
    trial.shared(&HOSTS);
    trial.idle(Some(host), stopped + 1, resumed);
}

/// The server dies and comes back with what it had.
pub(crate) fn server_restarted(trial: &mut Trial, server: &Server) {
    server.kill().expect("killed");
    let dead = boottime();
    server.start_again().expect("it starts");
    trial.worked_on("work to go on after a restart of the server", dead + VALIDITY);
    trial.shared(&HOSTS);
    for host in HOSTS {
        let log = trial.yard.log(host);
        assert!(!log.contains("panicked"), "{log}");
    }
}

/// One node cannot reach the server for longer than its session holds.
pub(crate) fn link_cut(trial: &mut Trial, host: &str, proxy: &Proxy) {
    let others: Vec<_> = HOSTS.into_iter().filter(|other| *other != host).collect();
    proxy.cut();
    let cut = boottime();
    trial.event(host, "fenced", cut);
    trial.event(host, "losing", cut);
    trial.taken_over(&others);
    let healed = boottime();
    trial.idle(Some(host), cut + VALIDITY, healed);
    proxy.heal().expect("healed");
    trial.shared(&HOSTS);
}

/// Nobody can reach the server for longer than the sessions hold: all stop, and come back by themselves.
pub(crate) fn all_cut(trial: &mut Trial, cut: impl FnOnce(), heal: impl FnOnce()) {
    cut();
    let from = boottime();
    for host in HOSTS {
        trial.event(host, "fenced", from);
    }
    // What was told before the deadline has been read when a node that has passed it tells of it.
    let rest = Duration::from_millis((from + VALIDITY + MARGIN).saturating_sub(boottime()) + 500);
    trial.quiet(rest);
    let to = boottime();
    heal();
    trial.shared(&HOSTS);
    trial.idle(None, from + VALIDITY, to);
}

/// The server dies and comes back empty: nobody goes on under what was lost, and everybody joins anew after the grace
/// period.
pub(crate) fn server_wiped(trial: &mut Trial, server: &Server) {
    let before = trial.newest.clone();
    server.kill().expect("killed");
    let dead = boottime();
    server.wipe().expect("wiped");
    server.start_again().expect("it starts");
    let lost: Vec<_> = HOSTS
        .into_iter()
        .map(|host| trial.event(host, "history-lost", dead).at)
        .collect();
    for host in HOSTS {
        trial.event(host, "joined", dead);
    }
    trial.shared(&HOSTS);
    for (shard, act) in &trial.newest {
        assert!(
            act.token > before[shard].token,
            "shard {shard}: {act:?} after {:?}",
            before[shard]
        );
    }
    // Who was the first to notice cannot know that the others have: none acts before all must have.
    let first = *lost.iter().min().expect("three");
    trial.idle(None, *lost.iter().max().expect("three") + 50, first + VALIDITY);
}
