//! `switchbook serve`.
use crate::cli::Common;
use crate::failure::Failure;
pub fn run(_: &Common, _: &clap::ArgMatches) -> Result<(), Failure> {
    Ok(())
}
