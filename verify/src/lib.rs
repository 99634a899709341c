//! `switchbook-verify`: checks evidence from a Switchbook book, offline, on any machine.
//!
//! It shares no code with what it checks: frames, bodies, heads, trees and notes are read here a second time, from
//! docs/journal-format.md, docs/evidence.md, RFC 9162, RFC 8032 and the C2SP notes alone.

mod book;
mod bundle;
mod frame;
mod note;
mod proof;
mod report;
mod segment;
mod tree;
mod what;

use clap::{Arg, ArgAction, ArgMatches, Command};
use note::{Key, Note, Of};
use report::{Report, Unchecked};
use std::ffi::OsString;
use std::path::PathBuf;

fn file(name: &'static str, help: &'static str) -> Arg {
    let arg = Arg::new(name).required(true).value_name(name.to_uppercase());
    arg.value_parser(clap::value_parser!(PathBuf)).help(help)
}

fn command() -> Command {
    let global = |arg: Arg| arg.global(true).action(ArgAction::Append);
    Command::new("switchbook-verify")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Checks evidence from a Switchbook book, offline. Exit code 0: it holds, 1: it does not, 2: not checked")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .arg(global(Arg::new("key").long("key").value_name("KEY").help(
            "Public key of the book (name+hash+base64), as it was given to you by another way than the evidence; or a file with one a line (repeat for more)",
        )))
        .arg(global(Arg::new("witness").long("witness").value_name("KEY").help(
            "Public key of a witness who must have cosigned; or a file with one a line, all of whom must have (repeat for more)",
        )))
        .arg(Arg::new("json").long("json").global(true).action(ArgAction::SetTrue).help("Print for programs"))
        .arg(Arg::new("language").long("language").global(true).value_parser(["de", "en"]).help("Of texts"))
        .subcommand(
            Command::new("bundle")
                .about("A file of `switchbook audit bundle`")
                .arg(file("file", "The bundle")),
        )
        .subcommand(
            Command::new("proof")
                .about("A file of `switchbook audit prove --json`")
                .arg(file("file", "The proof")),
        )
        .subcommand(
            Command::new("checkpoint")
                .about("A checkpoint: is it signed, and cosigned?")
                .arg(file("file", "The checkpoint")),
        )
        .subcommand(
            Command::new("book")
                .about("A whole folder of a book: every record, every head, every seal in it")
                .arg(file("folder", "The folder; a copy will do"))
                .arg(
                    Arg::new("checkpoint")
                        .long("checkpoint")
                        .value_name("FILE")
                        .action(ArgAction::Append)
                        .value_parser(clap::value_parser!(PathBuf))
                        .help("A checkpoint held outside, or a list of them: the book must begin with what it seals"),
                ),
        )
}

/// Who must have signed.
pub(crate) struct Keys {
    /// The book's own key, or its keys; and those that they handed over to.
    pub book: Vec<Trusted>,
    /// Each of them must have cosigned.
    pub witnesses: Vec<Key>,
}

/// A key of the book, and for which sizes of it its signature counts.
pub(crate) struct Trusted {
    key: Key,
    from: u64,
    until: u64,
    /// The one that it handed over to.
    next: Option<Key>,
}

/// Whose signatures a checkpoint needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Who {
    /// The book's own.
    Book,
    /// The book's own, and every witness's.
    All,
}

impl Keys {
    fn of(matches: &ArgMatches) -> Result<Self, Unchecked> {
        let read = |name: &str, of: Of| {
            let all = matches.get_many::<String>(name).into_iter().flatten();
            let all = all.map(|text| Key::given(text, of)).collect::<Result<Vec<_>, _>>();
            all.map(|all| all.concat())
        };
        let whole = |key| Trusted { key, from: 0, until: u64::MAX, next: None };
        let book = read("key", Of::Book)?.into_iter().map(whole).collect();
        Ok(Self { book, witnesses: read("witness", Of::Witness)? })
    }

    /// Without the book's key a signature says nothing.
    fn needed(self) -> Result<Self, Unchecked> {
        if self.book.is_empty() {
            return Err(Unchecked::new(
                "--key is needed: the public key of the book, as it was given to you by another way than the evidence. A key that comes with the evidence proves nothing",
                "--key fehlt: der öffentliche Schlüssel des Buchs, wie er Ihnen auf anderem Weg als die Beweise gegeben wurde. Ein Schlüssel, der mit den Beweisen kommt, beweist nichts",
            ));
        }
        Ok(self)
    }

