//! The store in the simulated world: what its times promise, and how it lists.

use super::{MS, Machine};
use crate::open;
use crate::store::Store;
use crate::wire::HttpClient;
use proptest::prelude::*;
use shardwright_guest::adapter::{Context, Expected, Purpose, Store as _, StoreError};

/// By how much ages may be wrong, in milliseconds: bounds that are just not yet narrowed, and the grain.
const TOLERANCE: u64 = 30;

fn open(machine: &Machine, memo: &str) -> (Store<Machine>, String) {
    let context = Context {
        purpose: Purpose::Store,
        namespace: "ns".into(),
        config: r#"{"endpoints":["http://h0:1"]}"#.into(),
        history: None,
        memo: memo.into(),
    };
    let open = open::timed(&context, || machine.clone()).unwrap();
    let memo = open.told().memo;
    (Store::new(open), memo)
}

fn true_ms(machine: &Machine) -> u64 {
    machine.world.borrow().time / MS
}

/// What happens next.
#[derive(Clone, Debug)]
enum Step {
    Put(usize),
    Get(usize),
    Wait(u64),
    /// A new lane of this machine, with the memo of the first.
    Lane(usize),
    /// The server's clock is set by so many milliseconds.
    Set(i64),
}

fn steps(sets: bool) -> impl Strategy<Value = Vec<Step>> {
    let set = if sets { 1 } else { 0 };
    let step = prop_oneof![
        6 => (0_usize..3).prop_map(Step::Put),
        6 => (0_usize..3).prop_map(Step::Get),
        4 => (0_u64..3_000).prop_map(Step::Wait),
        1 => (0_u64..4_000_000).prop_map(Step::Wait),
        1 => (0_usize..3).prop_map(Step::Lane),
        set => (-20_000_i64..20_000).prop_map(Step::Set),
    ];
    prop::collection::vec(step, 1..60)
}

