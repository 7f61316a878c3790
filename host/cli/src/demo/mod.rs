//! `shardwright demo`: a cluster of real processes loses a node to SIGKILL and takes its work over.

mod screen;
mod stage;
mod story;

use crate::exit::Exit;
use crate::output::{Format, Output};
use crate::stop::Stop;
use anyhow::bail;
use clap::Args;
use screen::Screen;
use stage::DemoRun;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Arguments of `demo`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "With -o json, each step is an object on one line, and the last line is the summary.")]
pub(crate) struct Demo {
    /// The number of nodes
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=9))]
    nodes: u32,
    /// The address of a coordinator, as in redis://HOST; the demo uses a temporary cluster there [default: a sqlite
    /// file]. The process list exposes a password in an address: use env:NAME or file:PATH to read the address from a
    /// variable or a file
    #[arg(long, value_name = "URL")]
    coordinator: Option<String>,
    #[command(flatten)]
    output: Output,
    /// Keep the cluster running at the end, until Ctrl-C
    #[arg(long)]
    keep: bool,
}

/// Plays the demonstration. Whatever ends it, no process and no file stays behind.
pub(crate) async fn run(args: Demo) -> anyhow::Result<Exit> {
    let stopped = Arc::new(AtomicBool::new(false));
    let (flag, handle) = (stopped.clone(), tokio::runtime::Handle::current());
    // The story waits for processes and files, so it has a thread of its own; it looks at the flag whenever it waits.
    let mut playing = tokio::task::spawn_blocking(move || {
        let screen = Screen::new(args.output.format == Format::Json);
        let mut stage = DemoRun::new(&args, screen, handle, flag)?;
        let played = story::play(&args, &mut stage);
        match (played, stage.clear()) {
            (played, Ok(())) => played,
            (Ok(_), Err(left)) => Err(left),
            (Err(error), Err(left)) => bail!("{error:#}\n{left:#}"),
        }
    });
    let mut stop = Stop::new()?;
    loop {
        tokio::select! {
            played = &mut playing => return played?,
            () = stop.asked() => stopped.store(true, Ordering::Relaxed),
        }
    }
}
