//! `switchbook`: the exchange, its command line and its demo in one binary. Wiring only: no rule stands here.

mod audit;
mod cli;
mod console;
mod demo;
mod doors;
mod erasure;
mod failure;
mod house;
mod keeping;
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
            cli::output::failure(&failure);
            ExitCode::from(failure.exit())
        }
    }
}
