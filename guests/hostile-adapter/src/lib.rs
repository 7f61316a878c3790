//! A coordinator adapter that keeps everything in its own memory, or misbehaves as its configuration says:
//! `{"misdeed": "…", "at": "host:port"}`. The tests and the benchmarks of the host run it.
#![allow(unsafe_code, reason = "some misdeeds need it")]

mod hoard;
mod memory;
mod misdeed;
mod reach;

use memory::Memory;
use misdeed::Misdeed;
use shardwright_guest::adapter::{Adapter, Context, Description, OpenError, Opened};

/// The adapter.
pub struct Hostile;

impl Adapter for Hostile {
    type Store = Memory;
    type Publisher = Memory;
    type Subscriber = Memory;

    fn describe() -> Description {
        Description {
            name: "hostile".into(),
            version: "0.1.0".into(),
            summary: "Keeps everything in its own memory, or misbehaves.".into(),
            options: vec![
                "misdeed: the name of one".into(),
                "at: what it is done to, host:port".into(),
            ],
        }
    }

    fn requires(config: &str) -> Result<Vec<String>, String> {
        let misdeed = Misdeed::of(config);
        // Whoever only looks at an adapter runs this.
        if let Some(name) = misdeed.name.strip_prefix("inspected-") {
            return Err(hoard::hoard(name).unwrap_or_default());
        }
        match misdeed.name.as_str() {
            "require-much" => Ok((0..1_000_000).map(|n| format!("tcp://host-{n}:1")).collect()),
            "require-many" => Ok((0..1_000).map(|n| format!("tcp://host-{n}:1")).collect()),
            "refuse" => Err("the configuration is not to its liking".into()),
            "want-grants" => Ok(vec!["tcp://10.0.0.1:1".into(), "env:SECRET".into()]),
            "want-nonsense" => Ok(vec!["everything".into()]),
            _ => Ok(Vec::new()),
        }
    }

    fn open_store(context: &Context) -> Result<(Memory, Opened), OpenError> {
        open(context)
    }

    fn open_publisher(context: &Context) -> Result<(Memory, Opened), OpenError> {
        open(context)
    }

    fn open_subscriber(context: &Context) -> Result<(Memory, Opened), OpenError> {
        open(context)
    }
}

fn open(context: &Context) -> Result<(Memory, Opened), OpenError> {
    let misdeed = Misdeed::of(&context.config);
    misdeed.open()?;
    let opened = Opened {
        location: "here".into(),
        history: misdeed.history(context),
        memo: misdeed.memo(),
    };
    Ok((Memory::new(misdeed), opened))
}

shardwright_guest::export_adapter!(Hostile);
