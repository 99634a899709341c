//! `switchbook audit seal`, `key`, `prove`, `bundle`: evidence for somebody who trusts neither the server nor this program.

use super::Common;
use super::interrupt::Interrupt;
use super::output::{self, Form};
use crate::console::protocol::Request;
use crate::failure::{Failure, failed};
use clap::{Arg, ArgAction, ArgMatches, Command};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use switchbook_commands::desk::{Clock, SystemClock};
use switchbook_core::envelope::Subject;
use switchbook_core::position::Position;
use switchbook_journal::SegmentReader;
use switchbook_journal::backup::{outside, put_in_place};
use switchbook_journal::files::read_text;
use switchbook_journal::note::SignedNote;
use switchbook_projections::fold;
use switchbook_projections::snapshot::closed;
use switchbook_projections::text;
use switchbook_projections::text::counted;
use switchbook_replay::SegmentBook;
use switchbook_replay::evidence::bundle::{self, Bundled};
use switchbook_replay::evidence::prove::Prover;
use switchbook_replay::evidence::{EvidenceError, What, sealed};

/// Their names, and what they do.
pub const VERBS: [&str; 5] = ["seal", "rotate-key", "key", "prove", "bundle"];

fn file(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).value_name("FILE").value_parser(clap::value_parser!(PathBuf)).help(help)
}

fn checkpoints() -> Arg {
    file("checkpoint", "A checkpoint held outside (repeat for more)")
        .long("checkpoint")
        .action(ArgAction::Append)
}

/// The subcommands.
pub fn commands() -> Vec<Command> {
    vec![
        Command::new("seal")
            .about("Seals the book up to now: prints a signed checkpoint, which belongs outside this machine"),
        Command::new("rotate-key").about(
            "Seals the book, and hands over to a new key: the old one signs that, and is destroyed",
        ),
        Command::new("key").about("The public key of the book's seals"),
        Command::new("prove")
            .about("Proves an event, or that one checkpoint continues another")
            .subcommand_required(true)
            .arg_required_else_help(true)
            .subcommand(
                Command::new("event")
                    .about("That an event stands in the sealed book")
                    .arg(Arg::new("position").required(true).value_name("POSITION").help("Like #123"))
                    .arg(file("checkpoint", "Against this checkpoint; without: the newest in the book").long("checkpoint")),
            )
            .subcommand(
                Command::new("consistency")
                    .about("That the book of the older checkpoint is the beginning of the newer one's")
                    .arg(file("older", "The older checkpoint").required(true))
                    .arg(file("newer", "The newer one; without: the newest in the book")),
            ),
        Command::new("bundle")
            .about("Writes records with their proofs into one file that `switchbook-verify` checks anywhere")
            .arg(file("out", "The file to write").required(true))
            .arg(
                Arg::new("object").long("object").value_name("OBJECT").help(
                    "Every record about it: number:100, device:p1, user:ID, call:ID, exchange",
                ),
            )
            .arg(Arg::new("from").long("from").value_name("POSITION").help("Every record from here on [default: #1]"))
            .arg(Arg::new("to").long("to").value_name("POSITION").help("Up to here [default: as far as the newest seal goes]"))
            .arg(checkpoints()),
    ]
}

/// Carries one out.
pub fn run(common: &Common, verb: &str, matches: &ArgMatches) -> Result<(), Failure> {
    match verb {
        "seal" => seal(common, false),
        "rotate-key" => seal(common, true),
        "key" => key(common),
        "prove" => prove(common, matches),
        _ => make_bundle(common, matches),
    }
}

pub(super) fn told(error: &EvidenceError) -> Failure {
    Failure::new(error.text())
}

pub(super) fn reader(common: &Common) -> Result<SegmentReader, Failure> {
    SegmentReader::open(&common.data).map_err(|error| {
        let folder = common.data.display();
        Failure::new(text!(
            "the book in {folder} cannot be read: {error}",
            "das Buch in {folder} ist nicht lesbar: {error}"
        ))
    })
}

