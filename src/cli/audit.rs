//! `switchbook audit`: the book read by an auditor who does not ask the suspect.
//!
//! Without `--open` the segments are read directly, read-only, whether the server runs or not, and personal fields stay
//! closed. With it, the running server answers, since each opening is recorded.

use super::output::{self, Form};
use super::verbs::{Verb, nouns};
use super::{Common, ask, cosign, evidence, verify, views};
use crate::audit::{Question, answer};
use crate::console::protocol::Request;
use crate::failure::{Failure, failed};
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::Value;
use switchbook_projections::snapshot::closed;
use switchbook_projections::text;
use switchbook_replay::SegmentBook;

/// Its subcommands.
pub fn command() -> Command {
    let place = |name: &'static str, help: &'static str| {
        Arg::new(name).required(true).value_name(name.to_uppercase()).help(help)
    };
    let text = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(name.to_uppercase()).help(help)
    };
    let flag = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
    };
    let all = Command::new("audit")
        .about("Reads the book: history, the past, explanations, evidence")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("history").about("The events of an object, an actor, a time, a kind").args([
                Arg::new("object").value_name("OBJECT").help(
                    "Like number:100, device:p1, user:ada (with --open), schedule:ID, call:ID; without: all",
                ),
                text("by", "Whose commands: system, console, user:ada, device:p1"),
                text("from", "A position or a moment"),
                text("to", "A position or a moment"),
                text("kind", "Names of events, like ScheduleFired").action(ArgAction::Append),
                text("after", "The next page: behind this position")
                    .value_parser(clap::value_parser!(u64)),
                text("limit", "At most so many [default: 200]")
                    .value_parser(clap::value_parser!(usize)),
                flag("newest", "Newest first"),
            ]),
        )
        .subcommand(
            Command::new("show")
                .about("One event in full")
                .arg(place("position", "Like #123").allow_hyphen_values(true)),
        )
        .subcommand(
            Command::new("as-of")
                .about("Any view as it was")
                .arg(place("when", "A position (#123) or a moment (2026-11-23T12:00:00Z)"))
                .subcommand_required(true)
                .subcommands(nouns(&[views::VIEWS], super::nouns::about)),
        )
        .subcommand(
            Command::new("diff")
                .about("What differs between two places in time, and who changed it")
                .args([place("one", "A position or a moment"), place("other", "Another")]),
        )
        .subcommand(
            Command::new("explain").about("Why a call went where it went").args([
                place("call", "Its id, the position of its CallPlaced (#123), or last"),
                flag("withhold-plan", "Compute from the book alone, without the stored plan"),
                text("without", "Leave this event out: what would have happened then?")
                    .action(ArgAction::Append),
            ]),
        )
        .subcommand(
            Command::new("why").about("Which event set a field of an object: by whom, on whose behalf, when").args([
                place("object", "Like number:100, device:p1, user:ada (with --open), exchange"),
                Arg::new("field").value_name("FIELD").help("Its name, or how it begins; without: all"),
                text("at", "As of a position or a moment"),
            ]),
        )
        .subcommand(
            Command::new("what-if").about("Tries commands on a past or present state; nothing is recorded").args([
                place("file", "One JSON object a line, as `apply` takes them; - for standard input"),
                text("at", "The state of a position or a moment [default: now]"),
            ]),
        )
        .subcommand(
            Command::new("story").about("One call as a story, in order")
                .arg(place("call", "Its id, the position of its CallPlaced (#123), or last")),
        )
        .subcommands(evidence::commands())
        .subcommand(verify::command())
        .subcommand(cosign::command());
    let open = Arg::new(OPEN).long("open").action(ArgAction::SetTrue);
    super::everywhere(
        all,
        &open.help("Open personal fields: the running server answers, and it is recorded"),
    )
}

/// The id of `--open` for personal fields: that of `call list` is another one, for calls in progress.
const OPEN: &str = "personal";

/// Was it given, before or after the verb?
fn opens(matches: &ArgMatches) -> bool {
    let here = matches.try_get_one::<bool>(OPEN).ok().flatten().copied().unwrap_or_default();
    here || matches.subcommand().is_some_and(|(_, below)| opens(below))
}

/// Asks, and prints the answer.
pub fn run(common: &Common, matches: &ArgMatches) -> Result<(), Failure> {
    if let Some((verb, matches)) = matches.subcommand()
        && evidence::VERBS.contains(&verb)
    {
        return evidence::run(common, verb, matches);
    }
    if let Some(("verify", matches)) = matches.subcommand() {
        return verify::run(common, matches);
    }
    if let Some(("cosign", matches)) = matches.subcommand() {
        return cosign::run(common, matches);
    }
    let question = question(matches)?;
    let open = opens(matches);
    let value = if open {
        common.client()?.ask(&Request::Audit {
            question,
            as_user: common.as_user.clone(),
            language: common.language,
        })?
    } else {
        from_segments(common, &question)?
    };
    print(common, &value, open)
}

