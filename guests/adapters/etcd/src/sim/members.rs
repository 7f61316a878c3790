//! Several members whose clocks differ, of which some fail: what ages say then, and which clocks are used.

use super::{Beat, MS, Machine};
use crate::clock::UNCERTAINTY;
use crate::open;
use crate::store::Store;
use proptest::prelude::*;
use shardwright_guest::adapter::{Context, Expected, OpenError, Purpose, Store as _, StoreError};

/// A machine's lane of the store, as its host keeps it: dropped when it answers *unavailable*, and opened again with
/// the last memo.
struct Host {
    machine: Machine,
    endpoints: String,
    lane: Option<Store<Machine>>,
    memo: String,
}

impl Host {
    fn new(machine: Machine, members: &[usize]) -> Self {
        let endpoints: Vec<_> = members.iter().map(|member| format!("\"http://h{member}:1\"")).collect();
        Self {
            machine,
            endpoints: endpoints.join(","),
            lane: None,
            memo: String::new(),
        }
    }

    fn open(&mut self) -> Result<&mut Store<Machine>, OpenError> {
        if self.lane.is_none() {
            let context = Context {
                purpose: Purpose::Store,
                namespace: "ns".into(),
                config: format!("{{\"endpoints\":[{}]}}", self.endpoints),
                history: None,
                memo: self.memo.clone(),
            };
            let open = open::timed(&context, || self.machine.clone())?;
            self.memo = open.told().memo;
            self.lane = Some(Store::new(open));
        }
        Ok(self.lane.as_mut().unwrap())
    }

    fn call<T>(&mut self, call: impl FnOnce(&mut Store<Machine>) -> Result<T, StoreError>) -> Result<T, String> {
        let done = self.open().map_err(|error| format!("{error:?}"))?;
        call(done).map_err(|error| {
            self.lane = None;
            assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
            format!("{error:?}")
        })
    }

    /// The stamp of a write.
    fn put(&mut self) -> Result<u64, String> {
        self.call(|store| store.put("k", Vec::new(), Expected::Any))
            .map(|put| put.now)
    }

    /// The age of what is there.
    fn age(&mut self) -> Result<u64, String> {
        let read = self.call(|store| store.get("k"))?;
        Ok(read.now.saturating_sub(read.entry.unwrap().written))
    }

    fn member(&self) -> &str {
        self.lane.as_ref().unwrap().lane.gateway.url()
    }
}

fn ms(machine: &Machine) -> u64 {
    machine.world.borrow().time / MS
}

/// Three members with these clocks, in milliseconds beside true time, and machines that reach all of them.
fn world(seed: u64, offsets: [i64; 3], machines: usize) -> (Machine, Vec<Host>) {
    let first = Machine::of(3, seed);
    for (member, offset) in first.world.borrow_mut().members.iter_mut().zip(offsets) {
        member.offset = offset * 1_000_000;
    }
    let host = |at: usize| {
        // Each prefers another member.
        let order: Vec<_> = (0..3).map(|next| (at + next) % 3).collect();
        Host::new(first.beside(0, at as u64 * 77 * MS), &order)
    };
    let hosts = (0..machines).map(host).collect();
    (first, hosts)
}

/// What happens next.
#[derive(Clone, Copy, Debug)]
enum Step {
    Put(usize),
    Age(usize),
    Wait(u64),
    /// Its lane is gone; another one is opened.
    Drop(usize),
    /// Another process.
    Restart(usize),
    /// This member alone is down.
    Fail(usize),
    AllUp,
    /// A member's clock is set by so many milliseconds.
    Set(usize, i64),
}

fn offset() -> impl Strategy<Value = i64> {
    prop_oneof![4 => -30_i64..30, 2 => -600_i64..600, 2 => -8_000_i64..8_000]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0_usize..3).prop_map(Step::Put),
        8 => (0_usize..3).prop_map(Step::Age),
        6 => (0_u64..6_000).prop_map(Step::Wait),
        1 => (0_u64..400_000).prop_map(Step::Wait),
        2 => (0_usize..3).prop_map(Step::Drop),
        1 => (0_usize..3).prop_map(Step::Restart),
        2 => (0_usize..3).prop_map(Step::Fail),
        2 => Just(Step::AllUp),
    ]
}