pub(super) fn note(path: &Path) -> Result<SignedNote, Failure> {
    let file = path.display();
    let text = read_text(path).map_err(|error| {
        Failure::new(text!(
            "the checkpoint {file} cannot be read: {error}",
            "der Prüfpunkt {file} ist nicht lesbar: {error}"
        ))
    })?;
    let none = |error| {
        let told = text!("{file} is no checkpoint: {error}", "{file} ist kein Prüfpunkt: {error}");
        Failure::new(told).advice(text!(
            "It is a file as `switchbook audit seal` prints it, signature lines included.",
            "Es ist eine Datei, wie `switchbook audit seal` sie ausgibt, mit den Zeilen der Signaturen."
        ))
    };
    // One note can hold another in its text: whoever reads a list as one note proves something nobody signed.
    let mut notes = SignedNote::list(&text).map_err(none)?;
    match (notes.pop(), notes.len()) {
        (Some(note), 0) => note.checkpoint().map(|_| note).map_err(none),
        (_, more) => {
            let many = if more == 0 { 0 } else { more + 1 };
            let told = text!(
                "{file} holds {many} checkpoints, and one is wanted here",
                "{file} enthält {many} Prüfpunkte, und hier wird einer gebraucht"
            );
            Err(Failure::new(told))
        }
    }
}

/// A bar on a terminal while many records are read; nothing in a pipe.
pub(super) fn bar(of: u64, what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(of);
    let form = format!("{{bar:40}} {{pos}}/{{len}} {what}  {{elapsed}}");
    if let Ok(style) = ProgressStyle::with_template(&form) {
        bar.set_style(style);
    }
    bar
}

fn seal(common: &Common, new_key: bool) -> Result<(), Failure> {
    if common.dry_run {
        return Err(Failure::new(text!(
            "a seal cannot be tried: it is made or not",
            "ein Siegel lässt sich nicht versuchen: Es entsteht oder nicht"
        )));
    }
    let (as_user, language) = (common.as_user.clone(), common.language);
    let request = Request::Seal { new_key, as_user, language };
    let answer = common.client()?.ask(&request)?;
    if common.form == Form::Json {
        output::json(&answer);
        return Ok(());
    }
    let text = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default();
    let number = |name: &str| answer.get(name).and_then(Value::as_u64).unwrap_or_default();
    let (at, size, key) = (Position(number("position")), number("size"), text("key"));
    let line = if size == 1 {
        text!("{at} seals the record before it", "{at} versiegelt den Eintrag davor")
    } else {
        text!("{at} seals the first {size} records", "{at} versiegelt die ersten {size} Einträge")
    };
    output::remark(line.read(common.language.into()));
    let line = text!(
        "Keep this checkpoint outside this machine; the public key is {key}",
        "Bewahren Sie diesen Prüfpunkt außerhalb dieses Rechners auf; der öffentliche Schlüssel ist {key}"
    );
    output::remark(line.read(common.language.into()));
    text("checkpoint").lines().for_each(output::line);
    Ok(())
}

fn key(common: &Common) -> Result<(), Failure> {
    let reader = reader(common)?;
    let sealed = sealed(&reader, Position(u64::MAX)).map_err(|error| told(&error))?;
    if common.form == Form::Json {
        output::json(&json!({ "key": sealed.key.to_string(), "sealed": sealed.checkpoint.size }));
    } else {
        output::line(&sealed.key.to_string());
    }
    Ok(())
}

