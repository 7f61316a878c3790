//! What can be done wrong, by name.

use crate::hoard::hoard;
use crate::reach::reach;
use shardwright_guest::adapter::net::Connection;
use shardwright_guest::adapter::{
    BusError, Context, Deadline, Delivery, Listed, Listing, Message, OpenError, StoreError, Written, http, log,
};
use std::hint::black_box;
use std::time::Duration;

/// What is to be done wrong, and to whom.
#[derive(Clone, Default)]
pub struct Misdeed {
    /// Its name; empty for none.
    pub name: String,
    at: String,
    calls: u64,
}

impl Misdeed {
    /// The one that `config` names. It is no parser of JSON.
    pub fn of(config: &str) -> Self {
        let value = |key: &str| {
            let (_, rest) = config.split_once(&format!("\"{key}\""))?;
            rest.split('"').nth(1).map(str::to_owned)
        };
        Self {
            name: value("misdeed").unwrap_or_default(),
            at: value("at").unwrap_or_default(),
            calls: 0,
        }
    }

    fn is(&self, name: &str) -> bool {
        self.name == name
    }

    /// Before a lane is open.
    pub fn open(&self) -> Result<(), OpenError> {
        match self.name.as_str() {
            "spin-open" => forever(),
            "trap-open" => panic!("on purpose, and the password is hunter2"),
            "unreachable" => Err(OpenError::Unreachable("nobody answers".into())),
            "tell" => Err(OpenError::Denied("the password hunter2 is wrong".into())),
            "exit" => std::process::exit(3),
            "talk" => {
                (0..10_000).for_each(|n| log::warn(&format!("line {n}, hunter2")));
                Ok(())
            }
            "read-variable" => Err(OpenError::Denied(format!(
                "FRUIT is {:?}, PATH is {:?}",
                std::env::var("FRUIT").ok(),
                std::env::var("PATH").ok()
            ))),
            "read-file" => Err(OpenError::Denied(format!(
                "{:?}",
                std::fs::read_to_string("/etc/hostname").map_err(|e| e.kind())
            ))),
            _ => Ok(()),
        }
    }

    /// The history that it claims.
    pub fn history(&self, context: &Context) -> String {
        match self.name.as_str() {
            "new-history" => format!("h{}", Deadline::now().nanos()),
            "bad-history" => "a history with spaces".into(),
            _ => context.history.clone().unwrap_or_else(|| "one".into()),
        }
    }

    /// Its memo.
    pub fn memo(&self) -> String {
        if self.is("long-memo") {
            "x".repeat(5000)
        } else {
            String::new()
        }
    }

    /// Before each call of the store.
    pub fn call(&mut self) -> Result<(), StoreError> {
        self.calls += 1;
        if let Some(outcome) = hoard(&self.name).or_else(|| reach(&self.name, &self.at)) {
            return Err(StoreError::Invalid(outcome));
        }
        match self.name.as_str() {
            "spin" => forever(),
            "sleep" => Deadline::after(Duration::from_secs(3600)).sleep(),
            "allocate" => {
                let mut hoard = Vec::new();
                loop {
                    hoard.push(black_box(vec![1u8; 1 << 20]));
                }
            }
            "leak" => drop(black_box(vec![1u8; 1 << 20].leak())),
            "say" => log::info("said in a call"),
            "recurse" => drop(recurse(1)),
            "trap-third" if self.calls == 3 => panic!("every third call"),
            "trap" => panic!("on purpose, and the password is hunter2"),
            "sockets" => {
                let connections: Vec<_> = (0..1000).map(|_| self.connect()).collect();
                return Err(StoreError::Invalid(format!(
                    "{} connections",
                    connections.iter().flatten().count()
                )));
            }
            "connect" => {
                let reached = self.connect().map(|_| "reached").map_err(|error| error.to_string());
                return Err(StoreError::Invalid(format!("{reached:?}")));
            }
            "request" => {
                let url = format!("http://{}/", self.at);
                let request = http::Request {
                    method: "GET",
                    url: &url,
                    headers: &[],
                    body: &[],
                };
                let reached = request
                    .send(Deadline::after(Duration::from_secs(1)))
                    .map(|answer| answer.status);
                return Err(StoreError::Invalid(format!("{reached:?}")));
            }
            // Says it to another, and then that nothing was done.
            "shout" if self.calls > 1 => {
                let said = self
                    .connect()
                    .and_then(|mut connection| connection.write(b"x", Deadline::after(Duration::from_secs(1))));
                return Err(StoreError::Unavailable(format!("{said:?}")));
            }
            "indeterminate" => return Err(StoreError::Indeterminate("who knows".into())),
            "unavailable" => return Err(StoreError::Unavailable("not now".into())),
            "conflict" => return Err(StoreError::Conflict(None)),
            "lost" => return Err(StoreError::HistoryLost("gone".into())),
            _ => {}
        }
        Ok(())
    }

