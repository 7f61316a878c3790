//! `shardwright coordinator watch`: the bus, live.

use super::sighting::{Counts, Observation, Watcher, on_the_wire};
use crate::cluster::{self, ClusterArgs};
use crate::exit::Exit;
use crate::output::{Format, Output, line, plain};
use crate::stop::Stop;
use clap::Args;
use serde_json::{Value, json};
use shardwright_coordinator::{Bus, Coordinator, Namespace};
use std::time::{Duration, SystemTime};
use tokio::time::{MissedTickBehavior, interval};

/// How many deliveries are taken at once.
const BATCH: usize = 256;
/// How often messages are counted that the secret did not open: nothing else tells of them.
const LOOK: Duration = Duration::from_millis(500);

/// Arguments of `coordinator watch`.
#[derive(Args, Debug)]
#[command(after_help = "Ctrl-C ends the command and prints the totals. With -o json, each line is an object.")]
pub(super) struct Watch {
    #[command(flatten)]
    which: ClusterArgs,
    /// Show only this topic, of the application or of the runtime; may be repeated
    #[arg(long, value_name = "TOPIC")]
    topic: Vec<String>,
    #[command(flatten)]
    output: Output,
}

/// Shows what is said until it is told to stop.
pub(super) async fn run(args: &Watch) -> anyhow::Result<Exit> {
    let as_json = args.output.format == Format::Json;
    let mut stop = Stop::new()?;
    let (config, _) = args.which.resolve()?;
    let begin = async {
        let coordinator = cluster::connect(&config).await?;
        let topics: Vec<String> = args.topic.iter().flat_map(|topic| on_the_wire(topic)).collect();
        let subscription = coordinator
            .subscribe(&topics.iter().map(String::as_str).collect::<Vec<_>>())
            .await?;
        anyhow::Ok((coordinator, subscription))
    };
    let (coordinator, mut subscription) = tokio::select! {
        begun = begin => begun?,
        () = stop.asked() => return Ok(Exit::Ok),
    };
    let mut watcher = Watcher::new(Namespace::new(&config.name)?);
    let (kind, location, name) = (coordinator.kind(), coordinator.location(), &config.name);
    if as_json {
        line(&json!({ "event": "watching", "kind": kind, "location": location, "cluster": name }).to_string())?;
    } else {
        line(&format!("{name} on {kind} at {location}\n{HEADER}"))?;
    }
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let ended = loop {
        tokio::select! {
            batch = subscription.next(BATCH) => match batch {
                Ok(batch) => {
                    for sighting in batch.iter().flat_map(|delivery| watcher.take(delivery)) {
                        show(&sighting, as_json)?;
                    }
                }
                Err(error) => break Err(error),
            },
            _ = looks.tick() => {
                let new = coordinator.rejected() - watcher.counts.unreadable;
                if new > 0 {
                    watcher.counts.unreadable += new;
                    unreadable(new, as_json)?;
                }
            }
            () = stop.asked() => break Ok(()),
        }
    };
    watcher.counts.unreadable = coordinator.rejected();
    sums(&watcher.counts, as_json)?;
    Ok(ended.map(|()| Exit::Ok)?)
}

const HEADER: &str = "TIME          FROM       NUMBER   BYTES  TOPIC";

fn show(sighting: &Observation, as_json: bool) -> anyhow::Result<()> {
    if as_json {
        return stamped(serde_json::to_value(sighting)?);
    }
    let text = match sighting {
        Observation::Message {
            origin,
            sequence,
            topic,
            bytes,
            meaning,
            ..
        } => {
            let meaning = meaning.map(|meaning| format!("  ({meaning})")).unwrap_or_default();
            format!("{:<9} {sequence:>7} {bytes:>7}  {topic}{meaning}", who(*origin))
        }
        Observation::Missing { origin, topic, lost } => format!("{:<9} {lost} missing, to {topic}", who(*origin)),
        Observation::Gap { lost: 0 } => "the bus lost messages, it cannot tell how many".to_owned(),
        Observation::Gap { lost } => format!("the bus lost {lost} messages"),
        Observation::Foreign { cluster, topic } => format!("of another cluster, {cluster}, to {topic}"),
        Observation::OtherRelease { version, topic } => format!("of another release (envelope {version}), to {topic}"),
        Observation::Malformed { topic, bytes } => format!("{bytes} bytes that are no message of a node, to {topic}"),
        Observation::Stale {
            origin,
            topic,
            sequence,
        } => format!("{:<9} {sequence:>7} again or late, to {topic}", who(*origin)),
    };
    Ok(line(&format!("{}  {}", time(), plain(&text)))?)
}

fn unreadable(count: u64, as_json: bool) -> anyhow::Result<()> {
    if as_json {
        return stamped(json!({ "event": "unreadable", "count": count }));
    }
    let text = "that cluster.secret does not open: of a node with another secret, or forged";
    Ok(line(&format!("{}  {count} {text}", time()))?)
}

fn sums(counts: &Counts, as_json: bool) -> anyhow::Result<()> {
    let mut sums = serde_json::to_value(counts)?;
    if as_json {
        sums["event"] = "sums".into();
        return stamped(sums);
    }
    let Counts { messages, bytes, .. } = counts;
    let rest: Vec<_> = [
        (counts.lost, "lost"),
        (counts.gaps, "gaps of unknown size"),
        (counts.foreign, "of other clusters"),
        (counts.other_release, "of other releases"),
        (counts.malformed, "malformed"),
        (counts.stale, "again or late"),
        (counts.unreadable, "unreadable"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!(", {count} {what}"))
    .collect();
    Ok(line(&format!("{messages} messages, {bytes} bytes{}", rest.concat()))?)
}

/// Writes a line of JSON with the time.
fn stamped(mut fields: Value) -> anyhow::Result<()> {
    fields["time"] = humantime::format_rfc3339_millis(SystemTime::now()).to_string().into();
    Ok(line(&fields.to_string())?)
}

/// The time of day, UTC.
fn time() -> String {
    let text = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
    text.get(11..23).unwrap_or_default().to_owned()
}

fn who(origin: Option<u32>) -> String {
    origin.map_or_else(|| "operator".to_owned(), |id| format!("node {id}"))
}
