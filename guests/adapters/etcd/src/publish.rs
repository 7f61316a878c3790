//! Publishing: a message is the new value of its topic's key, put there in one transaction with a look at the history.
//!
//! Only the newest message of a topic stays. Those before it are history of etcd's, which watchers are given in order,
//! and which goes with the next compaction.

use crate::api::{Op, RangeOp, txn};
use crate::codes::Refusal;
use crate::gateway::SHORT;
use crate::lane::Lane;
use crate::open::Open;
use crate::wire::HttpClient;
use shardwright_guest::adapter::{self, BusError, TooLarge};

/// The largest message: that of the contract.
const MESSAGE: usize = 512 * 1024 + 64;

/// A lane that publishes.
pub struct Publisher<W> {
    lane: Lane<W>,
}

impl<W: HttpClient> Publisher<W> {
    pub(crate) fn new(open: Open<W>) -> Self {
        Self { lane: open.lane }
    }

    fn send(&mut self, topic: &str, payload: &[u8]) -> Result<(), Refusal> {
        let lane = &mut self.lane;
        let until = lane.until();
        let key = lane.keys.topic(topic);
        let body = txn(
            &[lane.same()],
            &[Op::PutMessage(&key, payload)],
            &[Op::Range(RangeOp::one(&lane.keys.history))],
        );
        let answer = lane.txn(&body, SHORT, until)?;
        let read = lane.read(&answer)?;
        if read.succeeded {
            Ok(())
        } else {
            Err(lane.changed(read.pair(0)))
        }
    }
}

impl<W: HttpClient> adapter::Publisher for Publisher<W> {
    fn publish(&mut self, topic: &str, payload: Vec<u8>) -> Result<(), BusError> {
        if payload.len() > MESSAGE {
            return Err(BusError::TooLarge(TooLarge {
                size: payload.len() as u64,
                limit: MESSAGE as u64,
            }));
        }
        self.send(topic, &payload)
            .map_err(|refusal| refusal.published(payload.len()))
    }
}