/// Plays `steps` on three machines, and checks every answer.
fn play(seed: u64, rates: [i64; 4], way: u64, steps: &[Step]) {
    let first = Machine::first(seed);
    {
        let mut world = first.world.borrow_mut();
        (world.members[0].rate, world.way) = (rates[3], way * MS);
    }
    let machines = [
        first.beside(rates[0], 0),
        first.beside(rates[1], 77 * MS),
        first.beside(rates[2], 1 << 50),
    ];
    let mut lanes: Vec<_> = machines.iter().map(|machine| open(machine, "")).collect();
    // The store's revision, its time, and true time before it was asked for and after it was answered.
    let mut written: Option<(u64, u64, u64, u64)> = None;
    // The latest stamp and reading, and by how much the clock was set in all.
    let (mut stamped, mut latest, mut set) = (0, 0, 0);
    for step in steps {
        for ((store, _), machine) in lanes.iter().zip(&machines).filter(|_| set == 0) {
            let (clock, now, server) = (&store.lane.gateway.clock, machine.now(), first.world.borrow().server());
            assert!(clock.stamp(now).unwrap() * MS >= server, "not earlier than it is");
            let (time, wait) = clock.reading(now, 0, clock.asked(now));
            assert!(
                time * MS <= server + u64::try_from(wait.as_nanos()).unwrap() + MS / 10,
                "not later than it is"
            );
        }
        match *step {
            Step::Wait(ms) => first.world.borrow_mut().time += ms * MS,
            Step::Set(by) => {
                first.world.borrow_mut().members[0].offset += by * 1_000_000;
                set += by.unsigned_abs();
            }
            Step::Lane(at) => lanes[at] = open(&machines[at], &lanes[at].1),
            Step::Put(at) => {
                let asked = true_ms(&first);
                let put = lanes[at].0.put("k", vec![at as u8], Expected::Any).unwrap();
                assert!(put.now >= stamped, "a stamp of {} after {stamped}", put.now);
                assert!(
                    put.now >= latest || set > 0 || way > 4,
                    "a stamp of {} after {latest}",
                    put.now
                );
                (stamped, latest) = (put.now, put.now);
                written = Some((put.revision, put.now, asked, true_ms(&first)));
            }
            Step::Get(at) => {
                let asked = true_ms(&first);
                let read = lanes[at].0.get("k").unwrap();
                let answered = true_ms(&first);
                let entry = read.entry.map(|entry| (entry.revision, entry.written));
                assert_eq!(entry, written.map(|(revision, now, ..)| (revision, now)));
                let Some((_, stamp, put_asked, put_answered)) = written else {
                    continue;
                };
                assert!(read.now >= stamp, "an entry of {stamp} is younger than {}", read.now);
                if set == 0 {
                    assert!(
                        read.now >= latest || way > 4,
                        "a reading of {} after {latest}",
                        read.now
                    );
                    latest = latest.max(read.now);
                }
                let age = read.now - stamp;
                let (most, least) = (answered - put_asked, asked - put_answered);
                assert!(
                    age <= most + most / 5_000 + TOLERANCE + set,
                    "an age of {age} ms after {most} ms"
                );
                assert!(
                    age + least / 5_000 + TOLERANCE + 8 * way + set >= least,
                    "an age of {age} ms after {least} ms"
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Machines and server drift, the network is slow now and then, and between calls anything from nothing to an hour
    /// passes.
    #[test]
    fn ages_are_never_too_large_and_hardly_too_small(
        seed: u64,
        rates in prop::array::uniform4(-40_i64..40),
        way in 1_u64..40,
        steps in steps(false),
    ) {
        play(seed, rates, way, &steps);
    }

    /// Then the server's clock is set, too: ages are wrong by no more than that, and no time of a write goes back.
    #[test]
    fn a_clock_that_is_set_is_followed(seed: u64, rates in prop::array::uniform4(-40_i64..40), steps in steps(true)) {
        play(seed, rates, 4, &steps);
    }

    /// A write whose answer is lost is doubtful, and reading tells what became of it.
    #[test]
    fn lost_answers_are_doubtful(seed: u64) {
        let machine = Machine::first(seed);
        let (mut store, _) = open(&machine, "");
        machine.world.borrow_mut().loses = Some(4);
        let mut at = None;
        for value in 0..40_u8 {
            let put = store.put("k", vec![value], at.map_or(Expected::Absent, Expected::Revision));
            let read = loop {
                match store.get("k") {
                    Ok(read) => break read.entry,
                    Err(StoreError::Unavailable(_)) => {}
                    Err(other) => panic!("{other:?}"),
                }
            };
            let done = read.as_ref().is_some_and(|entry| entry.value == [value]);
            let as_said = |revision, written| {
                read.as_ref().is_some_and(|entry| (entry.revision, entry.written) == (revision, written))
            };
            match put {
                Ok(put) => prop_assert!(done && as_said(put.revision, put.now)),
                // Before the write, a question for the time may be lost as well.
                Err(StoreError::Unavailable(_)) => prop_assert!(!done),
                Err(StoreError::Indeterminate(_)) => {}
                Err(other) => panic!("{other:?}"),
            }
            at = read.map(|entry| entry.revision);
        }
    }
}

#[test]
fn the_clock_is_narrow_when_a_lane_is_open_and_a_memo_spares_the_questions() {
    let machine = Machine::first(7);
    let (store, memo) = open(&machine, "");
    let width = store.lane.gateway.clock.width(machine.now());
    assert!(width.as_millis() <= 8, "{width:?}");
    let before = machine.world.borrow().requests;
    let (store, _) = open(&machine, &memo);
    assert!(machine.world.borrow().requests - before <= 2);
    assert!(store.lane.gateway.clock.width(machine.now()).as_millis() <= 8);
}

/// As NTP does it, five times faster than clocks drift.
#[test]
fn a_clock_that_is_slewed_is_followed() {
    let machine = Machine::first(5);
    let (mut store, _) = open(&machine, "");
    machine.world.borrow_mut().members[0].rate = 500;
    for _ in 0..500 {
        machine.world.borrow_mut().time += 2_000 * MS;
        let put = store.put("k", Vec::new(), Expected::Any).unwrap();
        let server = machine.world.borrow().server() / MS;
        assert!(
            put.now + 60 > server && put.now < server + 60,
            "stamped {} at {server}",
            put.now
        );
        assert!(store.lane.gateway.clock.width(machine.now()).as_millis() <= 25);
    }
}

#[test]
fn who_writes_seldom_asks_for_the_time_seldom() {
    let machine = Machine::first(3);
    let (mut store, _) = open(&machine, "");
    let before = machine.world.borrow().requests;
    for _ in 0..720 {
        machine.world.borrow_mut().time += 5_000 * MS;
        store.put("k", Vec::new(), Expected::Any).unwrap();
    }
    let asked = machine.world.borrow().requests - before - 720;
    assert!(asked < 1440, "{asked} questions for the time in an hour of 720 writes");
}

#[test]
fn a_listing_goes_page_by_page() {
    let machine = Machine::first(1);
    let (mut store, _) = open(&machine, "");
    for i in 0..1500 {
        store
            .put(&format!("k/{i:04}"), vec![b'x'; 300], Expected::Absent)
            .unwrap();
    }
    let last = store.put("z", Vec::new(), Expected::Absent).unwrap();
    let before = machine.world.borrow().requests;
    let list = store.list("k/", 0).unwrap();
    let keys: Vec<_> = list.entries.iter().map(|entry| entry.key.clone()).collect();
    assert_eq!(keys, (0..1500).map(|i| format!("k/{i:04}")).collect::<Vec<_>>());
    assert_eq!(list.revision, last.revision);
    assert!(machine.world.borrow().requests - before < 20);
    let some = store.list("", last.revision - 3).unwrap();
    let keys: Vec<_> = some.entries.iter().map(|entry| &*entry.key).collect();
    assert_eq!(keys, ["k/1498", "k/1499", "z"]);
}

#[test]
fn a_listing_whose_revision_is_compacted_begins_again() {
    let machine = Machine::first(1);
    let (mut store, _) = open(&machine, "");
    for i in 0..100 {
        store.put(&format!("k/{i:03}"), Vec::new(), Expected::Absent).unwrap();
    }
    // Its first page comes, then somebody writes and compacts.
    machine.world.borrow_mut().compact_in = Some(1);
    let mut other = open(&machine, "").0;
    other.put("k/new", Vec::new(), Expected::Absent).unwrap();
    machine.world.borrow_mut().compact_in = Some(1);
    let list = store.list("", 0).unwrap();
    assert_eq!(list.entries.len(), 101);
}

#[test]
fn large_entries_after_small_ones_are_fetched_in_smaller_pages() {
    let machine = Machine::first(1);
    let (mut store, _) = open(&machine, "");
    for i in 0..100 {
        store.put(&format!("a/{i:03}"), Vec::new(), Expected::Absent).unwrap();
    }
    for i in 0..20 {
        store
            .put(&format!("b/{i:03}"), vec![i; 1024 * 1024 + 64], Expected::Absent)
            .unwrap();
    }
    let list = store.list("", 0).unwrap();
    assert_eq!(list.entries.len(), 120);
    assert!(
        list.entries[100..]
            .iter()
            .zip(0..)
            .all(|(entry, i)| entry.value == vec![i; 1024 * 1024 + 64])
    );
}

#[test]
fn what_was_erased_is_lost_for_good() {
    let machine = Machine::first(1);
    let ((mut one, _), (mut two, _)) = (open(&machine, ""), open(&machine, ""));
    one.put("k", Vec::new(), Expected::Absent).unwrap();
    two.erase().unwrap();
    for _ in 0..2 {
        assert!(matches!(
            one.put("k", Vec::new(), Expected::Any),
            Err(StoreError::HistoryLost(_))
        ));
        assert!(matches!(one.get("k"), Err(StoreError::HistoryLost(_))));
        // A new history is another one, and nothing for this lane.
        let (mut new, _) = open(&machine, "");
        assert!(new.list("", 0).unwrap().entries.is_empty());
    }
}
