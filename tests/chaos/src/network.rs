//! The ways from the machines to the server: with network namespaces where this process may make them, else proxies
//! alone.
//!
//! With namespaces, each machine is one, with 127.0.0.1 of its own and a wire to this one, where the server is. On the
//! machine a relay stands in the server's place, at the server's own port (a Kafka broker tells its clients where to
//! go); at this end of the wire is a proxy. So a machine can be cut off as by a pulled cable, with no word to either
//! side, and slowed down.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use shardwright_servers::Proxy;

use crate::schedule::MACHINES;
use crate::server::Meeting;

/// How long a relay may take to listen.
const PATIENCE: Duration = Duration::from_secs(30);

/// All ways.
pub(crate) enum Network {
    /// Nodes meet in a file.
    None,
    /// A broker with a proxy in it, for all machines.
    Shared,
    /// A proxy for each machine.
    Proxies(Vec<Proxy>),
    /// A namespace for each machine.
    Namespaces(Vec<Machine>),
}

/// A machine of its own, as far as the network goes.
pub(crate) struct Machine {
    // Before the namespace, which it lives in.
    _relay: Relay,
    namespace: Namespace,
    proxy: Proxy,
    port: u16,
}

/// Whether this process may make network namespaces.
pub(crate) fn has_namespaces() -> bool {
    rustix::process::geteuid().is_root() && Namespace::new("probe", 0).is_ok()
}

impl Network {
    /// Ways to `meeting`.
    pub(crate) fn to(meeting: &Meeting, namespaces: bool, worker: &Path) -> Result<Self> {
        let Some(port) = meeting.port() else {
            return Ok(Self::None);
        };
        if namespaces {
            let machines = (0..MACHINES).map(|at| Machine::new(at, port, worker));
            return Ok(Self::Namespaces(machines.collect::<Result<_>>()?));
        }
        if meeting.kafka().is_some() {
            return Ok(Self::Shared);
        }
        Ok(Self::Proxies(
            (0..MACHINES).map(|_| Proxy::to(port)).collect::<Result<_>>()?,
        ))
    }

