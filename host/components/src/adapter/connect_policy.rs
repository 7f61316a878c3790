//! What decides, at the moment of each connection, whether an adapter may make it.
//!
//! Names are resolved here and nowhere else, and only those that are granted. What a name led to is remembered for the
//! lane that asked, and a socket may connect to a granted address, or to one that a granted name has led to, at the
//! port of that grant. A name whose answer changes after it was granted (DNS rebinding) therefore leads nowhere new
//! unasked, and never into this machine or to a cloud's metadata: such addresses (`inward`) are only reachable if the
//! grant spells them out, or says `localhost`.

use super::grants::{Grant, Grants, Scheme, normal};
use super::inward::inward;
use super::redact::Redactor;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;

/// The most refusals that one lane remembers.
const REFUSALS: usize = 16;
/// The most addresses that one name may lead to at once.
const ADDRESSES: usize = 32;
/// The most of them that are remembered for one name: the last two answers at least.
const REMEMBERED: usize = 2 * ADDRESSES;

/// The gate of one lane.
#[derive(Clone)]
pub(super) struct ConnectPolicy(Arc<Inner>);

struct Inner {
    grants: Grants,
    /// Addresses that granted names have led to, the latest last.
    resolved: Mutex<BTreeMap<String, VecDeque<IpAddr>>>,
    refused: Mutex<BTreeSet<String>>,
    mask: Redactor,
    lookups: Arc<Semaphore>,
}

/// Why a name leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ResolveError {
    /// It is not granted, or leads where no name may.
    NotGranted,
    Unknown,
}

/// A granted name whose addresses are to be found.
pub(super) struct Lookup {
    gate: ConnectPolicy,
    name: String,
}

impl Lookup {
    /// The addresses of the name, to which sockets may connect from now on.
    pub(super) async fn addresses(self) -> Result<Vec<IpAddr>, ResolveError> {
        let addresses = self.gate.resolve(&self.name).await?;
        self.gate.remember(self.name, &addresses);
        Ok(addresses)
    }
}

impl ConnectPolicy {
    /// The gate for these grants. Names are resolved when `lookups` has room, which many lanes may share.
    pub(super) fn new(grants: Grants, mask: Redactor, lookups: Arc<Semaphore>) -> Self {
        Self(Arc::new(Inner {
            grants,
            resolved: Mutex::default(),
            refused: Mutex::default(),
            mask,
            lookups,
        }))
    }

    /// What was asked for and refused, each as the grant that is missing.
    pub(super) fn refused(&self) -> Vec<String> {
        self.0
            .refused
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .cloned()
            .collect()
    }

    /// Takes note of what was refused. What the adapter gave for a host may be anything.
    fn refuse(&self, scheme: Scheme, host: &str, port: Option<u16>) {
        let host = normal(host).map_or_else(|| "(no name or address)".into(), |host| self.0.mask.line(&host));
        self.note(match port {
            Some(port) => Grant::Address { scheme, host, port }.to_string(),
            None => format!("{}://{host}:PORT", scheme.as_str()),
        });
    }

    fn note(&self, what: String) {
        let mut refused = self.0.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.len() < REFUSALS {
            refused.insert(what);
        }
    }

    /// Whether a socket may connect to `address`.
    pub(super) fn allows_address(&self, address: SocketAddr) -> bool {
        let (ip, port) = (address.ip().to_canonical(), address.port());
        let text = ip.to_string();
        let grants = &self.0.grants;
        let granted = grants.allows(Scheme::Tcp, &text, port)
            || grants.allows(Scheme::Tls, &text, port)
            || self.was_led_to(ip, port);
        if !granted {
            self.refuse(Scheme::Tcp, &text, Some(port));
        }
        granted
    }

    /// Whether HTTP may be spoken to `host`; if so, the addresses to try.
    pub(super) async fn allows_host(&self, scheme: Scheme, host: &str, port: u16) -> Result<Vec<IpAddr>, ResolveError> {
        if !self.0.grants.allows(scheme, host, port) {
            self.refuse(scheme, host, Some(port));
            return Err(ResolveError::NotGranted);
        }
        self.resolve(host).await
    }

