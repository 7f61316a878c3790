//! What decides, at the moment of each connection, whether an adapter may make it.
//!
//! Names are resolved here and nowhere else, and only those that are granted. What a name led to is remembered for the lane that asked, and a socket may
//! connect to a granted address, or to one that a granted name has led to, at the port of that grant. A name whose answer changes after it was granted
//! (DNS rebinding) therefore leads nowhere new unasked, and never into this machine: loopback, link-local and similar addresses are only
//! reachable if the grant spells them out, or says `localhost`.

use super::grants::{Grant, Grants, Scheme, normal};
use super::words::Mask;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;

/// The most refusals that one lane remembers.
const REFUSALS: usize = 16;
/// The most addresses that one name may lead to.
const ADDRESSES: usize = 32;

/// The gate of one lane.
#[derive(Clone)]
pub(super) struct Gate(Arc<Inner>);

struct Inner {
    grants: Grants,
    /// Addresses that granted names have led to, with the port of the grant.
    resolved: Mutex<BTreeSet<(IpAddr, u16)>>,
    refused: Mutex<BTreeSet<String>>,
    mask: Mask,
    lookups: Arc<Semaphore>,
}

/// Why a name leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unresolved {
    NotGranted,
    Unknown,
}

impl Gate {
    /// The gate for these grants. Names are resolved when `lookups` has room, which many lanes may share.
    pub(super) fn new(grants: Grants, mask: Mask, lookups: Arc<Semaphore>) -> Self {
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
    pub(super) fn connects(&self, address: SocketAddr) -> bool {
        let (ip, port) = (address.ip().to_canonical(), address.port());
        let text = ip.to_string();
        let grants = &self.0.grants;
        let granted = grants.allows(Scheme::Tcp, &text, port)
            || grants.allows(Scheme::Tls, &text, port)
            || self.0.resolved.lock().unwrap_or_else(PoisonError::into_inner).contains(&(ip, port));
        if !granted {
            self.refuse(Scheme::Tcp, &text, Some(port));
        }
        granted
    }

    /// Whether HTTP may be spoken to `host`; if so, the addresses to try.
    pub(super) async fn speaks(&self, scheme: Scheme, host: &str, port: u16) -> Result<Vec<IpAddr>, Unresolved> {
        if !self.0.grants.allows(scheme, host, port) {
            self.refuse(scheme, host, Some(port));
            return Err(Unresolved::NotGranted);
        }
        self.resolve(host).await
    }

    /// Whether TLS may be spoken to `host`.
    pub(super) fn secures(&self, host: &str, port: u16) -> bool {
        let granted = self.0.grants.allows(Scheme::Tls, host, port);
        if !granted {
            self.refuse(Scheme::Tls, host, Some(port));
        }
        granted
    }

    /// The addresses of `name` for sockets.
    pub(super) async fn resolves(&self, name: &str) -> Result<Vec<IpAddr>, Unresolved> {
        if !self.0.grants.names(name) {
            self.refuse(Scheme::Tcp, name, None);
            return Err(Unresolved::NotGranted);
        }
        let addresses = self.resolve(name).await?;
        let mut resolved = self.0.resolved.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, port) in self.0.grants.sockets().filter(|(host, _)| normal(name).as_deref() == Some(host)) {
            resolved.extend(addresses.iter().map(|ip| (*ip, port)));
        }
        Ok(addresses)
    }

    /// The addresses that `host` may lead to.
    async fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, Unresolved> {
        let host = host.trim_matches(['[', ']']);
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(vec![ip.to_canonical()]);
        }
        let local = is_local_name(host);
        let room = self.0.lookups.clone().acquire_owned().await.map_err(|_| Unresolved::Unknown)?;
        let asked = host.to_owned();
        // It goes on to its end though nobody may wait for it any more, and so does what it takes of the room.
        let looking = tokio::task::spawn_blocking(move || {
            let found = (asked.as_str(), 0)
                .to_socket_addrs()
                .map(|found| found.take(ADDRESSES).collect::<Vec<_>>());
            drop(room);
            found
        });
        let found = looking.await.ok().and_then(Result::ok).ok_or(Unresolved::Unknown)?;
        let mut addresses: Vec<_> = found.into_iter().map(|address| address.ip().to_canonical()).collect();
        addresses.dedup();
        addresses.retain(|ip| {
            let inward = !local && leads_inward(*ip);
            if inward {
                self.note(format!("{host}, which leads to {ip}, an address of this machine"));
            }
            !inward
        });
        if addresses.is_empty() {
            Err(Unresolved::Unknown)
        } else {
            Ok(addresses)
        }
    }
}

