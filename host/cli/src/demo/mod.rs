//! `shardwright demo`: a cluster of real processes loses a node to SIGKILL and takes its work over.

mod audit;
mod screen;
mod stage;
mod story;

use crate::exit::Exit;
use clap::Args;
use screen::Screen;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::signal::unix::{SignalKind, signal};

/// Arguments of `demo`.
#[derive(Args, Debug, Clone)]
pub(crate) struct Demo {
    /// How many nodes
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=9))]
    nodes: u32,
    /// One JSON object for each step, the last being the summary
    #[arg(long)]
    json: bool,
    /// Leave the cluster running at the end, until Ctrl-C, to look around in it
    #[arg(long)]
    keep: bool,
}

/// Plays the demonstration. Whatever ends it, no process and no file stays behind.
pub(crate) async fn run(args: Demo) -> anyhow::Result<Exit> {
    let stopped = Arc::new(AtomicBool::new(false));
    let (flag, handle) = (stopped.clone(), tokio::runtime::Handle::current());
    // The story waits for processes and files, so it has a thread of its own; it looks at the flag whenever it waits.
    let mut playing = tokio::task::spawn_blocking(move || {
        let screen = Screen::new(args.json);
        story::play(&args, screen, handle, flag)
    });
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    loop {
        tokio::select! {
            played = &mut playing => return played?,
            _ = interrupt.recv() => stopped.store(true, Ordering::Relaxed),
            _ = terminate.recv() => stopped.store(true, Ordering::Relaxed),
        }
    }
}
