//! What is done to a cluster, and when: a pure function of the seed.
//!
//! Disturbances come as episodes: something is done to a victim and undone later, and a victim is in one episode at a
//! time. Everything is undone when the span is over.

use std::collections::BTreeMap;
use std::fmt;

use crate::rng::Rng;
use crate::store::Store;

/// The hosts that run from the start; the last of them runs the binary `shardwright`, the others embed the crate.
pub const HOSTS: [&str; 4] = ["alpha", "bravo", "charlie", "delta"];

/// A host that only comes for a while.
pub const GUEST: &str = "guest";

/// How many machines the hosts are spread over.
pub const MACHINES: usize = 2;

/// Which machine a host runs on.
#[must_use]
pub fn machine(host: &str) -> usize {
    HOSTS.iter().position(|other| *other == host).unwrap_or(0) % MACHINES
}

/// What is done, in one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// SIGKILL.
    Kill(&'static str),
    /// SIGTERM: it hands over and ends.
    Terminate(&'static str),
    /// Its process is started (again).
    Start(&'static str),
    /// SIGSTOP.
    Stop(&'static str),
    /// SIGCONT.
    Continue(&'static str),
    /// A second process under the same hostname, with a state directory of its own.
    StartTwin(&'static str),
    /// That one is killed.
    KillTwin(&'static str),
    /// An operator gives this order about the node.
    Order(Order, &'static str),
    /// Packets between a machine and the server are lost (with namespaces), or its connections are closed and refused.
    Cut(usize),
    /// Each direction takes so many milliseconds longer.
    Slow(usize, u64),
    /// What the server answers to the machine is thrown away.
    Swallow(usize),
    /// The machine's connections are closed, and what the server answers comes through again: a connection that has
    /// lost bytes never goes on.
    Reset(usize),
    /// The machine's way to the server is as it was.
    Heal(usize),
    /// The server is killed with SIGKILL.
    KillServer,
    /// The server is killed and its data deleted; a file is deleted under the nodes.
    WipeServer,
    /// The server is started with the data that it has.
    StartServer,
    /// The server is frozen by SIGSTOP.
    StopServer,
    /// It goes on.
    ContinueServer,
    /// The server's wall clock is ahead of the machine's by so many milliseconds from now on.
    ShiftClock(i64),
}

/// What an operator can order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Everything leaves the node.
    Drain,
    /// It may have shards again.
    Undrain,
    /// It keeps what it has.
    Cordon,
    /// It may have more again.
    Uncordon,
}

impl Order {
    /// The subcommand of `shardwright nodes`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Drain => "drain",
            Self::Undrain => "undrain",
            Self::Cordon => "cordon",
            Self::Uncordon => "uncordon",
        }
    }
}

impl Action {
    /// The kind under which it is counted; nothing for what only undoes another.
    #[must_use]
    pub fn kind(self) -> Option<&'static str> {
        Some(match self {
            Self::Kill(_) => "kill",
            Self::Terminate(_) => "terminate",
            Self::Stop(_) => "stop",
            Self::StartTwin(_) => "twin",
            Self::Start(GUEST) => "guest",
            Self::Order(order @ (Order::Drain | Order::Cordon), _) => order.word(),
            Self::Cut(_) => "cut",
            Self::Slow(..) => "slow",
            Self::Swallow(_) => "swallow",
            Self::KillServer => "kill-server",
            Self::WipeServer => "wipe-server",
            Self::StopServer => "stop-server",
            Self::ShiftClock(_) => "shift-clock",
            Self::Start(_)
            | Self::Continue(_)
            | Self::KillTwin(_)
            | Self::Order(..)
            | Self::Heal(_)
            | Self::Reset(_)
            | Self::StartServer
            | Self::ContinueServer => return None,
        })
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill(host) => write!(f, "kill {host}"),
            Self::Terminate(host) => write!(f, "terminate {host}"),
            Self::Start(host) => write!(f, "start {host}"),
            Self::Stop(host) => write!(f, "stop {host}"),
            Self::Continue(host) => write!(f, "continue {host}"),
            Self::StartTwin(host) => write!(f, "start a twin of {host}"),
            Self::KillTwin(host) => write!(f, "kill the twin of {host}"),
            Self::Order(order, host) => write!(f, "{} {host}", order.word()),
            Self::Cut(machine) => write!(f, "cut machine {machine} off"),
            Self::Slow(machine, millis) => write!(f, "slow machine {machine} down by {millis} ms each way"),
            Self::Swallow(machine) => write!(f, "swallow the answers to machine {machine}"),
            Self::Reset(machine) => write!(f, "close the connections of machine {machine}"),
            Self::Heal(machine) => write!(f, "heal machine {machine}"),
            Self::KillServer => f.write_str("kill the server"),
            Self::WipeServer => f.write_str("wipe the server"),
            Self::StartServer => f.write_str("start the server"),
            Self::StopServer => f.write_str("stop the server"),
            Self::ContinueServer => f.write_str("continue the server"),
            Self::ShiftClock(millis) => write!(f, "shift the server's clock to {millis:+} ms"),
        }
    }
}

/// One step of a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Milliseconds after the cluster has come up.
    pub at: u64,
    /// What is done.
    pub action: Action,
}

/// Whom an episode is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Victim {
    Host(&'static str),
    Twin,
    Machine(usize),
    Server,
    Clock,
    /// The orders that the nodes have: one at a time, so that somebody is left to work.
    Orders,
}

/// What is done first, and what undoes it after how long.
type Episode = (Victim, Action, Option<Action>, u64);

/// Milliseconds between two beginnings, at most.
const PACE: u64 = 900;

/// How long a victim is left alone after an episode.
const REST: u64 = 500;

/// The schedule for `seed`: `span` milliseconds of disturbances of a cluster that meets at `store`.
#[must_use]
pub fn plan(seed: u64, store: Store, span: u64) -> Vec<Step> {
    let mut rng = Rng::new(seed);
    let mut free = BTreeMap::new();
    let mut steps = Vec::new();
    // Ids outlast a lost store by what hosts remember, so either hosts come that remember nothing, or the store is
    // lost.
    let strangers = rng.within(0, 1) == 0;
    let mut wipes = 0;
    let mut at = rng.within(100, PACE);
    while at < span {
        let (victim, action, undo, lasts) = episode(&mut rng, store);
        let allowed = match action {
            Action::WipeServer => !strangers && wipes < 2,
            Action::StartTwin(_) | Action::Start(GUEST) => strangers,
            _ => true,
        };
        let fits = undo.is_none() || at + lasts <= span;
        if fits && allowed && free.get(&victim).is_none_or(|&free| free <= at) {
            wipes += u32::from(action == Action::WipeServer);
            steps.push(Step { at, action });
            steps.extend(undo.map(|action| Step { at: at + lasts, action }));
            let starts = undo == Some(Action::StartServer);
            free.insert(victim, at + lasts + if starts { store.start_up() } else { REST });
            at += rng.within(PACE / 6, PACE);
        } else {
            // Another try, a little later, so that a schedule without room ends.
            at += 20;
        }
    }
    steps.sort_by_key(|step| step.at);
    steps
}

fn episode(rng: &mut Rng, store: Store) -> Episode {
    let host = rng.pick(&HOSTS).unwrap_or(HOSTS[0]);
    let machine = usize::try_from(rng.within(0, MACHINES as u64 - 1)).unwrap_or(0);
    let (brief, long) = (rng.within(200, 1_500), rng.within(1_000, 5_000));
    // Longer than a session holds: what was under way arrives when others have taken over.
    let frozen = rng.within(4_000, 6_500);
    let of_host = |action, undo, lasts| (Victim::Host(host), action, Some(undo), lasts);
    let of_machine = |action, lasts| {
        let undo = if action == Action::Swallow(machine) {
            Action::Reset(machine)
        } else {
            Action::Heal(machine)
        };
        (Victim::Machine(machine), action, Some(undo), lasts)
    };
    let of_server = |action, undo, lasts| (Victim::Server, action, Some(undo), lasts);
    let order = |order, undo| {
        (
            Victim::Orders,
            Action::Order(order, host),
            Some(Action::Order(undo, host)),
            long,
        )
    };
    let of_nodes = rng.within(0, 99) < if store.has_server() { 55 } else { 94 };
    if of_nodes {
        return match rng.within(0, 99) {
            0..20 => of_host(
                Action::Kill(host),
                Action::Start(host),
                if brief % 2 == 0 { brief } else { long },
            ),
            20..45 => of_host(
                Action::Stop(host),
                Action::Continue(host),
                if brief % 2 == 0 { brief } else { frozen },
            ),
            45..65 => of_host(Action::Terminate(host), Action::Start(host), brief),
            65..78 => order(Order::Drain, Order::Undrain),
            78..85 => order(Order::Cordon, Order::Uncordon),
            85..92 => (
                Victim::Twin,
                Action::StartTwin(host),
                Some(Action::KillTwin(host)),
                long,
            ),
            _ => (
                Victim::Host(GUEST),
                Action::Start(GUEST),
                Some(Action::Terminate(GUEST)),
                long + 2_000,
            ),
        };
    }
    if !store.has_server() {
        return (Victim::Server, Action::WipeServer, None, 4_000);
    }
    match rng.within(0, 99) {
        0..22 => of_machine(Action::Cut(machine), if brief % 2 == 0 { brief } else { long }),
        22..38 => of_machine(Action::Slow(machine, rng.within(5, 120)), long),
        38..50 => of_machine(Action::Swallow(machine), brief),
        50..66 => of_server(Action::KillServer, Action::StartServer, brief),
        66..82 => of_server(
            Action::StopServer,
            Action::ContinueServer,
            if brief % 2 == 0 { brief } else { long },
        ),
        82..92 => of_server(Action::WipeServer, Action::StartServer, brief),
        _ if store.has_clock() => {
            let ahead = i64::try_from(rng.within(0, 8_000)).unwrap_or(0) - 4_000;
            (Victim::Clock, Action::ShiftClock(ahead), None, 5_000)
        }
        _ => of_machine(Action::Cut(machine), brief),
    }
}
