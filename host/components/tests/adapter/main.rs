//! Coordinator adapters: real components, good and hostile, and real servers behind them.

mod common;
mod echo;
mod hostile;
mod postgresql;
mod versions;
mod etcd;
