//! What happens to a node, as lines on stdout. The fields are a contract: `docs/events.md`.

use crate::output::plain;
use clap::ValueEnum;
use serde_json::{Map, Value, json};
use shardwright::{LosingShards, Mode, Node, NodeEvent};
use std::io::Write;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

/// How many lines wait for a slow reader of stdout before some are left out.
const WAITING: usize = 4_096;

/// How event lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum EventsFormat {
    /// One JSON object per line
    Json,
    /// Text for operators
    Text,
}

/// Shards of a role that are being lost: a hook waits until this has been told.
type Losing = (String, Vec<u32>);

/// What has been told so far, for the hooks that wait for it.
#[derive(Default)]
struct Told {
    losing: Vec<Losing>,
    /// How often events were left out: what a hook waits for may be among them.
    lagged: u64,
    /// Nothing more is told.
    over: bool,
}

/// However the telling ends, nobody waits for it any more.
struct Over(Arc<watch::Sender<Told>>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.send_modify(|told| told.over = true);
    }
}

/// Tells events on stdout.
///
/// A loss is stamped before the shards can go to anybody else: the hook that the node calls before it gives them up
/// waits for it. So the intervals that the lines of several nodes describe never overlap unless ownership did.
pub(super) struct Events {
    format: Option<EventsFormat>,
    told: Arc<watch::Sender<Told>>,
    lines: SyncSender<String>,
    writer: std::thread::JoinHandle<()>,
}

impl Events {
    /// Begins to write to stdout, by a thread of its own: a reader that is stuck must not hold a node up.
    pub(super) fn new(format: Option<EventsFormat>) -> std::io::Result<Self> {
        let (lines, waiting) = sync_channel(WAITING);
        let writer = std::thread::Builder::new()
            .name("events".into())
            .spawn(move || write(&waiting))?;
        Ok(Self {
            format,
            told: Arc::default(),
            lines,
            writer,
        })
    }

    /// The hook for the node: ready when the loss has been stamped.
    pub(super) fn on_losing(
        &self,
    ) -> impl Fn(LosingShards) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync + 'static {
        let told = self.told.clone();
        move |losing| {
            let told = told.clone();
            let losing = (losing.role, losing.shards);
            Box::pin(async move {
                let mut seen = told.subscribe();
                let lagged = seen.borrow().lagged;
                // The sender is held here.
                let _ = seen
                    .wait_for(|told| told.losing.contains(&losing) || told.lagged > lagged || told.over)
                    .await;
                told.send_modify(|told| told.losing.retain(|other| *other != losing));
            })
        }
    }

    /// Tells that the node is ready, and from then on what happens to it.
    pub(super) fn follow(&self, node: &Node) -> JoinHandle<Option<String>> {
        let mut stream = node.events();
        let mut teller = EventWriter::new(self.format, self.lines.clone());
        teller.ready(node);
        let told = Over(self.told.clone());
        tokio::spawn(async move {
            let Over(told) = &told;
            while let Some(event) = stream.next().await {
                teller.tell(&event);
                match event {
                    NodeEvent::Losing { role, shards, .. } => told.send_modify(|told| told.losing.push((role, shards))),
                    NodeEvent::Lagged { .. } => told.send_modify(|told| told.lagged += 1),
                    NodeEvent::Ended { reason, .. } => return reason,
                    _ => {}
                }
            }
            None
        })
    }

    /// Rehearses work until the node ends: every `pause`, acts on each shard that the node is the one to act on, which
    /// only means to tell it.
    ///
    /// The stamp lies between two moments at which the claim was held: the first gave the token, the second found it
    /// still valid.
    pub(super) fn rehearse(&self, node: &Node, pause: Duration) -> impl Future<Output = ()> + Send + use<> {
        let roles: Vec<_> = node.roles().filter(|role| role.spec().mode == Mode::Primary).collect();
        let (format, lines) = (self.format, self.lines.clone());
        let mut rounds = tokio::time::interval(pause);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        async move {
            let mut teller = EventWriter::new(format, lines);
            loop {
                rounds.tick().await;
                for role in &roles {
                    let claims: Vec<_> = role.shards().filter_map(|shard| role.claim_shard(shard)).collect();
                    let at = now();
                    let (shards, tokens): (Vec<_>, Vec<_>) = claims
                        .iter()
                        .filter(|claim| claim.is_valid())
                        .map(|claim| (claim.shard(), claim.token()))
                        .unzip();
                    if !shards.is_empty() {
                        teller.tell_fields(
                            json!({ "event": "act", "role": role.name(), "shards": shards, "tokens": tokens }),
                            at,
                        );
                    }
                }
            }
        }
    }

    /// Waits until everything that was told is written.
    pub(super) async fn finish(self) {
        let Self { lines, writer, .. } = self;
        drop(lines);
        // A panic of the writer has nothing to tell.
        let _ = tokio::task::spawn_blocking(move || writer.join()).await;
    }
}

/// Turns events into lines.
struct EventWriter {
    format: Option<EventsFormat>,
    lines: SyncSender<String>,
    /// Lines left out because nobody read.
    missed: u64,
}

impl EventWriter {
    fn new(format: Option<EventsFormat>, lines: SyncSender<String>) -> Self {
        Self {
            format,
            lines,
            missed: 0,
        }
    }

    fn ready(&mut self, node: &Node) {
        let (id, hostname) = (node.id(), node.hostname());
        let cluster = &node.config().name;
        if self.format == Some(EventsFormat::Json) {
            let fields = json!({
                "event": "ready",
                "at": now(),
                "node": id,
                "hostname": hostname,
                "cluster": cluster,
                "pid": std::process::id(),
            });
            self.send(fields.to_string());
        } else {
            // It may have been lost meanwhile; the events say what follows.
            let id = id.map_or_else(|| "none".to_owned(), |id| id.to_string());
            self.send(format!("ready node={id} hostname={hostname} cluster={cluster}"));
        }
    }

    fn tell(&mut self, event: &NodeEvent) {
        if self.format.is_none() {
            return;
        }
        let at = now();
        let Ok(fields) = serde_json::to_value(event) else {
            return;
        };
        self.tell_fields(fields, at);
    }

    /// Tells what happened `at`.
    fn tell_fields(&mut self, fields: Value, at: u64) {
        let (Some(format), Value::Object(mut fields)) = (self.format, fields) else {
            return;
        };
        fields.insert("at".into(), at.into());
        self.send(match format {
            EventsFormat::Json => Value::Object(fields).to_string(),
            EventsFormat::Text => text(&fields),
        });
    }

    fn send(&mut self, line: String) {
        if self.missed > 0 {
            let lagged = json!({ "event": "lagged", "at": now(), "missed": self.missed }).to_string();
            if self.lines.try_send(lagged).is_ok() {
                self.missed = 0;
            }
        }
        if let Err(TrySendError::Full(_)) = self.lines.try_send(line) {
            self.missed += 1;
        }
    }
}

/// Milliseconds of CLOCK_BOOTTIME: comparable between the processes of one machine.
fn now() -> u64 {
    shardwright_coordinator::clock::boottime()
}

/// `event key=value …` for people.
fn text(fields: &Map<String, Value>) -> String {
    let mut line = fields
        .get("event")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    for (name, value) in fields.iter().filter(|(name, _)| *name != "event") {
        let value = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        line.push_str(&format!(" {name}={}", plain(&value)));
    }
    line
}

fn write(lines: &Receiver<String>) {
    let mut out = std::io::stdout();
    for line in lines {
        // Whoever read us is gone; the node goes on.
        if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
            return;
        }
    }
}
