//! What can be wrong with a configuration: a code, a place, a message, a way out.

use serde::{Serialize, Serializer};

/// How much a problem matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// The configuration works, but probably not as well as meant.
    Warning,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// The kind of a problem. Its text never changes between releases, so that scripts can rely on it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $($(#[$doc])* $name,)*
        }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The code as text, as in `unknown-key`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

codes! {
    /// The file cannot be opened or read.
    UnreadableFile = "unreadable-file",
    /// The file is larger than [`MAX_FILE_BYTES`](crate::MAX_FILE_BYTES).
    FileTooLarge = "file-too-large",
    /// The file is not UTF-8.
    NotUtf8 = "not-utf8",
    /// The file is not TOML.
    Syntax = "syntax",
    /// It is not TOML, and was read as the mail server reads it.
    Dialect = "dialect",
    /// A section that is not read, with a name like that of one that is.
    SimilarSection = "similar-section",
    /// A value of another type is required.
    WrongType = "wrong-type",
    /// A number, duration or size outside its limits.
    OutOfRange = "out-of-range",
    /// A text that does not have the required form.
    InvalidValue = "invalid-value",
    /// A key that does not exist.
    UnknownKey = "unknown-key",
    /// A key that must be given is absent.
    MissingKey = "missing-key",
    /// Two keys that exclude each other.
    ConflictingKeys = "conflicting-keys",
    /// An environment variable or file that a value names cannot be read.
    MissingSecret = "missing-secret",
    /// `cluster.secret` is too short.
    WeakSecret = "weak-secret",
    /// `cluster.coordinator` names no section.
    UnknownCoordinator = "unknown-coordinator",
    /// `cluster.coordinator` names a store of a type that cannot coordinate.
    NotACoordinator = "not-a-coordinator",
    /// A store section of a type that nobody knows.
    UnknownStoreType = "unknown-store-type",
    /// A key that has no effect here.
    IgnoredKey = "ignored-key",
    /// Several servers are listed, and one of them keeps everything.
    SingleReplica = "single-replica",
    /// An adapter is granted something twice.
    DuplicateGrant = "duplicate-grant",
    /// An adapter's file does not exist on this machine.
    MissingAdapterFile = "missing-adapter-file",
    /// Two durations contradict each other.
    TimingConflict = "timing-conflict",
    /// A role that is neither known nor declared as one of your own.
    UnknownRole = "unknown-role",
    /// A role is defined twice.
    DuplicateRole = "duplicate-role",
    /// A role names a policy that is neither bundled nor configured.
    UnknownPolicy = "unknown-policy",
    /// A policy's file does not exist on this machine.
    MissingPolicyFile = "missing-policy-file",
    /// A shard without any member.
    EmptyShard = "empty-shard",
    /// A member that is no id, range or label selector.
    InvalidMember = "invalid-member",
    /// A member named twice in one shard.
    DuplicateMember = "duplicate-member",
    /// More members than a file may name.
    TooManyMembers = "too-many-members",
    /// Integers and strings in one list.
    MixedList = "mixed-list",
    /// A list inside a role's list.
    NestedList = "nested-list",
    /// `push-notifications` as one list of several nodes.
    UnshardedPush = "unsharded-push",
    /// `push-notifications` in another mode than primary.
    AlwaysPrimary = "always-primary",
    /// Integers in the meaning of older releases.
    IntegerList = "integer-list",
    /// More replicas than nodes.
    ReplicasOverNodes = "replicas-over-nodes",
    /// A critical role depends on one node.
    SingleNodeRole = "single-node-role",
    /// The shards of a role have different numbers of nodes.
    UnevenShards = "uneven-shards",
    /// The shards of a role have different capacity.
    UnevenCapacity = "uneven-capacity",
    /// A heavy role shares a node with one that users wait for.
    HeavyWithLatency = "heavy-with-latency",
    /// Several nodes repeat what users see.
    RepeatedEffects = "repeated-effects",
    /// No role names the node.
    NodeWithoutRole = "node-without-role",
    /// A role names an id that no node holds.
    UnheldId = "unheld-id",
    /// Two files have the same node id.
    DuplicateNodeId = "duplicate-node-id",
    /// A setting that all nodes must share differs between files.
    SettingsDiffer = "settings-differ",
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// One problem, with its place. Lines and columns count from 1, columns in characters; the end is exclusive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Problem {
    /// How much it matters.
    pub severity: Severity,
    /// What kind of problem it is.
    pub code: Code,
    /// The file's name as it was given.
    pub file: String,
    /// The line where the offending text begins; 0 if the problem is with the file as a whole.
    pub line: usize,
    /// The column where it begins; 0 with line 0.
    pub column: usize,
    /// The line where it ends.
    pub end_line: usize,
    /// The column after its last character.
    pub end_column: usize,
    /// What is wrong.
    pub message: String,
    /// How to put it right.
    pub help: String,
    /// The offending bytes of the file.
    #[serde(skip)]
    pub(crate) span: Option<Span>,
}

/// A range of bytes in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl From<std::ops::Range<usize>> for Span {
    fn from(range: std::ops::Range<usize>) -> Self {
        Self {
            start: range.start,
            end: range.end,
        }
    }
}
