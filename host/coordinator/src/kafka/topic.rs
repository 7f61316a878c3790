//! The two topics of a namespace: made on demand, refused if they are not safe.

use super::client::{ClosingClient, Common, KafkaContext, MAX_RECORD};
use super::contact::reach;
use super::error;
use super::outbox::Outbox;
use crate::broker::BrokerError;
use crate::limits::{FRAME_ROOM, MAX_KEY, MAX_MESSAGE};
use rdkafka::admin::{AdminClient, AdminOptions, ConfigResource, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long messages of the bus are kept: for a subscriber that is cut off for a moment, no longer.
const BUS_RETENTION: &str = "600000";

type Admin = ClosingClient<AdminClient<KafkaContext>>;

fn admin(common: &Common) -> Result<(Admin, AdminOptions), BrokerError> {
    let patience = Some(common.session());
    let options = AdminOptions::new()
        .request_timeout(patience)
        .operation_timeout(patience);
    Ok((ClosingClient::new(common.client(&[])?), options))
}

/// Sees to it that both topics exist, and that the store's is safe. What can be lived with is said once, as a warning.
pub(super) async fn ensure(outbox: &Outbox) -> Result<(), BrokerError> {
    let common = &outbox.common;
    let topics = [common.store.as_str(), common.bus.as_str()];
    let mut missing = Vec::new();
    for topic in topics {
        match reach(outbox, topic).await? {
            Some(1) => {}
            Some(partitions) => {
                return Err(BrokerError::Unsafe {
                    location: common.location.clone(),
                    why: format!(
                        "the topic {topic} has {partitions} partitions, so there is no one order of its records: \
                         delete it, or make it with one"
                    ),
                });
            }
            None => missing.push(topic),
        }
    }
    let (admin, options) = admin(common)?;
    if !missing.is_empty() {
        create(common, &admin, &options, &missing).await?;
        appear(outbox, &missing).await?;
    }
    let settings = read(common, &admin, &options, &common.store).await?;
    for (flaw, fatal) in flaws(&settings, common.options.replication) {
        let why = format!("the topic {}: {flaw}", common.store);
        if fatal {
            let location = common.location.clone();
            return Err(BrokerError::Unsafe { location, why });
        }
        tracing::warn!(coordinator = common.location, "{why}");
    }
    Ok(())
}

/// The settings of a topic.
pub(super) async fn settings(common: &Common, topic: &str) -> Result<ConfigResource, BrokerError> {
    let (admin, options) = admin(common)?;
    read(common, &admin, &options, topic).await
}

/// The settings of a topic. A broker that has not heard of it yet answers without any.
async fn read(
    common: &Common,
    admin: &Admin,
    options: &AdminOptions,
    topic: &str,
) -> Result<ConfigResource, BrokerError> {
    let until = Instant::now() + common.session();
    let resources = [ResourceSpecifier::Topic(topic)];
    loop {
        let described = admin
            .describe_configs(&resources, options)
            .await
            .map_err(|error| failed(common, &error))?;
        match described.into_iter().next() {
            Some(Ok(settings)) if !settings.entries.is_empty() => return Ok(settings),
            Some(Err(code)) if code != Code::UnknownTopicOrPartition => {
                return Err(refused(
                    common,
                    "reading the settings of",
                    "DescribeConfigs",
                    topic,
                    code,
                ));
            }
            _ if Instant::now() > until => {
                return Err(common.reports.why(&format!(
                    "no broker tells the settings of the topic {topic}: is DescribeConfigs granted on it?"
                )));
            }
            _ => sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn create(common: &Common, admin: &Admin, options: &AdminOptions, missing: &[&str]) -> Result<(), BrokerError> {
    let replication = common.options.replication.max(1);
    let copies = i32::from(replication);
    let (insync, largest) = (insync(replication).to_string(), (2 * MAX_RECORD).to_string());
    let largest_message = (2 * (MAX_MESSAGE + FRAME_ROOM + MAX_KEY + 4096)).to_string();
    let topics = missing.iter().map(|name| {
        let topic = NewTopic::new(name, 1, TopicReplication::Fixed(copies))
            .set("cleanup.policy", "delete")
            .set("message.timestamp.type", "LogAppendTime")
            .set("compression.type", "producer")
            .set("min.insync.replicas", &insync)
            .set("unclean.leader.election.enable", "false");
        if *name == common.store {
            let topic = topic
                .set("retention.ms", "-1")
                .set("retention.bytes", "-1")
                .set("segment.bytes", "33554432")
                .set("max.message.bytes", &largest);
            // A single copy is written to the disk before it is acknowledged; several are each other's safety.
            if copies == 1 {
                topic.set("flush.messages", "1")
            } else {
                topic
            }
        } else {
            topic
                .set("retention.ms", BUS_RETENTION)
                .set("retention.bytes", "67108864")
                .set("segment.bytes", "16777216")
                .set("segment.ms", BUS_RETENTION)
                .set("max.message.bytes", &largest_message)
        }
    });
    let topics: Vec<_> = topics.collect();
    for result in admin
        .create_topics(&topics, options)
        .await
        .map_err(|error| failed(common, &error))?
    {
        match result {
            Ok(_) | Err((_, Code::TopicAlreadyExists)) => {}
            Err((_, Code::InvalidReplicationFactor)) => {
                return Err(BrokerError::Unreachable {
                    location: common.location.clone(),
                    why: format!(
                        "there are fewer brokers than the {replication} that the topics are to be replicated to: \
                         start them, or lower `replication`"
                    ),
                });
            }
            Err((topic, code)) => return Err(refused(common, "making", "Create", &topic, code)),
        }
    }
    Ok(())
}

/// Waits until topics that were made have a leader.
async fn appear(outbox: &Outbox, topics: &[&str]) -> Result<(), BrokerError> {
    let until = Instant::now() + outbox.common.session();
    for topic in topics {
        loop {
            let metadata = outbox.metadata(topic, outbox.common.session()).await;
            let led = metadata.as_ref().is_ok_and(|metadata| {
                let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
                partitions.filter(|partition| partition.leader() >= 0).count() == 1
            });
            if led {
                break;
            }
            if Instant::now() > until {
                let why = metadata
                    .err()
                    .map_or("it has no leader".into(), |error| error.to_string());
                return Err(outbox
                    .common
                    .reports
                    .why(&format!("the topic {topic} was made, but cannot be used: {why}")));
            }
            sleep(Duration::from_millis(20)).await;
        }
    }
    Ok(())
}

/// How many replicas must have a record: most of them.
pub(super) fn insync(replication: u16) -> u16 {
    replication.max(1) / 2 + 1
}

/// What is wrong with the settings of the store's topic, and whether it cannot be lived with.
pub(super) fn flaws(config: &ConfigResource, replication: u16) -> Vec<(String, bool)> {
    let value = |name: &str| {
        config
            .get(name)
            .and_then(|entry| entry.value.clone())
            .unwrap_or_default()
    };
    let number = |name: &str| value(name).parse::<i64>().unwrap_or(0);
    let mut flaws = Vec::new();
    let mut exactly = |name: &str, wanted: &str, why: &str| {
        let found = value(name);
        if found != wanted {
            flaws.push((format!("{name} is {found:?}, so {why}; set it to {wanted}"), true));
        }
    };
    exactly("cleanup.policy", "delete", "records that others rely on are removed");
    exactly("retention.ms", "-1", "old records vanish");
    exactly("retention.bytes", "-1", "old records vanish when it grows");
    exactly(
        "message.timestamp.type",
        "LogAppendTime",
        "ages are computed on the clocks of the nodes",
    );
    exactly(
        "unclean.leader.election.enable",
        "false",
        "a replica that lacks acknowledged records may become the leader",
    );
    if number("max.message.bytes") < (MAX_RECORD + 1024) as i64 {
        let found = value("max.message.bytes");
        flaws.push((
            format!(
                "max.message.bytes is {found}, less than a value needs; set it to {}",
                2 * MAX_RECORD
            ),
            true,
        ));
    }
    if ["gzip", "zstd"].contains(&value("compression.type").as_str()) {
        let found = value("compression.type");
        flaws.push((
            format!("compression.type is {found}, which this build does not read; set it to producer"),
            true,
        ));
    }
    let wanted = i64::from(insync(replication));
    if number("min.insync.replicas") < wanted {
        let found = value("min.insync.replicas");
        flaws.push((
            format!(
                "min.insync.replicas is {found}: a record may be acknowledged that only {found} of {replication} \
                 replicas have; set it to {wanted}"
            ),
            false,
        ));
    }
    if replication < 2 && number("flush.messages") != 1 {
        flaws.push((
            "it has one replica, and flush.messages is not 1: a loss of power may take acknowledged records; set it \
             to 1, or use three replicas"
                .into(),
            false,
        ));
    }
    flaws
}

/// Removes both topics.
pub(super) async fn remove(common: &Common) -> Result<(), BrokerError> {
    let (admin, options) = admin(common)?;
    let topics = [common.store.as_str(), common.bus.as_str()];
    for result in admin
        .delete_topics(&topics, &options)
        .await
        .map_err(|error| failed(common, &error))?
    {
        match result {
            Ok(_) | Err((_, Code::UnknownTopicOrPartition | Code::UnknownTopic)) => {}
            Err((topic, code)) => return Err(refused(common, "deleting", "Delete", &topic, code)),
        }
    }
    Ok(())
}

/// Removes the records of the store before `offset`.
pub(super) async fn cut(common: &Common, offset: u64) -> Result<(), BrokerError> {
    let (admin, options) = admin(common)?;
    let mut place = TopicPartitionList::new();
    place
        .add_partition_offset(&common.store, 0, Offset::Offset(i64::try_from(offset).unwrap_or(0)))
        .map_err(|error| failed(common, &error))?;
    let done = admin
        .delete_records(&place, &options)
        .await
        .map_err(|error| failed(common, &error))?;
    for partition in done.elements() {
        partition.error().map_err(|error| failed(common, &error))?;
    }
    Ok(())
}

pub(super) fn refused(common: &Common, doing: &str, operation: &str, topic: &str, code: Code) -> BrokerError {
    let location = common.location.clone();
    match code {
        Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed => BrokerError::Denied {
            location,
            why: format!(
                "{doing} the topic {topic}: grant {operation} on it (or on the prefix shardwright.) to this user"
            ),
        },
        other => BrokerError::Unreachable {
            location,
            why: format!("{doing} the topic {topic}: {other}"),
        },
    }
}

fn failed(common: &Common, error: &KafkaError) -> BrokerError {
    match error::code(error) {
        Some(code @ (Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed)) => refused(
            common,
            "administering",
            "Create, Delete and DescribeConfigs",
            &common.store,
            code,
        ),
        _ => common.reports.why(&error.to_string()),
    }
}
