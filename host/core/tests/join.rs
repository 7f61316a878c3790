//! Taking an id, one situation at a time, over a perfect store with a clock that the test turns.

mod doubt;
mod rivals;

use shardwright_core::id::{InstanceId, NodeId, ProcessId, SessionId};
use shardwright_core::join::*;
use shardwright_core::rules::Rules;
use shardwright_core::store::*;
use shardwright_core::time::{Instant, Timing};
use shardwright_core::values::*;
use std::collections::BTreeMap;

#[derive(Default)]
struct Store {
    entries: BTreeMap<String, Entry<Value>>,
    revision: u64,
    now: u64,
    /// Writes from now on happen, but their outcome is not told, this many times.
    silent: u32,
}

impl Store {
    fn put(&mut self, key: &Key, value: Value) {
        self.revision += 1;
        let entry = Entry {
            revision: Revision(self.revision),
            written: StoreTime(self.now),
            value,
        };
        self.entries.insert(key.to_string(), entry);
    }

    fn perform(&mut self, request: &Request) -> Outcome {
        let now = StoreTime(self.now);
        match request {
            Request::Get(key) => Ok(Answer::Reading(Reading {
                entry: self.entries.get(&key.to_string()).cloned(),
                now,
                unsure_before: StoreTime::default(),
            })),
            Request::List { prefix, .. } => {
                let entries = self
                    .entries
                    .iter()
                    .filter(|(k, _)| k.starts_with(prefix))
                    .map(|(k, e)| (k.clone(), e.clone()));
                Ok(Answer::Listing(Listing {
                    entries: entries.collect(),
                    revision: Revision(self.revision),
                    now,
                    unsure_before: StoreTime::default(),
                }))
            }
            Request::Put { key, value, expected } => {
                let found = self.entries.get(&key.to_string()).cloned();
                let holds = match expected {
                    Expected::Any => true,
                    Expected::Absent => found.is_none(),
                    Expected::Revision(r) => found.as_ref().is_some_and(|e| e.revision == *r),
                };
                if !holds {
                    return Err(StoreError::Conflict(found));
                }
                self.put(key, value.clone());
                if self.silent > 0 {
                    self.silent -= 1;
                    return Err(StoreError::Indeterminate("cut".to_owned()));
                }
                Ok(Answer::Written(Written {
                    revision: Revision(self.revision),
                    now,
                }))
            }
            Request::Delete { .. } => panic!("a join removes nothing"),
        }
    }

    /// Runs one join to its end. `meanwhile` happens before every wait.
    fn join_while(
        &mut self,
        who: Identity,
        seed: u64,
        mut meanwhile: impl FnMut(&mut Self),
    ) -> Result<Held, JoinError> {
        let session = SessionId::new(who.process, seed);
        let (mut join, mut next) = Join::start(who, Timing::default(), session, Rules::default());
        for _ in 0..10_000 {
            next = match next {
                Next::Do(request) => {
                    let outcome = self.perform(&request);
                    join.answer(outcome, Instant(self.now))
                }
                Next::Wait(ms) => {
                    meanwhile(self);
                    self.now += ms;
                    join.wake()
                }
                Next::Held(held) => return Ok(held),
                Next::Refused(error) => return Err(error),
            };
        }
        panic!("the join does not end");
    }

    fn join(&mut self, who: Identity, seed: u64) -> Result<Held, JoinError> {
        self.join_while(who, seed, |_| {})
    }

    fn session(&self, n: u32) -> Session {
        match &self.entries[&Key::Session(id(n)).to_string()].value {
            Value::Session(s) => s.clone(),
            other => panic!("{other:?}"),
        }
    }

    fn end(&mut self, n: u32) {
        let written = self.entries[&Key::Session(id(n)).to_string()].written;
        let session = Session {
            ended: Some(written),
            ..self.session(n)
        };
        self.put(&Key::Session(id(n)), Value::Session(session));
    }

    fn renew(&mut self, n: u32) {
        let session = self.session(n);
        self.put(&Key::Session(id(n)), Value::Session(session));
    }
}

fn id(n: u32) -> NodeId {
    NodeId::new(n).unwrap()
}

fn who(hostname: &str, instance: u128) -> Identity {
    let process = ProcessId(u64::try_from(instance).unwrap());
    Identity::new(hostname, InstanceId(instance), process, 3)
}

const DAY: u64 = 86_400_000;

