//! Step 3 of a join: the session under the chosen id, the arbiter of who holds it.

use super::entries::id_entry;
use super::{Join, JoinError, Next, Origin, Request, Seen, Step};
use crate::id::NodeId;
use crate::rules::Rule;
use crate::store::{Entry, Expected, Reading, Revision, StoreTime};
use crate::time::Instant;
use crate::values::{IdOwner, Key, Session, Value};

impl Join {
    pub(super) fn read_session(&mut self, host: Revision, id: NodeId) -> Next {
        self.ask(Step::ReadSession { host, id }, Request::Get(Key::Session(id)))
    }

    /// Decides on an id by its session as `seen` and, read after it, its owner.
    pub(super) fn owner(
        &mut self,
        host: Revision,
        id: NodeId,
        seen: Option<Entry<Session>>,
        read: Reading<Value>,
        now: Instant,
    ) -> Next {
        let Some(owner) = read
            .entry
            .and_then(|e| id_entry(&Key::Id(id).to_string(), e))
            .map(|(_, e)| e)
        else {
            return self.claim(host, id);
        };
        let origin = self.origin(id, &owner.value, seen.as_ref());
        // A stated id is free as soon as nobody's session stands in the way; any other only when it was left alone for
        // long enough.
        let stated = self.who.static_id == Some(id);
        if origin == Origin::Inherited && !stated && !self.is_reusable(&owner, seen.as_ref(), read.now) {
            self.busy = Some(id);
            return self.look_for_another(host);
        }
        if let Some(entry) = seen
            .as_ref()
            .filter(|s| s.value.ended.is_none() && !self.is_mine(&s.value))
        {
            return self.watch(host, id, entry, read.now, now);
        }
        let expected = match &seen {
            _ if !self.rules.keep(Rule::SessionCompare) => Expected::Any,
            None => Expected::Absent,
            Some(entry) => Expected::Revision(entry.revision),
        };
        let inherited = origin == Origin::Inherited;
        let session = Session {
            hostname: self.who.hostname.clone(),
            instance: self.who.instance,
            session: self.fresh_session(),
            applied: Revision(0),
            began: read.now,
            away: seen
                .as_ref()
                .filter(|_| !inherited)
                .map_or(0, |s| read.now.since(s.value.ended.unwrap_or(s.written))),
            ended: None,
        };
        let step = Step::WriteSession {
            host,
            id,
            over: (origin != Origin::Own).then_some(owner.revision),
            origin,
            session: session.clone(),
            sent: now,
        };
        self.put(step, Key::Session(id), Value::Session(session), expected)
    }

    /// Whose the id was before.
    fn origin(&self, id: NodeId, owner: &IdOwner, seen: Option<&Entry<Session>>) -> Origin {
        if owner.hostname == self.who.hostname {
            return Origin::Own;
        }
        let was_mine = |hostname: &str| {
            self.who
                .former
                .as_ref()
                .is_some_and(|f| f.id == id && f.hostname == hostname)
        };
        let by_me = seen.is_none_or(|s| s.value.instance == self.who.instance);
        if was_mine(&owner.hostname) && by_me {
            return Origin::Renamed(owner.hostname.clone());
        }
        Origin::Inherited
    }

    /// Whether a session was written by this process or by one that is certainly over. One of the same instance alone
    /// may be that of a live copy of the state directory.
    fn is_mine(&self, session: &Session) -> bool {
        let process = session.session.process();
        session.instance == self.who.instance
            && (!self.rules.keep(Rule::WatchOwnInstance)
                || process == self.who.process
                || self.who.predecessors.contains(&process))
    }

    /// Somebody else's session stands under the id, and it is not ended: a live one shows itself at its next renewal, a
    /// dead one is ended when it has aged.
    fn watch(&mut self, host: Revision, id: NodeId, entry: &Entry<Session>, backend: StoreTime, now: Instant) -> Next {
        let before = self.stranger.filter(|(of, _)| *of == id).map(|(_, seen)| seen);
        if before.is_some_and(|seen| seen.0 != entry.revision) {
            return self.in_use(host, id, entry);
        }
        let seen = before.unwrap_or(Seen(entry.revision, now));
        self.stranger = Some((id, seen));
        let age = self.age(entry, seen, backend, now);
        if age < self.timing.taker() {
            self.step = Step::Pause;
            return Next::Wait((self.timing.taker() - age).min(self.timing.renew).max(1));
        }
        let value = Value::Session(Session {
            ended: Some(entry.written),
            ..entry.value.clone()
        });
        self.put(
            Step::EndStranger,
            Key::Session(id),
            value,
            Expected::Revision(entry.revision),
        )
    }

    /// It lives: a copy of this installation, or a host to which the id was given while nobody knew of this one.
    fn in_use(&mut self, host: Revision, id: NodeId, entry: &Entry<Session>) -> Next {
        if entry.value.hostname == self.who.hostname {
            return self.conflict_with(id, entry);
        }
        if self.who.static_id == Some(id) {
            return Next::Refused(JoinError::StaticIdTaken {
                id,
                hostname: self.who.hostname.clone(),
                holder: entry.value.hostname.clone(),
            });
        }
        self.busy = Some(id);
        self.look_for_another(host)
    }
}