    /// Whether TLS may be spoken to `host`.
    pub(super) fn allows_tls(&self, host: &str, port: u16) -> bool {
        let granted = self.0.grants.allows(Scheme::Tls, host, port);
        if !granted {
            self.refuse(Scheme::Tls, host, Some(port));
        }
        granted
    }

    /// Whether the addresses of `name` may be looked for, for sockets. What is not granted is not kept.
    pub(super) fn may_resolve(&self, name: &str) -> Result<Lookup, ResolveError> {
        match normal(name).filter(|name| self.0.grants.names(name)) {
            Some(name) => Ok(Lookup {
                gate: self.clone(),
                name,
            }),
            None => {
                self.refuse(Scheme::Tcp, name, None);
                Err(ResolveError::NotGranted)
            }
        }
    }

    fn remember(&self, name: String, addresses: &[IpAddr]) {
        let mut resolved = self.0.resolved.lock().unwrap_or_else(PoisonError::into_inner);
        let known = resolved.entry(name).or_default();
        known.retain(|ip| !addresses.contains(ip));
        known.extend(addresses);
        let surplus = known.len().saturating_sub(REMEMBERED);
        known.drain(..surplus);
    }

    /// Whether a name that is granted with this port has led to `ip`.
    fn was_led_to(&self, ip: IpAddr, port: u16) -> bool {
        let resolved = self.0.resolved.lock().unwrap_or_else(PoisonError::into_inner);
        let mut grants = self.0.grants.sockets().filter(|(_, granted)| *granted == port);
        grants.any(|(name, _)| resolved.get(name).is_some_and(|known| known.contains(&ip)))
    }

    /// The addresses that `host` may lead to.
    async fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, ResolveError> {
        let host = host.trim_matches(['[', ']']);
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(vec![ip.to_canonical()]);
        }
        let local = is_local_name(host);
        let room = self
            .0
            .lookups
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| ResolveError::Unknown)?;
        let asked = host.to_owned();
        // It goes on to its end though nobody may wait for it any more, and so does what it takes of the room.
        let looking = tokio::task::spawn_blocking(move || {
            let found = (asked.as_str(), 0)
                .to_socket_addrs()
                .map(|found| found.take(ADDRESSES).collect::<Vec<_>>());
            drop(room);
            found
        });
        let found = looking.await.ok().and_then(Result::ok).ok_or(ResolveError::Unknown)?;
        let mut addresses = Vec::new();
        for ip in found.into_iter().map(|address| address.ip().to_canonical()) {
            if !addresses.contains(&ip) {
                addresses.push(ip);
            }
        }
        if local {
            Ok(addresses)
        } else {
            self.outward(host, addresses)
        }
    }

    /// Those of the addresses of `host` that a name may lead to.
    fn outward(&self, host: &str, found: Vec<IpAddr>) -> Result<Vec<IpAddr>, ResolveError> {
        let none = if found.is_empty() {
            ResolveError::Unknown
        } else {
            ResolveError::NotGranted
        };
        let mut addresses = Vec::new();
        for ip in found {
            match inward(ip) {
                None => addresses.push(ip),
                Some(what) => self.note(format!(
                    "{host}, which leads to {ip}, {what}: no name may; grant the address itself if that is meant"
                )),
            }
        }
        if addresses.is_empty() { Err(none) } else { Ok(addresses) }
    }
}

/// Names that mean this machine, and are granted as such.
fn is_local_name(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    host == "localhost" || host.ends_with(".localhost")
}

#[cfg(test)]
mod test {
    use super::*;
    use shardwright_coordinator::broker::Password;

    fn gate(grants: &[&str]) -> ConnectPolicy {
        let grants = Grants::parse(grants.iter().copied()).expect("grants");
        ConnectPolicy::new(
            grants,
            Redactor::new(&[Password::new("hunter2")]),
            Arc::new(Semaphore::new(1)),
        )
    }

    fn address(text: &str) -> SocketAddr {
        text.parse().expect(text)
    }

