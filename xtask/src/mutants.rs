//! Mutation testing: small changes of the code that decides, each of which some test must notice.
//!
//! Where the own tests of a crate miss a change, the exhaustive search and the simulation must see it. What nothing can
//! see is listed in `tests/mutants.txt`, with the reason why it changes nothing; the list holds neither more nor less
//! than what survives. See `docs/mutants.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::{child, tools};

const CARGO_MUTANTS: &str = "27.1.0";

const LIST: &str = "tests/mutants.txt";

/// How the reason of one begins that nobody has decided on yet.
const OPEN: &str = "    Open:";

/// Which mutants to try.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only mutants of these files.
    #[arg(long, value_name = "FILE")]
    file: Vec<PathBuf>,
    /// Try this many at a time.
    #[arg(long, default_value_t = 1)]
    jobs: u32,
}

/// Files of one package, and the tests that must notice.
struct Scope {
    package: &'static str,
    files: &'static [&'static str],
    tests: &'static [&'static str],
    /// What the own tests miss, the model is asked about.
    modelled: bool,
}

const SCOPES: [Scope; 4] = [
    Scope {
        package: "shardwright-core",
        files: &["host/core/src/**/*.rs"],
        tests: &["--lib", "--test=core"],
        modelled: true,
    },
    Scope {
        package: "shardwright-coordinator",
        files: &["host/coordinator/src/sealed/*.rs"],
        tests: &["--lib", "--test=sealed"],
        modelled: false,
    },
    Scope {
        package: "shardwright-components",
        files: &["host/components/src/adapter/grants.rs"],
        tests: &["--lib"],
        modelled: false,
    },
    Scope {
        package: "shardwright",
        files: &["host/node/src/fence.rs", "host/node/src/table.rs"],
        tests: &["--lib"],
        modelled: false,
    },
];

/// A change that was made to the code: where, and which.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Mutant {
    file: String,
    change: String,
}

/// Tries every mutant of the files asked for; an error if one survives that is not listed, or if one is listed that
/// does not survive.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let program = tools::cargo_command("mutants", CARGO_MUTANTS, true)?;
    let listed = read(&fs::read_to_string(LIST).with_context(|| format!("{LIST} cannot be read"))?)?;
    let output = shardwright_servers::tools::folder().with_file_name("mutants");
    let mut survivors = Vec::new();
    for scope in &SCOPES {
        let chosen: Vec<String> = match arguments.file.as_slice() {
            [] => scope.files.iter().map(ToString::to_string).collect(),
            files => files
                .iter()
                .filter(|file| scope.covers(file))
                .map(|file| file.display().to_string())
                .collect(),
        };
        if chosen.is_empty() {
            continue;
        }
        let output = output.join(scope.package);
        let mut missed = tried(&mut scope.command(&program, &chosen, arguments.jobs, &output), &output)?;
        let unlisted = compare(&missed, &listed, |file| tries(&chosen, file))?;
        missed.retain(|name| unlisted.contains(&mutant(name)));
        if scope.modelled && !missed.is_empty() {
            println!(
                "{} missed by the tests of {}: the model is asked",
                missed.len(),
                scope.package
            );
            let output = output.join("model");
            missed = tried(
                &mut modelled(&program, scope.package, &missed, arguments.jobs, &output),
                &output,
            )?;
        }
        survivors.extend(missed);
    }
    ensure!(
        survivors.is_empty(),
        "{} survived, and {LIST} has no reason for them:\n{}",
        survivors.len(),
        survivors.join("\n")
    );
    let open = fs::read_to_string(LIST).map_or(0, |list| list.lines().filter(|line| line.starts_with(OPEN)).count());
    println!("every mutant was noticed, or is listed in {LIST}, {open} of them as open");
    Ok(())
}

/// Those among `missed` that are not in the list; an error if the list has some of the files that `tried` names which
/// were not missed.
fn compare(
    missed: &[String],
    listed: &BTreeMap<Mutant, usize>,
    tried: impl Fn(&str) -> bool,
) -> Result<BTreeSet<Mutant>> {
    let mut counted: BTreeMap<Mutant, usize> = BTreeMap::new();
    for name in missed {
        *counted.entry(mutant(name)).or_default() += 1;
    }
    for (mutant, times) in listed.iter().filter(|(mutant, _)| tried(&mutant.file)) {
        let found = counted.get(mutant).copied().unwrap_or(0);
        ensure!(
            found >= *times,
            "{LIST}: `{}` in {} is listed {times} times and survives {found} times",
            mutant.change,
            mutant.file
        );
    }
    counted.retain(|mutant, times| listed.get(mutant).is_none_or(|listed| *times > *listed));
    Ok(counted.into_keys().collect())
}

/// Whether one of these files or patterns means `file`.
fn tries(chosen: &[String], file: &str) -> bool {
    chosen.iter().any(|glob| match glob.split_once('*') {
        Some((folder, _)) => file.starts_with(folder),
        None => glob == file,
    })
}

impl Scope {
    fn covers(&self, file: &Path) -> bool {
        let files: Vec<String> = self.files.iter().map(ToString::to_string).collect();
        tries(&files, &file.to_string_lossy())
    }

    fn command(&self, program: &Path, files: &[String], jobs: u32, output: &Path) -> Command {
        let mut command = mutants(program, self.package, jobs, output);
        command.args(files.iter().flat_map(|file| ["--file", file]));
        command.args(self.tests.iter().map(|test| format!("--cargo-test-arg={test}")));
        command
    }
}

