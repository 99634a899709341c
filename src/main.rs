//! `switchbook`: the exchange, its command line and its demo in one binary. Wiring only: no rule stands here.

mod audit;
mod cli;
mod console;
mod demo;
mod doors;
mod erasure;
mod failure;
mod house;
mod log;
mod port;
mod rooms;
mod route;
mod seal;
mod serve;
mod settings;

use std::process::ExitCode;

fn main() -> ExitCode {
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
