//! Opening a lane: the first member that answers, its history, and the members' clocks.

use crate::clock::{Clock, SKEW};
use crate::codes::Refusal;
use crate::config::Config;
use crate::gateway::{Gateway, ONE_SECOND};
use crate::history;
use crate::keys::Keys;
use crate::lane::{Lane, grant};
use crate::memo::Memo;
use crate::wire::{Moment, Wire};
use shardwright_guest::adapter::{Context, OpenError, Opened};
use std::time::Duration;

/// How long all members together may take to answer, and one of them at least.
const ANSWER: Duration = Duration::from_secs(4);
const ANSWER_ONE: Duration = Duration::from_millis(800);
/// How long opening may take after that.
const REST: Duration = Duration::from_secs(6);
/// How long a further member may take to tell its time.
const GLANCE: Duration = Duration::from_millis(700);
/// Bounds of the clock wider than this are of no use.
const WIDE: Duration = Duration::from_millis(500);
/// Members whose clocks differ by more are worth a word.
const APART: Duration = Duration::from_millis(100);

/// A lane and the configuration that it was opened with.
pub(crate) struct Open<W> {
    pub(crate) lane: Lane<W>,
    pub(crate) config: Config,
}

impl<W: Wire> Open<W> {
    /// What to tell the host.
    pub(crate) fn told(&self) -> Opened {
        let memo = Memo {
            endpoint: self.lane.gateway.url().to_owned(),
            clock: self.lane.gateway.clock.memo(),
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
pub(crate) fn plain<W: Wire>(context: &Context, wire: impl Fn() -> W) -> Result<Open<W>, OpenError> {
    let config = Config::parse(&context.config).map_err(OpenError::InvalidConfig)?;
    let memo = Memo::parse(&context.memo);
    let lane = connect(context, &config, &memo, &wire).map_err(Refusal::opened)?;
    Ok(Open { lane, config })
}

/// Opens a lane of the store.
///
/// # Errors
/// [`OpenError`].
pub(crate) fn timed<W: Wire>(context: &Context, wire: impl Fn() -> W) -> Result<Open<W>, OpenError> {
    let mut open = plain(context, &wire)?;
    let memo = Memo::parse(&context.memo);
    let until = open.lane.gateway.after(REST);
    let gateway = &mut open.lane.gateway;
    let now = gateway.wire.now();
    if gateway.clock.width(now) == Duration::MAX {
        return Err(OpenError::UnsafeBackend(history::undated(gateway.url()).why()));
    }
    gateway.clock.remember(&memo.clock, now);
    if memo.clock.is_empty() {
        agree(&mut open.lane, &open.config, &wire, until)?;
    }
    let Lane { gateway, keys, .. } = &mut open.lane;
    // Twice: a slow answer at the end of one second is followed by another second.
    for _ in 0..2 {
        gateway
            .narrow(&keys.clock, ONE_SECOND, Clock::is_fair, until)
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
    Ok(open)
}

/// Refuses a cluster whose members disagree about the time. Those that do not answer are left out.
fn agree<W: Wire>(lane: &mut Lane<W>, config: &Config, wire: &impl Fn() -> W, until: Moment) -> Result<(), OpenError> {
    let mut others = others(lane, config, wire);
    if others.is_empty() {
        return Ok(());
    }
    let spread = compare(lane, &mut others, until);
    if spread > APART {
        let text = format!("the clocks of its members differ by {} ms", spread.as_millis());
        if spread > SKEW {
            return Err(OpenError::UnsafeBackend(format!("{text}: run NTP on all of them")));
        }
        lane.gateway
            .wire
            .warn(&format!("{}: {text}: run NTP on all of them", lane.gateway.url()));
    }
    Ok(())
}

/// The members of the configuration that answer, but for the one of `lane`.
pub(crate) fn others<W: Wire>(lane: &Lane<W>, config: &Config, wire: impl Fn() -> W) -> Vec<Gateway<W>> {
    let urls = config.endpoints.iter().filter(|url| *url != lane.gateway.url());
    let mut found: Vec<_> = urls.map(|url| lane.gateway.beside(wire(), url)).collect();
    found.retain_mut(|gateway| gateway.probe(&lane.keys.clock, gateway.after(GLANCE)).is_ok());
    found
}

/// Learns the clocks of all these members at once; by how much two of them certainly differ.
pub(crate) fn compare<W: Wire>(lane: &mut Lane<W>, others: &mut Vec<Gateway<W>>, until: Moment) -> Duration {
    let Lane { gateway, keys, .. } = lane;
    let end = gateway.after(ONE_SECOND).min(until);
    loop {
        let now = gateway.wire.now();
        let mut wide = false;
        others.retain_mut(|other| {
            let narrow = other.clock.is_fair(now);
            wide |= !narrow;
            narrow || other.probe(&keys.clock, other.after(GLANCE)).is_ok()
        });
        if !gateway.clock.is_fair(now) {
            wide = true;
            // If it does not answer, who goes on with it will see.
            let _ = gateway.probe(&keys.clock, until);
        }
        if !wide || now >= end {
            break;
        }
    }
    for other in &*others {
        gateway.clock.adopt(&other.clock);
    }
    gateway.clock.spread(gateway.wire.now())
}

/// The first member that answers and has the history.
fn connect<W: Wire>(context: &Context, config: &Config, memo: &Memo, wire: &impl Fn() -> W) -> Result<Lane<W>, Refusal> {
    let mut endpoints = config.endpoints.clone();
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
            .and_then(|()| history::open(&mut gateway, &keys, context.history.as_deref(), until));
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
        Refusal::Unavailable(_) | Refusal::Doubtful(_) => 0,
        _ => 1,
    }
}
