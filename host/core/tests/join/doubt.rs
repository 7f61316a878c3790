//! What a join does when it cannot know what has become of a write, or when another was faster.

use super::*;

/// A join of `who`, from its beginning.
fn start(who: Identity) -> (Join, Next) {
    let session = SessionId::new(who.process, 10);
    Join::start(who, Timing::default(), session, Rules::default())
}

#[test]
fn a_store_that_cannot_be_reached_is_asked_again_after_growing_pauses() {
    let (mut join, _) = start(who("a", 1));
    let mut pauses = Vec::new();
    for _ in 0..8 {
        match join.answer(Err(StoreError::Unavailable("down".to_owned())), Instant(0)) {
            Next::Wait(ms) => pauses.push(ms),
            other => panic!("{other:?}"),
        }
        assert!(
            matches!(join.wake(), Next::Do(Request::Get(Key::Host(_)))),
            "from the beginning"
        );
    }
    assert_eq!(pauses, [100, 200, 400, 800, 1_600, 3_200, 3_200, 3_200]);
}

/// What a join does next after another was faster to claim its id.
fn after_a_lost_claim(who: Identity) -> Next {
    let mut s = Store::default();
    let (mut join, mut next) = start(who);
    loop {
        next = match next {
            Next::Do(Request::Put { key: Key::Id(_), .. }) => {
                return join.answer(Err(StoreError::Conflict(None)), Instant(0));
            }
            Next::Do(request) => join.answer(s.perform(&request), Instant(0)),
            other => panic!("{other:?}"),
        };
    }
}

#[test]
fn whoever_loses_an_id_to_a_faster_one_looks_for_another_unless_it_was_told_to_have_it() {
    let next = after_a_lost_claim(who("a", 1));
    assert!(
        matches!(next, Next::Do(Request::List { prefix: "ids/", .. })),
        "{next:?}"
    );
    let stated = Identity {
        static_id: Some(id(2)),
        ..who("a", 1)
    };
    let next = after_a_lost_claim(stated);
    assert!(
        matches!(next, Next::Do(Request::Get(Key::Session(n))) if n == id(2)),
        "{next:?}"
    );
}

#[test]
fn an_unknown_outcome_at_any_step_is_found_out() {
    for cut in 0..6 {
        let mut s = Store {
            now: 1,
            ..Store::default()
        };
        let mut writes = 0;
        let (mut join, mut next) = Join::start(
            who("a", 1),
            Timing::default(),
            SessionId::new(ProcessId(1), 10),
            Rules::default(),
        );
        let held = loop {
            next = match next {
                Next::Do(request) => {
                    if matches!(request, Request::Put { .. }) {
                        s.silent = u32::from(writes == cut);
                        writes += 1;
                    }
                    let outcome = s.perform(&request);
                    join.answer(outcome, Instant(s.now))
                }
                Next::Wait(ms) => {
                    s.now += ms;
                    join.wake()
                }
                Next::Held(held) => break held,
                Next::Refused(e) => panic!("{e}"),
            };
        };
        assert_eq!(held.id, id(1), "cut {cut}");
        assert!(
            s.now < 1_000,
            "cut {cut}: what it wrote before is its own, and not watched"
        );
        assert_eq!(
            s.entries.keys().filter(|k| k.starts_with("ids/")).count(),
            1,
            "cut {cut}: no second id"
        );
        assert_eq!(s.session(1).session, held.session.session);
        assert!(matches!(&s.entries["hosts/a"].value, Value::Host(h) if h.session == Some(held.session.session)));
    }
}

#[test]
fn losing_the_hostname_in_the_middle_ends_the_session_and_starts_again() {
    let mut s = Store {
        now: 1,
        ..Store::default()
    };
    let (mut join, mut next) = Join::start(
        who("a", 1),
        Timing::default(),
        SessionId::new(ProcessId(1), 10),
        Rules::default(),
    );
    let usurper = Value::Host(Host {
        instance: InstanceId(2),
        id: Some(id(1)),
        session: None,
    });
    let mut usurped = false;
    for _ in 0..100 {
        next = match next {
            Next::Do(request) => {
                if !usurped
                    && matches!(&request, Request::Put { key: Key::Host(_), .. })
                    && s.entries.contains_key("sessions/1")
                {
                    s.put(&Key::Host("a".to_owned()), usurper.clone());
                    usurped = true;
                }
                let outcome = s.perform(&request);
                join.answer(outcome, Instant(s.now))
            }
            Next::Wait(_) => break,
            other => panic!("{other:?}"),
        };
    }
    assert!(usurped);
    assert!(s.session(1).ended.is_some(), "what it wrote does not look alive");
}