/// `person export`: reading about a person is an auditor's question, and is recorded with the person.
pub fn export() -> Command {
    Command::new("export")
        .about("Everything the book says about one person; needs audit.personal, and is recorded")
        .arg(
            Arg::new("user")
                .required(true)
                .value_name("USER")
                .help("Log-in name, also of a deleted user, or id"),
        )
}

/// Asks the server for it.
pub fn run_export(common: &Common, matches: &ArgMatches) -> Result<(), Failure> {
    let user = matches.subcommand_matches("export").and_then(|m| m.get_one::<String>("user"));
    let user = user.cloned().ok_or_else(|| Failure::new("whose?"))?;
    let (question, as_user) = (Question::Export { user }, common.as_user.clone());
    let value =
        common.client()?.ask(&Request::Audit { question, as_user, language: common.language })?;
    print(common, &value, true)
}

fn from_segments(common: &Common, question: &Question) -> Result<Value, Failure> {
    let book = SegmentBook::open(&common.data, None).map_err(|error| {
        let folder = common.data.display();
        Failure::new(text!(
            "the book in {folder} cannot be read: {error}",
            "das Buch in {folder} ist nicht lesbar: {error}"
        ))
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.map_err(failed("the reader cannot be started"))?;
    let answered = runtime.block_on(answer(&book, &closed(), question, common.language));
    answered.map_err(Failure::closed)
}

fn print(common: &Common, value: &Value, open: bool) -> Result<(), Failure> {
    // Nothing was opened, so nothing says whether it was erased or is only sealed: neither to people nor to programs.
    let text = value.to_string();
    let closed = !open && text.contains("[erased]");
    let shown = if closed { text.replace("[erased]", "[sealed]") } else { text };
    let shown: Value = serde_json::from_str(&shown).map_err(failed("the answer makes no sense"))?;
    if common.form == Form::Json {
        output::json(shown.get("data").unwrap_or(&shown));
        return Ok(());
    }
    output::answer(&shown)?;
    if closed {
        let told = text!(
            "what is [sealed] the running server shows with --open, and records it",
            "was [sealed] ist, zeigt der laufende Server mit --open, und zeichnet es auf"
        );
        output::warning(told.read(common.language.into()));
    }
    Ok(())
}

pub(super) fn question(matches: &ArgMatches) -> Result<Question, Failure> {
    let Some((verb, matches)) = matches.subcommand() else {
        return Err(Failure::new("what about the book?"));
    };
    let text = |name: &str| matches.get_one::<String>(name).cloned();
    let needed = |name: &str| text(name).unwrap_or_default();
    Ok(match verb {
        "history" => Question::History {
            object: text("object"),
            by: text("by"),
            from: text("from"),
            to: text("to"),
            kinds: matches.get_many::<String>("kind").into_iter().flatten().cloned().collect(),
            after: matches.get_one::<u64>("after").copied().unwrap_or(0),
            newest: matches.get_flag("newest"),
            limit: matches.get_one::<usize>("limit").copied().unwrap_or(200),
        },
        "show" => Question::Show { position: position(&needed("position"))? },
        "why" => Question::Why { object: needed("object"), field: text("field"), when: text("at") },
        "what-if" => Question::WhatIf { commands: commands(&needed("file"))?, when: text("at") },
        "story" => Question::Story { call: needed("call") },
        "diff" => Question::Diff { one: needed("one"), other: needed("other") },
        "explain" => {
            let without = matches.get_many::<String>("without").into_iter().flatten();
            Question::Explain {
                call: needed("call"),
                withhold_plan: matches.get_flag("withhold-plan"),
                without: without.map(|text| position(text)).collect::<Result<_, _>>()?,
            }
        }
        _ => as_of(needed("when"), matches)?,
    })
}

/// The commands of a file, one a line; empty lines and comments are passed over, as `apply` does.
fn commands(path: &str) -> Result<Vec<Value>, Failure> {
    let text = super::apply::read(&path.into())?;
    let lines = text.lines().enumerate();
    let lines = lines.filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    let read = |(number, line): (usize, &str)| {
        let wrong = |error| Failure::new(format!("line {} of {path}: {error}", number + 1));
        serde_json::from_str(line).map_err(wrong)
    };
    lines.map(read).collect()
}

fn as_of(when: String, matches: &ArgMatches) -> Result<Question, Failure> {
    let Some((noun, matches)) = matches.subcommand() else {
        return Err(Failure::new("which view?"));
    };
    let Some((verb, matches)) = matches.subcommand() else {
        return Err(Failure::new(format!("which view of {noun}?")));
    };
    let is_it = |view: &&Verb| view.noun() == noun && view.verb() == verb;
    let view = views::VIEWS.iter().find(is_it);
    let view = view.ok_or_else(|| Failure::new(format!("there is no view `{noun} {verb}`")))?;
    let arguments = view.fields(matches, &mut ask)?;
    Ok(Question::AsOf { when, view: view.name.into(), arguments })
}

pub(super) fn position(text: &str) -> Result<u64, Failure> {
    text.strip_prefix('#').unwrap_or(text).parse().map_err(|_| {
        Failure::new(text!("`{text}` is no position", "`{text}` ist keine Position"))
            .advice(text!("Write it like #123.", "Schreiben Sie sie wie #123."))
    })
}
