//! The file `processes`: who ran in this folder, on this machine since it was started.
//!
//! The lock of the folder is mine, so all of them are over. That is known of no other process of the same instance: it
//! may run in a copy of the folder that cannot be told from this one.

use super::file::{random_bits, replace};
use super::folder::place;
use super::{StateDirError, failed};
use shardwright_core::id::ProcessId;
use std::path::Path;

const FILE: &str = "processes";
/// The largest that is read.
const LARGEST: u64 = 4 << 10;
/// As many as may have ended without leaving a session of their own behind the present one.
pub(super) const KEPT: usize = 16;

/// A new process begins here: its number, on disk before it is used if there is room, and its predecessors.
pub(super) fn enter(path: &Path) -> Result<(ProcessId, Vec<ProcessId>), StateDirError> {
    let file = path.join(FILE);
    // The lower half: any bits are as random as the others.
    let bits = random_bits().map_err(failed("draw random numbers for", &file))?;
    let process = ProcessId((bits & u128::from(u64::MAX)) as u64);
    let here = place(path);
    // What cannot be read proves nothing, and a wait is all that it costs.
    let text = shardwright_files::read_text(&file, LARGEST).unwrap_or_default();
    let predecessors = parse(&text, here.as_deref());
    let text = written(
        here.as_deref().unwrap_or_default(),
        predecessors.iter().copied().chain([process]),
    );
    if let Err(error) = replace(path, FILE, &text) {
        let path = file.display();
        tracing::warn!(
            %error,
            "{path} cannot be written: if this process is killed, the next one waits for its lease as for a stranger's"
        );
    }
    Ok((process, predecessors))
}

/// The last of the processes that the file names, if it is of this place.
pub(super) fn parse(text: &str, here: Option<&str>) -> Vec<ProcessId> {
    let mut lines = text.lines();
    let mut processes = Vec::new();
    if here.is_some() && lines.next() == here {
        processes.extend(
            lines
                .filter_map(|line| u64::from_str_radix(line, 16).ok())
                .map(ProcessId),
        );
    }
    let first = processes.len().saturating_sub(KEPT);
    processes.split_off(first)
}

/// What the file holds of these processes of this place.
pub(super) fn written(here: &str, processes: impl Iterator<Item = ProcessId>) -> String {
    let processes: String = processes.map(|process| format!("{:016x}\n", process.0)).collect();
    format!("{here}\n{processes}")
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn predecessors_are_those_of_this_folder_on_this_machine_since_it_was_started() {
        let temp = tempfile::tempdir().expect("a folder");
        let (first, before) = enter(temp.path()).expect("enters");
        assert_eq!(before, []);
        let (second, before) = enter(temp.path()).expect("enters");
        assert_eq!(before, [first]);
        assert_eq!(enter(temp.path()).expect("enters").1, [first, second]);

        let copy = tempfile::tempdir().expect("a folder");
        std::fs::copy(temp.path().join(FILE), copy.path().join(FILE)).expect("copied");
        assert_eq!(
            enter(copy.path()).expect("enters").1,
            [],
            "who ran in the original may live"
        );

        let file = temp.path().join(FILE);
        let text = std::fs::read_to_string(&file).expect("read");
        let (here, rest) = text.split_once('\n').expect("a line");
        let (_, folder) = here.split_once(' ').expect("a boot id");
        std::fs::write(&file, format!("another-boot {folder}\n{rest}")).expect("written");
        assert_eq!(
            enter(temp.path()).expect("enters").1,
            [],
            "another machine may have the disk"
        );
    }

    #[test]
    fn the_list_does_not_grow_for_ever_and_damage_only_costs_a_wait() {
        let temp = tempfile::tempdir().expect("a folder");
        for _ in 0..3 * KEPT {
            enter(temp.path()).expect("enters");
        }
        assert_eq!(enter(temp.path()).expect("enters").1.len(), KEPT);
        std::fs::write(temp.path().join(FILE), b"\xff\xfe nonsense").expect("written");
        assert_eq!(enter(temp.path()).expect("enters").1, []);
    }
}
