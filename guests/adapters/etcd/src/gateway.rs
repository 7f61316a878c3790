//! One member of the cluster, as a lane speaks to it: who asks, who answers, and by which clock.

use crate::api::{Header, RangeAnswer, RangeOp, StreamAnswer, Token, TxnAnswer, login};
use crate::clock::{Clock, ClockUpdate};
use crate::codes::{self, Refusal};
use crate::config::Login;
use crate::wire::{Answer, Call, Fault, HttpClient, Moment, Stream};
use serde::Deserialize;
use std::time::Duration;

/// A member that has lost its leader refuses, instead of waiting for one: then nothing was done. It also ends a watch
/// that would be silent.
const LEADER: (&str, &str) = ("grpc-metadata-hasleader", "true");
/// The longest answer to a call that asks for little.
pub(crate) const SHORT: usize = 256 * 1024;
/// A second, and what it takes to see it end.
pub(crate) const ONE_SECOND: Duration = Duration::from_millis(1100);
/// Between two questions for the time, while a second may end any moment; when that moment is known to within [`FINE`],
/// there is no rest between them.
const PACE: Duration = Duration::from_millis(2);
const FINE: Duration = Duration::from_millis(30);
/// So many seconds' ends are waited for in one call, at most.
const ROUNDS: u32 = 3;
/// How much before a second may end it is looked at, and how much later than it should it may be seen to end.
const EARLY: Duration = Duration::from_millis(5);
const LATE: Duration = Duration::from_millis(50);
/// The most members whose terms are remembered.
const MEMBERS: usize = 16;
/// Steps of a member's clock below this are not worth a word, in milliseconds.
const STEP: u64 = 50;

/// One member, or whatever answers at its address.
pub(crate) struct Gateway<W> {
    pub(crate) wire: W,
    url: String,
    login: Option<Login>,
    token: Option<String>,
    pub(crate) clock: Clock,
    pub(crate) identity: Identity,
}

/// Which cluster answers, and how far each member of it was.
#[derive(Clone, Debug, Default)]
pub(crate) struct Identity {
    /// The cluster's id, once it is known.
    pub(crate) cluster: Option<u64>,
    terms: Vec<(u64, u64)>,
    /// The greatest raft term seen.
    pub(crate) term: u64,
}

impl Identity {
    /// Whether an answer with this header can come from the cluster that is known: another id, or a member whose raft
    /// term went back, is one that was made anew, from a backup perhaps.
    ///
    /// # Errors
    /// `Lost`.
    fn check(&mut self, header: &Header, url: &str) -> Result<(), Refusal> {
        if let Some(cluster) = self.cluster
            && cluster != header.cluster_id
        {
            let (is, was) = (header.cluster_id, cluster);
            return Err(Refusal::Lost(format!(
                "{url}: another cluster answers: its id is {is:x}, and was {was:x}"
            )));
        }
        let (member, is) = (header.member_id, header.raft_term);
        if let Some((_, was)) = self.terms.iter_mut().find(|(known, _)| *known == member) {
            if is < *was {
                return Err(Refusal::Lost(format!(
                    "{url}: raft term {is} of member {member:x} is below {was}: the cluster was made anew, perhaps \
                     from a backup"
                )));
            }
            *was = is;
        } else if self.terms.len() < MEMBERS {
            self.terms.push((member, is));
        }
        self.term = self.term.max(header.raft_term);
        Ok(())
    }
}

/// An answer that says who gave it.
pub(crate) trait Headed {
    fn header(&self) -> &Header;
}

impl Headed for TxnAnswer<'_> {
    fn header(&self) -> &Header {
        &self.header
    }
}

impl Headed for RangeAnswer<'_> {
    fn header(&self) -> &Header {
        &self.header
    }
}

impl<W: HttpClient> Gateway<W> {
    pub(crate) fn new(wire: W, url: &str, login: Option<Login>) -> Self {
        Self {
            wire,
            url: url.to_owned(),
            login,
            token: None,
            clock: Clock::default(),
            identity: Identity::default(),
        }
    }

    /// Where it is: an address without secrets.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// A point in time that is `wait` away.
    pub(crate) fn after(&self, wait: Duration) -> Moment {
        self.wire.now().plus(wait)
    }

