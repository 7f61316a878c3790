//! Becoming a node: host entry, id, session, confirmation.
//!
//! Every write is a compare-and-set over the revision that was read. The session entry is the arbiter; an id is held
//! only after the host entry was rewritten over the revision found at the beginning. After any doubt — a conflict, an
//! unknown outcome — the whole sequence starts again: what an earlier attempt wrote is found as this instance's own.

mod choice;
mod entries;
mod session;
mod terms;

pub use terms::{Answer, Awaited, Former, Held, Identity, JoinError, Next, Origin, Outcome, Request};

use crate::id::{NodeId, SessionId};
use crate::rules::{Rule, Rules};
use crate::store::{Entry, Expected, Reading, Revision, StoreError, StoreTime};
use crate::time::{Instant, Timing};
use crate::values::{Host, IdOwner, Key, Session, Value};
use entries::{host_entry, session_entry};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Step {
    /// Reading `hosts/<me>`.
    Host,
    /// Another instance has the host entry: looking for its life, in its session or in the entry's age.
    Rival {
        host: Entry<Host>,
        id: NodeId,
    },
    /// Waiting for the rival's session to be renewed or to age.
    Watch {
        host: Entry<Host>,
        id: NodeId,
        seen: Seen,
    },
    /// Waiting for the host entry of a rival that is itself joining to change or to age; then looking at it again.
    WatchHost(Seen),
    HostAgain(Seen),
    /// Ending the rival's session, which shows no life.
    EndRival {
        host: Entry<Host>,
    },
    /// Writing `hosts/<me>`.
    TakeHost {
        id: Option<NodeId>,
    },
    /// Reading all ids.
    Scan {
        host: Revision,
    },
    /// Reading all sessions, to find an id that may be used again.
    Sessions {
        host: Revision,
        ids: Vec<(NodeId, Entry<IdOwner>)>,
    },
    /// Writing `ids/<n>`.
    Claim {
        host: Revision,
        id: NodeId,
    },
    /// Reading `sessions/<n>`, then `ids/<n>`.
    ReadSession {
        host: Revision,
        id: NodeId,
    },
    ReadId {
        host: Revision,
        id: NodeId,
        seen: Option<Entry<Session>>,
    },
    /// Ending a dead stranger's session under my id.
    EndStranger,
    /// Writing `sessions/<n>`; `over` is the entry of `ids/<n>` to take over afterwards, `origin` whose it was.
    WriteSession {
        host: Revision,
        id: NodeId,
        over: Option<Revision>,
        origin: Origin,
        session: Session,
        sent: Instant,
    },
    /// Taking `ids/<n>` over from a hostname that is gone.
    TakeId {
        host: Revision,
        held: Held,
    },
    /// Rewriting `hosts/<me>`.
    Confirm {
        held: Held,
    },
    /// Ending my own session after the id was lost to another.
    Leave,
    /// Pausing before another start.
    Pause,
}

/// A revision and the local time at which it was seen first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Seen(Revision, Instant);

/// The sequence by which one instance comes to hold one id.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Join {
    who: Identity,
    timing: Timing,
    rules: Rules,
    /// The next session id to use; every written session gets a fresh one.
    session: SessionId,
    step: Step,
    failures: u32,
    /// Whether ages on the backend's clock prove anything.
    trusted: bool,
    /// A session that may be somebody else's under the id that I am to have, and since when it was seen so. Outlives a
    /// new start.
    stranger: Option<(NodeId, Seen)>,
    /// An id that I was to have, and that another host or a copy of this installation uses.
    busy: Option<NodeId>,
}

/// How long to wait before starting again after doubt.
const RETRY: u64 = 100;

impl Join {
    /// Begins. `session` is of this process, its upper half fresh random bits; further attempts derive theirs from it.
    #[must_use]
    pub fn start(who: Identity, timing: Timing, session: SessionId, rules: Rules) -> (Self, Next) {
        let key = Key::Host(who.hostname.clone());
        (
            Self {
                who,
                timing,
                rules,
                session,
                step: Step::Host,
                failures: 0,
                trusted: true,
                stranger: None,
                busy: None,
            },
            Next::Do(Request::Get(key)),
        )
    }

    /// The time asked for by [`Next::Wait`] has come.
    pub fn wake(&mut self) -> Next {
        match &self.step {
            Step::Watch { id, .. } => Next::Do(Request::Get(Key::Session(*id))),
            Step::WatchHost(seen) => self.ask(Step::HostAgain(*seen), Request::Get(self.host_key())),
            _ => self.again(),
        }
    }

