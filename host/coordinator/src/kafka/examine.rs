//! A look at the brokers for `shardwright coordinator doctor`. It writes nothing but ticks and echoes.

use super::KafkaCoordinator;
use super::topic::{self, insync};
use crate::clock;
use crate::finding::Finding;
use rdkafka::metadata::Metadata;
use shardwright_core::human::Span;
use std::time::{Duration, Instant};

/// How many round trips are measured.
const TRIPS: usize = 20;
/// A difference of clocks that is worth telling, in milliseconds.
const SKEW: u64 = 1000;
/// A round trip that takes this long delays renewals.
const SLOW: Duration = Duration::from_millis(500);
/// With more records than this the log is not being cut off: two snapshots and what is written between them are far
/// less.
const LONG: u64 = 500_000;

pub(super) async fn examine(kafka: &KafkaCoordinator) -> Vec<Finding> {
    let common = &kafka.common;
    let (_, library) = rdkafka::util::get_rdkafka_version();
    let mut found = vec![Finding::good(
        "client",
        format!("librdkafka {library}; brokers from Kafka 2.1 on tell a log that was cut short from one that was not"),
    )];
    match kafka.outbox.metadata(&common.store, common.session()).await {
        Ok(metadata) => found.extend(replicas(&metadata, common.options.replication)),
        Err(error) => found.push(Finding::bad(
            "brokers",
            error.to_string(),
            "see that brokers answer at the addresses that were given",
        )),
    }
    found.extend(settings(kafka).await);
    found.push(log(kafka).await);
    found.push(clocks(kafka).await);
    found.push(Finding::good(
        "compare and set",
        "decided by where a record stands in the one log, on any version",
    ));
    for way in [RoundTrip::Store, RoundTrip::Bus] {
        found.push(round_trip(kafka, way).await);
    }
    found
}

/// How many brokers there are, and how many have the log.
fn replicas(metadata: &Metadata, wanted: u16) -> Vec<Finding> {
    let brokers = metadata.brokers().len();
    let Some(partition) = metadata.topics().first().and_then(|topic| topic.partitions().first()) else {
        return vec![Finding::bad(
            "replicas",
            "the log has no partition",
            "open it again: it is made then",
        )];
    };
    let (all, current) = (partition.replicas().len(), partition.isr().len());
    let detail =
        format!("{brokers} brokers; {current} of {all} replicas of the log are current, {wanted} are configured");
    let finding = if all < usize::from(wanted) {
        let remedy = format!("raise the replication of the topic to {wanted} with kafka-reassign-partitions");
        Finding::warning("replicas", detail, remedy)
    } else if current < usize::from(insync(wanted)) {
        Finding::bad(
            "replicas",
            detail,
            "start the brokers that are away: nothing can be written now",
        )
    } else if current < all {
        Finding::warning("replicas", detail, "start the brokers that are away")
    } else if all < 3 && brokers >= 3 {
        Finding::warning(
            "replicas",
            detail,
            "use replication = 3: the loss of one broker is an outage now",
        )
    } else {
        Finding::good("replicas", detail)
    };
    vec![finding]
}

async fn settings(kafka: &KafkaCoordinator) -> Vec<Finding> {
    let common = &kafka.common;
    let mut found = Vec::new();
    match topic::settings(common, &common.store).await {
        Ok(settings) => {
            for (flaw, fatal) in topic::flaws(&settings, common.options.replication) {
                let remedy = format!(
                    "change it with kafka-configs --alter --entity-type topics --entity-name {}",
                    common.store
                );
                let make = if fatal { Finding::bad } else { Finding::warning };
                found.push(make("topic of the store", flaw, remedy));
            }
        }
        Err(error) => found.push(Finding::warning(
            "topic of the store",
            error.to_string(),
            "grant DescribeConfigs on it",
        )),
    }
    if found.is_empty() {
        found.push(Finding::good(
            "topic of the store",
            "nothing is removed by time or size, records bear the broker's time",
        ));
    }
    found.push(match topic::settings(common, &common.bus).await {
        Ok(settings) => match settings.get("retention.ms").and_then(|entry| entry.value.as_deref()) {
            Some("-1") => Finding::warning(
                "topic of the bus",
                "messages are kept for ever",
                "set its retention.ms to 600000",
            ),
            kept => {
                let kept = kept.and_then(|kept| kept.parse().ok());
                let detail = kept.map_or_else(
                    || "how long messages are kept is not known".to_owned(),
                    |kept| format!("messages are kept for {}", Span(kept)),
                );
                Finding::good("topic of the bus", detail)
            }
        },
        Err(error) => Finding::warning("topic of the bus", error.to_string(), "grant DescribeConfigs on it"),
    });
    found
}

/// Whether the log is being cut off.
async fn log(kafka: &KafkaCoordinator) -> Finding {
    let common = &kafka.common;
    match kafka.outbox.range(&common.store, common.session()).await {
        Ok((low, high)) if high - low > LONG => Finding::warning(
            "log",
            format!("{} records, more than snapshots leave", high - low),
            format!(
                "grant Delete on the topic {}: what a snapshot replaces is cut off then",
                common.store
            ),
        ),
        Ok((low, high)) => Finding::good("log", format!("{} records, from {low} to {high}", high - low)),
        Err(error) => Finding::warning("log", error.to_string(), "see that its leader answers"),
    }
}

/// The broker's clock beside ours.
async fn clocks(kafka: &KafkaCoordinator) -> Finding {
    let before = clock::wall();
    let answer = kafka.store.view(|fold| fold.facts.time).await;
    let after = clock::wall();
    match answer {
        // What the broker says is a moment between the two.
        Ok(theirs) => {
            let off = before.saturating_sub(theirs).max(theirs.saturating_sub(after));
            let detail = format!("the broker's clock is {} off this machine's", Span(off));
            if off < SKEW {
                Finding::good("clock", detail)
            } else {
                Finding::warning(
                    "clock",
                    detail,
                    "let both be set by NTP; nothing depends on it but what people read",
                )
            }
        }
        Err(error) => Finding::bad("clock", error.to_string(), "see that the leader of the log answers"),
    }
}

/// What is gone around.
#[derive(Clone, Copy)]
enum RoundTrip {
    Store,
    Bus,
}

/// How long it takes to write a record and to read it.
async fn round_trip(kafka: &KafkaCoordinator, way: RoundTrip) -> Finding {
    let name = match way {
        RoundTrip::Store => "store round trip",
        RoundTrip::Bus => "bus round trip",
    };
    let mut took = Vec::with_capacity(TRIPS);
    for _ in 0..TRIPS {
        let begun = Instant::now();
        let gone = match way {
            RoundTrip::Store => kafka.store.view(|_| ()).await.map_err(|error| error.to_string()),
            RoundTrip::Bus => kafka.bus.echo().await.map_err(|error| error.to_string()),
        };
        if let Err(error) = gone {
            return Finding::bad(name, error, "see that the brokers answer and that the rights suffice");
        }
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    let detail = format!("{:.1?} in the middle of {TRIPS}", took[TRIPS / 2]);
    if took[TRIPS / 2] > SLOW {
        Finding::warning(
            name,
            detail,
            "renewals are late that way: use brokers that are nearer, or less busy",
        )
    } else {
        Finding::good(name, detail)
    }
}
