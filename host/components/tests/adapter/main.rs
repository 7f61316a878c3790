//! Coordinator adapters: real components, good and hostile, and real servers behind them.

mod common;
mod echo;
mod etcd;
mod hostile;
mod planted;
mod postgresql;
mod reach;
mod versions;
