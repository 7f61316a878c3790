//! The bus's promises.

use super::{Context, Flaw, Verdict, ensure};
use crate::contract::{BusError, Coordinator, Delivery, Subscription};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Who publishes the message that ends an observation.
const MARKER: &str = "marker";

pub(super) fn message(publisher: &str, number: u64) -> Bytes {
    Bytes::from(format!("{publisher} {number}"))
}

fn parse(payload: &Bytes) -> Result<(String, u64), Flaw> {
    let text = String::from_utf8_lossy(payload).into_owned();
    let parts = text
        .split_once(' ')
        .and_then(|(publisher, number)| Some((publisher.to_owned(), number.parse().ok()?)));
    parts.ok_or_else(|| Flaw::Broken(format!("a message that nobody published: {text:.80}")))
}

/// Follows the numbered messages of each publisher, and finds what is missing, twice or out of order.
#[derive(Default)]
pub(super) struct Follower {
    /// For each publisher and topic the next number, and how many gaps had been told when the one before it came.
    next: BTreeMap<(String, String), (u64, u64)>,
    received: u64,
    gaps: u64,
    missing: u64,
    /// The number of the marker that is awaited; older ones may still be on their way.
    marker: u64,
    /// The topics that may come; all of them, if empty.
    only: Vec<String>,
}

impl Follower {
    /// Takes a delivery; true if it is the marker.
    fn take(&mut self, delivery: &Delivery) -> Result<bool, Flaw> {
        let Delivery::Message { topic, payload } = delivery else {
            self.gaps += 1;
            return Ok(false);
        };
        ensure!(
            self.only.is_empty() || self.only.contains(topic),
            "a message to {topic:?} was delivered, which was not subscribed to, only {:?}",
            self.only
        );
        let (publisher, number) = parse(payload)?;
        if publisher == MARKER {
            return Ok(number == self.marker);
        }
        self.received += 1;
        self.expect(publisher, topic.clone(), number)?;
        Ok(false)
    }

    /// The next message of `publisher` to `topic` has this number, or a gap was told since the last.
    fn expect(&mut self, publisher: String, topic: String, number: u64) -> Result<(), Flaw> {
        let (next, gaps) = self.next.entry((publisher.clone(), topic.clone())).or_insert((0, 0));
        ensure!(
            number >= *next,
            "{publisher} on {topic}: message {number} came after message {}",
            *next - 1
        );
        ensure!(
            number == *next || self.gaps > *gaps,
            "{publisher} on {topic}: messages {next} to {} are missing, and no gap was told",
            number - 1
        );
        self.missing += number - *next;
        (*next, *gaps) = (number + 1, self.gaps);
        Ok(())
    }

    /// Follows until a marker arrives, which is published again and again through `through`, since it may itself be
    /// lost.
    pub(super) async fn follow(
        &mut self,
        subscription: &mut dyn Subscription,
        through: &dyn Coordinator,
        topic: &str,
    ) -> Result<(), Flaw> {
        self.marker += 1;
        loop {
            // Trouble with a marker is no matter: the next one comes.
            let _ = through.publish(topic, message(MARKER, self.marker)).await;
            let until = Instant::now() + Duration::from_millis(500);
            while let Ok(batch) = timeout(until.saturating_duration_since(Instant::now()), subscription.next(100)).await
            {
                let mut over = false;
                for delivery in batch? {
                    over |= self.take(&delivery)?;
                }
                if over {
                    return Ok(());
                }
            }
        }
    }

    pub(super) fn figures(&self) -> String {
        format!(
            "{} received, {} gaps told, {} missing",
            self.received, self.gaps, self.missing
        )
    }
}