#[test]
fn ids_are_given_lowest_first_and_stay_with_the_hostname() {
    let mut s = Store {
        now: 1,
        ..Store::default()
    };
    assert_eq!(s.join(who("a", 1), 10).unwrap().id, id(1));
    assert_eq!(s.join(who("b", 2), 20).unwrap().id, id(2));
    let again = s.join(who("a", 1), 30).unwrap();
    assert_eq!(again.id, id(1), "the same instance resumes at once");
    assert_eq!(
        again.session.session,
        SessionId::new(ProcessId(1), 30),
        "under a fresh session"
    );
    s.end(1);
    s.now += 5_000;
    let later = s.join(who("a", 99), 40).unwrap();
    assert_eq!(later.id, id(1), "a new installation of the same host keeps the id");
    assert_eq!(later.session.away, 5_000);
}

#[test]
fn a_container_that_lost_its_state_waits_seconds_not_a_day() {
    let mut s = Store {
        now: 1,
        ..Store::default()
    };
    s.join(who("a", 1), 10).unwrap();
    let begin = s.now;
    let held = s.join(who("a", 2), 20).unwrap();
    assert_eq!(held.id, id(1));
    assert_eq!(s.now - begin, 15_500, "a full validity and margin");
}

#[test]
fn a_true_duplicate_is_refused_and_nothing_is_written() {
    let mut s = Store {
        now: 1,
        ..Store::default()
    };
    s.join(who("a", 1), 10).unwrap();
    let begin = s.now;
    let error = s.join_while(who("a", 2), 20, |s| s.renew(1)).unwrap_err();
    assert_eq!(s.now - begin, 2_500, "looked at twice for each renewal");
    assert!(matches!(&error,
            JoinError::HostnameConflict { hostname, mine: InstanceId(2), other: InstanceId(1), frees_in: 15_500, .. }
            if hostname == "a"));
    assert!(
        error.to_string().contains("Give each node a hostname of its own"),
        "{error}"
    );
    assert_eq!(s.session(1).instance, InstanceId(1));
    assert!(matches!(&s.entries["hosts/a"].value, Value::Host(h) if h.instance == InstanceId(1)));
}

/// A process in a copy of the state directory of `who`.
fn copy(of: &Identity) -> Identity {
    Identity {
        process: ProcessId(of.process.0 + 1_000),
        ..of.clone()
    }
}

#[test]
fn a_live_copy_of_a_state_directory_is_refused_and_nothing_is_written() {
    let mut s = Store {
        now: 1,
        ..Store::default()
    };
    let original = who("a", 1);
    let held = s.join(original.clone(), 10).unwrap();
    let error = s.join_while(copy(&original), 20, |s| s.renew(1)).unwrap_err();
    assert!(
        matches!(
            &error,
            JoinError::HostnameConflict {
                mine: InstanceId(1),
                other: InstanceId(1),
                ..
            }
        ),
        "{error}"
    );
    let told = error.to_string();
    assert!(told.contains("a copy of this node's state directory"), "{told}");
    assert!(told.contains("Stop one of the two"), "{told}");
    assert_eq!(s.session(1).session, held.session.session, "the holder goes on");
}

#[test]
fn a_copy_takes_over_when_the_other_one_shows_no_life_and_not_before() {
    let mut s = Store {
        now: 1,
        ..Store::default()
    };
    let original = who("a", 1);
    s.join(original.clone(), 10).unwrap();
    let begin = s.now;
    assert_eq!(s.join(copy(&original), 20).unwrap().id, id(1));
    assert_eq!(s.now - begin, 15_500, "a full validity and margin");
}

#[test]
fn a_predecessor_in_the_same_folder_is_over_and_is_replaced_at_once() {
    let mut s = Store {
        now: 1,
        ..Store::default()
    };
    let original = who("a", 1);
    s.join(original.clone(), 10).unwrap();
    let restarted = Identity {
        predecessors: vec![original.process],
        ..copy(&original)
    };
    let begin = s.now;
    assert_eq!(s.join(restarted.clone(), 20).unwrap().id, id(1));
    assert_eq!(s.now, begin, "without a wait");
    // The copy of the restarted one is as live as any.
    assert!(s.join_while(copy(&restarted), 30, |s| s.renew(1)).is_err());
}

