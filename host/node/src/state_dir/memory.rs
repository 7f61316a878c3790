//! The file `memory.json`: what the node remembers of the cluster.

use super::file::replace;
use serde::{Deserialize, Serialize};
use shardwright_core::memory::Memory;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

const FILE: &str = "memory.json";
/// The largest that is read: 65,535 ids with long names.
const LARGEST: u64 = 32 << 20;
/// The only format so far.
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Stored {
    format: u32,
    /// The cluster's name: what was known of another says nothing here.
    cluster: String,
    memory: Memory,
}

/// The file, and what is to be written to it.
#[derive(Debug)]
pub(super) struct Store {
    folder: PathBuf,
    /// What waits to be written. A disk may hang; the node must not.
    next: Arc<Mutex<Next>>,
}

#[derive(Debug, Default)]
struct Next {
    text: Option<String>,
    writing: bool,
    failed: bool,
}

impl Store {
    pub(super) fn open(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            next: Arc::default(),
        }
    }

    /// What was remembered of this cluster. What cannot be read is as good as forgotten.
    pub(super) fn recall(&self, cluster: &str) -> Memory {
        let path = self.folder.join(FILE);
        let text = match shardwright_files::read_text(&path, LARGEST) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Memory::default(),
            Err(error) => {
                tracing::warn!(
                    path = %path.display(), %error,
                    "what this node remembers cannot be read: it starts without"
                );
                return Memory::default();
            }
        };
        parse(&text, cluster).unwrap_or_else(|error| {
            tracing::warn!(path = %path.display(), %error, "what this node remembers is damaged: it starts without");
            Memory::default()
        })
    }

    /// Writes on a thread of its own; while one is busy, only the latest waits.
    pub(super) fn remember(&self, cluster: &str, memory: Arc<Memory>) {
        let Ok(text) = text(cluster, &memory) else { return };
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        next.text = Some(text);
        if !next.writing {
            let (folder, waiting) = (self.folder.clone(), self.next.clone());
            let writer = std::thread::Builder::new().name("shardwright-state".to_owned());
            next.writing = writer.spawn(move || write(&folder, &waiting)).is_ok();
        }
    }
}

/// What the file tells of this cluster: nothing if it is of another, or of another format.
pub(super) fn parse(text: &str, cluster: &str) -> serde_json::Result<Memory> {
    let stored: Stored = serde_json::from_str(text)?;
    let ours = stored.format == FORMAT && stored.cluster == cluster;
    Ok(if ours { stored.memory } else { Memory::default() })
}

/// What the file holds of this cluster.
pub(super) fn text(cluster: &str, memory: &Memory) -> serde_json::Result<String> {
    let stored = Stored {
        format: FORMAT,
        cluster: cluster.to_owned(),
        memory: memory.clone(),
    };
    Ok(serde_json::to_string_pretty(&stored)? + "\n")
}

fn write(folder: &Path, waiting: &Mutex<Next>) {
    loop {
        let text = {
            let mut next = waiting.lock().unwrap_or_else(PoisonError::into_inner);
            let text = next.text.take();
            next.writing = text.is_some();
            text
        };
        let Some(text) = text else { return };
        let written = replace(folder, FILE, &text);
        let mut next = waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let failed_before = std::mem::replace(&mut next.failed, written.is_err());
        if let Err(error) = written
            && !failed_before
        {
            tracing::warn!(path = %folder.join(FILE).display(), %error, "what this node remembers cannot be written");
        }
    }
}

#[cfg(test)]
mod test {
    use super::*;
    use shardwright_core::id::{HistoryId, NodeId};
    use shardwright_core::join::Former;
    use shardwright_core::memory::Remembered;
    use shardwright_core::store::StoreTime;
    use std::time::{Duration, Instant};

    fn memory(id: u32) -> Memory {
        let id = NodeId::new(id).expect("an id");
        let hostname = "mail-1".to_owned();
        Memory {
            former: Some(Former {
                id,
                hostname: hostname.clone(),
            }),
            ids: vec![Remembered {
                id,
                hostname,
                used: StoreTime(7),
            }],
            history: Some(HistoryId(1 << 100)),
            token: 1 << 60,
            heard: StoreTime(9),
        }
    }

    #[test]
    fn the_last_that_was_to_be_remembered_is() {
        let temp = tempfile::tempdir().expect("a folder");
        let store = Store::open(temp.path());
        assert_eq!(store.recall("mail"), Memory::default(), "nothing yet");
        for id in 1..=20 {
            store.remember("mail", Arc::new(memory(id)));
        }
        let end = Instant::now() + Duration::from_secs(60);
        while store.recall("mail") != memory(20) {
            assert!(Instant::now() < end, "{:?}", store.recall("mail"));
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(
            store.recall("other"),
            Memory::default(),
            "of another cluster nothing is known"
        );
    }

    #[test]
    fn the_file_is_a_contract_and_damage_is_as_good_as_nothing() {
        let temp = tempfile::tempdir().expect("a folder");
        let (store, file) = (Store::open(temp.path()), temp.path().join(FILE));
        let text = r#"{"format":1,"cluster":"mail","memory":{"former":{"id":3,"hostname":"mail-1"},
            "ids":[{"id":3,"hostname":"mail-1","used":7}],
            "history":1267650600228229401496703205376,"token":1152921504606846976,"heard":9}}"#;
        std::fs::write(&file, text).expect("written");
        assert_eq!(store.recall("mail"), memory(3));
        for bad in [
            "",
            "{",
            r#"{"format":2,"cluster":"mail","memory":{"ids":[]}}"#,
            &text.replace("\"id\":3", "\"id\":0"),
        ] {
            std::fs::write(&file, bad).expect("written");
            assert_eq!(store.recall("mail"), Memory::default(), "{bad}");
        }
    }
}
