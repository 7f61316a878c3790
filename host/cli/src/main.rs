//! `shardwright`: see the library of this package.

use std::process::ExitCode;

fn main() -> ExitCode {
    shardwright_cli::main()
}
