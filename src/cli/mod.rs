//! The command line: parsed here, carried out by a running server (or, for audits, read from the segments).

mod apply;
mod audit;
pub mod backup;
mod cosign;
pub mod evidence;
mod interrupt;
mod nouns;
pub mod output;
mod route;
mod verbs;
mod verify;
mod views;

use crate::console::client::Client;
use crate::console::protocol::{For, Language, Request, Sight};
use crate::console::socket_of;
use crate::failure::{Failure, failed};
use crate::settings::{Http, default_data};
use clap::{Arg, ArgAction, ArgMatches, Command};
use output::Form;
use std::io::{BufRead, IsTerminal};
use std::net::SocketAddr;
use std::path::PathBuf;
use switchbook_projections::text;
use uuid::Uuid;

/// What every subcommand may be told.
pub struct Common {
    /// Folder of the book.
    pub data: PathBuf,
    /// For people or for programs.
    pub form: Form,
    /// With this user's rights.
    pub as_user: Option<String>,
    /// Decide and show, write nothing.
    pub dry_run: bool,
    /// A position or a moment.
    pub as_of: Option<String>,
    /// Of refusals and explanations.
    pub language: Language,
    /// What the command is known by: a repetition of it gets the first answer, and is not carried out twice.
    pub command_id: Uuid,
}

/// The id of `--language` for texts: `user add --language` is another one, the new user's.
const TEXTS: &str = "texts";

/// Gives a command and all below it an argument, but for those that have one of that name of their own: clap's global
/// arguments know no such exception.
fn everywhere(command: Command, arg: &Arg) -> Command {
    let own = command.get_arguments().any(|known| known.get_long() == arg.get_long());
    let command = if own { command } else { command.arg(arg.clone()) };
    command.mut_subcommands(|below| everywhere(below, arg))
}

/// The value that was given last to an argument that stands [everywhere].
fn innermost<'a>(matches: &'a ArgMatches, id: &str) -> Option<&'a str> {
    let below = matches.subcommand().and_then(|(_, below)| innermost(below, id));
    below.or_else(|| Some(matches.try_get_one::<String>(id).ok()??.as_str()))
}

impl Common {
    fn of(matches: &ArgMatches) -> Self {
        let text = |name: &str| matches.get_one::<String>(name).cloned();
        let language = match innermost(matches, TEXTS) {
            Some("de") => Language::German,
            Some(_) => Language::English,
            None => Language::of_environment(),
        };
        Self {
            data: matches.get_one::<PathBuf>("data").cloned().unwrap_or_else(default_data),
            form: if matches.get_flag("json") { Form::Json } else { Form::Table },
            as_user: text("as"),
            dry_run: matches.get_flag("dry-run"),
            as_of: text("as-of"),
            language,
            command_id: matches.get_one::<Uuid>("command-id").copied().unwrap_or_else(Uuid::now_v7),
        }
    }

    /// What to do when nobody knows whether a command was carried out.
    pub fn unknown(&self, failure: Failure) -> Failure {
        if !failure.is_unknown() {
            return failure;
        }
        let id = self.command_id;
        failure.advice(text!(
            "Repeat it with --command-id {id}: if it was carried out, its first answer comes again and nothing is done twice.",
            "Wiederholen Sie ihn mit --command-id {id}: Wurde er ausgeführt, kommt die erste Antwort wieder, und nichts geschieht zweimal."
        ))
    }

    /// Connects to the running server.
    pub fn client(&self) -> Result<Client, Failure> {
        Client::connect(&socket_of(&self.data))
    }

