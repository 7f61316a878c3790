//! A node listens to itself: a message goes out over the real bus every few seconds, and should come back.
//!
//! A connection that stands proves nothing: a consumer can stop silently, a server can forget a subscription. So an
//! echo that stays away is taken for a gap, whatever the backend says: everything is subscribed anew, and whoever
//! listens is told to resynchronise.

use crate::bus::Bus;
use crate::health::Pulse;
use bytes::Bytes;
use shardwright_coordinator::{Inbox, Incoming, Own};
use shardwright_core::id::NodeId;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

/// What the topics of echoes begin with; the node's id follows, so that nobody has to listen to the echoes of others.
const TOPIC: &str = "node/echo/";
/// The time between two echoes is that between two renewals, within these limits.
const EVERY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(5));
/// How often the state of health is looked at, which costs the coordinator nothing.
const LOOK: Duration = Duration::from_secs(1);
/// How many echoes in a row must stay away before the bus counts as silent: a single message may always be lost.
const MISSED: u32 = 2;
/// Most echoes that stay away between two new subscriptions.
const SPARSE: u32 = 64;

/// What is known of the echo of one node.
pub(crate) struct Echo {
    bus: Arc<Bus>,
    pulse: Arc<Pulse>,
    every: Duration,
    inbox: Option<Inbox>,
    /// The number of the echo that is under way, and when it was sent.
    sent: Option<(u64, Instant)>,
    number: u64,
    /// How many stayed away in a row.
    missed: u32,
    /// Everything was subscribed anew since an echo was last heard.
    renewed: bool,
}

impl Echo {
    pub(crate) fn new(bus: Arc<Bus>, pulse: Arc<Pulse>) -> Self {
        Self {
            every: pulse.renew().clamp(EVERY.0, EVERY.1),
            bus,
            pulse,
            inbox: None,
            sent: None,
            // A former life of this node counted from elsewhere. Without randomness its echoes might be taken for this
            // one's, no worse.
            number: getrandom::u64().unwrap_or_default(),
            missed: 0,
            renewed: false,
        }
    }

    /// Listens until the node has ended.
    pub(crate) async fn run(mut self) {
        let mut life = self.bus.life();
        let mut due = interval(self.every);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                changed = life.changed() => {
                    if changed.is_err() || self.bus.is_over() {
                        return;
                    }
                    // Another life, maybe another id.
                    self.inbox = None;
                    self.sent = None;
                    due.reset_immediately();
                }
                _ = due.tick() => self.call().await,
                heard = hear(&mut self.inbox, self.sent.map(|(number, _)| number)) => self.heard(heard),
                _ = look.tick(), if self.bus.node().is_some() => self.pulse.tell(),
            }
        }
    }

    /// Sends an echo; the last one should have come back by now.
    async fn call(&mut self) {
        let Some(node) = self.bus.node() else { return };
        if self.sent.take().is_some() {
            self.stayed_away(true);
        }
        match timeout(self.every, self.send(node)).await {
            Ok(true) => {}
            // It may be there nevertheless, but nobody waits for it.
            Ok(false) | Err(_) => {
                self.sent = None;
                self.stayed_away(false);
            }
        }
    }

    /// Whether it was sent.
    async fn send(&mut self, node: NodeId) -> bool {
        let topic = format!("{TOPIC}{node}");
        let Ok(messenger) = self.bus.messenger() else {
            return false;
        };
        if self.inbox.is_none() {
            let Ok(inbox) = messenger.subscribe(&[&topic], Own::Receive).await else {
                return false;
            };
            self.inbox = Some(inbox);
        }
        self.number = self.number.wrapping_add(1);
        self.sent = Some((self.number, Instant::now()));
        messenger
            .publish(&topic, Bytes::copy_from_slice(&self.number.to_be_bytes()))
            .await
            .is_ok()
    }

    /// An echo did not come back. A bus that took it (`accepted`) and is silent has forgotten this node; one that
    /// refuses it says so itself, and again when it is back.
    fn stayed_away(&mut self, accepted: bool) {
        self.missed = self.missed.saturating_add(1);
        if self.missed < MISSED {
            return;
        }
        self.pulse.silent();
        // Less and less often: each time, everybody who listens resynchronises.
        if accepted && (self.missed.is_power_of_two() || self.missed.is_multiple_of(SPARSE)) {
            tracing::warn!(
                missed = self.missed,
                "this node does not hear itself over the bus: subscribing anew"
            );
            self.renewed = true;
            self.inbox = None;
            self.bus.renew();
        }
    }

    fn heard(&mut self, heard: bool) {
        if !heard {
            // The subscription is over, and the echo is missed. The next call makes another.
            self.inbox = None;
            return;
        }
        let Some((_, sent)) = self.sent.take() else { return };
        self.missed = 0;
        self.pulse.echoed(sent.elapsed());
        if std::mem::take(&mut self.renewed) {
            // What was said between the new subscriptions and now may be lost as well.
            self.bus.renew();
        }
    }
}

/// Waits for the echo with this number: true when it is there, false when the subscription is over. Cancel-safe.
async fn hear(inbox: &mut Option<Inbox>, number: Option<u64>) -> bool {
    let Some(inbox) = inbox else { return pending().await };
    loop {
        let Ok(news) = inbox.next(16).await else { return false };
        let is_it = |incoming: &Incoming| match incoming {
            Incoming::Message { body, .. } => number.is_some_and(|number| body[..] == number.to_be_bytes()),
            Incoming::Resync { .. } => false,
        };
        if news.iter().any(is_it) {
            return true;
        }
    }
}
