//! `shardwright completions`: what a shell needs to complete this command line.

use crate::args::Cli;
use crate::exit::Exit;
use clap::CommandFactory;
use clap_complete::Shell;
use std::io::Write;

/// Prints the script of `shell`.
pub(crate) fn print(shell: Shell) -> anyhow::Result<Exit> {
    // Made in memory first: the generator panics when its output is closed.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "shardwright", &mut script);
    std::io::stdout().write_all(&script)?;
    Ok(Exit::Ok)
}
