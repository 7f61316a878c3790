//! Step 2 of a join: which id.

use super::entries::{id_entry, session_of};
use super::{Join, JoinError, Next, Request, Step};
use crate::id::NodeId;
use crate::store::{Entry, Expected, Listing, Revision, StoreTime};
use crate::values::{IdOwner, Key, Session, Value};

impl Join {
    /// The stated id, or the one that the host entry knows.
    pub(super) fn choose(&mut self, host: Revision, known: Option<NodeId>) -> Next {
        match self.who.static_id.or(known.filter(|id| Some(*id) != self.busy)) {
            Some(id) if id.get() <= self.who.max_id => self.read_session(host, id),
            _ => self.look_for_another(host),
        }
    }

    pub(super) fn look_for_another(&mut self, host: Revision) -> Next {
        let request = Request::List {
            prefix: "ids/",
            since: Revision(0),
        };
        self.ask(Step::Scan { host }, request)
    }

    /// The id that names me; else the one that I had before the store was lost, or under my former hostname; else the
    /// lowest free.
    pub(super) fn scan(&mut self, host: Revision, list: Listing<Value>) -> Next {
        let ids: Vec<(NodeId, Entry<IdOwner>)> = list
            .entries
            .into_iter()
            .filter_map(|(key, entry)| id_entry(&key, entry))
            .collect();
        let usable = |id: NodeId| id.get() <= self.who.max_id && Some(id) != self.busy;
        let owner = |id: NodeId| {
            ids.iter()
                .find(|(n, _)| *n == id)
                .map(|(_, owner)| owner.value.hostname.as_str())
        };
        let former = self.who.former.clone().filter(|former| usable(former.id));

        let mine = |id: NodeId| owner(id) == Some(self.who.hostname.as_str());
        let known = former
            .iter()
            .map(|former| former.id)
            .chain(ids.iter().map(|(id, _)| *id));
        if let Some(id) = known.into_iter().find(|id| usable(*id) && mine(*id)) {
            return self.read_session(host, id);
        }
        match former {
            Some(former) if owner(former.id).is_none() => return self.claim(host, former.id),
            Some(former) if owner(former.id) == Some(&former.hostname) => return self.read_session(host, former.id),
            _ => {}
        }
        let free = (1..=self.who.max_id)
            .filter_map(NodeId::new)
            .find(|id| owner(*id).is_none());
        match free {
            Some(id) => self.claim(host, id),
            None => self.ask(
                Step::Sessions { host, ids },
                Request::List {
                    prefix: "sessions/",
                    since: Revision(0),
                },
            ),
        }
    }

    pub(super) fn claim(&mut self, host: Revision, id: NodeId) -> Next {
        let value = Value::Id(IdOwner {
            hostname: self.who.hostname.clone(),
        });
        self.put(Step::Claim { host, id }, Key::Id(id), value, Expected::Absent)
    }

    /// No id is free: the lowest whose owner has been gone for long enough.
    pub(super) fn reuse(
        &mut self,
        host: Revision,
        mut ids: Vec<(NodeId, Entry<IdOwner>)>,
        list: Listing<Value>,
    ) -> Next {
        ids.sort_by_key(|(id, _)| *id);
        let sessions: Vec<(NodeId, Entry<Session>)> = list
            .entries
            .into_iter()
            .filter_map(|(k, e)| session_of(&k, e))
            .collect();
        let gone = ids.iter().find(|(id, owner)| {
            let session = sessions.iter().find(|(n, _)| n == id).map(|(_, s)| s);
            id.get() <= self.who.max_id && self.is_reusable(owner, session, list.now)
        });
        match gone {
            Some((id, _)) => self.read_session(host, *id),
            None => Next::Refused(JoinError::Exhausted {
                max_id: self.who.max_id,
            }),
        }
    }

    pub(super) fn is_reusable(&self, owner: &Entry<IdOwner>, session: Option<&Entry<Session>>, now: StoreTime) -> bool {
        // From the last renewal on, whenever it was that somebody noticed and ended the session.
        let last = session.map_or(owner.written, |s| s.value.ended.unwrap_or(s.written));
        now.since(last) >= self.timing.reuse_after
    }
}
