//! The bus of single lanes, where nothing stands between the adapter and the check: what comes unasked, and what its
//! own queue loses.

use super::sandbox::{Flaw, Subject, Verdict};
use bytes::Bytes;
use shardwright_components::adapter::{AdapterCoordinator, LanePurpose, Probe};
use shardwright_coordinator::{Bus, BusError, Coordinator, Delivery, Namespace};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Topics that are near `t`, for whoever compares names loosely.
const NEAR: [&str; 8] = ["T", "tt", "t/x", "t.x", "t_", "t-", "u", "x/t"];
/// The most deliveries that are taken at once, as a node does.
const BATCH: u32 = 512;
/// How long a lane waits for a delivery.
const TURN: Duration = Duration::from_millis(500);
/// How long what was published may take to come.
const ARRIVAL: Duration = Duration::from_secs(30);
/// Large messages that nobody takes: more bytes than a backend or an adapter keeps. How many, and of how many bytes.
const LARGE: (u64, usize) = (600, 64 << 10);
/// Small ones: more messages than it keeps; the first if it is to be quick.
const SMALL: [(u64, usize); 2] = [(2_500, 16), (12_000, 16)];

/// A lane that listens, of whatever history there is.
async fn ear(subject: &Subject, space: &Namespace, topics: &[&str]) -> Result<Probe, Flaw> {
    let mut lane = Probe::open(
        &subject.component(),
        subject.options.clone(),
        space,
        LanePurpose::Subscribe,
        None,
    )
    .await?;
    lane.subscribe(topics).await?;
    Ok(lane)
}

/// Publishes to topics that were not subscribed to.
pub(super) async fn topics(subject: &Subject) -> Verdict {
    let space = subject.scratch.space()?;
    let handle = AdapterCoordinator::open(subject.component(), subject.options.clone(), space.clone()).await?;
    for asked in [&["t"][..], &["t", "u/v"]] {
        let mut lane = ear(subject, &space, asked).await?;
        for topic in NEAR {
            handle.publish(topic, Bytes::from_static(b"unasked")).await?;
        }
        handle.publish("t", Bytes::from_static(b"asked")).await?;
        let until = Instant::now() + ARRIVAL;
        'come: loop {
            for delivery in lane.next(BATCH, TURN).await? {
                match delivery {
                    Delivery::Message { topic, .. } if !asked.contains(&&*topic) => {
                        return Err(Flaw::Broken(format!(
                            "a message to {topic:?} was delivered, and only {asked:?} were subscribed to. The host \
                             ends a lane that does this, and quarantines an adapter that goes on: filter by topic, \
                             and compare whole names, byte by byte"
                        )));
                    }
                    Delivery::Message { payload, .. } if payload == "asked" => break 'come,
                    Delivery::Message { topic, payload } => {
                        return Err(Flaw::Broken(format!(
                            "to {topic:?} came {} bytes that nobody published",
                            payload.len()
                        )));
                    }
                    // Allowed at any time, and what was asked for may be behind it.
                    Delivery::Gap { .. } => handle.publish("t", Bytes::from_static(b"asked")).await?,
                }
            }
            if Instant::now() > until {
                return Err(Flaw::Broken(
                    "a message to \"t\", which was subscribed to, has not come".into(),
                ));
            }
        }
    }
    Ok(format!("messages to {} other topics were left out", NEAR.len()))
}

/// Publishes much to a lane that takes nothing meanwhile, then takes everything.
pub(super) async fn overflow(subject: &Subject) -> Verdict {
    let space = subject.scratch.space()?;
    let handle = AdapterCoordinator::open(subject.component(), subject.options.clone(), space.clone()).await?;
    let mut seen = Vec::new();
    for (count, size) in [LARGE, SMALL[usize::from(!subject.quick)]] {
        let mut lane = ear(subject, &space, &["flood"]).await?;
        for number in 0..count {
            handle.publish("flood", numbered(number, size)).await?;
        }
        let found = drain(&mut lane, &handle, count).await?;
        seen.push(format!("of {count} messages of {size} bytes, {found}"));
    }
    Ok(seen.join("; "))
}

fn numbered(number: u64, size: usize) -> Bytes {
    let mut payload = format!("{number} ").into_bytes();
    payload.resize(payload.len().max(size), b'x');
    payload.into()
}