/// Plays `steps`; how many ages were told.
fn play(seed: u64, rates: [i64; 3], offsets: [i64; 3], steps: &[Step]) -> usize {
    let (first, mut hosts) = world(seed, offsets, 3);
    for (member, rate) in first.world.borrow_mut().members.iter_mut().zip(rates) {
        member.rate = rate;
    }
    let mut told = 0;
    // When the last write was asked for.
    let mut written = None;
    for step in steps {
        match *step {
            Step::Wait(ms) => first.world.borrow_mut().time += ms * MS,
            Step::Drop(at) => hosts[at].lane = None,
            Step::Restart(at) => (hosts[at].lane, hosts[at].memo) = (None, String::new()),
            Step::Fail(at) => (0..3).for_each(|member| first.world.borrow_mut().members[member].down = member == at),
            Step::AllUp => first
                .world
                .borrow_mut()
                .members
                .iter_mut()
                .for_each(|member| member.down = false),
            Step::Set(member, by) => first.world.borrow_mut().members[member].offset += by * 1_000_000,
            Step::Put(at) => {
                let asked = ms(&first);
                if hosts[at].put().is_ok() {
                    written = Some(asked);
                }
            }
            Step::Age(at) => {
                let Some(asked) = written else { continue };
                if let Ok(age) = hosts[at].age() {
                    told += 1;
                    let most = ms(&first) - asked;
                    let uncertain = u64::try_from(UNCERTAINTY.as_millis()).unwrap();
                    assert!(
                        age <= most + most / 5_000 + uncertain,
                        "an age of {age} ms after {most} ms"
                    );
                }
            }
        }
    }
    told
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However much the members' clocks differ, and whichever of them fail: no age is larger than it is by more than
    /// what is declared.
    #[test]
    fn no_age_is_too_large(
        seed: u64,
        rates in prop::array::uniform3(-40_i64..40),
        offsets in prop::array::uniform3(offset()),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        play(seed, rates, offsets, &steps);
    }

    /// Nor where a member's clock is set while it is used: by two seconds or more it is noticed with the next answer,
    /// whatever passed since it was looked at. Where those of most members are set within minutes, in ways of their
    /// own, none of them is the right one.
    #[test]
    fn no_age_is_too_large_when_a_clock_is_set(
        seed: u64,
        offsets in prop::array::uniform3(-30_i64..30),
        member in 0_usize..3,
        steps in prop::collection::vec(prop_oneof![
            20 => step(),
            1 => prop_oneof![2_000_i64..9_000, -9_000_i64..-2_000].prop_map(|by| Step::Set(0, by)),
        ], 1..60),
    ) {
        let steps: Vec<_> = steps.into_iter().map(|step| match step {
            Step::Set(_, by) => Step::Set(member, by),
            step => step,
        }).collect();
        play(seed, [0; 3], offsets, &steps);
    }

    /// Where they differ as little as NTP leaves them, nobody is ever refused, whichever of them fails.
    #[test]
    fn clocks_that_agree_are_used(
        seed: u64,
        rates in prop::array::uniform3(-40_i64..40),
        offsets in prop::array::uniform3(-30_i64..30),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let all = std::iter::once(Step::Put(0)).chain(steps);
        let steps: Vec<_> = all.flat_map(|step| match step {
            // Only the call that finds its member gone is lost.
            Step::Age(at) => vec![Step::Drop(at), step],
            step => vec![step],
        }).collect();
        let asked = steps.iter().filter(|step| matches!(step, Step::Age(_))).count();
        prop_assert_eq!(play(seed, rates, offsets, &steps), asked);
    }
}

#[test]
fn a_member_whose_clock_differs_is_not_used_and_stops_nobody() {
    for bad in 0..3 {
        for by in [-6_000, -400, 400, 6_000] {
            let mut offsets = [0; 3];
            offsets[bad] = by;
            let (_, mut hosts) = world(1, offsets, 3);
            for host in &mut hosts {
                host.put().unwrap();
                assert_ne!(host.member(), format!("http://h{bad}:1"), "{by} ms");
            }
        }
    }
}

