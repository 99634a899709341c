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

/// Messages and events are made on one thread and let go on another; the system's allocator pays for that with locks and
/// searches, a tenth of all the time a call takes (docs/performance.md).
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

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