    /// Asks the running server for a view.
    pub fn view(
        &self,
        name: &str,
        arguments: serde_json::Map<String, serde_json::Value>,
    ) -> Result<output::View, Failure> {
        if self.as_user.is_some() {
            return Err(Failure::new(text!(
                "a view is not shown with another user's rights: --as is for commands",
                "eine Sicht wird nicht mit den Rechten eines anderen gezeigt: --as ist für Befehle"
            ))
            .advice(text!(
                "Leave --as out: whoever may use the console sees every view.",
                "Lassen Sie --as weg: Wer die Konsole benutzen darf, sieht jede Sicht."
            )));
        }
        let answer = self.client()?.ask(&Request::View(Sight {
            view: name.into(),
            arguments,
            as_of: self.as_of.clone(),
            whom: if self.form == output::Form::Json { For::Programs } else { For::People },
            language: self.language,
        }))?;
        serde_json::from_value(answer).map_err(failed("the server's answer makes no sense"))
    }
}

/// The whole command line.
pub fn command() -> Command {
    let global = |arg: Arg| arg.global(true).help_heading("Everywhere");
    let texts = Arg::new(TEXTS).long("language").value_parser(["de", "en"]).help("Of texts");
    let all = Command::new("switchbook")
        .version(env!("CARGO_PKG_VERSION"))
        .about("An event-sourced PBX: every change is an event in a durable book")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .arg(global(
            Arg::new("data")
                .long("data")
                .value_name("FOLDER")
                .value_parser(clap::value_parser!(PathBuf))
                .help("Folder of the book [default: SWITCHBOOK_DATA, or the system's place]"),
        ))
        .arg(global(
            Arg::new("json").long("json").action(ArgAction::SetTrue).help("Print for programs"),
        ))
        .arg(global(
            Arg::new("as").long("as").value_name("USER").help("With the rights of this user"),
        ))
        .arg(global(
            Arg::new("dry-run")
                .long("dry-run")
                .action(ArgAction::SetTrue)
                .help("Decide and show what would happen; write nothing"),
        ))
        .arg(global(
            Arg::new("command-id")
                .long("command-id")
                .value_name("UUID")
                .value_parser(clap::value_parser!(Uuid))
                .help("Of an earlier try (UUID version 7, of the last day): the same command is not carried out twice"),
        ))
        .arg(global(
            Arg::new("as-of")
                .long("as-of")
                .value_name("WHEN")
                .help("Views as of a position (#123) or a moment (2026-11-23T12:00:00Z)"),
        ))
        .subcommand(serve())
        .subcommand(demo())
        .subcommand(Command::new("status").about("Is the server running, and is all well?"))
        .subcommand(apply::command())
        .subcommand(route::command())
        .subcommand(audit::command())
        .subcommand(backup::command())
        .subcommands(verbs::nouns(&[nouns::COMMANDS, views::VIEWS], nouns::about))
        .mut_subcommand("person", |person| person.subcommand(audit::export()));
    everywhere(all, &texts.help_heading("Everywhere"))
}

fn serve() -> Command {
    Command::new("serve").about("Runs the exchange").args(listening()).args([
        Arg::new("config")
            .long("config")
            .value_name("FILE")
            .value_parser(clap::value_parser!(PathBuf))
            .help("TOML file with everything else"),
        Arg::new("realm").long("realm").value_name("NAME").help(
            "Digest realm and SIP domain of a new book, fixed for ever [default: switchbook]",
        ),
        Arg::new("time-zone")
            .long("time-zone")
            .value_name("ZONE")
            .help("System time zone of a new book [default: the machine's]"),
        Arg::new("erasures")
            .long("erasures")
            .value_name("FILE")
            .value_parser(clap::value_parser!(PathBuf))
            .help("List of erasures, kept apart from backups [default: beside the folder of the book]"),
        Arg::new("accept-lost-erasures").long("accept-lost-erasures").action(ArgAction::SetTrue).help(
            "Start although the list of erasures is lost: people erased since a backup may be readable again",
        ),
        Arg::new("accept-lost-vault").long("accept-lost-vault").action(ArgAction::SetTrue).help(
            "Start although the vault is lost: names and passwords in the book stay unreadable for ever",
        ),
    ])
}

