//! `switchbook audit cosign`: a witness, on a machine of his own, signs that he saw this checkpoint, and that everything he saw
//! of this book before is its beginning (C2SP tlog-cosignature).

use super::Common;
use super::evidence::{note, told};
use super::output::{self, Form};
use crate::failure::{Failure, failed};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::{Arg, ArgMatches, Command};
use serde_json::{Value, json};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use switchbook_commands::desk::{Clock, SystemClock};
use switchbook_journal::SegmentReader;
use switchbook_journal::merkle::Hash;
use switchbook_journal::note::{Checkpoint, KeyKind, SignedNote, Signer, Verifier};
use switchbook_journal::proof::roots_of_consistency;
use switchbook_projections::text;
use switchbook_replay::evidence::prove::Prover;

/// The subcommand.
pub fn command() -> Command {
    let file = |name: &'static str| Arg::new(name).value_parser(clap::value_parser!(PathBuf));
    Command::new("cosign")
        .about("As a witness: signs a checkpoint that continues the last one seen of its book")
        .arg(file("checkpoint").required(true).value_name("FILE").help("The checkpoint; the signature is added to it"))
        .arg(file("witness").long("witness").required(true).value_name("FOLDER").help(
            "The witness's own folder: his key, and the last checkpoint of each book; made when it is not there",
        ))
        .arg(Arg::new("name").long("name").value_name("NAME").help("The witness's name, when his key is made: like witness.example.com"))
        .arg(Arg::new("key").long("key").value_name("KEY").help("Public key of the book, needed when it is seen for the first time"))
        .arg(file("proof").long("proof").value_name("FILE").help(
            "`audit prove consistency --json` from the last checkpoint to this one; without: from the book in --data, if it is here",
        ))
}

/// Checks, remembers, signs: in this order, so that no crash makes him sign two stories.
pub fn run(common: &Common, matches: &ArgMatches) -> Result<(), Failure> {
    let path = |name: &str| matches.get_one::<PathBuf>(name).cloned();
    let text = |name: &str| matches.get_one::<String>(name).cloned();
    let (Some(file), Some(folder)) = (path("checkpoint"), path("witness")) else {
        return Err(Failure::new("which checkpoint, and which witness?"));
    };
    let signer = signer(&folder, text("name").as_deref())?;
    let seen = note(&file)?;
    let checkpoint = seen.checkpoint().map_err(failed("that is no checkpoint"))?;
    let memory = folder.join(format!("seen-{}", name_of(&checkpoint.origin)));
    let last = remembered(&memory)?;
    let key = match (&last, text("key")) {
        (Some(last), None) => last.key.clone(),
        (Some(last), Some(key)) if key.trim() != last.key => {
            return Err(Failure::new("this book was seen with another key before").advice(
                "If its owner says that the key was changed, begin a new witness folder for it.",
            ));
        }
        (_, Some(key)) => key.trim().to_owned(),
        (None, None) => {
            return Err(Failure::new(format!("{} was never seen before", checkpoint.origin))
                .advice("Give its public key with --key, as its owner gave it to you by another way than the checkpoint."));
        }
    };
    let book: Verifier = key.parse().map_err(failed("the key cannot be read"))?;
    if book.kind() != KeyKind::Log {
        return Err(Failure::new(format!("{} is a witness's key", book.name()))
            .advice("--key wants the key of the book, as `switchbook audit key` prints it."));
    }
    seen.verify(&book).map_err(|error| {
        Failure::new(format!("the checkpoint is not signed with the book's key: {error}")).advice(
            "If the key was rotated since, cosign the checkpoint of the rotation first: it hands over to the new one.",
        )
    })?;
    // What hands over to another key was signed by the one that is known: from here on the next one counts.
    let key = seen.next_key().map_or(key, |next| next.to_string());
    if let Some(last) = &last {
        let before = last.note.checkpoint().map_err(failed("the witness's memory is damaged"))?;
        let proof = path("proof").map(|path| proof(&path)).transpose()?;
        continues(common, &before, &checkpoint, (&last.note, &seen), proof)?;
    }
    let value = json!({ "key": key, "checkpoint": seen.to_string() });
    replace(&memory, value.to_string().as_bytes())?;
    let seconds = SystemClock.now().0.div_euclid(1_000_000);
    let signed = seen.cosign(&signer, u64::try_from(seconds).unwrap_or(0));
    replace(&file, signed.to_string().as_bytes())?;
    let witness = signer.verifier().to_string();
    if common.form == Form::Json {
        output::json(
            &json!({ "size": checkpoint.size, "witness": witness, "checkpoint": signed.to_string() }),
        );
        return Ok(());
    }
    let size = checkpoint.size;
    let line = text!(
        "cosigned: {size} records; the witness's public key is {witness}",
        "mitsigniert: {size} Einträge; der öffentliche Schlüssel des Zeugen ist {witness}"
    );
    output::done(line.read(common.language.into()));
    Ok(())
}