    #[test]
    fn only_what_is_granted_is_reachable() {
        let gate = gate(&["tcp://127.0.0.1:5432", "tls://[::1]:5433", "http://127.0.0.1:80"]);
        assert!(gate.allows_address(address("127.0.0.1:5432")) && gate.allows_address(address("[::1]:5433")));
        assert!(
            gate.allows_address(address("[::ffff:127.0.0.1]:5432")),
            "the same address in another dress"
        );
        for no in ["127.0.0.1:5433", "127.0.0.2:5432", "127.0.0.1:80", "0.0.0.0:5432"] {
            assert!(!gate.allows_address(address(no)), "{no}");
        }
        assert!(
            gate.refused().contains(&"tcp://127.0.0.2:5432".to_owned()),
            "{:?}",
            gate.refused()
        );
    }

    #[tokio::test]
    async fn names_lead_where_they_are_granted() {
        let gate = gate(&["tcp://localhost:5432"]);
        assert!(
            !gate.allows_address(address("127.0.0.1:5432")),
            "not before it was asked for"
        );
        let resolves = async |name: &str| gate.may_resolve(name)?.addresses().await;
        let found = resolves("localhost").await.expect("every machine has it");
        assert!(found.iter().all(IpAddr::is_loopback));
        assert!(found.iter().any(|ip| gate.allows_address(SocketAddr::new(*ip, 5432))));
        assert!(!found.iter().any(|ip| gate.allows_address(SocketAddr::new(*ip, 5433))));
        assert_eq!(resolves("example.org").await, Err(ResolveError::NotGranted));
        assert_eq!(resolves("hunter2").await, Err(ResolveError::NotGranted));
        assert_eq!(
            resolves(&"long ".repeat(1_000_000)).await,
            Err(ResolveError::NotGranted)
        );
        let refused = gate.refused();
        let names: Vec<_> = refused.iter().filter(|grant| grant.ends_with("PORT")).collect();
        assert_eq!(
            names,
            [
                "tcp://(no name or address):PORT",
                "tcp://***:PORT",
                "tcp://example.org:PORT"
            ]
        );
        assert_eq!(
            gate.allows_host(Scheme::Http, "localhost", 5432).await,
            Err(ResolveError::NotGranted)
        );
    }

    #[test]
    fn names_from_outside_do_not_lead_inward() {
        let gate = gate(&["tcp://db.example:5432", "http://169.254.169.254"]);
        let found = |texts: &[&str]| {
            gate.outward(
                "db.example",
                texts.iter().map(|text| text.parse().expect("an address")).collect(),
            )
        };
        assert_eq!(found(&["10.0.0.5", "127.0.0.1"]), found(&["10.0.0.5"]));
        for metadata in ["100.100.100.200", "fd00:ec2::254", "64:ff9b::a9fe:a9fe"] {
            assert_eq!(found(&[metadata]), Err(ResolveError::NotGranted));
            let said = gate
                .refused()
                .into_iter()
                .find(|said| said.contains(metadata))
                .expect(metadata);
            assert!(
                said.starts_with("db.example, which leads to ") && said.contains("grant the address itself"),
                "{said}"
            );
        }
        assert_eq!(found(&[]), Err(ResolveError::Unknown));
        assert!(is_local_name("LOCALHOST.") && is_local_name("db.localhost") && !is_local_name("localhost.example"));
    }

    #[tokio::test]
    async fn an_address_that_is_granted_as_such_is_meant() {
        let gate = gate(&["http://169.254.169.254", "tcp://100.100.100.200:80"]);
        let found = gate.allows_host(Scheme::Http, "169.254.169.254", 80).await;
        assert_eq!(found, Ok(vec!["169.254.169.254".parse().expect("an address")]));
        assert!(gate.allows_address(address("100.100.100.200:80")));
    }

    #[test]
    fn of_a_name_that_leads_elsewhere_each_time_the_last_addresses_count() {
        let gate = gate(&["tcp://db.example:5432", "tcp://db.example:5433"]);
        let at = |n: u32| IpAddr::from(std::net::Ipv4Addr::from(0x0a00_0000 + n));
        for n in 0..100_000 {
            gate.remember("db.example".into(), &[at(n)]);
        }
        let reached = |n, port| gate.allows_address(SocketAddr::new(at(n), port));
        assert!(reached(99_999, 5432) && reached(99_998, 5433) && !reached(99_999, 5434));
        assert!(!reached(0, 5432), "it is long gone");
        assert!(
            gate.0
                .resolved
                .lock()
                .expect("not poisoned")
                .values()
                .all(|known| known.len() <= REMEMBERED)
        );
    }
}