#[test]
fn a_static_id_goes_to_the_next_host_as_soon_as_the_session_is_over() {
    let mut s = Store {
        now: 1,
        ..Store::default()
    };
    let fixed = |host, instance, n| Identity {
        static_id: Some(id(n)),
        ..who(host, instance)
    };
    assert_eq!(s.join(fixed("a", 1, 3), 10).unwrap().id, id(3));
    let error = s.join_while(fixed("b", 2, 3), 20, |s| s.renew(3)).unwrap_err();
    assert_eq!(
        error,
        JoinError::StaticIdTaken {
            id: id(3),
            hostname: "b".to_owned(),
            holder: "a".to_owned()
        },
        "while that host lives"
    );
    s.end(3);
    let begin = s.now;
    let held = s.join(fixed("b", 2, 3), 30).unwrap();
    assert_eq!((held.id, s.now), (id(3), begin), "at once after a clean end");
    assert_eq!(held.origin, Origin::Inherited);
    let begin = s.now;
    assert_eq!(
        s.join(fixed("c", 3, 3), 40).unwrap().id,
        id(3),
        "and from one that was killed"
    );
    assert!(
        (15_500..17_000).contains(&(s.now - begin)),
        "after a validity and margin"
    );
    let back = s.join(who("a", 1), 50).unwrap();
    assert_eq!(back.id, id(1), "the former holder gets another, never the same");
}

#[test]
fn who_remembers_an_id_asks_for_it_in_an_empty_store() {
    let former = |n, hostname: &str| {
        Some(Former {
            id: id(n),
            hostname: hostname.to_owned(),
        })
    };
    let mut s = Store {
        now: 1,
        ..Store::default()
    };
    let back = |host, instance, n| Identity {
        former: former(n, host),
        ..who(host, instance)
    };
    assert_eq!(s.join(back("b", 2, 2), 20).unwrap().id, id(2));
    assert_eq!(s.join(back("a", 1, 1), 10).unwrap().id, id(1));
    let late = s.join(back("c", 3, 2), 30).unwrap();
    assert_eq!(late.id, id(3), "what another has is not asked for twice");
    assert_eq!(s.join(back("b", 2, 2), 40).unwrap().id, id(2));
}

#[test]
fn a_host_with_another_name_and_the_same_state_directory_keeps_its_id() {
    let mut s = Store {
        now: 1,
        ..Store::default()
    };
    s.join(who("x", 9), 5).unwrap();
    let old = who("a", 1);
    assert_eq!(s.join(old.clone(), 10).unwrap().id, id(2));
    let renamed = Identity {
        hostname: "b".to_owned(),
        predecessors: vec![old.process],
        former: Some(Former {
            id: id(2),
            hostname: "a".to_owned(),
        }),
        ..copy(&old)
    };
    let unsure = Identity {
        predecessors: Vec::new(),
        ..renamed.clone()
    };
    let twin = s.join_while(unsure, 20, |s| s.renew(2)).unwrap();
    assert_eq!(twin.id, id(3), "a live copy under another name is another node");
    s.end(3);
    let held = s
        .join(
            Identity {
                hostname: "c".to_owned(),
                ..renamed
            },
            30,
        )
        .unwrap();
    assert_eq!((held.id, held.origin), (id(2), Origin::Renamed("a".to_owned())));
    assert!(matches!(&s.entries["ids/2"].value, Value::Id(owner) if owner.hostname == "c"));
    let namesake = Identity {
        max_id: 9,
        ..who("a", 7)
    };
    let begin = s.now;
    let other = s.join(namesake, 40).unwrap();
    assert_eq!(s.now, begin, "nobody of that name lives");
    assert_ne!(other.id, id(2), "the name that it had belongs to whoever bears it now");
}

#[test]
fn ids_run_out_and_are_reused_only_after_a_day() {
    let mut s = Store {
        now: 1,
        ..Store::default()
    };
    for (n, host) in ["a", "b", "c"].into_iter().enumerate() {
        s.join(who(host, n as u128), n as u64 * 10).unwrap();
    }
    assert_eq!(s.join(who("d", 9), 90).unwrap_err(), JoinError::Exhausted { max_id: 3 });
    s.end(2);
    s.now += DAY - 1;
    s.renew(1);
    s.renew(3);
    assert_eq!(s.join(who("d", 9), 91).unwrap_err(), JoinError::Exhausted { max_id: 3 });
    s.now += 1;
    let held = s.join(who("d", 9), 92).unwrap();
    assert_eq!((held.id, held.session.away), (id(2), 0));
    assert!(matches!(&s.entries["ids/2"].value, Value::Id(owner) if owner.hostname == "d"));
}
