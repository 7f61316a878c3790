//! Clusters of real processes on a real server, disturbed at random from a seed, and judged by a checker that knows
//! nothing of the product but what it promises. `docs/chaos.md` says how to use it.
//!
//! Data flows one way: a `schedule` is made from a seed; the `run` does it to `nodes`, to the `server` and to the
//! `network` between them; workers act, and write to the `resource`; the `operator` asks and orders by the command
//! line; all that happened is a `history`, which the `checker` judges, with the `losses` of the store in
//! mind, and a `report` sums up.

pub mod checker;
pub mod clock;
mod hands;
pub mod history;
pub mod losses;
mod network;
mod nodes;
mod operator;
mod report;
pub mod resource;
pub mod rng;
pub mod run;
pub mod schedule;
mod server;
mod settings;
pub mod store;
