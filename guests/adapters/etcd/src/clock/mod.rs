//! The store's clock, made of the dates of etcd's answers.
//!
//! etcd tells no time in its API, but each of its answers over HTTP has a `Date`: the clock of the member that answers,
//! in whole seconds. An answer bounds the difference between that clock and the local one ([`Bounds`]); two answers
//! with a second's boundary between them bound it by the time between them, a few milliseconds. The bounds of many
//! answers are intersected, and widen with age, since clocks drift. If they contradict each other, the server's clock
//! was set, and everything begins anew.
//!
//! ## Why ages are safe, and time does not go back
//!
//! Let S be the member's clock.
//!
//! - A *stamp*, which is stored with an entry, is an upper bound of S at the moment of stamping, rounded up, and never
//!   below any stamp before it: the write compares the key `clock`, stores its stamp there, and is made again with what
//!   is there if that is later.
//! - A *reading* of the time is what is in `clock`, or an upper bound of S at the moment of asking, rounded down, if
//!   that is later; and then it is given only once S has certainly come so far, for which a few milliseconds may have
//!   to be waited.
//!
//! So no reading is later than S or some stamp, and an age, a reading less a stamp, is at most the time since the
//! moment of stamping, plus the width of the bounds and the rounding: some milliseconds. The moment of stamping is
//! after the moment at which the engine asked for the write, which is what a holder counts from.
//!
//! And what is asked for after a reading or a stamp was given never gets an earlier one, whoever asks: a reading that
//! was given is at most S by then, or is in `clock`; whoever asks later takes an upper bound of S, and no less than
//! `clock`.
//!
//! ## Several members, several clocks
//!
//! Members have clocks of their own. Their bounds are kept apart and one at a time is used, so an age may be wrong by
//! what two of them differ. Three rules keep that below [`UNCERTAINTY`]:
//!
//! - A clock is used if it agrees with those of most members: it differs from each of them by [`SKEW`] at most. Two
//!   clocks of which that is true have one in common, so they differ by twice that. `vouch` looks, whenever a lane has
//!   another member, when a clock was set, and every minute or so.
//! - What `clock` was seen with grows with the local clock, a little slower. No stamp is below that, so whoever uses
//!   the slower of two clocks stamps by the faster one from when it has seen it, and not only by what that one wrote
//!   last.
//! - A stored time that is further ahead than two clocks may be was written by a clock that agrees with no other: the
//!   lane is refused until time has come so far.
//!
//! A clock that is set by a second or more is noticed with the next answer; by less, with the next look at the end of a
//! second, which a lane in use takes every minute or so: until then ages are wrong by what it was set. If it then
//! agrees with the others no longer, it is not used any more. The clock of a single member is followed. Set forward,
//! ages jump; the engine notices it in the answers and trusts no age for a while. Set back, time stands still until it
//! has caught up: ages are too small, which is safe.
//!
//! A lease's time to live would be a clock too, the leader's. But it also comes in whole seconds, it begins anew with
//! each leader, so that all nodes would have to agree on its beginning, and it costs a request of its own.

mod bounds;
mod date;

pub(crate) use bounds::Bounds;

use crate::wire::Moment;
use std::time::Duration;