/// Takes everything up to a message with the number `count`, which is published again and again, for it may be lost
/// as well.
async fn drain(lane: &mut Probe, handle: &AdapterCoordinator, count: u64) -> Result<String, Flaw> {
    let (mut next, mut received, mut gap, mut gaps) = (0, 0, false, 0);
    let until = Instant::now() + ARRIVAL;
    handle.publish("flood", numbered(count, 0)).await?;
    loop {
        let batch = match lane.next(BATCH, TURN).await {
            Ok(batch) => batch,
            // The host opens another lane, and tells a gap.
            Err(BusError::Unavailable(why)) => {
                return Ok(format!(
                    "{received} came, then the lane ended, which is told as a gap: {why}"
                ));
            }
            Err(error) => return Err(error.into()),
        };
        if batch.is_empty() {
            if Instant::now() > until {
                return Err(Flaw::Broken(format!(
                    "{received} of {count} messages came, then nothing, and no gap was told"
                )));
            }
            handle.publish("flood", numbered(count, 0)).await?;
        }
        for delivery in batch {
            let Delivery::Message { payload, .. } = delivery else {
                (gap, gaps) = (true, gaps + 1);
                continue;
            };
            let text = String::from_utf8_lossy(&payload[..payload.len().min(24)]).into_owned();
            let number: Option<u64> = text.split(' ').next().and_then(|number| number.parse().ok());
            let number =
                number.ok_or_else(|| Flaw::Broken(format!("a message came that nobody published: {text:?}")))?;
            if number < next {
                return Err(Flaw::Broken(format!(
                    "message {number} came after message {}",
                    next - 1
                )));
            }
            if number > next && !gap {
                return Err(Flaw::Broken(format!(
                    "messages {next} to {} were published while nobody called `next`, and are missing, and the \
                     adapter told no gap: what comes between two calls is kept, or a gap stands where it is missing. \
                     Its queue, or that of its backend, overflowed unseen",
                    number - 1
                )));
            }
            if number == count {
                return Ok(format!("{received} were kept, {gaps} gaps told"));
            }
            (next, received, gap) = (number + 1, received + 1, false);
        }
    }
}

/// What lanes of the bus do when their history is over: they deliver nothing of the next, and nothing of theirs is
/// delivered there.
pub(super) async fn after(subject: &Subject) -> Verdict {
    let space = subject.scratch.space()?;
    let open = || AdapterCoordinator::open(subject.component(), subject.options.clone(), space.clone());
    let old = open().await?;
    let mut heard = ear(subject, &space, &["t"]).await?;
    let mut speaks = Probe::open(
        &subject.component(),
        subject.options.clone(),
        &space,
        LanePurpose::Publish,
        None,
    )
    .await?;
    speaks.publish("t", b"old").await?;
    old.erase().await?;
    let new = open().await?;
    let mut listens = ear(subject, &space, &["t"]).await?;
    let said = match speaks.publish("t", b"late").await {
        Ok(()) => "reached nobody".to_owned(),
        Err(BusError::Unavailable(_)) => "was unavailable".to_owned(),
        Err(error) => {
            return Err(Flaw::Broken(format!(
                "a lane whose history is over answered a message with: {error}"
            )));
        }
    };
    new.publish("t", Bytes::from_static(b"new")).await?;
    let (fresh, _) = messages(&mut listens, b"new").await?;
    if fresh.contains(&b"late"[..]) {
        return Err(Flaw::Broken(
            "a message that was published in a lane of a history that is over was delivered to a subscriber of the \
             next history"
                .into(),
        ));
    }
    let (stale, ended) = messages(&mut heard, b"new").await?;
    if stale.contains(&b"new"[..]) {
        return Err(Flaw::Broken(
            "a message of the new history was delivered in a lane that belongs to the one before, as if nothing had \
             happened"
                .into(),
        ));
    }
    let ended = if ended { "ended" } else { "stayed silent" };
    Ok(format!(
        "the older subscription {ended}, what the older lane published {said}"
    ))
}

/// What comes until `last` has, or the lane ends, or nothing comes for a while; whether it ended.
async fn messages(lane: &mut Probe, last: &[u8]) -> Result<(BTreeSet<Bytes>, bool), Flaw> {
    let mut come = BTreeSet::new();
    let mut idle = 0;
    while idle < 4 {
        match lane.next(BATCH, TURN).await {
            Ok(batch) => {
                idle = if batch.is_empty() { idle + 1 } else { 0 };
                come.extend(batch.into_iter().filter_map(|delivery| match delivery {
                    Delivery::Message { payload, .. } => Some(payload),
                    Delivery::Gap { .. } => None,
                }));
            }
            Err(BusError::Unavailable(_)) => return Ok((come, true)),
            Err(error) => return Err(error.into()),
        }
        if come.contains(last) {
            break;
        }
    }
    Ok((come, false))
}
