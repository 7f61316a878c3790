//! Coordinator adapters: real components, good and hostile, and real servers behind them.

mod common;
mod echo;
