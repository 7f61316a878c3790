//! Coordinator adapters: what the sandbox costs, and the adapters for etcd and PostgreSQL beside native clients on the
//! same servers.
//!
//! Prints `figure: <name> | <value> | <limit> | ok or MISSED`.
#![allow(clippy::print_stdout, reason = "the figures are what it is for")]

mod common;
mod crossing;
mod etcd;
mod postgresql;

use common::Failure;
use shardwright_components::adapter::AdapterEngine;

fn main() -> Result<(), Failure> {
    // `cargo test --benches` builds and runs this too: then, or with `--quick`, once is enough.
    let given = |wanted: &str| std::env::args().any(|argument| argument == wanted);
    let quick = !given("--bench") || given("--quick");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        // On a worker, as the tasks of a node.
        tokio::spawn(measure(quick)).await?
    })
}

async fn measure(quick: bool) -> Result<(), Failure> {
    let engine = AdapterEngine::new(None)?;
    crossing::measure(&engine, quick).await?;
    etcd::measure(&engine, quick).await?;
    postgresql::measure(&engine, quick).await
}