    /// Whether ages on the backend's clock prove anything from now on: not shortly after it jumped, or may have. What
    /// was watched for long enough on the local clock always does.
    pub fn trust(&mut self, trusted: bool) {
        self.trusted = trusted;
    }

    /// What is waited for since [`Next::Wait`], and for how many milliseconds from `now` at most. `None`: for another
    /// try.
    #[must_use]
    pub fn awaited(&self, now: Instant) -> Option<(Awaited, u64)> {
        let (awaited, Seen(_, since)) = match &self.step {
            Step::Watch { host, id, seen } => {
                let instance = host.value.instance;
                (Awaited::Rival { instance, id: *id }, *seen)
            }
            Step::WatchHost(seen) => (Awaited::Joiner, *seen),
            Step::Pause => self.stranger.map(|(id, seen)| (Awaited::Session(id), seen))?,
            _ => return None,
        };
        Some((awaited, self.timing.taker().saturating_sub(now.since(since))))
    }

    /// The outcome of the request asked for; `now` is the local clock, read before the next request is sent.
    pub fn answer(&mut self, outcome: Outcome, now: Instant) -> Next {
        match outcome {
            Ok(answer) => self.advance(answer, now),
            Err(StoreError::Conflict(_)) => self.conflict(),
            Err(_) => {
                // What could not be seen to live is not dead for that: it is watched anew.
                self.stranger = None;
                self.pause()
            }
        }
    }

    fn advance(&mut self, answer: Answer, now: Instant) -> Next {
        let step = std::mem::replace(&mut self.step, Step::Pause);
        match (step, answer) {
            (Step::Host, Answer::Reading(read)) => self.host(None, read, now),
            (Step::HostAgain(seen), Answer::Reading(read)) => self.host(Some(seen), read, now),
            (Step::Rival { host, id }, Answer::Reading(read)) => self.rival(host, id, None, read, now),
            (Step::Watch { host, id, seen }, Answer::Reading(read)) => self.rival(host, id, Some(seen), read, now),
            (Step::EndRival { host }, Answer::Written(_)) => self.take_host(&host),
            (Step::TakeHost { id }, Answer::Written(written)) => self.choose(written.revision, id),
            (Step::Scan { host }, Answer::Listing(list)) => self.scan(host, list),
            (Step::Sessions { host, ids }, Answer::Listing(list)) => self.reuse(host, ids, list),
            (Step::Claim { host, id }, Answer::Written(_)) => self.read_session(host, id),
            (Step::ReadSession { host, id }, Answer::Reading(read)) => {
                let seen = session_entry(read.entry);
                self.ask(Step::ReadId { host, id, seen }, Request::Get(Key::Id(id)))
            }
            (Step::ReadId { host, id, seen }, Answer::Reading(read)) => self.owner(host, id, seen, read, now),
            (
                Step::WriteSession {
                    host,
                    id,
                    over,
                    origin,
                    session,
                    sent,
                },
                Answer::Written(written),
            ) => {
                let held = Held {
                    id,
                    session,
                    revision: written.revision,
                    sent,
                    origin,
                };
                match over {
                    None => self.confirm(host, held),
                    Some(over) => {
                        let value = Value::Id(IdOwner {
                            hostname: self.who.hostname.clone(),
                        });
                        self.put(
                            Step::TakeId { host, held },
                            Key::Id(id),
                            value,
                            Expected::Revision(over),
                        )
                    }
                }
            }
            (Step::TakeId { host, held }, Answer::Written(_)) => self.confirm(host, held),
            (Step::Confirm { held }, Answer::Written(_)) => Next::Held(held),
            (Step::EndStranger | Step::Leave, _) => self.again(),
            _ => self.pause(),
        }
    }

    fn conflict(&mut self) -> Next {
        match std::mem::replace(&mut self.step, Step::Pause) {
            // Somebody took my id or my hostname meanwhile: what I wrote must not look alive.
            Step::TakeId { held, .. } | Step::Confirm { held } => {
                let value = Value::Session(Session {
                    ended: Some(held.session.began),
                    ..held.session
                });
                self.put(
                    Step::Leave,
                    Key::Session(held.id),
                    value,
                    Expected::Revision(held.revision),
                )
            }
            // A configured id is taken or refused, never replaced by another.
            Step::Claim { host, id } if self.who.static_id == Some(id) => self.read_session(host, id),
            Step::Claim { host, .. } => self.look_for_another(host),
            _ => self.pause(),
        }
    }

    // Step 1: the host entry.