fn demo() -> Command {
    Command::new("demo")
        .about("Shows the whole thread on a fresh book: phones, calls, a schedule, an explanation")
        .args(listening())
        .arg(
            Arg::new("folder")
                .value_name("FOLDER")
                .value_parser(clap::value_parser!(PathBuf))
                .help("For the fresh book; without: a temporary one, removed at the end"),
        )
        .arg(
            Arg::new("once")
                .long("once")
                .action(ArgAction::SetTrue)
                .help("End after the show instead of serving on"),
        )
}

fn listening() -> [Arg; 2] {
    [
        Arg::new("sip")
            .long("sip")
            .value_name("ADDRESS")
            .value_parser(clap::value_parser!(SocketAddr))
            .help("UDP address for phones [default: 0.0.0.0:5060]"),
        Arg::new("http")
            .long("http")
            .value_name("ADDRESS")
            .value_parser(clap::value_parser!(Http))
            .help("For /health and /metrics, or none [default: 127.0.0.1:8060]"),
    ]
}

/// Is it a program that asks? Known before the command line is, since that may be wrong.
pub fn wants_json() -> bool {
    std::env::args_os().any(|arg| arg == "--json")
}

/// A command line that makes no sense, for a program (exit code 2, as for people).
fn misused(error: &clap::Error) -> Failure {
    let english = error.render().to_string().trim_end().to_owned();
    let german = format!("Die Befehlszeile stimmt nicht: {english}");
    Failure::refused("USAGE", &english, None).texts(german, english.as_str())
}

/// Parses and carries out.
pub fn run() -> Result<(), Failure> {
    let matches = match command().try_get_matches() {
        Ok(matches) => matches,
        Err(error) if error.use_stderr() && wants_json() => return Err(misused(&error)),
        Err(error) => error.exit(),
    };
    let common = Common::of(&matches);
    carried_out(&common, &matches).map_err(|failure| failure.told_in(common.language))
}

fn carried_out(common: &Common, matches: &ArgMatches) -> Result<(), Failure> {
    match matches.subcommand() {
        Some(("serve", matches)) => crate::serve::run(common, matches),
        Some(("demo", matches)) => crate::demo::run(common, matches),
        Some(("status", _)) => {
            output::view(&common.view("status", serde_json::Map::new())?, common.form);
            Ok(())
        }
        Some(("apply", matches)) => apply::run(common, matches),
        Some(("route", matches)) => route::run(common, matches),
        Some(("audit", matches)) => audit::run(common, matches),
        Some(("backup", matches)) => backup::run(common, matches),
        Some(("person", matches)) if matches.subcommand_name() == Some("export") => {
            audit::run_export(common, matches)
        }
        Some((noun, matches)) => match matches.subcommand() {
            Some((verb, matches)) => noun_verb(common, noun, verb, matches),
            None => Err(Failure::new(format!("what about {noun}?"))),
        },
        None => Err(Failure::new("nothing to do")),
    }
}

fn noun_verb(common: &Common, noun: &str, verb: &str, matches: &ArgMatches) -> Result<(), Failure> {
    let named = |table: &'static [verbs::Verb]| {
        table.iter().find(|entry| entry.noun() == noun && entry.verb() == verb)
    };
    if let Some(entry) = named(views::VIEWS) {
        let arguments = entry.fields(matches, &mut ask)?;
        output::view(&common.view(entry.name, arguments)?, common.form);
        return Ok(());
    }
    let Some(entry) = named(nouns::COMMANDS) else {
        return Err(Failure::new(format!("there is no `{noun} {verb}`")));
    };
    let mut fields = entry.fields(matches, &mut ask)?;
    fields.insert("command".into(), entry.name.into());
    let answer = common.client()?.ask(&Request::Submit {
        id: Some(common.command_id),
        as_user: common.as_user.clone(),
        dry_run: common.dry_run,
        command: fields.into(),
        language: common.language,
    });
    let answer = answer.map_err(|failure| common.unknown(failure))?;
    show_answer(common, &answer);
    Ok(())
}

