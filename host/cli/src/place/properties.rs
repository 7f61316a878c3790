//! What must hold of whatever somebody gives as the address of a coordinator, for `tests/properties`: functions over
//! bytes that somebody makes up.

use super::text::decoded;
use super::{coordinator, section};
use shardwright_config::CoordinatorConfig;
use toml::de::DeTable;

const SCHEMES: [&str; 14] = [
    "redis",
    "rediss",
    "redis-cluster",
    "rediss-cluster",
    "redis-sentinel",
    "rediss-sentinel",
    "nats",
    "tls",
    "kafka",
    "etcd",
    "etcds",
    "postgres",
    "postgresql",
    "http",
];
/// What a section that an address stands for may say.
const KEYS: [&str; 9] = [
    "type",
    "urls",
    "redis-type",
    "service-name",
    "addresses",
    "brokers",
    "adapter",
    "allow",
    "config",
];
/// What the password has in it.
const HIDDEN: &str = "hunter2-hunter2-x";

/// An address is a section of a configuration that says nothing but where the coordinator is, or it is refused.
pub fn address(data: &[u8]) {
    let Some((&scheme, rest)) = data.split_first() else {
        return;
    };
    let Ok(rest) = std::str::from_utf8(rest) else { return };
    let known = SCHEMES.get(usize::from(scheme));
    let text = known.map_or_else(|| rest.to_owned(), |scheme| format!("{scheme}://{rest}"));
    let Ok(lines) = section(&text) else {
        return refused(&text);
    };
    let said = DeTable::parse(&lines).unwrap_or_else(|error| panic!("{text}: {lines}{error}"));
    let said = said.get_ref();
    // No table, of which all that follows would be a part.
    assert!(
        said.keys().all(|key| KEYS.contains(&&**key.get_ref())),
        "{text}: {lines}"
    );
    let kind = said.get("type").and_then(|kind| kind.get_ref().as_str());
    // What stands in variables and files is nobody's to read here.
    if text.contains("%{") {
        return;
    }
    if let Ok(found) = coordinator(&text) {
        assert_eq!(Some(found.kind()), kind, "{text}: {lines}");
        if let CoordinatorConfig::Component(component) = found {
            assert!(!component.grants.is_empty(), "{text}: it may connect to nothing");
        }
    }
}

/// What is refused as an address is refused with a reason, unless it is a path.
fn refused(text: &str) {
    if text.contains("://") && !text.starts_with("env:") && !text.starts_with("file:") {
        let error = coordinator(text).err().map(|error| format!("{error:#}"));
        assert!(error.is_some_and(|error| !error.is_empty()), "{text}");
    }
}

/// The password in an address is shown nowhere, whatever breaks the address.
pub fn password(data: &[u8]) {
    let Some((&scheme, rest)) = data.split_first() else {
        return;
    };
    let Ok(rest) = std::str::from_utf8(rest) else { return };
    // Nothing else must read like the password, hostnames in lower case included.
    let plain = rest.replace(char::is_control, "").to_lowercase();
    let read = decoded(&plain).unwrap_or_default().to_lowercase();
    if plain.contains("hunter") || read.contains("hunter") || rest.contains("%{") {
        return;
    }
    let scheme = SCHEMES[usize::from(scheme) % SCHEMES.len()];
    let (within, after) = rest.split_once('\n').unwrap_or(("", rest));
    let address = format!("{scheme}://me:{HIDDEN}{within}@{after}");
    let shown = match coordinator(&address) {
        Ok(config) => format!("{config:?}"),
        Err(error) => format!("{error:#}{error:?}"),
    };
    assert!(!shown.contains("hunter"), "{address}: {shown}");
}
