//! Every key that is read, by section: for the reader, for suggestions, and for whoever wants to complete or document them.

/// Keys of `[cluster]`.
pub const CLUSTER: &[&str] = &["name", "node-id", "max-node-id", "coordinator", "secret", "timing", "roles"];

/// Keys of `[cluster.timing]`.
pub const TIMING: &[&str] = &[
    "validity",
    "renew",
    "margin",
    "drift-ppm",
    "stale-after",
    "inactive-after",
    "reuse-after",
    "rejoin-delay",
    "stop-timeout",
    "settle",
];

/// Keys of a role in table form.
pub const ROLE: &[&str] = &["shards", "replicas", "mode", "policy", "config", "nodes", "groups", "custom"];

/// Keys of `[node]`.
pub const NODE: &[&str] = &["labels", "zone", "capacity", "state-dir"];

/// Keys of `[policy."<name>"]`.
pub const POLICY: &[&str] = &["path", "digest", "budget"];

/// Keys of `[policy."<name>".budget]`.
pub const BUDGET: &[&str] = &["wall", "fuel", "memory", "output"];

/// What a setting of a coordinator section holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A text.
    Text,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A whole number.
    Number,
    /// A whole number, or `false` for none.
    NumberOrOff,
    /// `true` or `false`.
    Flag,
    /// A duration.
    Duration,
    /// A duration, or `false` for none.
    DurationOrOff,
    /// A text or a list of texts.
    List,
    /// A text that must not be seen.
    Secret,
    /// Texts that must not be seen, such as addresses with a password in them.
    SecretList,
    /// Not used here; allowed because the mail server uses it.
    Ignored,
}

/// One setting of a coordinator section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its key. Written `timeout.request`, `timeout-request` or `timeoutRequest`, it is the same.
    pub name: &'static str,
    /// Other names that mean the same.
    pub aliases: &'static [&'static str],
    /// What it holds.
    pub kind: Kind,
    /// Whether the section is useless without it.
    pub required: bool,
}

const fn setting(name: &'static str, kind: Kind) -> Setting {
    Setting {
        name,
        aliases: &[],
        kind,
        required: false,
    }
}

impl Setting {
    const fn or(self, aliases: &'static [&'static str]) -> Self {
        Self { aliases, ..self }
    }

    const fn required(self) -> Self {
        Self { required: true, ..self }
    }
}

/// Settings that every section of a coordinator may have.
pub const COMMON: &[Setting] = &[
    setting("type", Kind::Text).required(),
    setting("disable", Kind::Flag),
    setting("compression", Kind::Ignored),
    setting("purge.frequency", Kind::Ignored),
];

/// The types of section that can coordinate, with their settings besides [`COMMON`].
pub const COORDINATORS: &[(&str, &[Setting])] = &[
    ("memory", &[]),
    (
        "sqlite",
        &[
            setting("path", Kind::Text).required(),
            setting("pool.max-connections", Kind::Ignored),
            setting("pool.workers", Kind::Ignored),
        ],
    ),
    (
        "redis",
        &[
            setting("urls", Kind::SecretList).or(&["url"]).required(),
            setting("redis-type", Kind::Word(&["single", "cluster", "sentinel"])),
            setting("timeout", Kind::Duration),
            setting("user", Kind::Text).or(&["auth-username"]),
            setting("password", Kind::Secret).or(&["auth-secret"]),
            setting("service-name", Kind::Text),
            setting("sentinel-user", Kind::Text).or(&["sentinel-username"]),
            setting("sentinel-password", Kind::Secret).or(&["sentinel-secret"]),
            setting("retry.total", Kind::Number).or(&["max-retries"]),
            setting("retry.max-wait", Kind::DurationOrOff).or(&["max-retry-wait"]),
            setting("retry.min-wait", Kind::DurationOrOff).or(&["min-retry-wait"]),
            setting("read-from-replicas", Kind::Flag),
            setting("protocol-version", Kind::Word(&["resp2", "resp3"])),
            setting("pool.max-connections", Kind::Number),
            setting("pool.create-timeout", Kind::DurationOrOff).or(&["pool-timeout-create"]),
            setting("pool.wait-timeout", Kind::DurationOrOff).or(&["pool-timeout-wait"]),
            setting("pool.recycle-timeout", Kind::DurationOrOff).or(&["pool-timeout-recycle"]),
        ],
    ),
    (
        "nats",
        &[
            setting("address", Kind::SecretList).or(&["addresses"]).required(),
            setting("max-reconnects", Kind::NumberOrOff),
            setting("timeout.connection", Kind::Duration),
            setting("timeout.request", Kind::DurationOrOff),
            setting("ping-interval", Kind::Duration),
            setting("capacity.client", Kind::Number),
            setting("capacity.subscription", Kind::Number),
            setting("capacity.read-buffer", Kind::Number),
            setting("tls.enable", Kind::Flag).or(&["use-tls"]),
            setting("no-echo", Kind::Flag),
            setting("user", Kind::Text).or(&["auth-username"]),
            setting("password", Kind::Secret).or(&["auth-secret"]),
            setting("credentials", Kind::Secret),
        ],
    ),
    (
        "kafka",
        &[
            setting("brokers", Kind::List).required(),
            setting("group-id", Kind::Text),
            setting("timeout.session", Kind::Duration),
            setting("timeout.message", Kind::Duration),
        ],
    ),
    ("zenoh", &[setting("config", Kind::Secret).required()]),
];

/// Store types of the mail server that keep data and cannot coordinate.
pub const OTHER_STORES: &[&str] = &[
    "rocksdb",
    "foundationdb",
    "postgresql",
    "mysql",
    "fs",
    "s3",
    "azure",
    "elasticsearch",
    "meilisearch",
    "sql-read-replica",
    "distributed-blob",
    "sharded-blob",
    "sharded-in-memory",
];

/// `key` in the one spelling that all its spellings share: words in lower case, joined by `-`.
#[must_use]
pub fn canonical(key: &str) -> String {
    let mut out = String::with_capacity(key.len() + 4);
    let mut after_lower = false;
    for c in key.chars() {
        match c {
            '.' | '_' | '-' => out.push('-'),
            c if c.is_ascii_uppercase() => {
                if after_lower {
                    out.push('-');
                }
                out.push(c.to_ascii_lowercase());
            }
            c => out.push(c),
        }
        after_lower = c.is_ascii_lowercase() || c.is_ascii_digit();
    }
    out
}

/// The one of `candidates` that was probably meant by `word`.
pub(crate) fn suggest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let word = canonical(word);
    let allowed = 1 + word.chars().count().min(40) / 4;
    // Nobody mistypes a key by writing a novel; measuring one would be slow.
    let plausible = |c: &&str| word.len() <= c.len() + allowed && c.len() <= word.len() + allowed;
    candidates
        .into_iter()
        .filter(plausible)
        .map(|c| (strsim::damerau_levenshtein(&word, &canonical(c)), c))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn one_spelling() {
        for key in ["timeout.request", "timeout-request", "timeoutRequest", "timeout_request"] {
            assert_eq!(canonical(key), "timeout-request");
        }
    }

    #[test]
    fn suggests_what_was_meant() {
        assert_eq!(suggest("nodeId", CLUSTER.iter().copied()), Some("node-id"));
        assert_eq!(suggest("coordnator", CLUSTER.iter().copied()), Some("coordinator"));
        assert_eq!(suggest("bind-addr", CLUSTER.iter().copied()), None);
    }
}
