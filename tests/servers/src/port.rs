//! Ports that nobody else uses, here or in another test process.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};

use anyhow::{Result, bail};

/// Where ports are taken from: above the well-known ones, below those that the system gives to outgoing connections.
/// From the latter a client could be given the port of a server that is down just now, and even connect to itself.
const FIRST: u16 = 10_240;
const LAST: u16 = 32_000;

/// A TCP port of 127.0.0.1 that is ours for as long as this value lives, also while the server behind it is down.
///
/// The UDP port of the same number stands for it: no server here uses UDP, every process sees that it is taken, and it
/// is free again when its holder ends, however it ends.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _claim: UdpSocket,
}

impl Port {
    /// Takes one that is free.
    ///
    /// # Errors
    /// None is.
    pub fn free() -> Result<Self> {
        let count = u64::from(LAST - FIRST);
        let start = RandomState::new().build_hasher().finish() % count;
        for step in 0..count {
            let number = FIRST + u16::try_from((start + step) % count)?;
            let Ok(claim) = UdpSocket::bind((Ipv4Addr::LOCALHOST, number)) else {
                continue;
            };
            if TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok() {
                return Ok(Self { number, _claim: claim });
            }
        }
        bail!("no port between {FIRST} and {LAST} is free on 127.0.0.1")
    }

    /// Its number.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.number
    }
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn a_port_is_given_once() {
        let ports: Vec<_> = (0..200).map(|_| Port::free().unwrap()).collect();
        let mut numbers: Vec<_> = ports.iter().map(Port::number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), ports.len());
        for &number in &numbers {
            assert!(
                UdpSocket::bind((Ipv4Addr::LOCALHOST, number)).is_err(),
                "{number} is not claimed"
            );
        }
        drop(ports);
        assert!(
            UdpSocket::bind((Ipv4Addr::LOCALHOST, numbers[0])).is_ok(),
            "{} is still claimed",
            numbers[0]
        );
    }
}
