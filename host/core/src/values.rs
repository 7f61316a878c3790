//! What is stored, under which keys. The layout is a contract: `docs/stored-values.md`.

use crate::id::{HistoryId, InstanceId, NodeId, SessionId};
use crate::plan::PlanPart;
use crate::store::{Revision, StoreTime};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_128;

/// The bus topic of "the store has changed, look": from nodes, and from the operator's commands.
pub const LOOK: &str = "node/look";

/// A key of the cluster's namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// `meta`: which history this store is.
    Meta,
    /// `hosts/<hostname>`: who runs under this hostname.
    Host(String),
    /// `ids/<n>`: the hostname to which the id belongs.
    Id(NodeId),
    /// `nodes/<n>`: what a node says of itself, and the operator's orders for it.
    Node(NodeId),
    /// `sessions/<n>`: the lease.
    Session(NodeId),
    /// `settings/<fingerprint>`: the settings that nodes with this fingerprint share.
    Settings(u128),
    /// `leader`: who runs the policies.
    Leader,
    /// `policies`: which policies fail, as the leader says.
    Policies,
    /// `plan/<role>/<part>`: owners of up to [`crate::plan::PART_SHARDS`] shards.
    Plan {
        /// The role's name.
        role: String,
        /// The part's number, from 0.
        part: u32,
    },
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Meta => f.write_str("meta"),
            Self::Host(h) => write!(f, "hosts/{h}"),
            Self::Id(n) => write!(f, "ids/{n}"),
            Self::Node(n) => write!(f, "nodes/{n}"),
            Self::Session(n) => write!(f, "sessions/{n}"),
            Self::Settings(fingerprint) => write!(f, "settings/{fingerprint:032x}"),
            Self::Leader => f.write_str("leader"),
            Self::Policies => f.write_str("policies"),
            Self::Plan { role, part } => write!(f, "plan/{role}/{part}"),
        }
    }
}

impl Key {
    /// The key that `text` spells, or `None` if this version knows no such key.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let id = |s: &str| s.parse().ok().and_then(NodeId::new);
        Some(match text.split_once('/') {
            None if text == "meta" => Self::Meta,
            None if text == "leader" => Self::Leader,
            None if text == "policies" => Self::Policies,
            Some(("hosts", h)) if !h.is_empty() => Self::Host(h.to_owned()),
            Some(("ids", n)) => Self::Id(id(n)?),
            Some(("nodes", n)) => Self::Node(id(n)?),
            Some(("sessions", n)) => Self::Session(id(n)?),
            Some(("settings", digits)) => Self::Settings(fingerprint(digits)?),
            Some(("plan", rest)) => {
                let (role, part) = rest.rsplit_once('/')?;
                Self::Plan {
                    role: role.to_owned(),
                    part: part.parse().ok()?,
                }
            }
            _ => return None,
        })
    }
}

/// 32 hexadecimal digits in lower case, as keys spell them: no fingerprint has two keys.
fn fingerprint(digits: &str) -> Option<u128> {
    let proper = digits.len() == 32 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    proper.then(|| u128::from_str_radix(digits, 16).ok())?
}

/// A stored value, of the type that its key says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "one variant for each type below")]
pub enum Value {
    Meta(Meta),
    Host(Host),
    Id(IdOwner),
    Node(Arc<NodeInfo>),
    Settings(Arc<SharedSettings>),
    Session(Session),
    Leader(Leader),
    Policies(Policies),
    Plan(Arc<PlanPart>),
}

/// `meta`: written once by the first node, and again only when history was lost.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Meta {
    /// Another value means another history.
    pub history: HistoryId,
    /// Added to revisions to make fencing tokens: milliseconds of creation, shifted, so that a later history issues
    /// higher ones.
    pub base: u64,
    /// The kind of coordinator in use.
    pub coordinator: String,
}

impl Meta {
    /// A new history created at `now`, whose tokens are all above `known`. A revision takes 2²⁰ steps per millisecond
    /// of base: no store writes that fast. The clock of a store that was made anew may be behind that of the one
    /// that was lost.
    #[must_use]
    pub fn create(history: HistoryId, now: StoreTime, known: u64, coordinator: &str) -> Self {
        Self {
            history,
            base: token_base(now).max(known),
            coordinator: coordinator.to_owned(),
        }
    }

