//! Three Kafka brokers that replicate their topics.

use anyhow::Result;

use super::{Internal, KafkaBuilder, KafkaServer};

/// How many brokers there are.
const BROKERS: u16 = 3;

/// Three brokers, each with a controller; any one of them may fail.
pub struct KafkaCluster {
    nodes: Vec<KafkaServer>,
}

impl KafkaCluster {
    /// Starts them and waits until all serve. New topics have three replicas, of which two must have what is
    /// acknowledged.
    ///
    /// # Errors
    /// One does not come up within a minute; its log is shown.
    pub fn start() -> Result<Self> {
        Self::start_with(KafkaBuilder::default())
    }

    /// Like [`Self::start`], with settings of your own.
    ///
    /// # Errors
    /// One does not come up within a minute; its log is shown.
    pub fn start_with(settings: KafkaBuilder) -> Result<Self> {
        Self::start_each([0; BROKERS as usize].map(|_| settings.clone()))
    }

    /// Like [`Self::start_with`], with settings for each.
    ///
    /// # Errors
    /// One does not come up within a minute; its log is shown.
    pub fn start_each(settings: [KafkaBuilder; BROKERS as usize]) -> Result<Self> {
        let internals = (0..BROKERS).map(|_| Internal::free()).collect::<Result<Vec<_>>>()?;
        let voters: Vec<_> = (1..).zip(&internals).map(|(id, internal)| internal.voter(id)).collect();
        let voters = voters.join(",");
        let replicas = BROKERS.to_string();
        let mut nodes = Vec::new();
        for ((id, internal), settings) in (1..).zip(internals).zip(settings) {
            let mut node = KafkaBuilder {
                properties: [
                    ("default.replication.factor", replicas.as_str()),
                    ("min.insync.replicas", "2"),
                ]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
                ..settings.clone()
            };
            node.properties.extend(settings.properties.clone());
            nodes.push(node.launch(id, internal, &voters)?);
        }
        let cluster = Self { nodes };
        for node in &cluster.nodes {
            node.wait_until_ready()?;
        }
        Ok(cluster)
    }

    /// The addresses of all brokers.
    #[must_use]
    pub fn addresses(&self) -> Vec<String> {
        self.nodes.iter().map(KafkaServer::address).collect()
    }

    /// One of the three brokers.
    ///
    /// # Panics
    /// There are only three.
    #[must_use]
    pub fn node(&self, index: usize) -> &KafkaServer {
        &self.nodes[index]
    }

    /// The brokers.
    pub fn nodes(&self) -> impl Iterator<Item = &KafkaServer> {
        self.nodes.iter()
    }
}
