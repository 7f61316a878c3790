//! Whether a member's clock may be used: whenever a lane has another member, when its clock was set, and every minute
//! or so.
//!
//! It may if it agrees with those of most members. Where too few of them answer to know, a lane that is opened watches
//! for what others write: either their time is its own, or nobody is there whom it could harm.

use crate::api::{Members, Op, RangeOp, txn};
use crate::clock::{Clock, SKEW, UNCERTAINTY};
use crate::codec;
use crate::codes::Refusal;
use crate::config::Config;
use crate::gateway::{Gateway, ONE_SECOND, SHORT};
use crate::keys::Keys;
use crate::lane::Lane;
use crate::wire::{HttpClient, Moment};
use std::time::Duration;

/// How long a clock is believed that was vouched for.
pub(crate) const PERIOD: Duration = Duration::from_secs(60);
/// When it is looked at again if what is known of the others is growing old, and how long a call waits for one's next
/// second.
const SOON: Duration = Duration::from_secs(1);
const BRIEF: Duration = Duration::from_millis(150);
/// How long a further member may take to tell its time.
const GLANCE: Duration = Duration::from_millis(700);
/// How long it is watched for what others write, and how often that is looked at. The host waits for 5 s until a lane
/// is open.
const WATCH: Duration = Duration::from_millis(2_500);
const GAZE: Duration = Duration::from_millis(25);
/// Between two questions for their time.
const PACE: Duration = Duration::from_millis(2);
/// Members whose clocks differ by more are worth a word.
const APART: Duration = Duration::from_millis(50);

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It agrees with those of most members, or has been found to lately.
    Agrees,
    /// Too few members answer to tell.
    Unknown,
}

/// Compares the clock of the member in use with those of the others, if that was not done lately.
///
/// # Errors
/// `Untimely`: it differs from those of so many that it may not be used.
pub(crate) fn look<W: HttpClient>(
    gateway: &mut Gateway<W>,
    keys: &Keys,
    config: &Config,
    until: Moment,
) -> Result<Verdict, Refusal> {
    let now = gateway.wire.now();
    if gateway.clock.vouched().is_some_and(|at| now.since(at) <= PERIOD) {
        return Ok(Verdict::Agrees);
    }
    let voters = voters(gateway, config, until);
    gateway.clock.alone = Some(voters == 1);
    let mut old = false;
    if voters > 1 {
        let mut others = others(gateway, keys, config);
        if gateway.clock.vouched().is_none() {
            compare(gateway, keys, &mut others, until);
        } else {
            old = refresh(gateway, keys, &mut others, until);
        }
    }
    let now = gateway.wire.now();
    let again = if old {
        now.minus(PERIOD.saturating_sub(SOON))
    } else {
        now
    };
    let company = gateway.clock.company(now);
    let (url, apart) = (gateway.url().to_owned(), company.apart.as_millis());
    let text = format!("{url}: the clocks of the members differ by {apart} ms");
    if company.agree * 2 > voters {
        if company.apart > APART {
            gateway.wire.warn(&format!("{text}: run NTP on all of them"));
        }
        gateway.clock.vouch(again);
        Ok(Verdict::Agrees)
    } else if company.agree < company.known {
        let (agree, known) = (company.agree - 1, company.known - 1);
        Err(Refusal::Untimely(format!(
            "{text}, and {agree} of {known} others agree with this one to {} ms: nothing is done by its clock; run NTP \
             on all of them",
            SKEW.as_millis()
        )))
    } else {
        // As far as can be seen, nothing has changed.
        if gateway.clock.vouched().is_some() {
            gateway.clock.vouch(again);
        }
        Ok(Verdict::Unknown)
    }
}