    /// The base of tokens after a partial loss of the store: what was lost may have been a later history than this one,
    /// and its tokens.
    #[must_use]
    pub fn base_after(&self, unsure_before: StoreTime) -> u64 {
        self.base.max(token_base(unsure_before))
    }
}

/// The base of tokens of a history that began at `time`. No later time has a lower one, whatever a clock says.
#[must_use]
pub const fn token_base(time: StoreTime) -> u64 {
    time.0.saturating_mul(1 << 20)
}

/// `hosts/<hostname>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Host {
    /// The installation that uses this hostname.
    pub instance: InstanceId,
    /// Its id; absent while it chooses one for the first time.
    pub id: Option<NodeId>,
    /// The session under which the id was last confirmed; absent while a join is under way.
    pub session: Option<SessionId>,
}

/// `ids/<n>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct IdOwner {
    /// The hostname to which the id belongs.
    pub hostname: String,
}

/// `sessions/<n>`: lease, liveness and acknowledgement in one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Session {
    /// The holder's hostname.
    pub hostname: String,
    /// The holder's installation.
    pub instance: InstanceId,
    /// This life of the node.
    pub session: SessionId,
    /// Every plan entry up to this revision has been applied.
    pub applied: Revision,
    /// When this session began, by the backend's clock.
    pub began: StoreTime,
    /// How long the node had been gone before this session, in milliseconds; 0 if it was never there.
    pub away: u64,
    /// Set once, for ever: the last renewal before the end.
    pub ended: Option<StoreTime>,
}

/// `nodes/<n>`: changed by the node when it joins, by the operator when he gives orders.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NodeInfo {
    /// Labels for selectors.
    pub labels: BTreeMap<String, String>,
    /// Failure domain; empty if none.
    pub zone: String,
    /// Relative share of the work; 0 takes nothing.
    pub capacity: u32,
    /// Version of the software.
    pub version: String,
    /// Where the node can be reached, for people and for the server's own use.
    pub addresses: Vec<String>,
    /// Kind of the coordinator that this node is configured with.
    pub coordinator: String,
    /// Fingerprint of the settings that all nodes must share.
    pub settings: u128,
    /// The session in which the node said this.
    pub session: SessionId,
    /// Order: move everything away.
    pub drain: bool,
    /// Order: give it nothing more.
    pub cordon: bool,
}

/// `leader`: avoids duplicate work; safety never rests on it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Leader {
    /// The leading node; absent after a clean resignation.
    pub node: Option<NodeId>,
    /// Its session.
    pub session: SessionId,
    /// Fingerprint of the settings under which the cluster acts: of as many live nodes on either side, these prevail.
    pub settings: u128,
}

/// `settings/<fingerprint>`: what all nodes must share, so that whoever differs can be told in what. No secret is in
/// it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SharedSettings {
    /// One `key = value` a line, sorted by key; what has its default is left out.
    pub text: String,
}

impl SharedSettings {
    /// The longest text that is stored, in bytes.
    pub const MAX: usize = 64 * 1024;

    /// The digest of the text, by which nodes compare their settings.
    #[must_use]
    pub fn fingerprint(&self) -> u128 {
        xxh3_128(self.text.as_bytes())
    }

    /// Whether the text is short enough to be stored.
    #[must_use]
    pub fn is_storable(&self) -> bool {
        self.text.len() <= Self::MAX
    }
}

/// `policies`: for people and their tools; no node decides by it. Written when it changes, so it is absent while no
/// policy has failed yet.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Policies {
    /// The session of the leader that says so: of any other it is out of date.
    pub session: SessionId,
    /// The roles whose policies fail, sorted by name.
    pub failing: Vec<Failing>,
}

/// A role whose policy fails.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Failing {
    /// The role.
    pub role: String,
    /// The host's native policy has taken over, until the component changes.
    pub suspended: bool,
    /// How it failed last, shortened.
    pub reason: String,
}
