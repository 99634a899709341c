//! Evidence: what stands in the book, proved to somebody who trusts neither the server nor this program.
//!
//! A seal is a signed checkpoint: the root of the Merkle tree over a beginning of the book. [`mod@prove`] shows that a record
//! stands in a sealed book, or that one sealed book is the beginning of another; [`mod@bundle`] writes records with their
//! proofs into one file. Everything is read from the segments and checked against the seal before it is given.
//! docs/evidence.md has the formats.

pub mod bundle;
pub mod held;
pub mod prove;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use switchbook_core::event::{Event, EventType};
use switchbook_core::position::Position;
use switchbook_core::seal::BookSealed;
use switchbook_journal::merkle::Hash;
use switchbook_journal::note::{Checkpoint, NoteError, SignedNote, Verifier};
use switchbook_journal::{ReadError, SegmentReader};
use switchbook_projections::text::{Text, counted};

pub use bundle::{What, bundle};
pub use prove::{Proof, Proved};

/// Why something cannot be proved.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// The book could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Nobody sealed the book yet.
    #[error("nothing was sealed yet. Seal the book first, with `switchbook audit seal`")]
    NothingSealed,
    /// No seal covers it.
    #[error(
        "no seal covers {position}: the newest one ends at #{sealed}. Seal the book first, with `switchbook audit seal`"
    )]
    NotSealed {
        /// What was to be proved.
        position: Position,
        /// How far the newest seal goes.
        sealed: u64,
    },
    /// A text that is no checkpoint.
    #[error("the checkpoint cannot be read: {0}")]
    Note(#[from] NoteError),
    /// A checkpoint of another book.
    #[error("the checkpoint is of {found}, and this book is {expected}: is it the right folder?")]
    Foreign {
        /// Its origin.
        found: String,
        /// This book's.
        expected: String,
    },
    /// The book ends before the place that a checkpoint sealed.
    #[error(
        "the checkpoint seals {}, and this book has only {there}: its end was removed, or an older copy was put in its place",
        counted(*sealed, "record", "records")
    )]
    Shorter {
        /// Sealed.
        sealed: u64,
        /// In the book.
        there: u64,
    },
    /// The root is another one.
    #[error(
        "the first {size} records of this book are not those that the checkpoint seals: a record was changed, or the checkpoint is forged. `switchbook audit verify` looks for the place"
    )]
    AnotherBook {
        /// Sealed.
        size: u64,
    },
    /// Nobody who is trusted signed it.
    #[error(
        "the checkpoint over {} is not signed with the given key, nor with one that it handed over to: it is forged, or the checkpoint that hands over is missing beside it",
        counted(*size, "record", "records")
    )]
    NotTrusted {
        /// Sealed.
        size: u64,
    },
    /// Checkpoints in the wrong order.
    #[error(
        "the older checkpoint seals {}, the newer one only {newer}: swap them",
        counted(*older, "record", "records")
    )]
    WrongOrder {
        /// Of the first.
        older: u64,
        /// Of the second.
        newer: u64,
    },
    /// The file could not be written.
    #[error("the bundle could not be written: {0}")]
    Write(#[from] std::io::Error),
}