/// What was done: one line an event, warnings below.
fn show_answer(common: &Common, answer: &serde_json::Value) {
    if common.form == Form::Json {
        return output::json(answer);
    }
    let texts = |name: &str| {
        let all = answer.get(name).and_then(|list| list.as_array()).cloned().unwrap_or_default();
        all.into_iter().filter_map(|one| one.as_str().map(ToOwned::to_owned)).collect::<Vec<_>>()
    };
    let events = texts("events");
    if events.is_empty() {
        let told =
            text!("nothing to change: it is so already", "nichts zu ändern: es ist schon so");
        output::done(told.read(common.language.into()));
    }
    for event in events {
        if common.dry_run {
            let told = text!("would record  {event}", "würde aufzeichnen  {event}");
            output::line(told.read(common.language.into()));
        } else {
            output::done(&event);
        }
    }
    for warning in texts("warnings") {
        output::warning(&warning);
    }
}

/// Reads a secret: a line of standard input, or asked for on a terminal without showing it.
fn ask(what: &str) -> Result<String, Failure> {
    let input = std::io::stdin();
    if input.is_terminal() {
        return rpassword::prompt_password(format!("{what}: "))
            .map_err(failed("the terminal cannot be read"));
    }
    let mut line = String::new();
    input.lock().read_line(&mut line).map_err(failed("standard input cannot be read"))?;
    let secret = line.trim_end_matches(['\r', '\n']);
    if secret.is_empty() {
        let word = if what == "pin" { "PIN" } else { "Kennwort" };
        let told = text!("no {what} on standard input", "auf der Standardeingabe fehlt: {word}");
        return Err(Failure::new(told).advice(text!(
            "Pipe it in, or run the command on a terminal to be asked.",
            "Leiten Sie die Angabe dorthin, oder rufen Sie den Befehl an einem Terminal auf, um gefragt zu werden."
        )));
    }
    Ok(secret.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The language of texts and what the new user or the view got, of a command line.
    fn read(line: &str) -> (Language, serde_json::Map<String, serde_json::Value>) {
        let matches = command().try_get_matches_from(line.split(' ')).unwrap();
        let common = Common::of(&matches);
        let (noun, below) = matches.subcommand().unwrap();
        let (verb, below) = below.subcommand().unwrap();
        let mut tables = nouns::COMMANDS.iter().chain(views::VIEWS);
        let entry = tables.find(|entry| entry.noun() == noun && entry.verb() == verb).unwrap();
        (common.language, entry.fields(below, &mut |_| Ok(String::new())).unwrap())
    }

    #[test]
    fn the_language_of_texts_is_not_the_users() {
        for (line, texts, his) in [
            ("switchbook --language de user add x X", Language::German, None),
            ("switchbook --language en user add x X --language de", Language::English, Some("de")),
            ("switchbook --language de user language x", Language::German, None),
            (
                "switchbook --language de user language x --language en",
                Language::German,
                Some("en"),
            ),
            ("switchbook --language de user list", Language::German, None),
            ("switchbook user --language de list", Language::German, None),
            ("switchbook user list --language de", Language::German, None),
            ("switchbook --language en user list --language de", Language::German, None),
            ("switchbook user --language de add x X --language fr", Language::German, Some("fr")),
        ] {
            let (language, fields) = read(line);
            let found = fields.get("language").and_then(serde_json::Value::as_str);
            assert_eq!((language, found), (texts, his), "{line}");
        }
        let audit =
            command().get_matches_from("switchbook audit why exchange --language de".split(' '));
        assert_eq!(Common::of(&audit).language, Language::German);
    }

    /// `call list --open` shows calls in progress; `audit --open` opens personal fields.
    #[test]
    fn to_open_personal_fields_is_not_to_ask_for_open_calls() {
        let line = "switchbook audit --open as-of 5 call list";
        let matches = command().try_get_matches_from(line.split(' ')).unwrap();
        let question = audit::question(matches.subcommand_matches("audit").unwrap()).unwrap();
        let asked = serde_json::to_value(&question).unwrap();
        assert_eq!(asked["arguments"], serde_json::json!({}), "{asked}");
    }

    #[test]
    fn the_command_line_is_well_made() {
        command().debug_assert();
    }
}
