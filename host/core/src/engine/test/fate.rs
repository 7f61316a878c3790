//! What becomes of one request: a lost answer, a slow store, a failure of one kind of request only.

use super::*;

/// What becomes of a request.
pub(super) enum Fate {
    /// The store performs it at once.
    Served,
    /// The store performs it at once and answers so many milliseconds later.
    Slow(u64),
    /// It reaches the store so many milliseconds later.
    Late(u64),
    /// The store performs it, and the answer is lost.
    Unknown,
    /// It is given up, and reaches the store so many milliseconds later all the same.
    Stray(u64),
    /// It fails.
    Failed,
    /// What is there makes no sense.
    Invalid,
}

/// Decides by the host that sends it.
pub(super) type Rule = Box<dyn Fn(&str, &Request) -> Fate>;

/// A request on its way, or an answer.
pub(super) enum Travel {
    Request(Option<OpId>, Request, StoreTime),
    Answer(OpId, Outcome),
}

impl World {
    /// From now on this becomes of requests.
    pub(super) fn fate(&mut self, rule: impl Fn(&str, &Request) -> Fate + 'static) {
        self.trouble.fate = Some(Box::new(rule));
    }

    /// From now on all requests of this kind fail.
    pub(super) fn fail(&mut self, kind: fn(&Request) -> bool) {
        self.fate(move |_, request| if kind(request) { Fate::Failed } else { Fate::Served });
    }

    /// What `host` asks of the store; returns the answer if there is one already.
    pub(super) fn ask(&mut self, host: &'static str, op: OpId, request: Request, heard: StoreTime) -> Option<Event> {
        let claim = matches!(&request, Request::Put { key: Key::Leader, .. });
        let plan = matches!(
            &request,
            Request::Put {
                key: Key::Plan { .. },
                ..
            }
        );
        self.writes += u64::from(plan);
        self.claims += u64::from(claim);
        self.log.push((self.now, host, request.clone()));
        let trouble = &self.trouble;
        let outcome = if trouble.lost {
            Err(StoreError::HistoryLost("another file".to_owned()))
        } else if trouble.denied {
            Err(StoreError::Denied("no permission".to_owned()))
        } else if trouble.down
            || (trouble.leaderless && claim)
            || (trouble.read_only && matches!(request, Request::Put { .. }))
        {
            Err(StoreError::Unavailable("down".to_owned()))
        } else {
            let fate = trouble.fate.as_ref().map_or(Fate::Served, |rule| rule(host, &request));
            let unknown = Err(StoreError::Indeterminate("no answer".to_owned()));
            match fate {
                Fate::Served => self.store.serve(request, heard, self.now),
                Fate::Slow(ms) => {
                    let outcome = self.store.serve(request, heard, self.now);
                    self.travels.push((self.now + ms, host, Travel::Answer(op, outcome)));
                    return None;
                }
                Fate::Late(ms) => {
                    let travel = Travel::Request(Some(op), request, heard);
                    self.travels.push((self.now + ms, host, travel));
                    return None;
                }
                Fate::Unknown => {
                    let _ = self.store.serve(request, heard, self.now);
                    unknown
                }
                Fate::Stray(ms) => {
                    self.travels
                        .push((self.now + ms, host, Travel::Request(None, request, heard)));
                    unknown
                }
                Fate::Failed => Err(StoreError::Unavailable("down".to_owned())),
                Fate::Invalid => Err(StoreError::Invalid("a format that nobody knows".to_owned())),
            }
        };
        Some(Event::Stored { op, outcome })
    }

    /// What arrives by now.
    pub(super) fn arrive(&mut self) {
        let (due, rest) = std::mem::take(&mut self.travels)
            .into_iter()
            .partition(|(at, ..)| *at <= self.now);
        self.travels = rest;
        for (_, host, travel) in due {
            let answer = match travel {
                Travel::Request(op, request, heard) => {
                    let outcome = self.store.serve(request, heard, self.now);
                    op.map(|op| Event::Stored { op, outcome })
                }
                Travel::Answer(op, outcome) => Some(Event::Stored { op, outcome }),
            };
            if let Some(node) = self.nodes.get_mut(host) {
                node.inbox.extend(answer);
            }
        }
    }

    /// How many requests of this kind `host` has sent since `since`.
    pub(super) fn sent(&self, host: &str, since: u64, kind: impl Fn(&Request) -> bool) -> usize {
        let is = |(at, from, request): &&(u64, &str, Request)| *at >= since && *from == host && kind(request);
        self.log.iter().filter(is).count()
    }

    /// The notices of `host` of this kind.
    pub(super) fn told(&self, host: &str, kind: impl Fn(&Notice) -> bool) -> Vec<Notice> {
        self.nodes[host].notices.iter().filter(|n| kind(n)).cloned().collect()
    }

    pub(super) fn tell(&mut self, host: &str, event: Event) {
        self.nodes.get_mut(host).expect("a node").inbox.push(event);
    }

    /// As another process writes it.
    pub(super) fn put(&mut self, key: Key, value: Value) {
        let expected = Expected::Any;
        self.store
            .perform(Request::Put { key, value, expected }, self.now)
            .expect("a write");
    }

    /// Somebody ends the session of `node`.
    pub(super) fn end_session(&mut self, node: u32) {
        let session = self.session_entry(node);
        let ended = Some(StoreTime(EPOCH + self.now));
        let value = Value::Session(crate::values::Session { ended, ..session });
        self.put(Key::Session(NodeId::new(node).expect("not 0")), value);
    }

    pub(super) fn session_entry(&self, node: u32) -> crate::values::Session {
        match &self.store.entries[&format!("sessions/{node}")].value {
            Value::Session(session) => session.clone(),
            other => panic!("{other:?}"),
        }
    }
}

pub(super) fn is_listing(request: &Request) -> bool {
    matches!(request, Request::List { prefix: "", .. })
}

pub(super) fn is_session(request: &Request) -> bool {
    matches!(
        request,
        Request::Put {
            key: Key::Session(_),
            ..
        }
    )
}

pub(super) fn is_history_lost(notice: &Notice) -> bool {
    matches!(notice, Notice::HistoryLost { .. })
}
