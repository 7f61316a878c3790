//! What every lane has: a member, the namespace's keys, and the history that it belongs to.

use crate::api::{Compare, Op, RangeOp};
use crate::api::{Pair, TxnAnswer, txn};
use crate::codes::Refusal;
use crate::gateway::Gateway;
use crate::history::History;
use crate::keys::Keys;
use crate::wire::{Answer, HttpClient, Moment};
use std::time::Duration;

/// The longest that one request may take. The host gives up earlier if the operator wants it so.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// The longest answer with one entry.
pub(crate) const LONG: usize = 4 * 1024 * 1024;

/// One lane.
pub(crate) struct Lane<W> {
    pub(crate) gateway: Gateway<W>,
    pub(crate) keys: Keys,
    pub(crate) history: History,
    /// Set for good when the store turns out to be another one.
    lost: Option<String>,
}

impl<W: HttpClient> Lane<W> {
    pub(crate) fn new(gateway: Gateway<W>, keys: Keys, history: History) -> Self {
        Self {
            gateway,
            keys,
            history,
            lost: None,
        }
    }

    /// When a call that begins now must be over.
    pub(crate) fn until(&self) -> Moment {
        self.gateway.after(PATIENCE)
    }

    /// Asks for a transaction. Its answer is to be read with [`Lane::read`].
    ///
    /// # Errors
    /// [`Refusal`].
    pub(crate) fn txn(&mut self, body: &str, limit: usize, until: Moment) -> Result<Answer, Refusal> {
        if let Some(why) = &self.lost {
            return Err(Refusal::Lost(why.clone()));
        }
        let answer = self.gateway.ask("/v3/kv/txn", Some(body), limit, until);
        answer.map_err(|refusal| self.explain(refusal))
    }

    /// Reads the answer to a transaction.
    ///
    /// # Errors
    /// [`Refusal`].
    pub(crate) fn read<'a>(&mut self, answer: &'a Answer) -> Result<TxnAnswer<'a>, Refusal> {
        self.gateway.read(answer).map_err(|refusal| self.explain(refusal))
    }

    /// Whether the store still has this history, for which it is asked.
    ///
    /// # Errors
    /// [`Refusal`]; `Lost` if it has not.
    pub(crate) fn verify(&mut self, until: Moment) -> Result<(), Refusal> {
        let history = Op::Range(RangeOp::one(&self.keys.history));
        let body = txn(&[self.history.compare(&self.keys)], &[], &[history]);
        let answer = self.txn(&body, LONG, until)?;
        let read = self.read(&answer)?;
        if read.succeeded {
            Ok(())
        } else {
            Err(self.changed(read.pair(0)))
        }
    }

    /// What it means that the history is not the one of this lane.
    pub(crate) fn changed(&mut self, found: Option<&Pair<'_>>) -> Refusal {
        let root = self.keys.root();
        let why = match found {
            Some(_) => format!(
                "{root}: the history is no longer {}: the data was removed or restored, and begun anew",
                self.history.name
            ),
            None => format!("{root}: the key `history` is gone: the data was removed"),
        };
        self.lose(why)
    }

    /// The store is not the one it was, for good.
    pub(crate) fn lose(&mut self, why: String) -> Refusal {
        Refusal::Lost(self.lost.get_or_insert(why).clone())
    }

    /// Remembers a loss, and says what must be permitted.
    fn explain(&mut self, refusal: Refusal) -> Refusal {
        match refusal {
            Refusal::Lost(why) => self.lose(why),
            Refusal::Denied(why) => Refusal::Denied(grant(&why, &self.keys)),
            refusal => refusal,
        }
    }

    /// The comparison that every write makes.
    pub(crate) fn same(&self) -> Compare<'_> {
        self.history.compare(&self.keys)
    }
}

/// What to say when something is not permitted.
pub(crate) fn grant(why: &str, keys: &Keys) -> String {
    if why.contains("permission denied") {
        format!("{why}: the user needs readwrite on the prefix {}", keys.root())
    } else {
        why.to_owned()
    }
}
