//! `cargo xtask fuzz`: libFuzzer looks for exceptions to the properties of `tests/properties`. docs/fuzzing.md says
//! what that means.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::{child, tools};

const CARGO_FUZZ: &str = "0.13.2";

/// The toolchain that has the instrumentation.
const NIGHTLY: &str = "nightly";

/// What no property may take: of one piece of memory and of all of it, in MiB, and of time for one input, in seconds.
const LIMITS: [&str; 3] = ["-malloc_limit_mb=256", "-rss_limit_mb=1024", "-timeout=10"];

/// Where each target finds what is worth trying; kept with the sources.
const CORPUS: &str = "fuzz/corpus";

/// What `cargo xtask fuzz` accepts.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Only this target; all, one after the other, if none is named.
    target: Option<String>,
    /// How long each target is run.
    #[arg(long, default_value_t = 600, value_name = "N")]
    seconds: u32,
    /// Adds to the corpus what reaches code that nothing in it reaches, and drops what others reach in fewer bytes.
    #[arg(long)]
    keep: bool,
    /// Install nothing: a missing tool is an error.
    #[arg(long)]
    no_install: bool,
}

/// Runs the targets; an exception to a property is an error.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut targets = targets()?;
    if let Some(wanted) = &arguments.target {
        ensure!(
            targets.contains(wanted),
            "there is no target {wanted:?}; there are {}",
            targets.join(", ")
        );
        targets.retain(|target| target == wanted);
    }
    let fuzzer = Fuzzer {
        program: tools::cargo_command("fuzz", CARGO_FUZZ, !arguments.no_install)?,
    };
    nightly(!arguments.no_install)?;
    for target in &targets {
        fuzzer.run(target, arguments.seconds)?;
        if arguments.keep {
            fuzzer.keep(target)?;
        }
    }
    Ok(())
}

/// The names of the targets: those of the folders of the corpus, which a test compares with the programs.
fn targets() -> Result<Vec<String>> {
    let entries = std::fs::read_dir(CORPUS).with_context(|| format!("the folder {CORPUS} cannot be read"))?;
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names = names.collect::<Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

struct Fuzzer {
    program: PathBuf,
}

impl Fuzzer {
    /// `cargo fuzz` with the instrumenting toolchain, whichever runs this program.
    fn command(&self, verb: &str, target: &str) -> Command {
        let mut command = Command::new("rustup");
        command.args(["run", NIGHTLY]).arg(&self.program).args([verb, target]);
        for name in ["CARGO", "RUSTC", "RUSTDOC", "RUSTUP_TOOLCHAIN"] {
            command.env_remove(name);
        }
        command
    }

    /// What is found goes to a folder beside the corpus; that of an exception is `fuzz/artifacts`.
    fn run(&self, target: &str, seconds: u32) -> Result<()> {
        let found = found(target);
        std::fs::create_dir_all(&found).with_context(|| format!("the folder {} cannot be made", found.display()))?;
        let mut command = self.command("run", target);
        command
            .arg(&found)
            .arg(format!("{CORPUS}/{target}"))
            .arg("--")
            .args(LIMITS);
        command.args([
            "-print_final_stats=1".to_owned(),
            "-max_len=8192".to_owned(),
            format!("-max_total_time={seconds}"),
        ]);
        child::run(&mut command).with_context(|| {
            format!(
                "{target} found an exception: make it a test beside what is at fault, mend it, and keep the file of \
                 fuzz/artifacts/{target} in {CORPUS}/{target}"
            )
        })
    }

    fn keep(&self, target: &str) -> Result<()> {
        let corpus = format!("{CORPUS}/{target}");
        let mut merge = self.command("run", target);
        child::run(
            merge
                .arg(&corpus)
                .arg(found(target))
                .args(["--", "-merge=1", "-max_len=1024"])
                .args(LIMITS),
        )?;
        child::run(self.command("cmin", target).arg(&corpus).arg("--").args(LIMITS))
    }
}

/// Where a target keeps what it has found on this machine.
fn found(target: &str) -> PathBuf {
    Path::new("fuzz/target/found").join(target)
}

fn nightly(install: bool) -> Result<()> {
    if child::output(Command::new("rustup").args(["run", NIGHTLY, "rustc", "--version"])).is_some() {
        return Ok(());
    }
    let hint = format!(
        "Rust's {NIGHTLY} toolchain, which fuzzing needs, is missing: run `rustup toolchain install {NIGHTLY} \
         --profile minimal`"
    );
    ensure!(install, "{hint}");
    child::run(Command::new("rustup").args(["toolchain", "install", NIGHTLY, "--profile", "minimal"])).context(hint)
}
