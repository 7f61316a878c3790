//! The store's clock, made of the dates of etcd's answers.
//!
//! etcd tells no time in its API, but each of its answers over HTTP has a `Date`: the clock of the member that answers, in whole seconds. An answer
//! bounds the difference between that clock and the local one ([`Bounds`]); two answers with a second's boundary between them bound it by the time
//! between them, a few milliseconds. The bounds of many answers are intersected, and widen with age, since clocks drift. If they contradict each
//! other, the server's clock was set, and everything begins anew.
//!
//! ## Why ages are safe, and time does not go back
//!
//! Let S be the member's clock.
//!
//! - A *stamp*, which is stored with an entry, is an upper bound of S at the moment of stamping, rounded up, and never below any stamp before it: the
//!   write compares the key `clock`, stores its stamp there, and is made again with what is there if that is later.
//! - A *reading* of the time is what is in `clock`, or an upper bound of S at the moment of asking, rounded down, if that is later; and then it is given
//!   only once S has certainly come so far, for which a few milliseconds may have to be waited.
//!
//! So no reading is later than S or some stamp, and an age, a reading less a stamp, is at most the time since the moment of stamping, plus the width of
//! the bounds and the rounding: some milliseconds. The moment of stamping is after the moment at which the engine asked for the write, which is what a
//! holder counts from.
//!
//! And what is asked for after a reading or a stamp was given never gets an earlier one, whoever asks: a reading that was given is at most S by then, or is
//! in `clock`; whoever asks later takes an upper bound of S, and no less than `clock`.
//!
//! Members have clocks of their own. Their bounds are kept apart, one at a time is used, and a lane is refused if two members certainly differ by more than
//! [`SKEW`]. A clock that is set by a second or more is noticed with the next answer; by less, with the next look at the end of a second, which a lane
//! in use takes every minute or so: until then ages are wrong by what it was set. Set forward, ages jump; the engine notices it in the answers and trusts no
//! age for a while. Set back, time stands still until it has caught up, since no stamp is below `clock`: ages are too small, which is safe.
//!
//! A lease's time to live would be a clock too, the leader's. But it also comes in whole seconds, it begins anew with each leader, so that
//! all nodes would have to agree on its beginning, and it costs a request of its own.

mod bounds;
mod date;

pub(crate) use bounds::Bounds;

use crate::wire::Moment;
use std::time::Duration;

/// Stamps are rounded up to a multiple of this, in milliseconds, and readings down: lanes whose bounds differ by less mostly give the same stamp, where
/// otherwise the one with the lower bound would have to write again each time; and seldom has to be waited for a reading.
const GRAIN: u64 = 8;
/// The longest that is waited for a reading. Bounds that are wider come from an etcd far away, whose times may then seem to go back by so much.
const WAIT: Duration = Duration::from_millis(50);
/// Narrow enough.
const NARROW: Duration = Duration::from_millis(5);
/// What is added to two round trips to say what can be had at most.
const GAP: Duration = Duration::from_millis(3);
/// So long the answers count that are trusted if they contradict what was known before.
const RECENT: Duration = Duration::from_millis(200);
/// The most members whose clocks are remembered.
const MEMBERS: usize = 8;
/// The most by which the clocks of two members may certainly differ.
pub(crate) const SKEW: Duration = Duration::from_millis(500);

/// What is known of the members' clocks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clock {
    members: Vec<Member>,
    /// The member that answered last.
    current: u64,
    /// The latest time that the key `clock` was seen with.
    floor: u64,
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
}

impl Member {
    fn new(id: u64, bounds: Bounds) -> Self {
        Self {
            id,
            bounds,
            recent: bounds,
            since: bounds.at,
        }
    }

    fn learn(&mut self, fresh: Bounds) -> Learnt {
        if fresh.at.since(self.since) > RECENT {
            (self.recent, self.since) = (fresh, fresh.at);
        } else {
            self.recent = self.recent.meet(fresh).unwrap_or(fresh);
        }
        match self.bounds.meet(fresh) {
            Ok(met) => {
                self.bounds = met;
                Learnt::Fits
            }
            // It was set; or it is being slewed, and what was just asked around the end of a second is as good as ever.
            Err(by) => {
                self.bounds = self.recent;
                Learnt::Step(by / 1_000_000)
            }
        }
    }
}