/// Stamps are rounded up to a multiple of this, in milliseconds, and readings down: lanes whose bounds differ by less
/// mostly give the same stamp, where otherwise the one with the lower bound would have to write again each time; and
/// seldom has to be waited for a reading.
const GRAIN: u64 = 8;
/// The longest that is waited for a reading. Bounds that are wider come from an etcd far away, whose times may then
/// seem to go back by so much.
const WAIT: Duration = Duration::from_millis(50);
/// Narrow enough.
const NARROW: Duration = Duration::from_millis(5);
/// What is added to two round trips to say what can be had at most.
const GAP: Duration = Duration::from_millis(3);
/// So long the answers count that are trusted if they contradict what was known before.
const RECENT: Duration = Duration::from_millis(200);
/// The most members whose clocks are remembered.
const MEMBERS: usize = 8;
/// The most by which the clock of a member may certainly differ from that of another with which it agrees.
pub(crate) const SKEW: Duration = Duration::from_millis(150);
/// The most by which an age may be too large: two clocks that agree with a third one; the width of what is known of all
/// three, and what they drift in a minute.
pub(crate) const UNCERTAINTY: Duration = Duration::from_millis(500);
/// The same where there is one clock: what is known of it, the grain, and what it is slewed.
const ALONE: Duration = Duration::from_millis(50);
/// What was seen grows by so much less than the local clock, so that no member's clock is slower: twice what [`Bounds`]
/// allow, as one part in so many.
const SLOWER: u64 = 5_000;
/// Stored times that are so far ahead of the member's clock are another clock's, and not only a wider bound.
const LEAD: u64 = 64;
/// So long a clock counts that was looked at once, unless it is known less well than this.
const MEMORY: Duration = Duration::from_secs(600);
const WIDE: Duration = Duration::from_millis(350);

/// What is known of the members' clocks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clock {
    members: Vec<Member>,
    /// The member that answered last.
    current: u64,
    /// The latest time that the key `clock` was seen with, and when.
    seen: Option<(u64, Moment)>,
    /// Whether the cluster has one member, and so one clock; nothing if that was not asked.
    pub(crate) alone: Option<bool>,
    /// The shortest round trip.
    trip: Option<Duration>,
}

/// The clock of one member.
#[derive(Clone, Copy, Debug)]
struct Member {
    id: u64,
    bounds: Bounds,
    /// What the answers of the last moments tell by themselves, and since when.
    recent: Bounds,
    since: Moment,
    /// When it was found to agree with the others, unless it was set since.
    vouched: Option<Moment>,
}

/// How the clock in use stands to the others, among `known` members, itself included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClockComparison {
    pub(crate) known: usize,
    /// So many agree with it, itself included.
    pub(crate) agree: usize,
    /// The most by which it certainly differs from another.
    pub(crate) apart: Duration,
}

/// For the next lane: a member, low and high bound, when they were learnt, and when it was vouched for (0 if never).
pub(crate) type Remembered = (u64, i64, i64, u64, u64);

impl Member {
    fn new(id: u64, bounds: Bounds) -> Self {
        Self {
            id,
            bounds,
            recent: bounds,
            since: bounds.at,
            vouched: None,
        }
    }

    fn learn(&mut self, fresh: Bounds) -> ClockUpdate {
        if fresh.at.since(self.since) > RECENT {
            (self.recent, self.since) = (fresh, fresh.at);
        } else {
            self.recent = self.recent.meet(fresh).unwrap_or(fresh);
        }
        match self.bounds.meet(fresh) {
            Ok(met) => {
                self.bounds = met;
                ClockUpdate::Fits
            }
            // It was set; or it is being slewed, and what was just asked around the end of a second is as good as ever.
            Err(by) => {
                self.bounds = self.recent;
                self.vouched = None;
                ClockUpdate::Step(by / 1_000_000)
            }
        }
    }
}

/// What a date told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClockUpdate {
    /// No date, or none that can be read.
    Nothing,
    /// It fits what is known.
    Fits,
    /// It does not: the member's clock was set by about so many milliseconds.
    Step(i64),
}

impl Clock {
    /// Learns from an answer of `member`.
    pub(crate) fn learn(&mut self, member: u64, date: Option<&str>, sent: Moment, received: Moment) -> ClockUpdate {
        let Some(seconds) = date.and_then(date::parse) else {
            return ClockUpdate::Nothing;
        };
        self.current = member;
        let trip = received.since(sent);
        self.trip = Some(self.trip.map_or(trip, |shortest| shortest.min(trip)));
        let fresh = Bounds::of(seconds, sent, received);
        if let Some(known) = self.members.iter_mut().find(|known| known.id == member) {
            return known.learn(fresh);
        }
        if self.members.len() >= MEMBERS {
            self.members.remove(0);
        }
        self.members.push(Member::new(member, fresh));
        ClockUpdate::Fits
    }