impl EvidenceError {
    /// For people. What stands behind a file that cannot be read or written speaks English alone.
    #[must_use]
    pub fn text(&self) -> Text {
        let en = self.to_string();
        let de = match self {
            Self::Read(error) => format!("das Buch ist nicht lesbar: {error}"),
            Self::NothingSealed => {
                "es ist noch nichts versiegelt. Versiegeln Sie das Buch zuerst, mit `switchbook audit seal`".into()
            }
            Self::NotSealed { position, sealed } => format!(
                "kein Siegel deckt {position}: das neueste endet bei #{sealed}. Versiegeln Sie das Buch zuerst, mit `switchbook audit seal`"
            ),
            Self::Note(error) => format!("der Prüfpunkt ist nicht lesbar: {error}"),
            Self::Foreign { found, expected } => format!(
                "der Prüfpunkt ist von {found}, und dieses Buch ist {expected}: Ist es der richtige Ordner?"
            ),
            Self::Shorter { sealed, there } => {
                let (sealed, there) = (entries(*sealed), entries(*there));
                format!(
                    "der Prüfpunkt versiegelt {sealed}, und dieses Buch hat nur {there}: Sein Ende wurde entfernt, oder eine ältere Kopie steht an seiner Stelle"
                )
            }
            Self::AnotherBook { size } => format!(
                "der Anfang dieses Buches ({}) ist nicht, was der Prüfpunkt versiegelt: Ein Eintrag wurde geändert, oder der Prüfpunkt ist gefälscht. `switchbook audit verify` sucht die Stelle",
                entries(*size)
            ),
            Self::NotTrusted { size } => format!(
                "der Prüfpunkt über {} ist weder mit dem angegebenen Schlüssel signiert noch mit einem, an den er übergab: Er ist gefälscht, oder der Prüfpunkt der Übergabe fehlt daneben",
                entries(*size)
            ),
            Self::WrongOrder { older, newer } => format!(
                "der ältere Prüfpunkt versiegelt {}, der neuere nur {newer}: Vertauschen Sie sie",
                entries(*older)
            ),
            Self::Write(error) => format!("das Bündel ließ sich nicht schreiben: {error}"),
        };
        Text { en, de }
    }
}

fn entries(many: u64) -> String {
    counted(many, "Eintrag", "Einträge")
}

/// A seal as the book has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sealed {
    /// The event that recorded it.
    pub at: Position,
    /// The signed checkpoint.
    pub note: SignedNote,
    /// What it says.
    pub checkpoint: Checkpoint,
    /// The public key it is signed with.
    pub key: Verifier,
}

/// The newest seal recorded at `upto` or before.
///
/// # Errors
/// The reader's; [`EvidenceError::NothingSealed`] when there is none.
pub fn sealed(reader: &SegmentReader, upto: Position) -> Result<Sealed, EvidenceError> {
    let none = || EvidenceError::NothingSealed;
    let found = reader.last_of(BookSealed::TAG, upto)?.ok_or_else(none)?;
    let recorded = found.decoded.recorded;
    let Event::BookSealed(seal) = recorded.event else { return Err(none()) };
    let note: SignedNote = seal.checkpoint.parse()?;
    let checkpoint = note.checkpoint()?;
    let made = reader.stored(seal.key).next().transpose()?;
    let key = match (note.next_key(), made.map(|made| made.decoded.recorded.event)) {
        (Some(next), _) => next,
        (None, Some(Event::SealingKeyMade(made))) => made.verifier.parse()?,
        _ => return Err(none()),
    };
    Ok(Sealed { at: recorded.envelope.position, note, checkpoint, key })
}

/// The checkpoints with which one key of the book handed over to the next, oldest first, up to a seal's own key.
///
/// # Errors
/// The reader's.
pub fn hand_overs(
    reader: &SegmentReader,
    upto: Position,
) -> Result<Vec<SignedNote>, EvidenceError> {
    let mut found = Vec::new();
    let seal_at = |at: Position| -> Result<Option<BookSealed>, EvidenceError> {
        let stored = reader.stored(at).next().transpose()?;
        Ok(stored.and_then(|stored| match stored.decoded.recorded.event {
            Event::BookSealed(seal) => Some(seal),
            _ => None,
        }))
    };
    let Some(newest) = reader.last_of(BookSealed::TAG, upto)? else { return Ok(found) };
    let mut seal = match newest.decoded.recorded.event {
        Event::BookSealed(seal) => seal,
        _ => return Ok(found),
    };
    // A seal names the event that made its key; behind that stands the seal that handed over to it, which names the key
    // before. Positions only go down, so this ends.
    loop {
        let note: SignedNote = seal.checkpoint.parse()?;
        let hands_over = note.next_key().is_some();
        let made = seal.key;
        if hands_over {
            found.push(note);
        }
        match seal_at(made.next())? {
            Some(before) if before.size < seal.size => seal = before,
            _ => break,
        }
    }
    found.reverse();
    Ok(found)
}

/// Base64 as in RFC 4648 §4.
#[must_use]
pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

fn hashes(path: &[Hash]) -> Vec<String> {
    path.iter().map(|hash| base64(hash)).collect()
}
