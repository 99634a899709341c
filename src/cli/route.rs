//! `switchbook route --from p2 --to 100 --at …`: who would ring, and why.

use super::{Common, output};
use crate::failure::Failure;
use clap::{Arg, ArgMatches, Command};
use serde_json::{Map, Value};

/// Its arguments.
pub fn command() -> Command {
    Command::new("route").about("Who would ring if this number were called then, and why").args([
        Arg::new("from")
            .long("from")
            .required(true)
            .value_name("PHONE")
            .help("A phone by its name, a user, or trunk:NAME"),
        Arg::new("to").long("to").required(true).value_name("NUMBER").help("What is dialled"),
        Arg::new("at")
            .long("at")
            .value_name("MOMENT")
            .help("A moment (2026-11-28T10:00:00+01:00, \"2026-11-28 10:00\"), or that of a position (#123); without: now"),
    ])
}

/// Asks the server, with all phones taken as they are now (or, in the past or future, as registered and idle).
pub fn run(common: &Common, matches: &ArgMatches) -> Result<(), Failure> {
    let mut arguments = Map::new();
    for name in ["from", "to", "at"] {
        if let Some(text) = matches.get_one::<String>(name) {
            arguments.insert(name.into(), Value::from(text.as_str()));
        }
    }
    output::view(&common.view("route", arguments)?, common.form);
    Ok(())
}