    /// The member that answered last.
    fn member(&self) -> Option<&Member> {
        self.members.iter().find(|member| member.id == self.current)
    }

    /// The bounds of its clock.
    fn bounds(&self) -> Option<Bounds> {
        self.member().map(|member| member.bounds)
    }

    /// By how much an age may be too large at most.
    pub(crate) fn uncertainty(&self) -> Duration {
        if self.alone == Some(true) { ALONE } else { UNCERTAINTY }
    }

    /// The key `clock` was seen with this time, or was given it.
    pub(crate) fn saw(&mut self, time: u64, at: Moment) {
        if time > self.floor(at) {
            self.seen = Some((time, at));
        }
    }

    /// What it was seen with, and when.
    pub(crate) fn seen(&self) -> Option<(u64, Moment)> {
        self.seen
    }

    /// What the fastest clock in use says at least, as far as it was seen.
    fn floor(&self, now: Moment) -> u64 {
        self.seen.map_or(0, |(time, at)| {
            // One clock that was put back comes to where it was: until then time stands still.
            if self.alone == Some(true) {
                return time;
            }
            let passed = u64::try_from(now.since(at).as_millis()).unwrap_or(u64::MAX);
            time.saturating_add(passed - passed.div_ceil(SLOWER))
        })
    }

    /// The same, if it is that of another clock than the one in use.
    pub(crate) fn lead(&self, now: Moment) -> Option<u64> {
        let (floor, latest) = (self.floor(now), self.bounds().map_or(0, |bounds| bounds.latest(now)));
        (floor > latest.saturating_add(LEAD)).then_some(floor)
    }

    /// What to stamp a write with, in milliseconds since the epoch.
    pub(crate) fn stamp(&self, now: Moment) -> Option<u64> {
        let latest = self.bounds()?.latest(now);
        Some(latest.next_multiple_of(GRAIN).max(self.floor(now)))
    }

    /// The least that a reading may say which is asked for now.
    pub(crate) fn asked(&self, now: Moment) -> u64 {
        let own = self.bounds().map_or(0, |bounds| bounds.latest(now) / GRAIN * GRAIN);
        self.lead(now).unwrap_or(own)
    }

    /// What to call the time in an answer that came with `stored` in the key `clock`, to what was asked when
    /// [`Clock::asked`] said `asked`; and how long to wait before it may be given.
    pub(crate) fn reading(&self, now: Moment, stored: u64, asked: u64) -> (u64, Duration) {
        let earliest = self.bounds().map_or(0, |bounds| bounds.earliest(now));
        let earliest = self.lead(now).unwrap_or(earliest);
        let wait = Duration::from_millis(asked.saturating_sub(earliest));
        if asked <= stored {
            (stored, Duration::ZERO)
        } else if wait <= WAIT {
            (asked, wait)
        } else {
            (earliest.max(stored), Duration::ZERO)
        }
    }

    /// How far the member's clock was certainly ahead of `stored` at that moment, in milliseconds.
    pub(crate) fn behind(&self, at: Moment, stored: u64) -> u64 {
        self.bounds()
            .map_or(0, |bounds| bounds.earliest(at).saturating_sub(stored))
    }

    /// How far the stored time is certainly ahead of the member's clock, in milliseconds.
    pub(crate) fn ahead(&self, now: Moment, stored: u64) -> u64 {
        self.bounds()
            .map_or(0, |bounds| stored.saturating_sub(bounds.latest(now) + GRAIN))
    }

    /// How far the bounds are apart.
    pub(crate) fn width(&self, now: Moment) -> Duration {
        self.bounds().map_or(Duration::MAX, |bounds| bounds.width(now))
    }

    /// The width that is worth to be had.
    fn goal(&self) -> Duration {
        NARROW.max(2 * self.trip.unwrap_or_default() + GAP)
    }

    /// Whether the bounds are as narrow as they can be had.
    pub(crate) fn is_narrow(&self, now: Moment) -> bool {
        self.width(now) <= self.goal()
    }

    /// Whether they are narrow enough to begin with.
    pub(crate) fn is_fair(&self, now: Moment) -> bool {
        self.width(now) <= 2 * self.goal()
    }

