//! Opening a lane: the first member that answers, its history, and the members' clocks.

use crate::clock::Clock;
use crate::codes::Refusal;
use crate::config::Config;
use crate::gateway::{Gateway, ONE_SECOND};
use crate::history;
use crate::keys::Keys;
use crate::lane::{Lane, grant};
use crate::memo::Memo;
use crate::vouch::{self, Verdict};
use crate::wire::{HttpClient, Moment};
use shardwright_guest::adapter::{Context, OpenError, Opened};
use std::time::Duration;

/// How long all members together may take to answer, and one of them at least.
const ANSWER: Duration = Duration::from_secs(4);
const ANSWER_ONE: Duration = Duration::from_millis(800);
/// How long opening may take after that.
const REST: Duration = Duration::from_secs(6);
/// Bounds of the clock wider than this are of no use.
const WIDE: Duration = Duration::from_millis(500);

/// A lane and the configuration that it was opened with.
pub(crate) struct Open<W> {
    pub(crate) lane: Lane<W>,
    pub(crate) config: Config,
}

impl<W: HttpClient> Open<W> {
    /// What to tell the host.
    pub(crate) fn told(&self) -> Opened {
        let memo = Memo {
            endpoint: self.lane.gateway.url().to_owned(),
            clock: self.lane.gateway.clock.memo(),
            alone: self.lane.gateway.clock.alone,
            seen: self.lane.gateway.clock.seen().map(|(time, at)| (time, at.0)),
        };
        Opened {
            location: self.lane.gateway.url().to_owned(),
            history: self.lane.history.name.clone(),
            memo: memo.text(),
        }
    }
}

/// Opens a lane that needs no clock.
///
/// # Errors
/// [`OpenError`].
pub(crate) fn plain<W: HttpClient>(context: &Context, wire: impl Fn() -> W) -> Result<Open<W>, OpenError> {
    let config = Config::parse(&context.config).map_err(OpenError::InvalidConfig)?;
    let memo = Memo::parse(&context.memo);
    let lane = connect(context, &config, &config.endpoints, &memo, &wire).map_err(Refusal::opened)?;
    Ok(Open { lane, config })
}

/// Opens a lane of the store: at the first member whose clock may be used.
///
/// # Errors
/// [`OpenError`].
pub(crate) fn timed<W: HttpClient>(context: &Context, wire: impl Fn() -> W) -> Result<Open<W>, OpenError> {
    let config = Config::parse(&context.config).map_err(OpenError::InvalidConfig)?;
    let memo = Memo::parse(&context.memo);
    let mut endpoints = config.endpoints.clone();
    let mut untimely = Vec::new();
    let end = wire().now().plus(ANSWER + REST);
    while !endpoints.is_empty() && (untimely.is_empty() || wire().now() < end) {
        let lane = match connect(context, &config, &endpoints, &memo, &wire) {
            Ok(lane) => lane,
            // Of what answers, nothing may be used.
            Err(Refusal::Unavailable(_) | Refusal::Indeterminate(_)) if !untimely.is_empty() => break,
            Err(refusal) => return Err(refusal.opened()),
        };
        endpoints.retain(|url| *url != lane.gateway.url());
        let mut open = Open {
            lane,
            config: config.clone(),
        };
        match time(&mut open, &memo) {
            Ok(()) => return Ok(open),
            Err(OpenError::UnsafeBackend(why)) => untimely.push(why),
            Err(error) => return Err(error),
        }
    }
    Err(OpenError::UnsafeBackend(untimely.join("; ")))
}

/// Whether the bounds of the clock are narrow enough to begin with; over a slow link, "as narrow as they can be had"
/// may be too wide.
fn is_usable(clock: &Clock, now: Moment) -> bool {
    clock.is_fair(now) && clock.width(now) <= WIDE
}

/// Learns the clock of the lane's member, and whether it may be used.
fn time<W: HttpClient>(open: &mut Open<W>, memo: &Memo) -> Result<(), OpenError> {
    let Open { lane, config } = open;
    let until = lane.gateway.after(REST);
    let gateway = &mut lane.gateway;
    let now = gateway.wire.now();
    if gateway.clock.width(now) == Duration::MAX {
        return Err(OpenError::UnsafeBackend(history::undated(gateway.url()).why()));
    }
    gateway.clock.remember(&memo.clock, now);
    gateway.clock.alone = memo.alone;
    let seen = memo.seen.filter(|(_, at)| Moment(*at) <= now);
    if let Some((time, at)) = seen {
        gateway.clock.saw(time, Moment(at));
    }
    // All at once: their seconds end at the same time.
    let verdict = vouch::look(&mut lane.gateway, &lane.keys, config, until).map_err(Refusal::opened)?;
    let Lane { gateway, keys, .. } = &mut *lane;
    // Twice: a slow answer at the end of one second is followed by another second.
    for _ in 0..2 {
        gateway
            .narrow(&keys.clock, ONE_SECOND, is_usable, until)
            .map_err(Refusal::opened)?;
    }
    let width = gateway.clock.width(gateway.wire.now());
    if width > WIDE {
        return Err(OpenError::Unreachable(format!(
            "{} answers so slowly that its clock is known to {} ms only",
            gateway.url(),
            width.as_millis()
        )));
    }
    // Where time is ahead of the member's clock, what others write tells how far it has come since it was written last.
    let led = seen.is_none() && gateway.clock.alone == Some(false) && gateway.clock.lead(gateway.wire.now()).is_some();
    if verdict == Verdict::Unknown || led {
        vouch::watch(lane, until).map_err(Refusal::opened)?;
    }
    vouch::caught_up(lane, config).map_err(Refusal::opened)
}

/// The first member that answers and has the history.
fn connect<W: HttpClient>(
    context: &Context,
    config: &Config,
    endpoints: &[String],
    memo: &Memo,
    wire: &impl Fn() -> W,
) -> Result<Lane<W>, Refusal> {
    let mut endpoints = endpoints.to_vec();
    // Stable: the one that answered last, and then the order of the configuration.
    endpoints.sort_by_key(|url| *url != memo.endpoint);
    let each = (ANSWER / u32::try_from(endpoints.len()).unwrap_or(u32::MAX)).max(ANSWER_ONE);
    let mut worst = None;
    for url in &endpoints {
        let keys = Keys::of(&config.prefix, &context.namespace);
        let mut gateway = Gateway::new(wire(), url, config.login.clone());
        let until = gateway.after(each);
        let opened = gateway
            .login(until)
            .and_then(|()| history::open(&mut gateway, &keys, config, context.history.as_deref(), until));
        match opened {
            Ok(history) => return Ok(Lane::new(gateway, keys, history)),
            // Another member would say the same.
            Err(Refusal::Denied(why)) => return Err(Refusal::Denied(grant(&why, &keys))),
            Err(refusal @ Refusal::Lost(_)) => return Err(refusal),
            Err(refusal) => {
                if worst.as_ref().is_none_or(|worst| rank(&refusal) > rank(worst)) {
                    worst = Some(refusal);
                }
            }
        }
    }
    Err(worst.unwrap_or_else(|| Refusal::Other("no endpoint is configured".into())))
}

/// Which of several refusals tells an operator most.
fn rank(refusal: &Refusal) -> u8 {
    match refusal {
        Refusal::Tls(_) => 2,
        Refusal::Unavailable(_) | Refusal::Indeterminate(_) => 0,
        _ => 1,
    }
}