    fn host(&mut self, before: Option<Seen>, read: Reading<Value>, now: Instant) -> Next {
        match host_entry(read.entry) {
            None => {
                let value = Value::Host(Host {
                    instance: self.who.instance,
                    id: None,
                    session: None,
                });
                self.put(Step::TakeHost { id: None }, self.host_key(), value, Expected::Absent)
            }
            Some(entry) if entry.value.instance == self.who.instance => self.choose(entry.revision, entry.value.id),
            Some(entry) => match (entry.value.id, entry.value.session) {
                (Some(id), Some(_)) => self.ask(Step::Rival { host: entry, id }, Request::Get(Key::Session(id))),
                // It is joining: only the age of its entry tells whether it lives.
                _ => {
                    let seen = before
                        .filter(|seen| seen.0 == entry.revision)
                        .unwrap_or(Seen(entry.revision, now));
                    let age = self.age(&entry, seen, read.now, now);
                    if age >= self.timing.taker() {
                        return self.take_host(&entry);
                    }
                    self.step = Step::WatchHost(seen);
                    Next::Wait((self.timing.taker() - age).min(self.timing.renew).max(1))
                }
            },
        }
    }

    /// For how long an entry has certainly stood unchanged: as the backend dates it, or as it was watched from here.
    fn age<V>(&self, entry: &Entry<V>, seen: Seen, backend: StoreTime, now: Instant) -> u64 {
        let told = if self.trusted { backend.since(entry.written) } else { 0 };
        told.max(now.since(seen.1))
    }

    /// Looks at the life of another instance with my hostname. `before` is the revision of its session when the watch
    /// began.
    fn rival(
        &mut self,
        host: Entry<Host>,
        id: NodeId,
        before: Option<Seen>,
        read: Reading<Value>,
        now: Instant,
    ) -> Next {
        let theirs = session_entry(read.entry)
            .filter(|s| s.value.instance == host.value.instance && s.value.hostname == self.who.hostname);
        let Some(entry) = theirs.filter(|s| s.value.ended.is_none()) else {
            return self.take_host(&host);
        };
        if before.is_some_and(|seen| seen.0 != entry.revision) {
            return self.conflict_with(id, &entry);
        }
        let seen = before.unwrap_or(Seen(entry.revision, now));
        let age = self.age(&entry, seen, read.now, now);
        if age >= self.timing.taker() {
            let value = Value::Session(Session {
                ended: Some(entry.written),
                ..entry.value
            });
            return self.put(
                Step::EndRival { host },
                Key::Session(id),
                value,
                Expected::Revision(entry.revision),
            );
        }
        // A live rival shows itself at its next renewal; a dead one when its session has aged.
        let wait = (self.timing.taker() - age).min(self.timing.renew / 2).max(1);
        self.step = Step::Watch { host, id, seen };
        Next::Wait(wait)
    }

    /// Another live process uses my hostname: it was seen to renew `entry`.
    fn conflict_with(&self, node: NodeId, entry: &Entry<Session>) -> Next {
        Next::Refused(JoinError::HostnameConflict {
            hostname: self.who.hostname.clone(),
            mine: self.who.instance,
            other: entry.value.instance,
            node,
            renewed: entry.written.0,
            frees_in: self.timing.taker(),
        })
    }

    fn take_host(&mut self, host: &Entry<Host>) -> Next {
        let value = Value::Host(Host {
            instance: self.who.instance,
            id: host.value.id,
            session: None,
        });
        self.put(
            Step::TakeHost { id: host.value.id },
            self.host_key(),
            value,
            Expected::Revision(host.revision),
        )
    }

    // Step 4: confirmation.

    fn confirm(&mut self, host: Revision, held: Held) -> Next {
        if !self.rules.keep(Rule::Confirm) {
            return Next::Held(held);
        }
        let value = Value::Host(Host {
            instance: self.who.instance,
            id: Some(held.id),
            session: Some(held.session.session),
        });
        self.put(Step::Confirm { held }, self.host_key(), value, Expected::Revision(host))
    }

    // Plumbing.

    fn host_key(&self) -> Key {
        Key::Host(self.who.hostname.clone())
    }

    fn fresh_session(&mut self) -> SessionId {
        let session = self.session;
        self.session = session.next();
        session
    }

    fn ask(&mut self, step: Step, request: Request) -> Next {
        self.step = step;
        Next::Do(request)
    }

    fn put(&mut self, step: Step, key: Key, value: Value, expected: Expected) -> Next {
        self.ask(step, Request::Put { key, value, expected })
    }

    fn again(&mut self) -> Next {
        self.ask(Step::Host, Request::Get(self.host_key()))
    }

    /// After doubt: a growing pause, then from the beginning.
    fn pause(&mut self) -> Next {
        self.step = Step::Pause;
        self.failures = (self.failures + 1).min(6);
        Next::Wait(RETRY << (self.failures - 1))
    }
}