    /// In words.
    pub(crate) fn describe(&self) -> &'static str {
        match self {
            Self::None => "one machine",
            Self::Shared => "one proxy for all machines, inside the broker",
            Self::Proxies(_) => "two machines, each behind a proxy",
            Self::Namespaces(_) => "two machines, each a network namespace",
        }
    }

    /// The port of 127.0.0.1 at which the nodes of a machine find the server.
    pub(crate) fn port(&self, machine: usize, meeting: &Meeting) -> u16 {
        match self {
            Self::None => 0,
            Self::Shared => meeting.kafka().map_or(0, |broker| broker.proxy().port()),
            Self::Proxies(proxies) => proxies.get(machine).map_or(0, Proxy::port),
            Self::Namespaces(machines) => machines.get(machine).map_or(0, |machine| machine.port),
        }
    }

    /// What stands before a command that is to run on a machine.
    pub(crate) fn prefix(&self, machine: usize) -> Vec<String> {
        match self {
            Self::Namespaces(machines) => machines
                .get(machine)
                .map_or_else(Vec::new, |machine| machine.namespace.prefix()),
            _ => Vec::new(),
        }
    }

    fn proxy<'a>(&'a self, machine: usize, meeting: &'a Meeting) -> Option<&'a Proxy> {
        match self {
            Self::None => None,
            Self::Shared => meeting.kafka().map(|broker| broker.proxy()),
            Self::Proxies(proxies) => proxies.get(machine),
            Self::Namespaces(machines) => machines.get(machine).map(|machine| &machine.proxy),
        }
    }

    /// Cuts a machine off.
    pub(crate) fn cut(&self, machine: usize, meeting: &Meeting) -> Result<()> {
        match (self, self.proxy(machine, meeting)) {
            (Self::Namespaces(machines), _) => machines
                .get(machine)
                .map_or(Ok(()), |machine| machine.namespace.plug(false)),
            (_, Some(proxy)) => {
                proxy.cut();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Makes each direction slower.
    pub(crate) fn slow(&self, machine: usize, meeting: &Meeting, millis: u64) {
        if let Some(proxy) = self.proxy(machine, meeting) {
            proxy.delay(Duration::from_millis(millis));
        }
    }

    /// Throws answers away.
    pub(crate) fn swallow(&self, machine: usize, meeting: &Meeting) {
        if let Some(proxy) = self.proxy(machine, meeting) {
            proxy.swallow_answers(true);
        }
    }

    /// Ends that: it ends with the connections.
    pub(crate) fn reset(&self, machine: usize, meeting: &Meeting) -> Result<()> {
        let Some(proxy) = self.proxy(machine, meeting) else {
            return Ok(());
        };
        proxy.cut();
        proxy.swallow_answers(false);
        proxy.heal()
    }

    /// Makes a machine's way good again.
    pub(crate) fn heal(&self, machine: usize, meeting: &Meeting) -> Result<()> {
        if let Self::Namespaces(machines) = self
            && let Some(machine) = machines.get(machine)
        {
            machine.namespace.plug(true)?;
        }
        if let Some(proxy) = self.proxy(machine, meeting) {
            proxy.delay(Duration::ZERO);
            proxy.heal()?;
        }
        Ok(())
    }

    /// Shifts the dates that machines read, where the server's clock cannot be.
    pub(crate) fn shift_dates(&self, meeting: &Meeting, millis: i64) {
        for machine in 0..MACHINES {
            if let (Some(proxy), Meeting::Etcd(_)) = (self.proxy(machine, meeting), meeting) {
                proxy.shift_dates(millis / 1_000);
            }
        }
    }
}

impl Machine {
    fn new(at: usize, port: u16, worker: &Path) -> Result<Self> {
        let namespace = Namespace::new("machine", at)?;
        let proxy = Proxy::on(namespace.outside, port)?;
        let relay = Relay::start(&namespace, worker, port, proxy.port())?;
        Ok(Self {
            _relay: relay,
            namespace,
            proxy,
            port,
        })
    }
}

/// A network namespace with a wire to this one. It is removed when it is dropped, and when this process is killed.
struct Namespace {
    name: String,
    wire: String,
    outside: Ipv4Addr,
    leash: Child,
}

impl Namespace {
    fn new(kind: &str, at: usize) -> Result<Self> {
        let pid = std::process::id();
        let name = format!("chaos-{kind}-{pid}-{at}");
        let wire = format!("sw{pid}{}{at}", &kind[..1]);
        // Of the networks 10.213.0.0/16, one of four addresses for each process and machine: two at once are not likely
        // to meet.
        let third = u8::try_from(pid % 251)?;
        let fourth =
            u8::try_from((pid / 251) % 15 * 16 + u32::try_from(at)? * 4 + if kind == "probe" { 8 } else { 0 })?;
        let (outside, inside) = (
            Ipv4Addr::new(10, 213, third, fourth + 1),
            Ipv4Addr::new(10, 213, third, fourth + 2),
        );
        ip(&["netns", "add", &name])?;
        let leash = Command::new("sh")
            .args([
                "-c",
                "read -r _; ip netns pids \"$1\" | xargs -r kill -9; ip link del \"$2\"; ip netns del \"$1\"",
                "leash",
            ])
            .args([&name, &wire])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("`sh` could not be started")?;
        // Dropped, and with it what was made, if one of the following fails.
        let namespace = Self {
            name,
            wire,
            outside,
            leash,
        };
        let Self { name, wire, .. } = &namespace;
        ip(&[
            "link", "add", wire, "type", "veth", "peer", "name", "eth0", "netns", name,
        ])?;
        ip(&["addr", "add", &format!("{outside}/30"), "dev", wire])?;
        ip(&["link", "set", wire, "up"])?;
        ip(&["-n", name, "addr", "add", &format!("{inside}/30"), "dev", "eth0"])?;
        ip(&["-n", name, "link", "set", "eth0", "up"])?;
        ip(&["-n", name, "link", "set", "lo", "up"])?;
        Ok(namespace)
    }

    fn prefix(&self) -> Vec<String> {
        ["ip", "netns", "exec", &self.name].map(str::to_owned).into()
    }

    /// Plugs the wire in, or pulls it. Only the machine's end: connections at this one stay as they are.
    fn plug(&self, up: bool) -> Result<()> {
        ip(&["-n", &self.name, "link", "set", "eth0", if up { "up" } else { "down" }])
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // The leash does it, as it would if this process were killed.
        drop(self.leash.stdin.take());
        let _ = self.leash.wait();
    }
}

fn ip(arguments: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(arguments).stdin(Stdio::null()).output();
    let output = output.context("`ip` could not be started")?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ip {}: {}", arguments.join(" "), error.trim());
    Ok(())
}

/// What stands in the server's place on a machine.
struct Relay(Child);

impl Relay {
    fn start(namespace: &Namespace, worker: &Path, port: u16, proxy: u16) -> Result<Self> {
        let relay = Command::new("ip")
            .args(["netns", "exec", &namespace.name])
            .arg(worker)
            .args(["relay", &port.to_string(), &format!("{}:{proxy}", namespace.outside)])
            .stdin(Stdio::null())
            .spawn()
            .context("no relay")?;
        let mut relay = Self(relay);
        let id = relay.0.id();
        let deadline = Instant::now() + PATIENCE;
        // In the namespace's own list of sockets: a connection from here would not get there. As long as `ip` has not
        // entered it, it is ours.
        let listening = format!(":{port:04X} 00000000:0000 0A");
        let of = |what: &str| std::fs::read_to_string(format!("/proc/{id}/{what}")).unwrap_or_default();
        loop {
            if of("cmdline").starts_with(&worker.display().to_string()) && of("net/tcp").contains(&listening) {
                return Ok(relay);
            }
            ensure!(relay.0.try_wait()?.is_none(), "the relay ended at once");
            ensure!(Instant::now() < deadline, "the relay does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