/// What a date told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Learnt {
    /// No date, or none that can be read.
    Nothing,
    /// It fits what is known.
    Fits,
    /// It does not: the member's clock was set by about so many milliseconds.
    Step(i64),
}

impl Clock {
    /// Learns from an answer of `member`.
    pub(crate) fn learn(&mut self, member: u64, date: Option<&str>, sent: Moment, received: Moment) -> Learnt {
        let Some(seconds) = date.and_then(date::parse) else {
            return Learnt::Nothing;
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
        Learnt::Fits
    }

    /// The bounds of the member that answered last.
    fn bounds(&self) -> Option<Bounds> {
        self.members
            .iter()
            .find(|member| member.id == self.current)
            .map(|member| member.bounds)
    }

    /// The key `clock` was seen with this time.
    pub(crate) fn saw(&mut self, time: u64) {
        self.floor = self.floor.max(time);
    }

    /// What to stamp a write with, in milliseconds since the epoch.
    pub(crate) fn stamp(&self, now: Moment) -> Option<u64> {
        let latest = self.bounds()?.latest(now);
        Some(latest.next_multiple_of(GRAIN).max(self.floor))
    }

    /// The least that a reading may say which is asked for now.
    pub(crate) fn asked(&self, now: Moment) -> u64 {
        self.bounds().map_or(0, |bounds| bounds.latest(now) / GRAIN * GRAIN)
    }

    /// What to call the time in an answer that came with `stored` in the key `clock`, to what was asked when [`Clock::asked`] said `asked`; and how
    /// long to wait before it may be given.
    pub(crate) fn reading(&self, now: Moment, stored: u64, asked: u64) -> (u64, Duration) {
        let earliest = self.bounds().map_or(0, |bounds| bounds.earliest(now));
        let wait = Duration::from_millis(asked.saturating_sub(earliest));
        if asked <= stored {
            (stored, Duration::ZERO)
        } else if wait <= WAIT {
            (asked, wait)
        } else {
            (earliest.max(stored), Duration::ZERO)
        }
    }

    /// How far the stored time is certainly ahead of the member's clock, in milliseconds.
    pub(crate) fn ahead(&self, now: Moment, stored: u64) -> u64 {
        self.bounds().map_or(0, |bounds| stored.saturating_sub(bounds.latest(now) + GRAIN))
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

    /// The most by which the clocks of two members certainly differ.
    pub(crate) fn spread(&self, now: Moment) -> Duration {
        let pairs = self
            .members
            .iter()
            .flat_map(|one| self.members.iter().map(move |two| (one.bounds, two.bounds)));
        pairs.map(|(one, two)| one.apart(two, now)).max().unwrap_or_default()
    }

    /// Takes over what another clock has learnt of its members, if this one knows them worse.
    pub(crate) fn adopt(&mut self, other: &Self) {
        for member in &other.members {
            self.adopt_member(member.id, member.bounds);
        }
    }

    fn adopt_member(&mut self, id: u64, bounds: Bounds) {
        if let Some(known) = self.members.iter_mut().find(|known| known.id == id) {
            // A step since then: what is known here is newer.
            known.bounds = bounds.meet(known.bounds).unwrap_or(known.bounds);
        } else if self.members.len() < MEMBERS {
            self.members.push(Member::new(id, bounds));
        }
    }

    /// For the next lane: a list of members, each with its bounds.
    pub(crate) fn memo(&self) -> Vec<(u64, i64, i64, u64)> {
        let member = |member: &Member| (member.id, member.bounds.low, member.bounds.high, member.bounds.at.0);
        self.members.iter().map(member).collect()
    }

    /// Takes over the memo of an earlier lane. What cannot be is left out.
    pub(crate) fn remember(&mut self, memo: &[(u64, i64, i64, u64)], now: Moment) {
        for (id, low, high, at) in memo.iter().take(MEMBERS) {
            let bounds = Bounds {
                low: *low,
                high: *high,
                at: Moment(*at),
            };
            if low <= high && bounds.at <= now {
                self.adopt_member(*id, bounds);
            }
        }
    }
}