#[test]
fn a_clock_that_is_set_under_a_lane_is_given_up() {
    for by in [-6_000, 6_000] {
        let (first, mut hosts) = world(2, [0; 3], 2);
        hosts[0].put().unwrap();
        hosts[1].put().unwrap();
        first.world.borrow_mut().members[0].offset = by * 1_000_000;
        // The call in which it is noticed may be lost, and nothing else.
        let noticed = hosts[0].age();
        assert!(
            noticed.as_ref().is_ok_and(|age| *age < 500) || noticed.is_err(),
            "{noticed:?}"
        );
        hosts[0].put().unwrap();
        assert_ne!(hosts[0].member(), "http://h0:1", "{by} ms");
        assert!(hosts[1].age().unwrap() < 500);
    }
}

/// The clock that a machine used is known for a while after the member is gone: of two that are left, one agrees with
/// it.
#[test]
fn a_member_that_failed_still_vouches_for_others() {
    let (first, mut hosts) = world(3, [0, 0, 0], 1);
    hosts[0].put().unwrap();
    first.world.borrow_mut().members[1].offset = 6_000 * 1_000_000;
    first.world.borrow_mut().members[0].down = true;
    hosts[0].put().unwrap_err();
    hosts[0].put().unwrap();
    assert_eq!(hosts[0].member(), "http://h2:1");
}

/// It reaches no other member, so it has nothing to compare with but what others write.
#[test]
fn who_reaches_one_member_alone_goes_by_what_others_write() {
    for (by, fits) in [(0, true), (100, true), (6_000, false)] {
        let (first, mut hosts) = world(4, [0, 0, by], 1);
        hosts[0].put().unwrap();
        let mut far = Host::new(first.beside(0, 99), &[2]);
        far.machine.cut = vec![0, 1];
        // It watches for more than two seconds, so somebody has to write meanwhile.
        let next = first.world.borrow().time + 2_000 * MS;
        first.world.borrow_mut().time += 1_500 * MS;
        first.world.borrow_mut().beat = Some(Beat {
            every: 2_000 * MS,
            next,
            act: Box::new(move || drop(hosts[0].put())),
        });
        assert_eq!(far.put().is_ok(), fits, "{by} ms");
    }
}

/// Somebody did use a clock that is ahead: who uses the others does nothing until time has come so far.
#[test]
fn a_stored_time_that_is_far_ahead_is_waited_for() {
    let (first, mut hosts) = world(5, [6_000, 0, 0], 2);
    let mut far = Host::new(first.beside(0, 99), &[0]);
    far.machine.cut = vec![1, 2];
    let stamp = far.put().unwrap();
    let refused = hosts[1].put().unwrap_err();
    assert!(refused.contains("ms ahead"), "{refused}");
    first.world.borrow_mut().time += 6_000 * MS;
    assert!(hosts[1].put().unwrap() >= stamp);
}

/// A single member has nobody to agree with: time stands still until its clock has caught up, for everybody.
#[test]
fn a_single_clock_that_is_put_back_is_waited_for() {
    let first = Machine::of(1, 6);
    let (mut one, mut two) = (Host::new(first.beside(0, 1), &[0]), Host::new(first.beside(0, 2), &[0]));
    one.put().unwrap();
    first.world.borrow_mut().members[0].offset = -20_000 * 1_000_000;
    // It is noticed with the answer.
    let before = one.put().unwrap();
    first.world.borrow_mut().time += 3_000 * MS;
    assert_eq!(one.put().unwrap(), before);
    first.world.borrow_mut().time += 5_000 * MS;
    assert_eq!(two.put().unwrap(), before);
    assert_eq!(one.age().unwrap(), 0);
    first.world.borrow_mut().time += 20_000 * MS;
    assert!(one.put().unwrap() > before);
}

/// Whoever saw, on another member, that a clock was set does not believe it again for what was known of it before.
#[test]
fn a_clock_that_was_set_while_another_was_used_is_not_believed_again() {
    let (first, mut hosts) = world(0, [0; 3], 2);
    hosts[1].put().unwrap();
    assert_eq!(hosts[1].member(), "http://h1:1");
    first.world.borrow_mut().members[1].offset += 2_000 * 1_000_000;
    hosts[1].age().unwrap_err();
    let asked = ms(&first);
    hosts[1].put().unwrap();
    hosts[1].lane = None;
    first.world.borrow_mut().members[2].down = true;
    let age = hosts[1].age().unwrap();
    assert!(age <= ms(&first) - asked + 50, "{age} ms");
    assert_eq!(hosts[1].member(), "http://h0:1");
}