fn prove(common: &Common, matches: &ArgMatches) -> Result<(), Failure> {
    let Some((what, matches)) = matches.subcommand() else {
        return Err(Failure::new("prove what?"));
    };
    let given = |name: &str| matches.get_one::<PathBuf>(name).map(|path| note(path)).transpose();
    let reader = reader(common)?;
    let bar = bar(reader.tail().0, "records");
    let prover = Prover::open(&reader, &common.data, &mut |read| {
        bar.set_position(read);
        true
    });
    bar.finish_and_clear();
    let mut prover = prover.map_err(|error| told(&error))?;
    let proof = if what == "event" {
        let text = matches.get_one::<String>("position").cloned().unwrap_or_default();
        prover.inclusion(Position(super::audit::position(&text)?), given("checkpoint")?.as_ref())
    } else {
        let older = given("older")?.ok_or_else(|| Failure::new("which checkpoints?"))?;
        let newer = given("newer")?.unwrap_or_else(|| prover.sealed.note.clone());
        prover.consistency(&older, &newer)
    };
    let proof = proof.map_err(|error| told(&error))?;
    if common.form == Form::Json {
        let broken = failed("the proof cannot be written");
        output::json(&serde_json::to_value(&proof).map_err(broken)?);
        return Ok(());
    }
    proof.lines(common.language.into()).iter().for_each(|line| output::line(line));
    Ok(())
}

/// Writes a bundle of the first records of a folder's book, up to the last that is sealed.
pub fn write_bundle(data: &Path, out: &Path, last: u64) -> Result<u64, Failure> {
    let reader = SegmentReader::open(data).map_err(failed("the book cannot be read"))?;
    let mut prover = Prover::open(&reader, data, &mut |_| true).map_err(|error| told(&error))?;
    let what = What::Span(Position(1), Position(last));
    is_new(data, out)?;
    write(&mut prover, &reader, what, Vec::new(), out, &mut |_| true).map(|done| done.records)
}

/// A bundle overwrites nothing, and nothing is put into the book's own folder.
fn is_new(data: &Path, out: &Path) -> Result<(), Failure> {
    outside(data, out).map_err(|error| Failure::new(error.to_string()))?;
    if out.symlink_metadata().is_ok() {
        let file = out.display();
        let there = text!("{file} is there already", "{file} gibt es bereits");
        return Err(Failure::new(there).advice(text!(
            "A bundle never overwrites anything: choose another name, or remove it first.",
            "Ein Bündel überschreibt nichts: Wählen Sie einen anderen Namen, oder entfernen Sie die Datei zuerst."
        )));
    }
    Ok(())
}

/// Beside its place first: a bundle that broke off never stands under the name.
fn write(
    prover: &mut Prover<'_>,
    reader: &SegmentReader,
    what: What,
    outside: Vec<SignedNote>,
    out: &Path,
    heard: &mut dyn FnMut(u64) -> bool,
) -> Result<Bundled, Failure> {
    let unwritten = format!("{} cannot be written", out.display());
    // A name that nobody else has: two that are made at once do not meet.
    let mut fresh = out.as_os_str().to_owned();
    fresh.push(format!(".{}.part", uuid::Uuid::now_v7()));
    let fresh = PathBuf::from(fresh);
    let mut to = BufWriter::new(std::fs::File::create_new(&fresh).map_err(failed(&unwritten))?);
    let made = SystemClock.now();
    let done = bundle::bundle(prover, reader, what, outside, made, &mut to, heard);
    let done = done.map_err(|error| told(&error)).and_then(|done| {
        to.flush().and_then(|()| to.get_ref().sync_all()).map_err(failed(&unwritten))?;
        put_in_place(&fresh, out).map_err(failed(&unwritten))?;
        Ok(done)
    });
    done.inspect_err(|_| drop(std::fs::remove_file(&fresh)))
}

