//! A coordinator adapter for PostgreSQL: the store is two tables and a function, the bus is `LISTEN` and `NOTIFY`.
//!
//! [`docs/postgresql.md`](../../../../docs/postgresql.md) says how each promise of the contract is kept. From below:
//! `wire` carries bytes, `client` messages and answers, `login` begins a session, `session` checks the server and finds
//! the history; `store`, `publisher` and `subscriber` are the three kinds of lanes.

mod client;
mod config;
mod examine;
#[cfg(test)]
mod hostile;
mod login;
mod note;
mod publisher;
mod refusal;
mod row;
mod schema;
mod session;
mod statement;
mod store;
mod subscriber;
mod wire;

use config::Config;
use login::Place;
use shardwright_guest::adapter::net::Connection;
use shardwright_guest::adapter::{Adapter, Context, Description, OpenError, Opened, log};

/// The adapter.
pub struct PostgreSql;

impl Adapter for PostgreSql {
    type Store = store::Space<Connection>;
    type Publisher = publisher::NotifyPublisher<Connection>;
    type Subscriber = subscriber::ListenSubscriber<Connection>;

    fn describe() -> Description {
        Description {
            name: "postgresql".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: "PostgreSQL 13 or newer: the store in two tables, the bus over LISTEN and NOTIFY.".into(),
            options: config::OPTIONS.map(str::to_owned).into(),
        }
    }

    fn requires(config: &str) -> Result<Vec<String>, String> {
        Config::parse(config).map(|config| vec![config.grant()])
    }

    fn open_store(context: &Context) -> Result<(Self::Store, Opened), OpenError> {
        open(context).map(|(begun, opened)| (store::Space::new(begun), opened))
    }

    fn open_publisher(context: &Context) -> Result<(Self::Publisher, Opened), OpenError> {
        open(context).map(|(begun, opened)| (publisher::NotifyPublisher::new(begun), opened))
    }

    fn open_subscriber(context: &Context) -> Result<(Self::Subscriber, Opened), OpenError> {
        open(context).map(|(begun, opened)| (subscriber::ListenSubscriber::new(begun), opened))
    }
}

/// Connects, logs in and finds the history.
fn open(context: &Context) -> Result<(session::Begun<Connection>, Opened), OpenError> {
    let config = Config::parse(&context.config).map_err(OpenError::InvalidConfig)?;
    let place = Place::new(&config, &context.namespace);
    let client = login::login(wire::connect(&config)?, &config, &place)?;
    let begun = session::begin(client, &config, place, context)?;
    if let Some(why) = &begun.moved {
        warn(why);
    }
    let opened = Opened {
        location: begun.place.to_string(),
        history: begun.history.clone(),
        memo: String::new(),
    };
    Ok((begun, opened))
}

/// Tells the operator. Natively, where the tests run, there is nobody.
fn warn(text: &str) {
    if cfg!(target_arch = "wasm32") {
        log::warn(text);
    }
}

shardwright_guest::export_adapter!(PostgreSql);

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod properties;
#[cfg(any(test, feature = "fuzzing"))]
mod script;