pub(super) async fn order(cx: &Context<'_>) -> Verdict {
    let space = cx.space();
    let publishers = cx.open_all::<4>(&space).await?;
    let listener = cx.open(&space).await?;
    let topics = ["one", "two"];
    let (mut far, mut own) = (
        listener.subscribe(&topics).await?,
        publishers[0].subscribe(&topics).await?,
    );
    let mut tasks = JoinSet::new();
    // Few enough for every queue: on a healthy bus all of them arrive.
    let count = 100;
    for (i, bus) in publishers.iter().cloned().enumerate() {
        tasks.spawn(async move {
            for number in 0..count {
                bus.publish(topics[0], message(&format!("p{i}"), number)).await?;
                bus.publish(topics[1], message(&format!("p{i}"), number)).await?;
                bus.publish("three", message("nobody listens", number)).await?;
            }
            Ok::<_, Flaw>(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    let mut figures = Vec::new();
    for (who, subscription) in [("another handle", &mut far), ("the publisher's own", &mut own)] {
        let mut follower = Follower::default();
        // A marker says that what its publisher sent to its topic before has arrived, and nothing about others.
        for publisher in &publishers {
            for topic in topics {
                follower.follow(&mut **subscription, &**publisher, topic).await?;
            }
        }
        for i in 0..publishers.len() {
            for topic in topics {
                follower.expect(format!("p{i}"), topic.into(), count)?;
            }
        }
        figures.push(format!("{who}: {}", follower.figures()));
    }
    Ok(figures.join("; "))
}

pub(super) async fn slow(cx: &Context<'_>) -> Verdict {
    let space = cx.space();
    let [bus, listener] = cx.open_all(&space).await?;
    let mut subscription = listener.subscribe(&["flood"]).await?;
    for number in 0..cx.options.flood {
        bus.publish("flood", message("p", number)).await?;
    }
    let mut follower = Follower::default();
    follower.follow(&mut *subscription, &*bus, "flood").await?;
    follower.expect("p".into(), "flood".into(), cx.options.flood)?;
    ensure!(
        follower.received > 0,
        "nothing arrived of {} messages",
        cx.options.flood
    );
    Ok(follower.figures())
}

pub(super) async fn subscribe(cx: &Context<'_>) -> Verdict {
    let space = cx.space();
    let [bus, listener] = cx.open_all(&space).await?;
    let mut took = Vec::new();
    for number in 0..100 {
        let mut subscription = listener.subscribe(&["t"]).await?;
        let begun = Instant::now();
        bus.publish("t", message("p", number)).await?;
        // What was published before may be seen or not.
        'arrived: loop {
            for delivery in subscription.next(10).await? {
                match delivery {
                    Delivery::Message { payload, .. } if payload == message("p", number) => break 'arrived,
                    Delivery::Message { .. } => {}
                    Delivery::Gap { .. } => break 'arrived,
                }
            }
        }
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    Ok(format!("publish to receive: {:?} p50, {:?} p99", took[50], took[98]))
}

pub(super) async fn cancel(cx: &Context<'_>) -> Verdict {
    let space = cx.space();
    let [bus, listener] = cx.open_all(&space).await?;
    let mut subscription = listener.subscribe(&["t"]).await?;
    let publisher = tokio::spawn(async move {
        for number in 0..300 {
            bus.publish("t", message("p", number)).await?;
        }
        Ok::<_, BusError>(bus)
    });
    let (mut follower, mut given_up) = (Follower::default(), 0);
    while follower.received + follower.missing < 300 && follower.gaps == 0 {
        match timeout(Duration::ZERO, subscription.next(3)).await {
            Ok(batch) => {
                for delivery in batch? {
                    follower.take(&delivery)?;
                }
            }
            Err(_) => {
                given_up += 1;
                tokio::task::yield_now().await;
            }
        }
    }
    publisher.await??;
    Ok(format!("{}, given up {given_up} times", follower.figures()))
}

pub(super) async fn sizes(cx: &Context<'_>) -> Verdict {
    let space = cx.space();
    let [bus, listener] = cx.open_all(&space).await?;
    let mut subscription = listener.subscribe(&["t"]).await?;
    let Err(BusError::TooLarge { limit, .. }) = bus.publish("t", Bytes::from(vec![0; 64 * 1024 * 1024])).await else {
        return Err(Flaw::Broken("a message of 64 MiB was not refused as too large".into()));
    };
    ensure!(limit >= 256 * 1024, "the limit is {limit} bytes, 256 KiB must fit");
    let over = bus.publish("t", Bytes::from(vec![0; limit + 1])).await;
    ensure!(
        matches!(over, Err(BusError::TooLarge { .. })),
        "one byte over the limit answered {over:?}"
    );
    for size in [0, 1, 256 * 1024, limit] {
        let payload = Bytes::from((0..size).map(|i| (i * 31 % 251) as u8).collect::<Vec<_>>());
        bus.publish("t", payload.clone()).await?;
        let got = subscription.next(1).await?;
        ensure!(
            got == [Delivery::Message {
                topic: "t".into(),
                payload
            }],
            "a message of {size} bytes came otherwise"
        );
    }
    Ok(format!("limit {limit} bytes"))
}

pub(super) async fn namespaces(cx: &Context<'_>) -> Verdict {
    let space = cx.space();
    let (one, two) = (cx.open(&space).await?, cx.open(&cx.beside(&space)).await?);
    let mut subscription = one.subscribe(&["t"]).await?;
    two.publish("t", message("other", 0)).await?;
    one.publish("t", message("same", 0)).await?;
    let mut follower = Follower::default();
    follower.follow(&mut *subscription, &*one, "t").await?;
    ensure!(
        follower.next.keys().all(|(publisher, _)| publisher == "same"),
        "received {:?}",
        follower.next
    );
    follower.expect("same".into(), "t".into(), 1)?;
    let mut all = one.subscribe(&[]).await?;
    two.publish("u", message("other", 1)).await?;
    for (number, topic) in ["t", "u/v"].into_iter().enumerate() {
        one.publish(topic, message("same", number as u64)).await?;
        let got = all.next(1).await?;
        ensure!(
            matches!(&got[..], [Delivery::Message { topic: found, .. }] if found == topic),
            "who subscribes to all topics received {got:?} instead of {topic}"
        );
    }
    Ok("a message to nobody vanished".into())
}

/// Topics that are near one that was asked for, for whoever compares names loosely.
const NEAR: [&str; 8] = ["T", "tt", "t/x", "t.x", "t_", "t-", "u", "x/t"];

pub(super) async fn topics(cx: &Context<'_>) -> Verdict {
    let space = cx.space();
    let [bus, listener] = cx.open_all(&space).await?;
    let topics = ["t", "u/v"];
    // A gap may come at any time; one that comes each time is no accident.
    let mut gaps = 0;
    for _ in 0..3 {
        let mut subscription = listener.subscribe(&topics).await?;
        for (number, topic) in NEAR.into_iter().enumerate() {
            bus.publish(topic, message("nobody asked", number as u64)).await?;
        }
        let mut follower = Follower {
            only: topics.map(str::to_owned).to_vec(),
            ..Follower::default()
        };
        for topic in topics {
            follower.follow(&mut *subscription, &*bus, topic).await?;
        }
        if follower.gaps == 0 {
            return Ok(format!("{} other topics were left out", NEAR.len()));
        }
        gaps += follower.gaps;
    }
    Err(Flaw::Broken(format!(
        "{gaps} gaps were told where nothing can be missing, each after messages to {NEAR:?} were published, and only \
         {topics:?} were subscribed to: an adapter that delivers what was not asked for has its lane ended, and that \
         is the gap"
    )))
}
