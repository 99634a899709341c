//! `switchbook`: the exchange, its command line and its demo, as one library under one binary, so that what wires the
//! rooms together can be opened by more than a command line. Wiring only: no rule stands here.

mod audit;
mod cli;
mod console;
mod demo;
mod doors;
pub mod erasure;
pub mod failure;
mod house;
pub mod interior;
mod keeping;
mod log;
mod rooms;
mod route;
pub mod seal;
mod serve;
mod settings;

use std::process::ExitCode;

/// The program.
pub fn main() -> ExitCode {
    match cli::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            match cli::wants_json() {
                true => cli::output::json_failure(&failure.json()),
                false => cli::output::failure(&failure),
            }
            ExitCode::from(failure.exit())
        }
    }
}
