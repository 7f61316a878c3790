//! The configuration as it was read: what [`ClusterConfig`] consists of, and how it is read without a node.

pub use shardwright_config::{
    AdapterBudget, AdapterSource, Budget, ClusterConfig, Code, ComponentSection, CoordinatorConfig, Difference, Grant,
    GrantScheme, KafkaLogin, KafkaMechanism, KafkaSection, MailRoles, NatsLogin, NatsSection, NodeConfig, Pem,
    PolicySection, Problem, RedisSection, RedisTopology, Report, Secret, Severity, TlsSection, ZenohSection, load,
    parse,
};
pub use shardwright_coordinator::sealed::SecretTooShort;
pub use shardwright_core::role::{Member, Mode, Placement, Replicas, RoleSpec};
pub use shardwright_core::time::{Timing, TimingField, TimingProblem};