/// Names that mean this machine, and are granted as such.
fn is_local_name(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    host == "localhost" || host.ends_with(".localhost")
}

/// Addresses that a name from outside has no business to lead to: this machine, its link (cloud metadata services are there), nobody, everybody.
fn leads_inward(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            ip.is_loopback() || ip.is_link_local() || ip.is_unspecified() || ip.is_broadcast() || ip.is_multicast() || ip.octets()[0] == 0
        }
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unspecified() || ip.is_multicast() || ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod test {
    use super::*;
    use shardwright_coordinator::broker::Password;

    fn gate(grants: &[&str]) -> Gate {
        let grants = Grants::parse(grants.iter().copied()).expect("grants");
        Gate::new(grants, Mask::new(&[Password::new("hunter2")]), Arc::new(Semaphore::new(1)))
    }

    fn address(text: &str) -> SocketAddr {
        text.parse().expect(text)
    }

    #[test]
    fn only_what_is_granted_is_reachable() {
        let gate = gate(&["tcp://127.0.0.1:5432", "tls://[::1]:5433", "http://127.0.0.1:80"]);
        assert!(gate.connects(address("127.0.0.1:5432")) && gate.connects(address("[::1]:5433")));
        assert!(
            gate.connects(address("[::ffff:127.0.0.1]:5432")),
            "the same address in another dress"
        );
        for no in ["127.0.0.1:5433", "127.0.0.2:5432", "127.0.0.1:80", "0.0.0.0:5432"] {
            assert!(!gate.connects(address(no)), "{no}");
        }
        assert!(gate.refused().contains(&"tcp://127.0.0.2:5432".to_owned()), "{:?}", gate.refused());
    }

    #[tokio::test]
    async fn names_lead_where_they_are_granted() {
        let gate = gate(&["tcp://localhost:5432"]);
        assert!(!gate.connects(address("127.0.0.1:5432")), "not before it was asked for");
        let found = gate.resolves("localhost").await.expect("every machine has it");
        assert!(found.iter().all(IpAddr::is_loopback));
        assert!(found.iter().any(|ip| gate.connects(SocketAddr::new(*ip, 5432))));
        assert!(!found.iter().any(|ip| gate.connects(SocketAddr::new(*ip, 5433))));
        assert_eq!(gate.resolves("example.org").await, Err(Unresolved::NotGranted));
        assert_eq!(gate.resolves("hunter2").await, Err(Unresolved::NotGranted));
        assert_eq!(gate.resolves(&"long ".repeat(1_000_000)).await, Err(Unresolved::NotGranted));
        let refused = gate.refused();
        let names: Vec<_> = refused.iter().filter(|grant| grant.ends_with("PORT")).collect();
        assert_eq!(
            names,
            ["tcp://(no name or address):PORT", "tcp://***:PORT", "tcp://example.org:PORT"]
        );
        assert_eq!(gate.speaks(Scheme::Http, "localhost", 5432).await, Err(Unresolved::NotGranted));
    }

    #[test]
    fn names_from_outside_do_not_lead_inward() {
        for inward in [
            "127.0.0.1",
            "127.8.8.8",
            "169.254.169.254",
            "0.0.0.0",
            "0.1.2.3",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "ff02::1",
        ] {
            assert!(leads_inward(inward.parse::<IpAddr>().expect(inward).to_canonical()), "{inward}");
        }
        assert!(leads_inward(
            "::ffff:127.0.0.1".parse::<IpAddr>().expect("an address").to_canonical()
        ));
        for outward in ["10.0.0.5", "192.168.1.1", "8.8.8.8", "fd00::1", "2001:db8::1"] {
            assert!(!leads_inward(outward.parse().expect(outward)), "{outward}");
        }
        assert!(is_local_name("LOCALHOST.") && is_local_name("db.localhost") && !is_local_name("localhost.example"));
    }
}
