//! What is done to a cluster, and when: a pure function of the seed.
//!
//! Disturbances come as episodes: something is done to a victim and undone later, and a victim is in one episode at a
//! time. Everything is undone when the span is over.

use std::collections::BTreeMap;
use std::fmt;

use crate::rng::Rng;
use crate::settings::NEW;
use crate::store::Store;

/// The hosts that run from the start; the last of them runs the binary `shardwright`, the others embed the crate.
pub const HOSTS: [&str; 4] = ["alpha", "bravo", "charlie", "delta"];

/// Hosts that start for the first time while it is going on, one after the other, and leave again. When all have been
/// there, the last of them returns.
pub const GUESTS: [&str; 8] = [
    "guest1", "guest2", "guest3", "guest4", "guest5", "guest6", "guest7", "guest8",
];

/// How many machines the hosts are spread over.
pub const MACHINES: usize = 2;

/// Which machine a host runs on.
#[must_use]
pub fn machine(host: &str) -> usize {
    let mut all = HOSTS.iter().chain(&GUESTS);
    all.position(|other| *other == host).unwrap_or(0) % MACHINES
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
            Self::Start(host) if GUESTS.contains(&host) => "guest",
            Self::Order(order @ (Order::Drain | Order::Cordon), _) => order.word(),
            Self::Cut(_) => "cut",
            Self::Slow(..) => "slow",
            Self::Swallow(_) => "swallow",
            Self::KillServer => "kill-server",
            Self::WipeServer => "wipe-server",
            Self::StopServer => "stop-server",
            Self::ShiftClock(ahead) if ahead != 0 => "shift-clock",
            Self::Start(_)
            | Self::Continue(_)
            | Self::KillTwin(_)
            | Self::Order(..)
            | Self::Heal(_)
            | Self::Reset(_)
            | Self::StartServer
            | Self::ContinueServer
            | Self::ShiftClock(_) => return None,
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
    Guest,
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
    let (mut wipes, mut visits) = (0, 0);
    let mut at = rng.within(100, PACE);
    while at < span {
        let guest = GUESTS[visits.min(GUESTS.len() - 1)];
        let (victim, action, undo, lasts) = episode(&mut rng, store, guest);
        let fits = undo.is_none() || at + lasts <= span;
        let is_free = |victim: &Victim| free.get(victim).is_none_or(|&free| free <= at);
        let witness = if action == Action::WipeServer && wipes < 2 {
            witness(&mut rng, is_free)
        } else {
            None
        };
        let allowed = action != Action::WipeServer || witness.is_some();
        if fits && allowed && is_free(&victim) {
            steps.push(Step { at, action });
            steps.extend(undo.map(|action| Step { at: at + lasts, action }));
            let starts = undo == Some(Action::StartServer);
            let rest = if starts { store.start_up() } else { REST };
            let quiet = if witness.is_some() { NEW } else { 0 };
            free.insert(victim, at + lasts + rest + quiet);
            free.extend(
                witness
                    .into_iter()
                    .flatten()
                    .map(|left| (left, at + lasts + rest + quiet)),
            );
            wipes += u32::from(witness.is_some());
            visits += usize::from(victim == Victim::Guest);
            at += rng.within(PACE / 6, PACE);
        } else {
            // Another try, a little later, so that a schedule without room ends.
            at += 20;
        }
    }
    steps.sort_by_key(|step| step.at);
    steps
}

/// Who is left alone after a loss, if anybody can be: ids outlast it by what somebody remembers who embeds the crate,
/// and so notes what it knows. So is the clock: see the guarantees for one that is set while a grace period lasts.
fn witness(rng: &mut Rng, is_free: impl Fn(&Victim) -> bool) -> Option<[Victim; 3]> {
    let embed = &HOSTS[..HOSTS.len() - 1];
    let left = embed
        .iter()
        .map(|host| [Victim::Host(host), Victim::Machine(machine(host)), Victim::Clock]);
    let left: Vec<_> = left.filter(|left| left.iter().all(&is_free)).collect();
    rng.pick(&left)
}

fn episode(rng: &mut Rng, store: Store, guest: &'static str) -> Episode {
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
                Victim::Guest,
                Action::Start(guest),
                Some(Action::Terminate(guest)),
                long + 2_000,
            ),
        };
    }
    if !store.has_server() {
        return (Victim::Server, Action::WipeServer, None, 0);
    }
    match rng.within(0, 99) {
        0..22 => of_machine(Action::Cut(machine), if brief % 2 == 0 { brief } else { long }),
        22..38 => of_machine(Action::Slow(machine, rng.within(5, 120)), long),
        38..50 => of_machine(Action::Swallow(machine), brief),
        50..66 => of_server(Action::KillServer, Action::StartServer, brief),
        66..80 => of_server(
            Action::StopServer,
            Action::ContinueServer,
            if brief % 2 == 0 { brief } else { long },
        ),
        80..91 => of_server(Action::WipeServer, Action::StartServer, brief),
        _ => {
            let ahead = i64::try_from(rng.within(0, 8_000)).unwrap_or(0) - 4_000;
            (
                Victim::Clock,
                Action::ShiftClock(ahead),
                Some(Action::ShiftClock(0)),
                long,
            )
        }
    }
}