/// The mutants of these names, tried by the search and the simulation.
fn modelled(program: &Path, package: &str, names: &[String], jobs: u32, output: &Path) -> Command {
    let mut command = mutants(program, package, jobs, output);
    command.args(["--test-package", "shardwright-model", "--profile", "model"]);
    command.args(
        names
            .iter()
            .flat_map(|name| ["--re".to_owned(), format!("^{}$", literal(name))]),
    );
    command
}

fn mutants(program: &Path, package: &str, jobs: u32, output: &Path) -> Command {
    let mut command = Command::new(program);
    // Nobody looks at a mutant in a debugger, and what takes long is building it.
    command.env("CARGO_PROFILE_DEV_DEBUG", "false");
    command.args([
        "mutants",
        "--package",
        package,
        "--no-shuffle",
        "--colors",
        "never",
        "--jobs",
        &jobs.to_string(),
    ]);
    command.arg("--output").arg(output);
    command
}

/// `text` as a regular expression that matches just it.
fn literal(text: &str) -> String {
    let plain =
        |c: char| c.is_alphanumeric() || matches!(c, ' ' | '_' | '/' | ':' | '<' | '>' | '=' | ',' | '!' | '"' | '%');
    text.chars()
        .flat_map(|c| (!plain(c)).then_some('\\').into_iter().chain([c]))
        .collect()
}

/// Runs cargo-mutants; the names of those that were missed.
fn tried(command: &mut Command, output: &Path) -> Result<Vec<String>> {
    fs::create_dir_all(output).with_context(|| format!("the folder {} cannot be created", output.display()))?;
    // 2: some were missed, 3: some timed out, which is being noticed.
    match child::status(command)?.code() {
        Some(0 | 2 | 3) => {}
        _ => bail!(
            "cargo-mutants could not try them: see {}",
            output.join("mutants.out").display()
        ),
    }
    let missed = output.join("mutants.out/missed.txt");
    let missed = fs::read_to_string(&missed).with_context(|| format!("{} cannot be read", missed.display()))?;
    Ok(missed.lines().map(str::to_owned).collect())
}

/// `host/core/src/view.rs:57:27: replace < with <= in View::put`, without the place, which moves with every edit.
fn mutant(name: &str) -> Mutant {
    let (place, change) = name.split_once(": ").unwrap_or((name, ""));
    Mutant {
        file: place.split(':').next().unwrap_or(place).to_owned(),
        change: change.to_owned(),
    }
}

/// The mutants that change nothing, and how many are called so: a line `FILE: CHANGE` for each, followed by indented
/// lines that say why.
fn read(list: &str) -> Result<BTreeMap<Mutant, usize>> {
    let mut listed = BTreeMap::new();
    let mut lines = list
        .lines()
        .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
        .peekable();
    while let Some(line) = lines.next() {
        let (file, change) = line
            .split_once(": ")
            .with_context(|| format!("{LIST}: `{line}` is no `FILE: CHANGE`"))?;
        let mut why = 0;
        while lines.next_if(|line| line.starts_with(' ')).is_some() {
            why += 1;
        }
        ensure!(
            why > 0,
            "{LIST}: say why `{line}` changes nothing, in an indented line below it"
        );
        let (file, change) = (file.to_owned(), change.to_owned());
        *listed.entry(Mutant { file, change }).or_default() += 1;
    }
    Ok(listed)
}

#[cfg(test)]
mod test {
    use super::*;

    const NAME: &str = "host/core/src/view.rs:57:27: replace < with <= in View::put";

    fn listed(times: usize) -> BTreeMap<Mutant, usize> {
        read(&"host/core/src/view.rs: replace < with <= in View::put\n    It is the same.\n".repeat(times)).unwrap()
    }

    #[test]
    fn the_list_of_the_project_is_well_formed() {
        let listed = read(include_str!("../../tests/mutants.txt")).unwrap();
        for Mutant { file, .. } in listed.keys() {
            assert!(
                SCOPES.iter().any(|scope| scope.covers(Path::new(file))),
                "{file} is in no scope"
            );
        }
    }

    #[test]
    fn a_mutant_is_known_wherever_it_has_moved_to() {
        let moved = NAME.replace("57:27", "60:1");
        assert_eq!(mutant(NAME), mutant(&moved));
        assert!(compare(&[moved], &listed(1), |_| true).unwrap().is_empty());
    }

    #[test]
    fn one_more_than_listed_or_one_less_is_told() {
        let twice = [NAME.to_owned(), NAME.replace("57:27", "60:1")];
        assert_eq!(compare(&twice, &listed(1), |_| true).unwrap().len(), 1);
        let error = compare(&twice[..1], &listed(2), |_| true).unwrap_err().to_string();
        assert!(error.contains("is listed 2 times and survives 1 times"), "{error}");
        assert!(
            compare(&[], &listed(2), |file| file != "host/core/src/view.rs")
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn a_reason_is_asked_for() {
        assert!(read("a.rs: b\n").unwrap_err().to_string().contains("say why"));
        assert!(read("a.rs b\n    why\n").unwrap_err().to_string().contains("is no"));
    }

    #[test]
    fn names_are_taken_literally() {
        assert_eq!(
            literal("a.rs:1:2: replace && with || in f"),
            "a\\.rs:1:2: replace \\&\\& with \\|\\| in f"
        );
    }
}
