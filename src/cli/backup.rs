//! `switchbook backup create|check|restore`: copies of the whole book, and the way back (X-10, B-1).

use super::Common;
use super::output::{self, Form};
use crate::console::client::Client;
use crate::console::protocol::Request;
use crate::console::socket_of;
use crate::failure::{Failure, failed};
use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Command};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use switchbook_commands::desk::{Clock, SystemClock};
use switchbook_journal::backup::{Erased, Manifest, check, manifest, read_erasures, restore_if};
use switchbook_journal::note::{SignedNote, Verifier};
use switchbook_journal::{Book, Options};
use switchbook_projections::text;
use switchbook_projections::text::{Text, counted, either};
use switchbook_replay::evidence::held::{Held, held};

/// Its subcommands.
pub fn command() -> Command {
    let place = |name: &'static str, help: &'static str| {
        Arg::new(name)
            .required(true)
            .value_name(name.to_uppercase())
            .value_parser(clap::value_parser!(PathBuf))
            .help(help)
    };
    Command::new("backup")
        .about("Copies of the whole book, keys and secrets included, and the way back")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("create")
                .about("A consistent copy, while the server runs or not")
                .arg(place("to", "A folder that is empty or not there, or a file whose name ends with .tar")),
        )
        .subcommand(
            Command::new("check")
                .about("Is a backup whole, and as it was made?")
                .arg(place("from", "The backup")),
        )
        .subcommand(
            Command::new("restore")
                .about("Puts a backup into the empty folder named with --data")
                .arg(place("from", "The backup, or a restore point"))
                .arg(
                    Arg::new("erasures")
                        .long("erasures")
                        .value_name("FILE")
                        .value_parser(clap::value_parser!(PathBuf))
                        .help("The list of erasures that is kept outside the backups: they are applied again"),
                )
                .arg(
                    Arg::new("no-erasures")
                        .long("no-erasures")
                        .action(ArgAction::SetTrue)
                        .help("Nobody was erased since the backup was made"),
                )
                .arg(
                    Arg::new("checkpoint")
                        .long("checkpoint")
                        .value_name("FILE")
                        .action(ArgAction::Append)
                        .requires("key")
                        .value_parser(clap::value_parser!(PathBuf))
                        .help("A checkpoint held outside, or a list of them: the restored book must begin with what it seals"),
                )
                .arg(
                    Arg::new("key")
                        .long("key")
                        .value_name("KEY")
                        .action(ArgAction::Append)
                        .requires("checkpoint")
                        .help("Public key that those are signed with, held outside too"),
                )
                .group(ArgGroup::new("erased").args(["erasures", "no-erasures"])),
        )
}

/// Carries out what was asked.
pub fn run(common: &Common, matches: &ArgMatches) -> Result<(), Failure> {
    let path = |matches: &ArgMatches, name| {
        matches.get_one::<PathBuf>(name).cloned().ok_or_else(|| Failure::new("which backup?"))
    };
    match matches.subcommand() {
        Some(("create", matches)) => create(common, &path(matches, "to")?),
        Some(("check", matches)) => {
            let manifest = check(&path(matches, "from")?).map_err(told)?;
            let told = text!("whole, every hash is right", "ganz, jeder Hashwert stimmt");
            tell(common, &told, &summary(&manifest));
            Ok(())
        }
        Some(("restore", matches)) => bring_back(common, matches, &path(matches, "from")?),
        _ => Err(Failure::new("what about backups?")),
    }
}

fn told(error: impl std::fmt::Display) -> Failure {
    Failure::new(error.to_string())
}

fn create(common: &Common, to: &Path) -> Result<(), Failure> {
    let to = std::path::absolute(to).map_err(failed("the backup's place cannot be told"))?;
    if common.dry_run {
        return Err(Failure::new(text!(
            "a backup changes nothing: there is no dry run of it",
            "eine Sicherung ändert nichts: Es gibt keinen Probelauf"
        )));
    }
    let made = match Client::connect(&socket_of(&common.data)) {
        Ok(mut client) => client.ask(&Request::Backup {
            to: to.clone(),
            as_user: common.as_user.clone(),
            language: common.language,
        })?,
        // Nobody serves it: whoever may open the folder may copy it.
        Err(_) if common.data.join("segments").is_dir() => unserved(&common.data, &to)?,
        Err(failure) => return Err(failure),
    };
    let place = to.display();
    let told = text!("the backup {place} is whole", "die Sicherung {place} ist ganz");
    tell(common, &told, &made);
    Ok(())
}

fn unserved(data: &Path, to: &Path) -> Result<Value, Failure> {
    let options = Options { index: false, ..Options::default() };
    let opened = Book::open(data, options)
        .map_err(|error| Failure::new(format!("the book cannot be opened: {error}")))?;
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.map_err(failed("the backup cannot be started"))?;
    let made = runtime.block_on(opened.store.back_up(to, SystemClock.now()));
    made.map(|manifest| summary(&manifest)).map_err(told)
}

