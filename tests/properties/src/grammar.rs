//! What people write into single values: durations, sizes, addresses, members, grants.

use crate::config::read;
use shardwright_config::ClusterConfig;

/// Files with one place to fill.
const PLACES: &[&str] = &[
    "[cluster.timing]\nsettle = \u{1}\n",
    "[cluster.timing]\nrejoin-delay = \u{1}\n",
    "[cluster]\nname = \u{1}\n",
    "[cluster]\nnode-id = \u{1}\n",
    "[cluster.roles]\nfts-indexing = [\u{1}]\n",
    "[cluster.roles]\nimip-processing = { groups = [\u{1}], mode = \"primary\" }\n",
    "[cluster.roles]\npush-notifications = { shards = 8, nodes = [\u{1}] }\n",
    "[cluster]\ncoordinator = \"s\"\n[store.s]\ntype = \"redis\"\nurls = [\u{1}]\n",
    "[cluster]\ncoordinator = \"s\"\n[store.s]\ntype = \"redis\"\nurls = \"redis://h\"\ntimeout = \u{1}\n",
    "[cluster]\ncoordinator = \"s\"\n[store.s]\ntype = \"nats\"\naddress = \u{1}\n",
    "[cluster]\ncoordinator = \"s\"\n[store.s]\ntype = \"kafka\"\nbrokers = \u{1}\n",
    "[cluster]\ncoordinator = \"s\"\n[store.s]\ntype = \"component\"\nadapter = \"etcd\"\nallow = [\u{1}]\n\
     config.endpoints = [\"http://h:1\"]\n",
    "[cluster]\ncoordinator = \"s\"\n[store.s]\ntype = \"component\"\nadapter = \"etcd\"\nconfig.endpoints = [\u{1}]\n",
    "[policy.mine]\nbudget = { wall = \u{1} }\n",
    "[policy.mine]\nbudget = { memory = \u{1} }\n",
    "[node]\ncapacity = \u{1}\n",
];

/// A value in its place is accepted or refused there; durations mean what another reader of them says.
pub(crate) fn grammar(data: &[u8]) {
    let Some((&place, value)) = data.split_first() else {
        return;
    };
    let value = String::from_utf8_lossy(value);
    // JSON's way of quoting is TOML's, too.
    let Ok(quoted) = serde_json::to_string(&*value) else {
        return;
    };
    let place = usize::from(place) % PLACES.len();
    let found = read(&PLACES[place].replace('\u{1}', &quoted));
    // In another section, the dialect may read what is no TOML as something else.
    let plain = !value.chars().any(|c| c.is_control()) && !value.contains("%{");
    if plain && place < 2 {
        let (limit, of): (u64, fn(&ClusterConfig) -> u64) = if place == 0 {
            (60_000, |config| config.timing.settle)
        } else {
            (86_400_000, |config| config.timing.rejoin_delay)
        };
        let expected = milliseconds(&value).filter(|ms| *ms <= limit);
        assert_eq!(found.as_ref().map(of), expected, "{value:?}");
    }
}

/// Durations as docs/configuration.md has them: a whole number and a unit, in either case.
fn milliseconds(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let units = [
        ("ms", 1),
        ("s", 1_000),
        ("m", 60_000),
        ("h", 3_600_000),
        ("d", 86_400_000),
    ];
    let (number, factor) = units
        .iter()
        .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?.trim_end(), factor)))?;
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    number.parse::<u64>().ok()?.checked_mul(*factor)
}
