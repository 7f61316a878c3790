//! Reads a snapshot that somebody wrote, and says what contradicts itself in it.

use anyhow::{Context, bail};
use shardwright_core::role::MAX_SHARDS;
use shardwright_core::snapshot::Snapshot;
use std::io::Read;
use std::path::Path;

/// The largest snapshot that is read, in bytes: four times that of 2²⁰ shards with four owners.
const MAX_BYTES: u64 = 256 << 20;

/// The most places, shards × replicas, that a snapshot may have.
const MAX_PLACES: u64 = 1 << 26;

/// Reads the file, or stdin for `-`.
pub(super) fn read(path: &Path) -> anyhow::Result<Snapshot> {
    let mut text = String::new();
    let from_stdin = path == Path::new("-");
    let name = if from_stdin {
        "stdin".to_owned()
    } else {
        path.display().to_string()
    };
    let source: Box<dyn Read> = if from_stdin {
        Box::new(std::io::stdin())
    } else {
        Box::new(shardwright_files::open(path).with_context(|| format!("cannot read the snapshot {name}"))?)
    };
    source
        .take(MAX_BYTES + 1)
        .read_to_string(&mut text)
        .with_context(|| format!("cannot read the snapshot {name}"))?;
    if text.len() as u64 > MAX_BYTES {
        bail!("the snapshot {name} is larger than {MAX_BYTES} bytes");
    }
    let snapshot: Snapshot = serde_json::from_str(&text)
        .with_context(|| format!("{name} is no snapshot: its fields are described in docs/schema/snapshot.schema.json"))?;
    if let Some(problem) = problem(&snapshot) {
        bail!("the snapshot {name} contradicts itself: {problem}");
    }
    Ok(snapshot)
}

/// What a host would never ask.
fn problem(snapshot: &Snapshot) -> Option<String> {
    let role = &snapshot.role;
    if !(1..=MAX_SHARDS).contains(&role.shards) {
        return Some(format!("role.shards is {}, and must be 1 to {MAX_SHARDS}", role.shards));
    }
    let places = u64::from(role.shards) * u64::from(role.replicas);
    if role.replicas == 0 || places > MAX_PLACES {
        return Some(format!(
            "role.replicas is {}, and must be at least 1 and give at most {MAX_PLACES} places",
            role.replicas
        ));
    }
    if snapshot.nodes.first().is_some_and(|node| node.id == 0) {
        return Some("a node's id is 0; ids begin at 1".to_owned());
    }
    if let Some(pair) = snapshot.nodes.windows(2).find(|pair| pair[0].id >= pair[1].id) {
        return Some(format!(
            "nodes must be sorted by id without repetition, and {} comes before {}",
            pair[0].id, pair[1].id
        ));
    }
    let lists = [
        ("previous", role.previous.len(), places),
        ("holders", role.holders.len(), u64::from(role.shards)),
        ("targets", role.targets.len(), u64::from(role.shards)),
        ("loads", role.loads.len(), u64::from(role.shards)),
    ];
    if let Some((name, found, wanted)) = lists.into_iter().find(|&(_, found, wanted)| found != 0 && found as u64 != wanted) {
        return Some(format!("role.{name} has {found} elements, and must have {wanted} or none"));
    }
    let ends = &role.candidate_ends;
    if ends.len() > 1 && ends.len() != role.shards as usize {
        return Some(format!(
            "role.candidate-ends has {} elements, and must have none, one, or one for each of {} shards",
            ends.len(),
            role.shards
        ));
    }
    let listed = u32::try_from(role.candidates.len()).unwrap_or(u32::MAX);
    if ends.is_sorted() && ends.last().copied().unwrap_or(0) == listed {
        return None;
    }
    Some(format!("role.candidate-ends must rise to the number of role.candidates, {listed}"))
}