    fn connect(&self) -> Result<Connection, shardwright_guest::adapter::net::NetError> {
        let (host, port) = self.at.rsplit_once(':').unwrap_or((&self.at, "1"));
        Connection::open(host, port.parse().unwrap_or(1), Deadline::after(Duration::from_secs(1)))
    }

    /// Whether writes are only claimed.
    pub fn claims(&self) -> bool {
        self.is("claim")
    }

    /// What is made of the answer to a write.
    pub fn written(&self, written: Written) -> Written {
        match self.name.as_str() {
            "regress" if self.calls > 1 => Written { revision: 1, ..written },
            "repeat" => Written {
                revision: 1 << 62,
                ..written
            },
            "zero" => Written { revision: 0, ..written },
            _ => written,
        }
    }

    /// The store's revision as it is told in readings.
    pub fn revision(&self, revision: u64) -> u64 {
        if self.is("regress-read") && self.calls > 1 {
            1
        } else {
            revision
        }
    }

    /// What is made of a listing.
    pub fn listing(&self, mut listing: Listing) -> Listing {
        let entry = |key: &str, value: Vec<u8>| Listed {
            key: key.into(),
            revision: listing.revision,
            written: 1,
            value,
        };
        let lies = match self.name.as_str() {
            "unsorted" => vec![entry("b", vec![]), entry("a", vec![])],
            "twice" => vec![entry("a", vec![]), entry("a", vec![])],
            "elsewhere" => vec![entry("other/key", vec![])],
            // A gigabyte where there is none.
            "beyond" => vec![entry("a", unsafe {
                Vec::from_raw_parts(8 as *mut u8, 1 << 30, 1 << 30)
            })],
            // A gigabyte in a thousand times the same mebibyte: little here, much for a host that copies it.
            "echo" => {
                let text = vec![b'x'; 1 << 20].leak();
                let mut value = |_| unsafe { Vec::from_raw_parts(text.as_mut_ptr(), 1 << 20, 1 << 20) };
                (0..1024).map(|n| entry(&format!("k{n:04}"), value(n))).collect()
            }
            _ => return listing,
        };
        listing.entries = lies;
        listing
    }

    /// Before each turn of a subscription.
    pub fn turn(&mut self, max: usize) -> Option<Result<Vec<Delivery>, BusError>> {
        self.calls += 1;
        let message = |topic: &str, payload: Vec<u8>| {
            Delivery::Message(Message {
                topic: topic.into(),
                payload,
            })
        };
        match self.name.as_str() {
            "spin-next" => forever(),
            "deaf" => {
                Deadline::after(Duration::from_secs(3600)).sleep();
                Some(Ok(Vec::new()))
            }
            "hasty" => Some(Ok(Vec::new())),
            "flood" => Some(Ok((0..max).map(|_| message("t", vec![0; 1024])).collect())),
            // As many as it may, each as long as it may be.
            "flood-of-whales" => Some(Ok((0..max.min(4)).map(|_| message("t", vec![0; 512 << 10])).collect())),
            "overdo" => Some(Ok((0..max * 2).map(|_| message("t", vec![])).collect())),
            "wrong-topic" => Some(Ok(vec![message("another", vec![])])),
            "huge-message" => Some(Ok(vec![message("t", vec![0; 600 * 1024])])),
            "trap-next" => panic!("in the middle of a subscription"),
            "break-off" if self.calls == 2 => Some(Err(BusError::Unavailable("the connection broke".into()))),
            "break-off" => Some(Ok(vec![message("t", vec![])])),
            _ => None,
        }
    }
}

fn forever() -> ! {
    loop {
        black_box(());
    }
}

#[expect(unconditional_recursion, reason = "that is the misdeed")]
fn recurse(depth: u32) -> u32 {
    recurse(black_box(depth) + 1) ^ black_box(depth)
}