/// What a witness saw last of a book.
struct Last {
    key: String,
    note: SignedNote,
}

fn remembered(path: &Path) -> Result<Option<Last>, Failure> {
    let text = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        text => text.map_err(failed("the witness's memory cannot be read"))?,
    };
    let damaged = || {
        Failure::new(format!("the witness's memory {} is damaged", path.display())).advice(
            "Put it back from a copy. Without it he might sign a book that was changed since.",
        )
    };
    let value: Value = serde_json::from_str(&text).map_err(|_| damaged())?;
    let (key, note) = (value["key"].as_str(), value["checkpoint"].as_str());
    let note = note.and_then(|note| note.parse().ok());
    Ok(Some(Last { key: key.ok_or_else(damaged)?.into(), note: note.ok_or_else(damaged)? }))
}

/// An origin as part of a file name: each book has its own.
fn name_of(origin: &str) -> String {
    origin.bytes().map(|byte| format!("{byte:02x}")).collect()
}

/// The witness's key, made when there is none: 32 bytes in base64 and the name, readable by him alone.
fn signer(folder: &Path, name: Option<&str>) -> Result<Signer, Failure> {
    let path = folder.join("key");
    let broken = || Failure::new(format!("{} is no witness's key", path.display()));
    let (name, seed) = match std::fs::read_to_string(&path) {
        Ok(text) => {
            let (name, seed) = text.trim().split_once(' ').ok_or_else(broken)?;
            let seed = STANDARD.decode(seed).ok().and_then(|seed| seed.try_into().ok());
            (name.to_owned(), seed.ok_or_else(broken)?)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let name = name.ok_or_else(|| {
                Failure::new("this witness has no key yet")
                    .advice("Name him with --name, like witness.example.com, and his key is made.")
            })?;
            let seed = *Signer::fresh_seed().map_err(failed("no key can be made"))?;
            Signer::new(name, KeyKind::Witness, &seed)
                .map_err(failed("the name is none for a key"))?;
            let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
            made.map_err(failed("the witness's folder cannot be made"))?;
            replace(&path, format!("{name} {}\n", STANDARD.encode(seed)).as_bytes())?;
            (name.to_owned(), seed)
        }
        Err(error) => return Err(failed("the witness's key cannot be read")(error)),
    };
    Signer::new(&name, KeyKind::Witness, &seed).map_err(failed("the witness's key is none"))
}

/// Under another name first, durable, then in its place; readable by its owner alone.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let doing = format!("{} cannot be written", path.display());
    let fresh = path.with_extension("part");
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let written = options.open(&fresh).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let written = written
        .and_then(|()| std::fs::rename(&fresh, path))
        .and_then(|()| std::fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all());
    written.map_err(failed(&doing))
}

/// The hashes of a consistency proof.
fn proof(path: &Path) -> Result<Vec<Hash>, Failure> {
    let doing = format!("{} is no consistency proof", path.display());
    let text = std::fs::read_to_string(path).map_err(failed(&doing))?;
    let value: Value = serde_json::from_str(&text).map_err(failed(&doing))?;
    let hashes = value["path"].as_array().filter(|_| value["kind"] == "consistency");
    let hash = |value: &Value| STANDARD.decode(value.as_str()?).ok()?.try_into().ok();
    let hashes = hashes.and_then(|all| all.iter().map(hash).collect::<Option<Vec<Hash>>>());
    hashes.ok_or_else(|| Failure::new(doing))
}

fn continues(
    common: &Common,
    before: &Checkpoint,
    now: &Checkpoint,
    notes: (&SignedNote, &SignedNote),
    proof: Option<Vec<Hash>>,
) -> Result<(), Failure> {
    let another = || {
        Failure::new(format!(
            "this checkpoint does not continue the one of {} records that was seen last: the book was changed, or two stories are told of it. NOT signed",
            before.size
        ))
        .advice("Keep both checkpoints: together they prove it.")
    };
    if now.size < before.size {
        return Err(Failure::new(format!(
            "this checkpoint seals {} records, and one of {} was seen before. NOT signed",
            now.size, before.size
        )));
    }
    if now.size == before.size {
        return if now.root == before.root { Ok(()) } else { Err(another()) };
    }
    if let Some(proof) = proof {
        let roots = roots_of_consistency(before.size, now.size, &before.root, &proof);
        return if roots == Some((before.root, now.root)) { Ok(()) } else { Err(another()) };
    }
    let Ok(reader) = SegmentReader::open(&common.data) else {
        return Err(Failure::new("that it continues the last one has to be shown").advice(
            "Give --proof FILE, made where the book is: switchbook --json audit prove consistency LAST NEW",
        ));
    };
    let mut prover =
        Prover::open(&reader, &common.data, &mut |_| true).map_err(|error| told(&error))?;
    prover.consistency(notes.0, notes.1).map(|_| ()).map_err(|error| told(&error))
}
