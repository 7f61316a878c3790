//! `etcd`: nodes meet in an etcd cluster, spoken to through its JSON gateway.
//!
//! Every operation of the store is one transaction, over a connection of HTTP that the host keeps. The files, from the
//! outside in:
//!
//! - `config`, `open`, `memo`: how a lane begins; `history` is what it must find, and `examine` what an operator should
//!   know.
//! - `store` and `list`: the store; `publish` and `listen`: the bus.
//! - `lane` and `gateway`: one member of the cluster, as a lane speaks to it. `clock` makes a clock of the dates of its
//!   answers, and `vouch` looks whether it may be used.
//! - `api`, `codes`, `codec`, `keys`, `lines`: what is asked, what refusals mean, and how it is all written.
//! - `wire`: what is needed of the world, and `host`: the world as the host makes it.
//!
//! `docs/etcd.md` says how each promise of the contract is kept.

mod api;
mod clock;
mod codec;
mod codes;
mod config;
mod examine;
mod gateway;
mod history;
mod host;
mod keys;
mod lane;
mod lines;
mod list;
mod listen;
mod memo;
mod open;
mod publish;
#[cfg(any(test, feature = "fuzzing"))]
mod sim;
mod store;
mod vouch;
mod wire;

use config::Config;
use host::Host;
use shardwright_guest::adapter::{self, Context, Description, OpenError, Opened};

/// The adapter.
pub struct Etcd;

impl adapter::Adapter for Etcd {
    type Store = store::Store<Host>;
    type Publisher = publish::Publisher<Host>;
    type Subscriber = listen::Subscriber<Host>;

    fn describe() -> Description {
        Description {
            name: "etcd".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: "etcd 3.4 or newer, through its JSON gateway.".into(),
            options: config::OPTIONS.map(str::to_owned).into(),
        }
    }

    fn requires(config: &str) -> Result<Vec<String>, String> {
        Config::parse(config).map(|config| config.endpoints)
    }

    fn open_store(context: &Context) -> Result<(Self::Store, Opened), OpenError> {
        let open = open::timed(context, || Host)?;
        let told = open.told();
        Ok((store::Store::new(open), told))
    }

    fn open_publisher(context: &Context) -> Result<(Self::Publisher, Opened), OpenError> {
        let open = open::plain(context, || Host)?;
        let told = open.told();
        Ok((publish::Publisher::new(open), told))
    }

    fn open_subscriber(context: &Context) -> Result<(Self::Subscriber, Opened), OpenError> {
        let open = open::plain(context, || Host)?;
        let told = open.told();
        Ok((listen::Subscriber::new(open), told))
    }
}

shardwright_guest::export_adapter!(Etcd);

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod properties;
