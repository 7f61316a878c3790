//! `chaos --store STORE --seed N --secs S`: disturbs a cluster and says whether any promise was broken.
#![expect(clippy::print_stdout, reason = "it speaks on standard output")]

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use shardwright_chaos::run::{self, Wanted};
use shardwright_chaos::store::Store;

/// Disturbs a cluster of real processes on a real server, and says whether any promise was broken.
#[derive(Parser)]
#[command(name = "chaos")]
struct Arguments {
    /// Where the cluster meets.
    #[arg(long, value_enum)]
    store: Store,
    /// What chance there is; one seed is one schedule. Left out, it is a new one.
    #[arg(long)]
    seed: Option<u64>,
    /// How long it is to take, about.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(12..))]
    secs: u64,
    /// Machines share the network of this one, also where namespaces could be made.
    #[arg(long)]
    no_namespaces: bool,
    /// Have the workers do this wrong; it must be found: ignore-deadline, keep-acting, reuse-token, claim-id,
    /// deal-anew.
    #[arg(long)]
    plant: Option<String>,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: Arguments) -> Result<ExitCode> {
    let seed = match arguments.seed {
        Some(seed) => seed,
        None => u64::from(getrandom::u32()?),
    };
    let store = arguments.store;
    let again = format!(
        "cargo xtask chaos --store {} --seed {seed} --secs {}",
        store.name(),
        arguments.secs
    );
    println!("{again}");
    let wanted = Wanted {
        store,
        seed,
        span: Duration::from_secs(arguments.secs),
        plant: arguments.plant,
        namespaces: !arguments.no_namespaces,
    };
    let outcome = run::run(&wanted, &|line| println!("{:>8}  {line}", store.name()))?;
    if let Some(folder) = outcome.folder {
        println!(
            "{:>8}  {} violations; logs and journals: {}",
            store.name(),
            outcome.violations.len(),
            folder.display()
        );
        println!("{:>8}  again: {again}", store.name());
        return Ok(ExitCode::FAILURE);
    }
    println!("{:>8}  no violation", store.name());
    Ok(ExitCode::SUCCESS)
}
