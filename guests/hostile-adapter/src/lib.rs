//! A coordinator adapter that keeps everything in its own memory, or misbehaves as its configuration says.

mod memory;

use memory::Memory;
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
            options: vec!["misdeed: the name of one".into()],
        }
    }

    fn requires(_config: &str) -> Result<Vec<String>, String> {
        Ok(Vec::new())
    }

    fn open_store(context: &Context) -> Result<(Memory, Opened), OpenError> {
        Ok((Memory::default(), opened(context)))
    }

    fn open_publisher(context: &Context) -> Result<(Memory, Opened), OpenError> {
        Ok((Memory::default(), opened(context)))
    }

    fn open_subscriber(context: &Context) -> Result<(Memory, Opened), OpenError> {
        Ok((Memory::default(), opened(context)))
    }
}

fn opened(context: &Context) -> Opened {
    Opened {
        location: "here".into(),
        history: context.history.clone().unwrap_or_else(|| "one".into()),
        memo: String::new(),
    }
}

shardwright_guest::export_adapter!(Hostile);