fn make_bundle(common: &Common, matches: &ArgMatches) -> Result<(), Failure> {
    let Some(out) = matches.get_one::<PathBuf>("out") else {
        return Err(Failure::new("into which file?"));
    };
    if common.dry_run {
        return Err(Failure::new(text!(
            "a bundle changes nothing: there is no dry run of it",
            "ein Bündel ändert nichts: Es gibt keinen Probelauf davon"
        )));
    }
    is_new(&common.data, out)?;
    let paths = matches.get_many::<PathBuf>("checkpoint").into_iter().flatten();
    let outside = paths.map(|path| super::verify::notes(path)).collect::<Result<Vec<_>, _>>()?;
    let outside = outside.concat();
    let reader = reader(common)?;
    let (bar, interrupt) = (bar(reader.tail().0, "records"), Interrupt::listen());
    let mut heard = |done| {
        bar.set_position(done);
        interrupt.goes_on()
    };
    let made = Prover::open(&reader, &common.data, &mut heard).map_err(|error| told(&error));
    let made = made.and_then(|mut prover| {
        // What is held outside seals it when it was given: that need not go as far as the book's own newest seal.
        let sizes = outside.iter().filter_map(|note| note.checkpoint().ok()).map(|one| one.size);
        let sealed = sizes.max().unwrap_or(prover.sealed.checkpoint.size);
        let what = what(common, matches, sealed)?;
        let done = write(&mut prover, &reader, what, outside, out, &mut heard)?;
        Ok((done, prover.sealed.key.to_string()))
    });
    bar.finish_and_clear();
    if !interrupt.goes_on() && made.is_err() {
        return Err(Failure::new(text!(
            "it was stopped before the end: no bundle was made",
            "es wurde vor dem Ende abgebrochen: Es entstand kein Bündel"
        )));
    }
    let (done, key) = made?;
    if common.form == Form::Json {
        output::json(&json!({ "records": done.records, "sealed": done.sealed, "key": key }));
        return Ok(());
    }
    let path = out.display();
    let records =
        counted(done.records, "record with its proof is", "records with their proofs are");
    let stehen = counted(
        done.records,
        "Eintrag steht mit seinem Beweis",
        "Einträge stehen mit ihren Beweisen",
    );
    let line = text!("{records} in {path}", "{stehen} in {path}");
    output::done(line.read(common.language.into()));
    let line = text!(
        "Anybody checks it with: switchbook-verify bundle {path} --key {key}",
        "Jeder prüft das Bündel mit: switchbook-verify bundle {path} --key {key}"
    );
    output::line(line.read(common.language.into()));
    Ok(())
}

fn what(common: &Common, matches: &ArgMatches, sealed: u64) -> Result<What, Failure> {
    let place = |name: &str| {
        let text = matches.get_one::<String>(name);
        text.map(|text| super::audit::position(text).map(Position)).transpose()
    };
    let (from, to) = (place("from")?, place("to")?);
    let Some(object) = matches.get_one::<String>("object") else {
        let (from, to) = (from.unwrap_or(Position(1)), to.unwrap_or(Position(sealed)));
        if from > to {
            return Err(Failure::new(text!(
                "there is nothing from {from} to {to}",
                "von {from} bis {to} gibt es nichts"
            )));
        }
        return Ok(What::Span(from, to));
    };
    if from.is_some() || to.is_some() {
        return Err(Failure::new(text!(
            "--object and --from or --to ask for different things: name one",
            "--object und --from oder --to fragen nach Verschiedenem: Nennen Sie eines"
        )));
    }
    subject(common, object).map(What::Subject)
}

/// What is named plainly needs no reading of the book.
fn subject(common: &Common, object: &str) -> Result<Subject, Failure> {
    let plain = |kind: &str| object.strip_prefix(kind).and_then(|id| id.strip_prefix(':'));
    if let Some(id) = plain("user").and_then(|id| id.parse().ok()) {
        return Ok(Subject::User(id));
    }
    if let Some(number) = plain("number").and_then(|digits| digits.parse().ok()) {
        return Ok(Subject::Number(number));
    }
    let book = SegmentBook::open(&common.data, None).map_err(failed("the book cannot be read"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.map_err(failed("the reader cannot be started"))?;
    let names = runtime.block_on(fold::names_at(&book, Position(u64::MAX), &closed()));
    let names = names.map_err(failed("the book cannot be read"))?;
    names.find(object).map_err(|error| Failure::new(error.text()).closed())
}