    /// Is it signed with a key that counts for its size? If it hands over to another one, that one counts from here on, and
    /// the former no further. A key hands over once: whoever took it cannot do so again, to a key of his.
    pub(crate) fn book_signed(&mut self, note: &Note) -> bool {
        let size = note.size;
        let next = note.next_key();
        let mut signed = false;
        for trusted in &mut self.book {
            let follows = next.as_ref().filter(|next| !next.is(&trusted.key));
            let again = trusted.next.as_ref().zip(follows).is_some_and(|(one, two)| !one.is(two));
            let counts = (trusted.from..=trusted.until).contains(&size) && !again;
            // A book's key bears its name.
            let counts = counts && note.origin == trusted.key.name;
            if counts && note.signed_by(&trusted.key).is_some() {
                signed = true;
                if let Some(next) = follows.filter(|_| trusted.next.is_none()) {
                    (trusted.until, trusted.next) = (size, Some(next.clone()));
                }
            }
        }
        if let Some(key) =
            next.filter(|next| signed && self.book.iter().all(|trusted| !trusted.key.is(next)))
        {
            self.book.push(Trusted { key, from: size, until: u64::MAX, next: None });
        }
        signed
    }

    /// Checks the signatures of a note; findings go into the report. Notes come from the oldest to the newest.
    pub fn check(&mut self, note: &Note, place: &str, who: Who, report: &mut Report) -> bool {
        let mut good = true;
        if !self.book_signed(note) {
            good = false;
            report.bad(
                place,
                "its signature is not of the given key, nor of one that it handed over to: it is forged, or of another book, or the checkpoint that hands over is missing",
                "seine Signatur ist nicht von dem angegebenen Schlüssel und von keinem, an den er übergeben hat: gefälscht, von einem anderen Buch, oder der Prüfpunkt der Übergabe fehlt",
            );
        }
        let witnesses = self.witnesses.iter().filter(|_| who == Who::All);
        for witness in witnesses {
            match note.signed_by(witness) {
                Some(time) => report.cosigned(witness, time.unwrap_or_default()),
                None => {
                    good = false;
                    let name = &witness.name;
                    report.bad(
                        place,
                        &format!("the witness {name} has not cosigned it"),
                        &format!("der Zeuge {name} hat ihn nicht mitsigniert"),
                    );
                }
            }
        }
        good
    }
}

fn check(matches: &ArgMatches) -> Result<Report, Unchecked> {
    let keys = Keys::of(matches)?;
    let Some((what, matches)) = matches.subcommand() else {
        return Err(Unchecked::new("check what?", "Was soll geprüft werden?"));
    };
    let path = |name: &str| matches.get_one::<PathBuf>(name).cloned().unwrap_or_default();
    match what {
        "bundle" => bundle::check(&path("file"), &mut keys.needed()?),
        "proof" => proof::check(&path("file"), &mut keys.needed()?),
        "checkpoint" => note::check(&path("file"), &mut keys.needed()?),
        _ => {
            let outside = matches.get_many::<PathBuf>("checkpoint").into_iter().flatten();
            book::check(&path("folder"), &outside.cloned().collect::<Vec<_>>(), keys)
        }
    }
}

/// Parses a command line (the program's name first), checks, prints, and gives the exit code: 0 everything holds, 1
/// something does not, 2 it could not be checked.
pub fn run<I: IntoIterator<Item = T>, T: Into<OsString> + Clone>(line: I) -> u8 {
    let matches = match command().try_get_matches_from(line) {
        Ok(matches) => matches,
        Err(error) => {
            // Help is no error; what cannot be printed any more is none either.
            let _ = error.print();
            return if error.use_stderr() { 2 } else { 0 };
        }
    };
    let german = match matches.get_one::<String>("language") {
        Some(language) => language == "de",
        None => report::german_environment(),
    };
    let json = matches.get_flag("json");
    match check(&matches) {
        Ok(report) => {
            report.print(json, german);
            u8::from(!report.holds())
        }
        Err(unchecked) => {
            unchecked.print(json, german);
            2
        }
    }
}
