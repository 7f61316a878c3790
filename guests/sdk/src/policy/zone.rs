//! Spreading the owners of a shard over zones.

/// Numbers the zones of some nodes, in order of appearance; no zone counts as a zone of its own.
///
/// Answers the zone number of each node, and how many zones there are.
#[must_use]
pub fn numbered<'a>(zones: impl IntoIterator<Item = &'a str>) -> (Vec<u32>, u32) {
    let mut known = std::collections::BTreeMap::new();
    let numbers = zones
        .into_iter()
        .map(|zone| {
            let next = known.len() as u32;
            *known.entry(zone).or_insert(next)
        })
        .collect();
    (numbers, known.len() as u32)
}

/// How many of `width` owners may share a zone if there are `zones`: as few as can be.
#[must_use]
pub fn limit(width: u32, zones: u32) -> u32 {
    width.div_ceil(zones.max(1))
}