/// Watches for what others write, whose time must be that of the lane's member.
///
/// # Errors
/// `Untimely`: what others write is dated by another clock.
pub(crate) fn watch<W: HttpClient>(lane: &mut Lane<W>, until: Moment) -> Result<(), Refusal> {
    let end = lane.gateway.after(WATCH).min(until);
    let two = u64::try_from(2 * SKEW.as_millis()).unwrap_or(u64::MAX);
    // What was stored when it was looked at last, and how far that was behind all that others wrote since the
    // beginning.
    let (mut known, mut least) = (None, None::<u64>);
    loop {
        let clock = Op::Range(RangeOp::one(&lane.keys.clock));
        let answer = lane.txn(&txn(&[], &[clock], &[]), SHORT, until)?;
        let read = lane.read(&answer)?;
        let gateway = &mut lane.gateway;
        let found = read.pair(0);
        let Some((stored, revision)) =
            found.and_then(|pair| Some((codec::read_clock(&pair.value()?)?.0, pair.mod_revision)))
        else {
            return Err(Refusal::Unavailable(format!(
                "{}: the key `clock` is gone",
                gateway.url()
            )));
        };
        let sent = answer.sent;
        gateway.clock.saw(stored, answer.received);
        // It was written after it had been looked at before.
        let behind = |at| gateway.clock.behind(at, stored);
        match known {
            Some((before, _)) if before == revision => {}
            Some((_, at)) => least = Some(least.map_or(behind(at), |least| least.min(behind(at)))),
            None => {
                least =
                    Some(behind(sent)).filter(|behind| *behind <= two && gateway.clock.lead(answer.received).is_none());
            }
        }
        let now = gateway.wire.now();
        match least {
            Some(least) if least > two && now >= end => {
                return Err(Refusal::Untimely(format!(
                    "the clock of {} is at least {least} ms ahead of that by which others write: nothing is done by \
                     it; run NTP on all members",
                    gateway.url()
                )));
            }
            Some(least) if least <= two => break,
            None if now >= end => break,
            _ => {}
        }
        known = Some((revision, sent));
        gateway.wire.sleep(now.plus(GAZE));
    }
    let gateway = &mut lane.gateway;
    gateway.clock.vouch(gateway.wire.now());
    Ok(())
}

/// Whether the stored time is one that a clock can have written which agrees with others. That of a single member may
/// have been put back.
///
/// # Errors
/// `Untimely`: it is further ahead.
pub(crate) fn caught_up<W: HttpClient>(lane: &mut Lane<W>, config: &Config) -> Result<(), Refusal> {
    let now = lane.gateway.wire.now();
    let ahead = lane
        .gateway
        .clock
        .lead(now)
        .map_or(0, |lead| lane.gateway.clock.ahead(now, lead));
    if u128::from(ahead) <= UNCERTAINTY.as_millis() {
        return Ok(());
    }
    if lane.gateway.clock.alone.is_none() {
        let until = lane.until();
        let voters = voters(&mut lane.gateway, config, until);
        lane.gateway.clock.alone = Some(voters == 1);
    }
    if lane.gateway.clock.alone == Some(true) {
        return Ok(());
    }
    Err(Refusal::Untimely(format!(
        "the stored time is {ahead} ms ahead of the clock of {}, so another member's is, or was: nothing is done until \
         time has come so far",
        lane.gateway.url()
    )))
}

/// How many members vote; as many as are configured if that cannot be known.
fn voters<W: HttpClient>(gateway: &mut Gateway<W>, config: &Config, until: Moment) -> usize {
    let until = gateway.after(GLANCE).min(until);
    let answer = gateway.ask("/v3/cluster/member/list", Some("{}"), SHORT, until);
    let voters = answer.and_then(|answer| {
        let found: Members = gateway.parse(&answer)?;
        Ok(found.members.iter().filter(|member| !member.is_learner).count())
    });
    match voters {
        Ok(voters @ 1..) => voters,
        _ => config.endpoints.len(),
    }
}

/// The members of the configuration that answer, but for that of `gateway`.
pub(crate) fn others<W: HttpClient>(gateway: &Gateway<W>, keys: &Keys, config: &Config) -> Vec<Gateway<W>> {
    let urls = config.endpoints.iter().filter(|url| *url != gateway.url());
    let mut found: Vec<_> = urls.map(|url| gateway.beside(gateway.wire.again(), url)).collect();
    found.retain_mut(|gateway| gateway.probe(&keys.clock, gateway.after(GLANCE)).is_ok());
    found
}

/// Learns the clocks of all these members at once, and that of the one in use.
pub(crate) fn compare<W: HttpClient>(
    gateway: &mut Gateway<W>,
    keys: &Keys,
    others: &mut Vec<Gateway<W>>,
    until: Moment,
) {
    for other in &mut *others {
        other.clock.adopt(&gateway.clock);
    }
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
        gateway.wire.sleep(now.plus(PACE));
    }
    for other in &*others {
        gateway.clock.adopt(&other.clock);
    }
}

/// Adds what these members' last answers tell to what is known of their clocks, and asks once more where a second ends
/// soon; true if it should be known better than that.
fn refresh<W: HttpClient>(gateway: &mut Gateway<W>, keys: &Keys, others: &mut Vec<Gateway<W>>, until: Moment) -> bool {
    let mut old = false;
    for other in others {
        other.clock.adopt(&gateway.clock);
        let now = other.wire.now();
        let (first, _) = other.clock.flip(now);
        if !other.clock.is_fair(now) && first.since(now) <= BRIEF {
            // One that does not answer is known as well as before.
            let _ = other.narrow(&keys.clock, 2 * BRIEF, Clock::is_fair, until);
        }
        old |= !other.clock.is_fair(other.wire.now());
        gateway.clock.adopt(&other.clock);
    }
    old
}
