//! What must hold of whatever stands in the files of a state directory, for `tests/properties`: functions over bytes
//! that somebody makes up.

use super::{instance, memory, processes};
use crate::adapter::report::Report;
use shardwright_core::id::ProcessId;
use shardwright_core::memory::Memory;

const CLUSTER: &str = "mail";
const HERE: &str = "7e1f7ca2-5b5b-4b8e-9f60-5a2a9d0b6c11 64768 1048577";

/// Each file is read as what it would be written as, or not at all; and what is of another place, cluster or format is
/// not believed.
pub fn files(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some((id, Some(folder))) = instance::parse(text) {
        assert_eq!(instance::parse(&instance::text(id, folder)), Some((id, Some(folder))));
        assert!(folder.may_be(folder));
    }
    predecessors(text);
    if let Ok(memory) = memory::parse(text, CLUSTER) {
        let written = memory::text(CLUSTER, &memory).expect("it fits");
        assert_eq!(memory::parse(&written, CLUSTER).ok(), Some(memory));
        assert_eq!(memory::parse(&written, "other").ok(), Some(Memory::default()));
    }
    if let Ok(report) = serde_json::from_str::<Report>(text) {
        let written = serde_json::to_string(&report).expect("it fits");
        assert_eq!(serde_json::from_str(&written).ok(), Some(report));
    }
}

fn predecessors(text: &str) {
    let listed = processes::parse(&format!("{HERE}\n{text}"), Some(HERE));
    assert!(listed.len() <= processes::KEPT && listed.len() <= text.lines().count());
    let next = ProcessId(7);
    let all: Vec<_> = listed.iter().copied().chain([next]).collect();
    let written = processes::written(HERE, all.iter().copied());
    let last = &all[all.len().saturating_sub(processes::KEPT)..];
    assert_eq!(processes::parse(&written, Some(HERE)), last);
    assert_eq!(processes::parse(&written, Some("elsewhere")), []);
    assert_eq!(processes::parse(&written, None), []);
}

/// What a node remembers that has such a file.
pub fn memory(text: &str) -> Option<Memory> {
    memory::parse(text, CLUSTER).ok()
}
