//! `switchbook audit`.
use crate::cli::Common;
use crate::failure::Failure;
pub fn command() -> clap::Command {
    clap::Command::new("audit")
}
pub fn run(_: &Common, _: &clap::ArgMatches) -> Result<(), Failure> {
    Ok(())
}
