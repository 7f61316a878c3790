//! Others that have, had or want the same hostname or id.

use super::*;

fn host(instance: u128, known: Option<u32>) -> Value {
    Value::Host(Host {
        instance: InstanceId(instance),
        id: known.map(id),
        session: None,
    })
}

fn owned_by(hostname: &str) -> Value {
    Value::Id(IdOwner {
        hostname: hostname.to_owned(),
    })
}

fn former(n: u32, hostname: &str) -> Option<Former> {
    Some(Former {
        id: id(n),
        hostname: hostname.to_owned(),
    })
}

fn store(entries: &[(Key, Value)]) -> Store {
    let mut s = Store {
        now: 1,
        ..Store::default()
    };
    for (key, value) in entries {
        s.put(key, value.clone());
    }
    s
}

/// Joins as another installation than the one that wrote the host entry `age` milliseconds ago, `trusting` the
/// backend's clock or not; `meanwhile` happens before every wait. How long it took.
fn beside_a_joiner(trusting: bool, age: u64, mut meanwhile: impl FnMut(&mut Store)) -> u64 {
    let mut s = store(&[(Key::Host("a".to_owned()), host(2, None))]);
    s.now += age;
    let begin = s.now;
    let (mut join, mut next) = Join::start(
        who("a", 1),
        Timing::default(),
        SessionId::new(ProcessId(1), 10),
        Rules::default(),
    );
    join.trust(trusting);
    for _ in 0..1_000 {
        next = match next {
            Next::Do(request) => join.answer(s.perform(&request), Instant(s.now)),
            Next::Wait(ms) => {
                assert!(matches!(
                    join.awaited(Instant(s.now)),
                    Some((Awaited::Joiner, 1..=15_500))
                ));
                meanwhile(&mut s);
                s.now += ms;
                join.wake()
            }
            Next::Held(_) => return s.now - begin,
            Next::Refused(error) => panic!("{error}"),
        };
    }
    panic!("the join does not end");
}

#[test]
fn one_that_is_itself_joining_is_waited_for_until_its_entry_has_aged() {
    for (trusting, rest) in [(true, 5_500), (false, 15_500)] {
        assert_eq!(beside_a_joiner(trusting, 0, |_| {}), 15_500, "trusting: {trusting}");
        assert_eq!(beside_a_joiner(trusting, 10_000, |_| {}), rest, "trusting: {trusting}");
        // It tries once more after a while.
        let mut waits = 0;
        let later = beside_a_joiner(trusting, 0, |s| {
            waits += 1;
            if waits == 3 {
                s.put(&Key::Host("a".to_owned()), host(2, None));
            }
        });
        assert!(later > 20_000, "trusting: {trusting}: {later} ms");
    }
}

#[test]
fn the_id_that_the_host_entry_knows_is_asked_for_unless_it_is_above_the_highest() {
    let known = |n| {
        store(&[(Key::Host("a".to_owned()), host(1, Some(n)))])
            .join(who("a", 1), 10)
            .unwrap()
            .id
    };
    assert_eq!(known(2), id(2));
    assert_eq!(known(4), id(1), "the highest is 3");
}

#[test]
fn a_former_id_that_another_host_has_is_left_to_it_while_any_is_free() {
    let mut s = store(&[(Key::Id(id(2)), owned_by("y"))]);
    s.now += 2 * DAY;
    let back = Identity {
        former: former(2, "x"),
        ..who("a", 1)
    };
    assert_eq!(s.join(back, 10).unwrap().id, id(1), "however long it has been gone");
}

#[test]
fn an_id_that_another_host_has_just_claimed_is_not_taken_for_the_own_former_one() {
    let entries = [
        (Key::Host("a".to_owned()), host(1, Some(2))),
        (Key::Id(id(2)), owned_by("y")),
    ];
    let renamed = Identity {
        former: former(2, "x"),
        ..who("a", 1)
    };
    assert_eq!(store(&entries).join(renamed, 10).unwrap().id, id(1));
    let elsewhere = Identity {
        former: former(3, "y"),
        ..who("a", 1)
    };
    let held = store(&entries).join(elsewhere, 10).unwrap();
    assert_eq!(held.id, id(3), "it had another under that name");
}
