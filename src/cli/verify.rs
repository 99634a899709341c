//! `switchbook audit verify`: the whole book with everything made from it, in this process; a running server is asked for
//! its index alone, which nobody else can open meanwhile.

use super::Common;
use super::evidence::bar;
use super::interrupt::Interrupt;
use super::output::{self, Form};
use crate::console::protocol::Request;
use crate::failure::{Failure, failed};
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::Value;
use std::path::{Path, PathBuf};
use switchbook_core::position::Position;
use switchbook_journal::files::read_text;
use switchbook_journal::note::{KeyKind, SignedNote, Verifier};
use switchbook_journal::{Compared, Damage, SegmentReader};
use switchbook_projections::text;
use switchbook_projections::text::Text;
use switchbook_replay::verify::{Check, Index, NotVerified, verify};

/// The subcommand.
pub fn command() -> Command {
    Command::new("verify")
        .about("Reads the whole book again, recomputes everything made from it, and names the first wrong byte")
        .arg(
            Arg::new("checkpoint")
                .long("checkpoint")
                .value_name("FILE")
                .action(ArgAction::Append)
                .value_parser(clap::value_parser!(PathBuf))
                .help("A checkpoint held outside, or a list of them; without one an end that was removed cannot be seen"),
        )
        .arg(
            Arg::new("key").long("key").value_name("KEY").action(ArgAction::Append).help(
                "Public key that those are signed with, held outside too; without: the one in the book",
            ),
        )
}

/// Verifies; what does not hold is exit code 1.
pub fn run(common: &Common, matches: &ArgMatches) -> Result<(), Failure> {
    let mut outside = Vec::new();
    for path in matches.get_many::<PathBuf>("checkpoint").into_iter().flatten() {
        outside.extend(notes(path)?.into_iter().map(|note| (path.display().to_string(), note)));
    }
    let keys = keys(matches)?;
    let tail = SegmentReader::open(&common.data).map_or(0, |reader| reader.tail().0);
    let scratch = std::env::temp_dir().join(format!("switchbook-verify-{}", uuid::Uuid::now_v7()));
    let index = match common.client() {
        Ok(mut client) => served(&client.ask(&Request::CompareIndex)?)?,
        Err(_) => Index::Copied(scratch),
    };
    let check = Check { folder: common.data.clone(), outside, keys, index };
    let (interrupt, bar) = (Interrupt::listen(), bar(tail, "records"));
    let verified = verify(check, &mut |read| {
        bar.set_position(read);
        interrupt.goes_on()
    });
    bar.finish_and_clear();
    let verified = verified.map_err(|error| match error {
        NotVerified::Stopped => Failure::new(error.text()),
        error => {
            let Text { en, de } = error.text();
            Failure::new(text!(
                "the book cannot be verified: {en}",
                "das Buch lässt sich nicht prüfen: {de}"
            ))
        }
    })?;
    if common.form == Form::Json {
        output::json(&serde_json::to_value(&verified).map_err(failed("the answer"))?);
    } else {
        verified.lines(common.language.into()).iter().for_each(|line| output::line(line));
    }
    if verified.holds() {
        return Ok(());
    }
    Err(Failure::new(text!("the book does not hold", "das Buch gilt nicht")))
}

/// The keys that checkpoints are signed with, as they were given. A witness's key signs no book.
pub fn keys(matches: &ArgMatches) -> Result<Vec<Verifier>, Failure> {
    let keys = matches.get_many::<String>("key").into_iter().flatten();
    keys.map(|text| {
        let key: Verifier = text.parse().map_err(failed("the key cannot be read"))?;
        match key.kind() {
            KeyKind::Log => Ok(key),
            KeyKind::Witness => {
                let name = key.name();
                let witness =
                    text!("{name} is a witness's key", "{name} ist der Schlüssel eines Zeugen");
                Err(Failure::new(witness).advice(text!(
                    "--key wants the key of the book, as `switchbook audit key` prints it.",
                    "--key will den Schlüssel des Buchs, wie `switchbook audit key` ihn ausgibt."
                )))
            }
        }
    })
    .collect()
}

/// One checkpoint, or a list of them as seals are appended to. Nothing else is taken, and nothing is not a list: what is no
/// checkpoint must not be judged as a false one.
pub fn notes(path: &Path) -> Result<Vec<SignedNote>, Failure> {
    let file = path.display();
    let text = read_text(path).map_err(|error| {
        Failure::new(text!(
            "the checkpoint {file} cannot be read: {error}",
            "der Prüfpunkt {file} ist nicht lesbar: {error}"
        ))
    })?;
    let none = |error| {
        Failure::new(text!(
            "{file} is no list of checkpoints: {error}",
            "{file} ist keine Liste von Prüfpunkten: {error}"
        ))
        .advice(text!(
            "It is a file as `switchbook audit seal` prints it, signature lines included, or many of them.",
            "Es ist eine Datei, wie `switchbook audit seal` sie ausgibt, mit den Zeilen der Signaturen, oder viele davon."
        ))
    };
    let notes = SignedNote::list(&text).map_err(none)?;
    notes.iter().try_for_each(|note| note.checkpoint().map(drop)).map_err(none)?;
    if notes.is_empty() {
        let empty = text!(
            "the list of checkpoints {file} is empty",
            "die Liste der Prüfpunkte {file} ist leer"
        );
        return Err(Failure::new(empty).advice(text!(
            "Name a checkpoint, or a list of them: nothing was done.",
            "Nennen Sie einen Prüfpunkt oder eine Liste davon: Nichts wurde getan."
        )));
    }
    Ok(notes)
}

/// What the server found when it compared its index.
fn served(answer: &Value) -> Result<Index, Failure> {
    let broken = || Failure::new("the server's answer makes no sense");
    let position = |value: &Value| value.as_u64().map(Position);
    let text = |value: &Value| value.as_str().map(ToOwned::to_owned);
    let compared = match &answer["compared"] {
        Value::Null => None,
        compared => {
            let differs = match &compared["differs"] {
                Value::Null => None,
                differs => Some(Damage {
                    file: "index".into(),
                    offset: 0,
                    position: position(&differs["position"]).ok_or_else(broken)?,
                    what: text(&differs["what"]).ok_or_else(broken)?,
                }),
            };
            let upto = position(&compared["upto"]).ok_or_else(broken)?;
            Some(Compared { upto, differs })
        }
    };
    Ok(Index::Served(compared))
}
