//! `cargo xtask chaos`: clusters of real processes on a real server, disturbed at random. The work is done by
//! `tests/chaos`; here its programs are built and started.

use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::thread;

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};

use crate::servers::{self, Tool};
use crate::tally::Tally;
use crate::{programs, step};

/// How long each store is disturbed in the test command, its start and its calm included, in seconds.
const QUICK: u64 = 30;

/// What `cargo xtask chaos` accepts.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Where the cluster meets.
    #[arg(long)]
    store: Store,
    /// What chance there is; one seed is one schedule. Left out, it is a new one.
    #[arg(long)]
    seed: Option<u64>,
    /// How long it is to take, about.
    #[arg(long, default_value_t = 60)]
    secs: u64,
    /// Machines share the network of this one, also where network namespaces could be made.
    #[arg(long)]
    no_namespaces: bool,
    /// Have the workers do this wrong; it must be found: ignore-deadline, keep-acting, reuse-token, claim-id,
    /// deal-anew.
    #[arg(long)]
    plant: Option<String>,
    /// Install nothing: fail when the server is missing.
    #[arg(long)]
    no_install: bool,
}

/// Where a cluster can meet.
#[derive(Clone, Copy, ValueEnum)]
enum Store {
    Sqlite,
    Redis,
    Nats,
    Kafka,
    Etcd,
    Postgres,
}

/// All of them, by twos that run side by side: Kafka, which takes most, beside the one without a server.
const PAIRS: [[Store; 2]; 3] = [
    [Store::Kafka, Store::Sqlite],
    [Store::Redis, Store::Etcd],
    [Store::Nats, Store::Postgres],
];

impl Store {
    fn tools(self) -> &'static [Tool] {
        match self {
            Self::Sqlite => &[],
            Self::Redis => &[Tool::Redis],
            Self::Nats => &[Tool::Nats],
            Self::Kafka => &[Tool::Java, Tool::Kafka],
            Self::Etcd => &[Tool::Etcd],
            Self::Postgres => &[Tool::Postgres],
        }
    }

    fn name(self) -> String {
        self.to_possible_value()
            .map(|value| value.get_name().to_owned())
            .unwrap_or_default()
    }
}

/// Disturbs one cluster. The exit status is that of the run: 1 if a promise was broken.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    servers::present(arguments.store.tools(), !arguments.no_install)?;
    let mut chaos = Command::new(program()?);
    chaos.args([
        "--store",
        &arguments.store.name(),
        "--secs",
        &arguments.secs.to_string(),
    ]);
    if let Some(seed) = arguments.seed {
        chaos.args(["--seed", &seed.to_string()]);
    }
    if arguments.no_namespaces {
        chaos.arg("--no-namespaces");
    }
    if let Some(plant) = &arguments.plant {
        chaos.args(["--plant", plant]);
    }
    let status = chaos.status().context("`chaos` could not be started")?;
    Ok(status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .map_or(ExitCode::FAILURE, ExitCode::from))
}

/// Disturbs a cluster on each store, two at a time, each with a new seed, which it prints. A run counts as a test.
pub(crate) fn quick(tally: &mut Tally) -> Result<()> {
    let program = &program()?;
    let mut failures = Vec::new();
    for pair in PAIRS {
        let runs = thread::scope(|scope| {
            let run = |store: Store| {
                let mut chaos = Command::new(program);
                chaos.args(["--store", &store.name(), "--secs", &QUICK.to_string()]);
                scope.spawn(move || chaos.stdin(Stdio::null()).stderr(Stdio::inherit()).output())
            };
            pair.map(|store| (store, run(store)))
                .map(|(store, run)| (store, run.join()))
        });
        for (store, run) in runs {
            let output = run.ok().context("a thread panicked")??;
            print!("{}", String::from_utf8_lossy(&output.stdout));
            if output.status.success() {
                tally.passed += 1;
            } else {
                tally.failed += 1;
                failures.push(format!("{} ({})", store.name(), output.status));
            }
        }
    }
    ensure!(
        failures.is_empty(),
        "not as promised, see above: {}",
        failures.join(", ")
    );
    Ok(())
}

/// The program that disturbs, built with those that it needs beside it: a test of each package brings its programs, in
/// the shape in which all tests are built.
fn program() -> Result<PathBuf> {
    programs::build(&[step::all("--test=plants"), vec!["--test=live"]].concat())?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    Ok(target.join("debug/chaos"))
}
