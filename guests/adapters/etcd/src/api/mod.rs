//! The gateway's JSON: what is asked and what is answered.

mod answer;
mod request;

pub(crate) use answer::{Alarm, Header, Members, Pair, RangeAnswer, Release, Status, StreamAnswer, Token, TxnAnswer};
pub(crate) use request::{Compare, Op, RangeOp, login, txn, watch};
