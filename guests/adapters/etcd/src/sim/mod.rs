//! A simulated world: an etcd of one member or several, and machines, each with a clock of its own rate, that reach it
//! over a network of any delay.

#![allow(clippy::unwrap_used, reason = "a test and a fuzz target may")]
#![cfg_attr(
    not(test),
    allow(dead_code, reason = "the fuzzer plays in a part of the world that is for tests")
)]

mod keyspace;
#[cfg(test)]
mod members;
#[cfg(test)]
mod test;

use crate::wire::{Answer, Call, Fault, HttpClient, Moment, Stream};
use keyspace::Keyspace;
use std::cell::RefCell;
use std::rc::Rc;

const MS: u64 = 1_000_000;
/// True time begins here, in nanoseconds since the epoch.
const BEGIN: u64 = 1_700_000_000_123_000_000;

/// What all machines share.
pub(crate) struct World {
    /// True time, in nanoseconds since [`BEGIN`].
    pub(crate) time: u64,
    pub(crate) members: Vec<Member>,
    /// The longest way, in nanoseconds.
    pub(crate) way: u64,
    pub(crate) keyspace: Keyspace,
    /// After so many requests everything but the newest revision is compacted away.
    pub(crate) compact_in: Option<u64>,
    /// One of so many answers is lost.
    pub(crate) loses: Option<u64>,
    pub(crate) requests: u64,
    pub(crate) warnings: Vec<String>,
    /// What somebody does every so many nanoseconds while others sleep, and when next.
    pub(crate) beat: Option<Beat>,
    seed: u64,
}

pub(crate) struct Beat {
    pub(crate) every: u64,
    pub(crate) next: u64,
    pub(crate) act: Box<dyn FnMut()>,
}

/// One member.
#[derive(Clone, Copy)]
pub(crate) struct Member {
    /// How far its clock is from true time, in nanoseconds, and how fast it gains on it, in parts per million.
    pub(crate) offset: i64,
    pub(crate) rate: i64,
    pub(crate) down: bool,
}

impl World {
    fn random(&mut self, below: u64) -> u64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below.max(1)
    }

    /// Mostly quick, sometimes as slow as it gets.
    fn travel(&mut self) {
        let longest = if self.random(20) == 0 { self.way } else { self.way / 20 };
        self.time += 20_000 + self.random(longest);
    }

    /// A member's clock, in nanoseconds since the epoch.
    pub(crate) fn clock(&self, member: usize) -> u64 {
        let Member { offset, rate, .. } = self.members[member];
        let gained = i64::try_from(self.time / 1_000_000).unwrap() * rate;
        (BEGIN + self.time).checked_add_signed(offset + gained).unwrap()
    }

    /// The first one's.
    pub(crate) fn server(&self) -> u64 {
        self.clock(0)
    }
}

/// One machine's view of the world.
#[derive(Clone)]
pub(crate) struct Machine {
    pub(crate) world: Rc<RefCell<World>>,
    /// How fast its clock gains on true time, in parts per million.
    rate: i64,
    origin: u64,
    /// The members that it does not reach.
    pub(crate) cut: Vec<usize>,
}

impl Machine {
    pub(crate) fn first(seed: u64) -> Self {
        Self::of(1, seed)
    }

    /// A machine in a world with so many members.
    pub(crate) fn of(members: usize, seed: u64) -> Self {
        let member = Member {
            offset: 0,
            rate: 0,
            down: false,
        };
        Self {
            world: Rc::new(RefCell::new(World {
                time: 0,
                members: vec![member; members],
                way: 4 * MS,
                keyspace: Keyspace::default(),
                compact_in: None,
                loses: None,
                requests: 0,
                warnings: Vec::new(),
                beat: None,
                seed,
            })),
            rate: 0,
            origin: 5_000_000 * MS,
            cut: Vec::new(),
        }
    }

    /// Another machine, whose clock began elsewhere.
    pub(crate) fn beside(&self, rate: i64, origin: u64) -> Self {
        let world = self.world.clone();
        Self {
            world,
            rate,
            origin,
            cut: Vec::new(),
        }
    }
}

/// No watch is simulated.
pub(crate) struct Never;

impl Stream for Never {
    fn read(&mut self, _: &mut Vec<u8>, _: Moment) -> Result<usize, Fault> {
        Ok(0)
    }
}

impl HttpClient for Machine {
    type Stream = Never;

    fn now(&self) -> Moment {
        let time = self.world.borrow().time;
        let gained = i64::try_from(time / 1_000_000).unwrap() * self.rate;
        Moment((self.origin + time).checked_add_signed(gained).unwrap())
    }

    fn sleep(&self, until: Moment) {
        let rest = until.since(self.now()).as_nanos();
        let mut world = self.world.borrow_mut();
        // Never to the nanosecond.
        let late = world.random(100_000);
        world.time += u64::try_from(rest).unwrap() + late;
        let time = world.time;
        let due = world.beat.take_if(|beat| beat.next <= time);
        drop(world);
        if let Some(mut beat) = due {
            (beat.act)();
            beat.next = time + beat.every;
            self.world.borrow_mut().beat = Some(beat);
        }
    }

    fn warn(&self, text: &str) {
        self.world.borrow_mut().warnings.push(text.to_owned());
    }

    fn again(&self) -> Self {
        self.clone()
    }

    fn call(&mut self, call: &Call<'_>, limit: usize, _: Moment) -> Result<Answer, Fault> {
        let sent = self.now();
        let mut world = self.world.borrow_mut();
        world.travel();
        world.requests += 1;
        // `http://h0:1`, and so on.
        let host = call
            .url
            .strip_prefix("http://h")
            .and_then(|rest| rest.split(':').next());
        let member: usize = host.unwrap().parse().unwrap();
        if world.members[member].down || self.cut.contains(&member) {
            return Err(Fault::Unreachable("refused".into()));
        }
        match &mut world.compact_in {
            Some(0) => {
                world.compact_in = None;
                world.keyspace.compact();
            }
            Some(left) => *left -= 1,
            None => {}
        }
        let path = call.url.rsplit("/v3/").next().unwrap();
        let (status, body) = {
            let members = world.members.len();
            world
                .keyspace
                .answer(path, call.body.unwrap_or_default(), member, members)
        };
        let date = http_date(world.clock(member) / 1_000_000_000);
        world.travel();
        let lost = world.loses.is_some_and(|one_of| world.random(one_of) == 0);
        drop(world);
        if lost {
            return Err(Fault::Lost("cut".into()));
        }
        if body.len() > limit {
            return Err(Fault::TooLong);
        }
        Ok(Answer {
            status,
            date: Some(date),
            body: body.into_bytes(),
            sent,
            received: self.now(),
        })
    }

    fn stream(&mut self, _: &Call<'_>, _: Moment) -> Result<(u16, Never), Fault> {
        Ok((200, Never))
    }
}

/// Of the days in which the simulation plays: November 2023.
fn http_date(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let day = days - 19_661;
    assert!((1..=30).contains(&day), "the simulation is over");
    format!(
        "Mon, {day:02} Nov 2023 {:02}:{:02}:{:02} GMT",
        rest / 3600,
        rest / 60 % 60,
        rest % 60
    )
}