    /// The longest that a call should now wait for the next second, to narrow the bounds: the wider, the longer.
    pub(crate) fn patience(&self, now: Moment) -> Duration {
        let (width, goal) = (self.width(now), self.goal());
        if width <= goal {
            Duration::ZERO
        } else if width <= 2 * goal {
            Duration::from_millis(40)
        } else if width <= 4 * goal {
            Duration::from_millis(150)
        } else {
            Duration::from_secs(1)
        }
    }

    /// The first and the last moment at which the member's next second may begin: the time to ask.
    pub(crate) fn flip(&self, now: Moment) -> (Moment, Moment) {
        self.bounds().map_or((now, now), |bounds| bounds.flip(now))
    }

    /// How the clock in use stands to those of the other members, as far as they are known.
    pub(crate) fn company(&self, now: Moment) -> ClockComparison {
        let Some(own) = self.bounds() else {
            return ClockComparison {
                known: 0,
                agree: 0,
                apart: Duration::ZERO,
            };
        };
        let known = |member: &&Member| {
            let fresh = now.since(member.bounds.at) <= MEMORY && member.bounds.width(now) <= WIDE;
            member.id == self.current || fresh
        };
        let apart: Vec<_> = self
            .members
            .iter()
            .filter(known)
            .map(|other| own.apart(other.bounds, now))
            .collect();
        ClockComparison {
            known: apart.len(),
            agree: apart.iter().filter(|apart| **apart <= SKEW).count(),
            apart: apart.into_iter().max().unwrap_or_default(),
        }
    }

    /// When the member's clock was found to agree with the others; nothing if it was not, or was set since.
    pub(crate) fn vouched(&self) -> Option<Moment> {
        self.member()?.vouched
    }

    /// It agrees with the others, as far as was known at that moment.
    pub(crate) fn vouch(&mut self, now: Moment) {
        if let Some(member) = self.members.iter_mut().find(|member| member.id == self.current) {
            member.vouched = Some(now);
        }
    }

    /// Takes over what another clock has learnt of its members.
    pub(crate) fn adopt(&mut self, other: &Self) {
        for member in &other.members {
            self.adopt_member(member.id, member.bounds);
        }
    }

    /// Whether it fits what is known here.
    fn adopt_member(&mut self, id: u64, bounds: Bounds) -> bool {
        if let Some(known) = self.members.iter_mut().find(|known| known.id == id) {
            let met = bounds.meet(known.bounds);
            known.bounds = met.unwrap_or_else(|_| {
                // It was set in between: what is newer counts, and nobody has vouched for that.
                let newer = if bounds.at > known.bounds.at {
                    bounds
                } else {
                    known.bounds
                };
                (known.recent, known.since, known.vouched) = (newer, newer.at, None);
                newer
            });
            return met.is_ok();
        }
        if self.members.len() < MEMBERS {
            self.members.push(Member::new(id, bounds));
        }
        true
    }

    /// For the next lane.
    pub(crate) fn memo(&self) -> Vec<Remembered> {
        let member = |member: &Member| {
            let Bounds { low, high, at } = member.bounds;
            (member.id, low, high, at.0, member.vouched.map_or(0, |at| at.0))
        };
        self.members.iter().map(member).collect()
    }

    /// Takes over the memo of an earlier lane. What cannot be is left out, and so is what a clock that was set since no
    /// longer fits.
    pub(crate) fn remember(&mut self, memo: &[Remembered], now: Moment) {
        for &(id, low, high, at, vouched) in memo.iter().take(MEMBERS) {
            let bounds = Bounds {
                low,
                high,
                at: Moment(at),
            };
            if low > high || bounds.at > now || Moment(vouched) > now {
                continue;
            }
            let fits = self.adopt_member(id, bounds);
            if let Some(known) = self
                .members
                .iter_mut()
                .find(|known| known.id == id)
                .filter(|_| fits && vouched > 0)
            {
                known.vouched = Some(Moment(vouched));
            }
        }
    }
}
