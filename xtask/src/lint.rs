//! What cargo calls instead of the compiler while it builds the tests: Clippy, which is the compiler with more lints,
//! and after it rustdoc. So nothing is compiled once to be checked, once to be documented and once to be run, and
//! warnings of all three come as those of the compiler do: once, and again whenever the package is built from the
//! cache.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus};

use anyhow::{Context, Result};

/// Tells this program that cargo called it in place of the compiler; its value is the folder for the documentation.
const DOCUMENTATION: &str = "XTASK_LINT_DOCUMENTATION";

/// Where rustdoc writes its pages, which are for nobody: its warnings are.
const FOLDER: &str = "target/lint";

/// Has `cargo` lint and document the workspace's packages while it builds them.
pub(crate) fn watch(cargo: &mut Command) -> Result<()> {
    let this = env::current_exe().context("this program does not know where it lies")?;
    cargo
        .env("RUSTC_WORKSPACE_WRAPPER", this)
        .env(DOCUMENTATION, env::current_dir()?.join(FOLDER));
    Ok(())
}

/// If cargo called this program in place of the compiler, does what it was called for and says how that ended.
pub(crate) fn called() -> Option<ExitCode> {
    let folder = PathBuf::from(env::var_os(DOCUMENTATION)?);
    let mut arguments = env::args_os().skip(1);
    let compiler = PathBuf::from(arguments.next()?);
    let arguments: Vec<_> = arguments.collect();
    Some(compile(&compiler, &arguments, &folder).unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    }))
}

/// Compiles under the eyes of Clippy, then documents what is no test.
fn compile(compiler: &Path, arguments: &[OsString], folder: &Path) -> Result<ExitCode> {
    let status = run(Command::new(beside(compiler, "clippy-driver"))
        .arg(compiler)
        .args(arguments))?;
    if !status.success() {
        return Ok(ExitCode::FAILURE);
    }
    let Some(arguments) = documenting(&texts(arguments)) else {
        return Ok(ExitCode::SUCCESS);
    };
    let status = run(Command::new(beside(compiler, "rustdoc"))
        .args(arguments)
        .arg("-o")
        .arg(folder))?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn run(command: &mut Command) -> Result<ExitStatus> {
    let program = command.get_program().to_owned();
    command
        .status()
        .with_context(|| format!("{} could not be started", program.display()))
}

/// The program of this name of the compiler's toolchain; where the compiler was given without its place, both are
/// looked for in the same places.
fn beside(compiler: &Path, name: &str) -> PathBuf {
    compiler.with_file_name(name)
}

fn texts(arguments: &[OsString]) -> Vec<String> {
    arguments
        .iter()
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect()
}

/// What rustdoc is told for a package that the compiler was given with these arguments, if it has documentation: build
/// scripts, tests, benchmarks and examples have none.
fn documenting(arguments: &[String]) -> Option<Vec<String>> {
    let mut documenting = Vec::new();
    let mut rest = arguments.iter();
    let (mut named, mut command) = (false, false);
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--test" => return None,
            question if question.starts_with("--print") => return None,
            // What is made of it, and where that goes.
            "-C" | "--out-dir" | "--emit" => {
                rest.next();
            }
            made if made.starts_with("-C") || made.starts_with("--emit=") => {}
            "--crate-name" => {
                let name = rest.next()?;
                named = name != "build_script_build";
                documenting.extend([argument.clone(), name.clone()]);
            }
            "--crate-type" => {
                let kind = rest.next()?;
                command = kind == "bin";
                documenting.extend([argument.clone(), kind.clone()]);
            }
            // Cargo waits for what rustdoc would never say it has made.
            json if json.starts_with("--json=") => {
                let kinds = json["--json=".len()..].split(',').filter(|kind| *kind != "artifacts");
                documenting.push(format!("--json={}", kinds.collect::<Vec<_>>().join(",")));
            }
            source if source.ends_with(".rs") && is_apart(source) => return None,
            _ => documenting.push(argument.clone()),
        }
    }
    // Nobody outside a command can use it: its documentation is for those who work on it.
    documenting.extend(command.then(|| "--document-private-items".to_owned()));
    named.then_some(documenting)
}

/// Whether this is the source of a benchmark or of an example.
fn is_apart(source: &str) -> bool {
    let folder = Path::new(source).parent().and_then(Path::file_name);
    folder.is_some_and(|folder| folder == "benches" || folder == "examples")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(arguments: &str) -> Option<String> {
        let arguments: Vec<_> = arguments.split(' ').map(str::to_owned).collect();
        documenting(&arguments).map(|told| told.join(" "))
    }

    #[test]
    fn a_library_is_documented_as_it_is_compiled() {
        let told = told(
            "--crate-name core --edition=2024 host/core/src/lib.rs --error-format=json \
             --json=diagnostic-rendered-ansi,artifacts,future-incompat --crate-type lib --emit=dep-info,metadata,link \
             -C embed-bitcode=no --forbid=unsafe_code --cfg feature=\"std\" -Cmetadata=1 --out-dir target \
             -L dependency=target --extern serde=libserde.rmeta",
        );
        assert_eq!(
            told.as_deref(),
            Some(
                "--crate-name core --edition=2024 host/core/src/lib.rs --error-format=json \
                 --json=diagnostic-rendered-ansi,future-incompat --crate-type lib --forbid=unsafe_code \
                 --cfg feature=\"std\" -L dependency=target --extern serde=libserde.rmeta"
            )
        );
    }

    #[test]
    fn the_inside_of_a_command_is_documented() {
        let told = told("--crate-name tool src/main.rs --crate-type bin");
        assert_eq!(
            told.as_deref(),
            Some("--crate-name tool src/main.rs --crate-type bin --document-private-items")
        );
    }

    #[test]
    fn what_has_no_documentation_is_only_compiled() {
        for without in [
            "-vV",
            "- --crate-name ___ --print=file-names",
            "--crate-name core host/core/src/lib.rs --test",
            "--crate-name build_script_build build.rs --crate-type bin",
            "--crate-name plan host/core/benches/plan.rs --crate-type bin",
            "--crate-name measure host/coordinator/examples/measure.rs --crate-type bin",
        ] {
            assert_eq!(told(without), None, "{without}");
        }
    }
}
