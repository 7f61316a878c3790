//! Every key that is read, by section: for the reader, for suggestions, and for whoever wants to complete or document
//! them.

/// Keys of `[cluster]`.
pub const CLUSTER: &[&str] = &[
    "name",
    "node-id",
    "max-node-id",
    "coordinator",
    "secret",
    "timing",
    "roles",
    "preset",
];

/// Keys of `[cluster]` from the time when nodes found each other by gossip, up to the mail server's release 0.11: they
/// have no effect.
pub const GOSSIP: &[&str] = &[
    "bind-addr",
    "bind-port",
    "advertise-addr",
    "seed-nodes",
    "key",
    "heartbeat",
];

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
pub const ROLE: &[&str] = &[
    "shards", "replicas", "mode", "policy", "config", "nodes", "groups", "custom",
];

/// Keys of `[node]`.
pub const NODE: &[&str] = &["labels", "zone", "capacity", "state-dir"];

/// Keys of `[policy."<name>"]`.
pub const POLICY: &[&str] = &["path", "digest", "budget"];

/// Keys of `[policy."<name>".budget]`.
pub const BUDGET: &[&str] = &["wall", "fuel", "memory", "output"];

/// What becomes of a setting of a coordinator section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// It is read.
    Read,
    /// It is read, and the section is useless without it.
    Required,
    /// The mail server's own, for what else it does with the store: nothing is said about it.
    Elsewhere,
    /// It makes no sense here, for this reason: whoever sets it is told.
    Ignored(&'static str),
}

/// One setting of a coordinator section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its key. Written `timeout.request`, `timeout-request` or `timeoutRequest`, it is the same.
    pub name: &'static str,
    /// Other names that mean the same.
    pub aliases: &'static [&'static str],
    /// What becomes of it.
    pub usage: Use,
}

const fn read(name: &'static str) -> Setting {
    Setting {
        name,
        aliases: &[],
        usage: Use::Read,
    }
}

const fn required(name: &'static str) -> Setting {
    Setting {
        usage: Use::Required,
        ..read(name)
    }
}

const fn elsewhere(name: &'static str) -> Setting {
    Setting {
        usage: Use::Elsewhere,
        ..read(name)
    }
}

const fn ignored(name: &'static str, why: &'static str) -> Setting {
    Setting {
        usage: Use::Ignored(why),
        ..read(name)
    }
}

impl Setting {
    const fn or(self, aliases: &'static [&'static str]) -> Self {
        Self { aliases, ..self }
    }
}

/// A type of section that can coordinate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backend {
    /// The value of `type`.
    pub kind: &'static str,
    /// What it can be told besides [`COMMON`] and [`TLS`]. A setting that is a table of its own, as a component's
    /// `config`, is one setting.
    pub settings: &'static [Setting],
    /// Whether it also takes the settings in [`TLS`].
    pub tls: bool,
}

impl Backend {
    /// Every setting that a section of this type may have.
    pub fn all(&self) -> impl Iterator<Item = &'static Setting> + Clone + use<> {
        let tls = if self.tls { TLS } else { &[] };
        COMMON.iter().chain(self.settings).chain(tls)
    }
}

/// Settings that every section of a coordinator may have.
pub const COMMON: &[Setting] = &[
    required("type"),
    read("disable"),
    elsewhere("compression"),
    elsewhere("purge.frequency"),
];

/// Settings of every type that speaks to a server.
pub const TLS: &[Setting] = &[
    read("tls.enable").or(&["use-tls"]),
    read("tls.ca"),
    read("tls.certificate"),
    read("tls.key"),
    read("tls.server-name"),
    read("tls.allow-invalid-certs"),
];

const ONE_CONNECTION: &str = "a node needs few connections, which it keeps open, and no pool of them";
const RETRIES: &str = "a lost connection is tried again for as long as the node runs, at most five seconds apart";

/// The types of section that can coordinate.
pub const COORDINATORS: &[Backend] = &[
    Backend {
        kind: "memory",
        settings: &[],
        tls: false,
    },
    Backend {
        kind: "sqlite",
        settings: &[
            required("path"),
            ignored("pool.max-connections", "one connection is open for each node"),
            ignored("pool.workers", "one thread works for each node"),
        ],
        tls: false,
    },
    Backend {
        kind: "redis",
        settings: &[
            required("urls").or(&["url"]),
            read("redis-type"),
            read("timeout"),
            read("user").or(&["auth-username"]),
            read("password").or(&["auth-secret"]),
            read("min-replicas"),
            read("service-name"),
            read("sentinel-user").or(&["sentinel-username"]),
            read("sentinel-password").or(&["sentinel-secret"]),
            read("protocol-version"),
            read("read-from-replicas"),
            ignored("retry.total", RETRIES).or(&["max-retries"]),
            ignored("retry.max-wait", RETRIES).or(&["max-retry-wait"]),
            ignored("retry.min-wait", RETRIES).or(&["min-retry-wait"]),
            ignored("pool.max-connections", ONE_CONNECTION),
            ignored("pool.create-timeout", ONE_CONNECTION).or(&["pool-timeout-create"]),
            ignored("pool.wait-timeout", ONE_CONNECTION).or(&["pool-timeout-wait"]),
            ignored("pool.recycle-timeout", ONE_CONNECTION).or(&["pool-timeout-recycle"]),
        ],
        tls: true,
    },
    Backend {
        kind: "nats",
        settings: &[
            required("address").or(&["addresses", "urls"]),
            read("user").or(&["auth-username"]),
            read("password").or(&["auth-secret"]),
            read("token"),
            read("nkey"),
            read("credentials"),
            read("replicas"),
            read("max-reconnects"),
            read("timeout.connection"),
            read("timeout.request"),
            read("ping-interval"),
            read("capacity.client"),
            read("capacity.subscription"),
            read("capacity.read-buffer"),
            ignored(
                "no-echo",
                "a node listens to its own messages to know that the bus works, and never hands them on",
            ),
        ],
        tls: true,
    },
    Backend {
        kind: "kafka",
        settings: &[
            required("brokers"),
            read("sasl.mechanism"),
            read("user").or(&["auth-username", "sasl-user", "sasl-username"]),
            read("password").or(&["auth-secret", "sasl-password"]),
            read("replication"),
            read("timeout.session"),
            read("timeout.message"),
            ignored(
                "group-id",
                "every node must see every message, and of a group only one member does: nodes read without a group",
            ),
        ],
        tls: true,
    },
    Backend {
        kind: "component",
        settings: &[
            read("adapter"),
            read("path"),
            read("digest"),
            read("allow"),
            read("config"),
            read("timeout"),
            read("lanes"),
            read("budget.memory"),
            read("budget.total-memory"),
            read("budget.cpu"),
            read("budget.answer"),
        ],
        tls: true,
    },
    Backend {
        kind: "zenoh",
        settings: &[required("config")],
        tls: false,
    },
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
        for key in [
            "timeout.request",
            "timeout-request",
            "timeoutRequest",
            "timeout_request",
        ] {
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