fn bring_back(common: &Common, matches: &ArgMatches, from: &Path) -> Result<(), Failure> {
    let erased = erased(matches, from)?;
    // What was given must be readable, and say something, before anything is written.
    let outside = checkpoints(matches)?;
    let mut stands = None;
    let restored = restore_if(from, &common.data, &erased, &mut |reader| {
        let Some((notes, keys)) = &outside else { return Ok(()) };
        let found = held(reader, notes.clone(), keys.clone());
        stands = Some(found.map_err(|error| {
            format!("what was restored does not stand up to the checkpoints: {error}")
        })?);
        Ok(())
    });
    let (restored, held) = (restored.map_err(told)?, stands);
    let mut shown = summary(&restored.manifest);
    shown["erased_again"] = restored.erased_again.into();
    shown["sealed"] = held.map(|held| held.sealed).into();
    shown["newest_checkpoint"] = held.map(|held| held.newest).into();
    let place = common.data.display();
    let told = text!("restored into {place}", "wiederhergestellt in {place}");
    tell(common, &told, &shown);
    if common.form == Form::Json {
        return Ok(());
    }
    let language = common.language.into();
    if restored.erased_again > 0 {
        let again = restored.erased_again;
        let en = counted(again, "erased key was destroyed", "erased keys were destroyed");
        let de = counted(again, "gelöschter Schlüssel wurde", "gelöschte Schlüssel wurden");
        output::done(text!("{en} again", "{de} wieder vernichtet").read(language));
    }
    match held {
        Some(Held { sealed, newest }) => {
            let told = if sealed == 1 {
                text!(
                    "its first record is the one that was sealed",
                    "sein erster Eintrag ist der versiegelte"
                )
            } else {
                text!(
                    "its first {sealed} records are those that were sealed",
                    "seine ersten {sealed} Einträge sind die versiegelten"
                )
            };
            output::done(told.read(language));
            let missing = newest.saturating_sub(restored.manifest.position.0);
            if missing > 0 {
                let (last, letzten) = match missing {
                    1 => ("the last of them is".to_owned(), "der letzte davon fehlt".to_owned()),
                    _ => (
                        format!("the last {missing} of them are"),
                        format!("die letzten {missing} davon fehlen"),
                    ),
                };
                let told = text!(
                    "The newest checkpoint seals {newest} records: the backup is older, and {last} not in it.",
                    "Der neueste Prüfpunkt versiegelt {newest} Einträge: Die Sicherung ist älter, und {letzten} darin."
                );
                output::line(told.read(language));
            }
        }
        None => output::line(either(
            language,
            "No checkpoint was given (--checkpoint FILE --key KEY): the backup is whole as it was made, but who made it, and whether it was changed before, is not shown.",
            "Es wurde kein Prüfpunkt angegeben (--checkpoint DATEI --key SCHLÜSSEL): Die Sicherung ist ganz, wie sie entstand; wer sie gemacht hat, und ob sie vorher geändert wurde, zeigt sich nicht.",
        )),
    }
    Ok(())
}

fn erased(matches: &ArgMatches, from: &Path) -> Result<Erased, Failure> {
    match matches.get_one::<PathBuf>("erasures") {
        Some(list) => {
            let text = switchbook_journal::files::read_text(list).map_err(|error| {
                Failure::new(format!("the list {} cannot be read: {error}", list.display()))
            })?;
            let book = manifest(from).map_err(told)?.book;
            Ok(Erased::Keys(read_erasures(&text, book).map_err(told)?))
        }
        None if matches.get_flag("no-erasures") => Ok(Erased::Nothing),
        None => Err(Failure::new(
            "whoever was erased after the backup was made would be readable again",
        )
        .advice("Name the list of erasures with --erasures FILE, or say --no-erasures.")),
    }
}

/// Checkpoints held outside, and the keys they are signed with.
type Outside = (Vec<SignedNote>, Vec<Verifier>);

/// What the restored records are held against; none when nobody named any.
fn checkpoints(matches: &ArgMatches) -> Result<Option<Outside>, Failure> {
    let Some(paths) = matches.get_many::<PathBuf>("checkpoint") else { return Ok(None) };
    let mut all = Vec::new();
    for path in paths {
        all.extend(super::verify::notes(path)?);
    }
    Ok(Some((all, super::verify::keys(matches)?)))
}

/// What a person wants to know of a backup.
pub fn summary(manifest: &Manifest) -> Value {
    json!({
        "book": manifest.book,
        "position": manifest.position.0,
        "root": manifest.root,
        "made_at": manifest.made_at.map(|at| at.to_string()),
        "version": manifest.version,
        "files": manifest.files.len(),
        "bytes": manifest.files.iter().map(|file| file.bytes).sum::<u64>(),
    })
}

fn tell(common: &Common, what: &Text, summary: &Value) {
    if common.form == Form::Json {
        return output::json(summary);
    }
    let language = common.language.into();
    output::done(what.read(language));
    for (en, de, field) in [
        ("up to", "bis", "position"),
        ("made", "gemacht", "made_at"),
        ("by Switchbook", "von Switchbook", "version"),
        ("files", "Dateien", "files"),
        ("bytes", "Bytes", "bytes"),
        ("Merkle root", "Merkle-Wurzel", "root"),
    ] {
        let name = either(language, en, de);
        match &summary[field] {
            Value::Null => {}
            Value::String(text) => output::line(&format!("  {name:14} {text}")),
            other => output::line(&format!("  {name:14} {other}")),
        }
    }
}
