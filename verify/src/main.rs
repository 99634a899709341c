//! The program: docs/evidence.md is its manual.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(switchbook_verify::run(std::env::args_os()))
}