    /// Logs in, if there is a user.
    ///
    /// # Errors
    /// [`Refusal`].
    pub(crate) fn login(&mut self, until: Moment) -> Result<(), Refusal> {
        let Some(Login { user, password }) = &self.login else {
            return Ok(());
        };
        let body = login(user, password);
        self.token = None;
        match self.once("/v3/auth/authenticate", Some(&body), SHORT, until) {
            Ok(answer) => {
                let token: Token = self.parse(&answer)?;
                self.token = Some(token.token);
                Ok(())
            }
            // Should users be switched on later, this is asked again.
            Err(Refusal::NoUsers(why)) => {
                self.wire.warn(&format!("{why}, so `user` and `password` are not used"));
                Ok(())
            }
            // It wrote nothing, whatever became of it.
            Err(Refusal::Indeterminate(why)) => Err(Refusal::Unavailable(why)),
            Err(refusal) => Err(refusal),
        }
    }

    /// As another member of the same cluster sees the same user.
    pub(crate) fn beside(&self, wire: W, url: &str) -> Self {
        Self {
            token: self.token.clone(),
            ..Self::new(wire, url, self.login.clone())
        }
    }

    /// Asks for `path`, once more with a new token if the old one is no longer good.
    ///
    /// # Errors
    /// [`Refusal`].
    pub(crate) fn ask(
        &mut self,
        path: &str,
        body: Option<&str>,
        limit: usize,
        until: Moment,
    ) -> Result<Answer, Refusal> {
        match self.once(path, body, limit, until) {
            Err(Refusal::Unauthenticated(_)) if self.login.is_some() => {
                self.login(until)?;
                self.once(path, body, limit, until)
            }
            Err(Refusal::Unauthenticated(why)) => Err(Refusal::Denied(format!(
                "{why}: it wants a user; set `user` and `password`"
            ))),
            answer => answer,
        }
    }

    fn once(&mut self, path: &str, body: Option<&str>, limit: usize, until: Moment) -> Result<Answer, Refusal> {
        let url = format!("{}{path}", self.url);
        let headers = headers(self.token.as_deref());
        let call = Call {
            url: &url,
            headers: &headers[..headers.len() - usize::from(self.token.is_none())],
            body: body.map(str::as_bytes),
        };
        let answer = self
            .wire
            .call(&call, limit, until)
            .map_err(|fault| codes::silence(&self.url, fault))?;
        if answer.status == 200 {
            Ok(answer)
        } else {
            Err(codes::refusal(&self.url, &answer))
        }
    }

    /// Reads an answer.
    ///
    /// # Errors
    /// `Indeterminate`: it makes no sense.
    pub(crate) fn parse<'a, T: Deserialize<'a>>(&self, answer: &'a Answer) -> Result<T, Refusal> {
        let nonsense = |error| Refusal::Indeterminate(format!("{}: an answer that makes no sense: {error}", self.url));
        serde_json::from_slice(&answer.body).map_err(nonsense)
    }

    /// Reads an answer that says who gave it, and learns of who that is and of its clock.
    ///
    /// # Errors
    /// `Indeterminate` if it makes no sense, `Lost` if another cluster gave it.
    pub(crate) fn read<'a, T: Deserialize<'a> + Headed>(&mut self, answer: &'a Answer) -> Result<T, Refusal> {
        let read: T = self.parse(answer)?;
        let header = read.header();
        self.identity.check(header, &self.url)?;
        let learnt = self
            .clock
            .learn(header.member_id, answer.date.as_deref(), answer.sent, answer.received);
        match learnt {
            ClockUpdate::Step(by) if by.unsigned_abs() >= STEP => {
                self.wire
                    .warn(&format!("the clock of {} was set by about {by} ms", self.url));
            }
            _ => {}
        }
        Ok(read)
    }

    /// Asks the member for nothing but its time and name, which it answers by itself.
    ///
    /// # Errors
    /// [`Refusal`].
    pub(crate) fn probe(&mut self, key: &str, until: Moment) -> Result<(), Refusal> {
        let range = RangeOp {
            keys_only: true,
            ..RangeOp::one(key)
        };
        let answer = self.ask("/v3/kv/range", Some(&range.alone()), SHORT, until)?;
        self.read::<RangeAnswer<'_>>(&answer).map(drop)
    }

