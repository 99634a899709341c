//! `switchbook apply FILE.jsonl`: many commands, all or nothing.

use super::Common;
use super::output::{self, Form};
use crate::console::protocol::Request;
use crate::failure::Failure;
use clap::{Arg, ArgMatches, Command};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::Read;
use std::path::PathBuf;
use switchbook_projections::text;
use switchbook_projections::text::counted;

/// Its arguments.
pub fn command() -> Command {
    Command::new("apply")
        .about("Carries out the commands of a file, one JSON object a line: all or nothing")
        .arg(
            Arg::new("file")
                .required(true)
                .value_name("FILE.jsonl")
                .value_parser(clap::value_parser!(PathBuf))
                .help("The file, or - for standard input"),
        )
        .after_help(
            "A line: {\"command\":\"user.add\",\"username\":\"cleo\",\"display_name\":\"Cleo\",\"numbers\":[\"300\"]}. \
             Lines that begin with # are passed over. The file is one command: repeated with the same --command-id it is not \
             carried out twice.",
        )
}

/// Sends the file and shows how far it is.
pub fn run(common: &Common, matches: &ArgMatches) -> Result<(), Failure> {
    let Some(path) = matches.get_one::<PathBuf>("file") else {
        return Err(Failure::new("which file?"));
    };
    let text = read(path)?;
    let lines: Vec<&str> =
        text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')).collect();
    let mut client = common.client()?;
    let request = Request::Apply {
        lines: lines.len(),
        dry_run: common.dry_run,
        id: Some(common.command_id),
        as_user: common.as_user.clone(),
        language: common.language,
    };
    let sent = client.send(&request, lines.iter().copied());
    sent.map_err(|failure| common.unknown(failure))?;
    let bar = ProgressBar::new(lines.len() as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} commands  {elapsed}") {
        bar.set_style(style);
    }
    let answer = client.answer(|done, of| {
        bar.set_length(of as u64);
        bar.set_position(done as u64);
    });
    bar.finish_and_clear();
    // Only a refusal says for certain that nothing was done.
    let answer = answer.map_err(|failure| match failure.is_refusal() {
        true => failure.advice(text!(
            "Nothing of the file was carried out: it is all or nothing.",
            "Nichts aus der Datei wurde ausgeführt: alles oder nichts."
        )),
        false => common.unknown(failure),
    })?;
    if common.form == Form::Json {
        output::json(&answer);
        return Ok(());
    }
    let count = |name: &str| answer.get(name).and_then(serde_json::Value::as_u64).unwrap_or(0);
    let (commands, events) = (count("commands"), count("events"));
    let befehle = counted(commands, "Befehl", "Befehle");
    let commands = counted(commands, "command", "commands");
    let told = if common.dry_run {
        let ereignisse = counted(events, "Ereignis würde", "Ereignisse würden");
        let events = counted(events, "event", "events");
        text!("{commands}, {events} would be recorded", "{befehle}, {ereignisse} aufgezeichnet")
    } else {
        let ereignisse = counted(events, "Ereignis", "Ereignisse");
        let events = counted(events, "event", "events");
        text!("{commands}, {events} recorded", "{befehle}, {ereignisse} aufgezeichnet")
    };
    output::done(told.read(common.language.into()));
    Ok(())
}

/// The text of a file, or of standard input.
pub(super) fn read(path: &PathBuf) -> Result<String, Failure> {
    let mut text = String::new();
    let result = if path.as_os_str() == "-" {
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(path)
    };
    result.map_err(|error| {
        let path = path.display();
        Failure::new(text!("{path} cannot be read: {error}", "{path} ist nicht lesbar: {error}"))
    })
}
