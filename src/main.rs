//! `auditor`: see the library for everything.

use std::process::ExitCode;

fn main() -> ExitCode {
    auditor::cli::start(auditor::run::execute)
}