    /// Narrows the bounds of the member's clock, if its next second comes soon enough for how wide they are.
    ///
    /// # Errors
    /// [`Refusal`]; nothing was written.
    pub(crate) fn settle(&mut self, key: &str, until: Moment) -> Result<(), Refusal> {
        for _ in 0..ROUNDS {
            let now = self.wire.now();
            let patience = self.clock.patience(now);
            let (first, last) = self.clock.flip(now);
            if patience.is_zero() || first.since(now) > patience {
                break;
            }
            // The second may have ended just before, or the clock may turn out to have been set.
            self.narrow(key, last.since(now) + LATE, Clock::is_narrow, until)?;
        }
        Ok(())
    }

    /// Narrows the bounds of the member's clock until they are `enough` or `patience` is over, by asking around the
    /// moment at which its second ends.
    ///
    /// # Errors
    /// [`Refusal`]; nothing was written.
    pub(crate) fn narrow(
        &mut self,
        key: &str,
        patience: Duration,
        enough: fn(&Clock, Moment) -> bool,
        until: Moment,
    ) -> Result<(), Refusal> {
        let end = self.after(patience).min(until);
        loop {
            let now = self.wire.now();
            if enough(&self.clock, now) || now >= end {
                return Ok(());
            }
            let (first, last) = self.clock.flip(now);
            if first > end {
                return Ok(());
            }
            // It must also be seen that it has not ended yet, or else a clock that is ahead of what is known would seem
            // to be exactly so.
            let early = first.minus(EARLY);
            if early > now {
                self.wire.sleep(early);
            } else if first > now || last.since(now) > FINE {
                self.wire.sleep(self.after(PACE));
            }
            match self.probe(key, until) {
                // It wrote nothing, whatever became of it.
                Err(Refusal::Indeterminate(why)) => return Err(Refusal::Unavailable(why)),
                done => done?,
            }
        }
    }

    /// Begins to watch: what brings the lines.
    ///
    /// # Errors
    /// [`Refusal`].
    pub(crate) fn watch(&mut self, body: &str, until: Moment) -> Result<W::Stream, Refusal> {
        let url = format!("{}/v3/watch", self.url);
        let headers = headers(self.token.as_deref());
        let call = Call {
            url: &url,
            headers: &headers[..headers.len() - usize::from(self.token.is_none())],
            body: Some(body.as_bytes()),
        };
        let silence = |fault| codes::silence(&self.url, fault);
        let (status, mut stream) = self.wire.stream(&call, until).map_err(silence)?;
        if status == 200 {
            return Ok(stream);
        }
        let mut answer = Answer {
            status,
            date: None,
            body: Vec::new(),
            sent: until,
            received: until,
        };
        while stream.read(&mut answer.body, until).map_err(silence)? > 0 && answer.body.len() < SHORT {}
        // Depending on the version it is flat or as in the stream.
        match serde_json::from_slice::<StreamAnswer<'_>>(&answer.body) {
            Ok(StreamAnswer { error: Some(word), .. }) => Err(word.refusal(&self.url)),
            _ => Err(codes::refusal(&self.url, &answer)),
        }
    }

    /// What it means that a stream ended.
    pub(crate) fn broken(&self, fault: Option<Fault>) -> Refusal {
        match fault {
            Some(fault) => codes::silence(&self.url, fault),
            None => Refusal::Unavailable(format!("{} ended the watch", self.url)),
        }
    }
}

fn headers(token: Option<&str>) -> [(&str, &str); 2] {
    [LEADER, ("authorization", token.unwrap_or_default())]
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn a_cluster_that_was_made_anew_is_another() {
        let header = |cluster_id, member_id, raft_term| Header {
            cluster_id,
            member_id,
            revision: 1,
            raft_term,
        };
        let mut identity = Identity::default();
        assert!(identity.check(&header(1, 10, 5), "u").is_ok());
        identity.cluster = Some(1);
        assert!(
            identity.check(&header(1, 11, 4), "u").is_ok(),
            "another member may be behind"
        );
        assert!(identity.check(&header(1, 10, 6), "u").is_ok());
        assert_eq!(identity.term, 6);
        assert!(
            matches!(identity.check(&header(1, 10, 5), "u"), Err(Refusal::Lost(_))),
            "the same member is not"
        );
        assert!(matches!(identity.check(&header(2, 10, 6), "u"), Err(Refusal::Lost(_))));
    }
}
